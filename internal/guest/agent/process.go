package agent

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markVariable is set in the environment of every process of a command, to find those that left its session.
const markVariable = "SUNABA_CALL"

// processes starts children and reaps them, and the orphans that fall to PID 1 as well. One goroutine waits for all of them, so that no exit status is lost to another waiter.
type processes struct {
	mu       sync.Mutex // held while a child is forked and entered, so that it is known before it is reaped
	started  map[int]*process
	finished []*process // whose leavings are to be swept
}

// process is a running child.
type process struct {
	pid    int
	mark   string
	done   chan struct{}
	status syscall.WaitStatus // valid once done is closed
}

func newProcesses() *processes {
	p := &processes{started: map[int]*process{}}
	// A child gets the descriptors it is given and none that the guest was started with. A kernel without the call leaves those as they are.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	go func() {
		for range children {
			p.reap()
		}
	}()
	return p
}

func (p *processes) reap() {
	for {
		p.mu.Lock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if child := p.started[pid]; child != nil && pid > 0 {
			delete(p.started, pid)
			child.status = status
			close(child.done)
		}
		p.mu.Unlock()
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}

// start runs the program at path in a session of its own. files are its descriptors from 0 on.
func (p *processes) start(path string, argv []string, s surroundings, mark string, files []uintptr) (*process, error) {
	attr := &syscall.ProcAttr{Dir: s.dir, Env: s.env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true, Credential: s.creds}}
	p.mu.Lock()
	defer p.mu.Unlock()
	var pid int
	fork := func() (err error) {
		pid, err = syscall.ForkExec(path, argv, attr)
		return err
	}
	var err error
	if s.confined && os.Geteuid() == 0 {
		err = confined(fork)
	} else {
		err = fork()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	child := &process{pid: pid, mark: mark, done: make(chan struct{})}
	p.started[pid] = child
	return child, nil
}

// exitCode is a status as shells count: 128 and the signal's number for a death by signal.
func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// killTree kills what is left of a process's tree: its process group, its session, its descendants, and who carries its mark.
func (p *process) killTree() {
	_ = unix.Kill(-p.pid, unix.SIGKILL)
	killTrees([]*process{p})
}

// sweepDelay is how long what a finished command left behind may live. One look through /proc then serves all that have finished meanwhile: it costs more than a short command.
const sweepDelay = 50 * time.Millisecond

// bury kills what a finished process left: its process group now, the rest soon.
func (p *processes) bury(child *process) {
	_ = unix.Kill(-child.pid, unix.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished = append(p.finished, child); len(p.finished) == 1 {
		time.AfterFunc(sweepDelay, func() {
			p.mu.Lock()
			all := p.finished
			p.finished = nil
			p.mu.Unlock()
			killTrees(all)
		})
	}
}

func killTrees(roots []*process) {
	const rounds = 5 // a tree that forks faster than this finds only dies with the sandbox
	for range rounds {
		found := members(roots)
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// members looks through /proc for the living members of trees, without the roots themselves once they have been reaped.
func members(roots []*process) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil
	}
	self := os.Getpid()
	parents, found := map[int]int{}, map[int]bool{}
	for _, r := range roots {
		found[r.pid] = true
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self || pid == 1 {
			continue
		}
		parent, session, dead := stat(pid)
		if dead {
			continue
		}
		parents[pid] = parent
		if found[session] || marked(pid, roots) {
			found[pid] = true
		}
	}
	var out []int
	for pid := range parents {
		for up, steps := pid, 0; up > 1 && steps < 1000; up, steps = parents[up], steps+1 {
			if found[up] {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}

// stat reads a process's parent and session.
func stat(pid int) (parent, session int, dead bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, true
	}
	text := string(b)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // state ppid pgrp session ...
	if len(f) < 4 || f[0] == "Z" || f[0] == "X" {
		return 0, 0, true
	}
	parent, _ = strconv.Atoi(f[1])
	session, _ = strconv.Atoi(f[3])
	return parent, session, false
}

// marked reports whether a process carries the mark of one of the trees.
func marked(pid int, roots []*process) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	_, mark, ok := strings.Cut("\x00"+string(b), "\x00"+markVariable+"=")
	if !ok {
		return false
	}
	mark, _, _ = strings.Cut(mark, "\x00")
	return slices.ContainsFunc(roots, func(r *process) bool { return r.mark != "" && r.mark == mark })
}
