package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errNoProcess says that a pid does not name the process that was meant, most likely because it has ended.
var errNoProcess = errors.New("no such process of the sandbox")

// process is a process held by a pidfd, so that neither a signal nor the watch for its end can hit another that got its number.
type process struct {
	pid  int
	fd   *os.File
	done chan struct{} // closed when the process has ended
}

// openProcess holds the process pid if verify accepts it.
func openProcess(pid int, verify func(pid int) bool) (*process, error) {
	// A non-blocking pidfd is watched by the runtime's poller: a waiting sandbox costs a goroutine, not a thread.
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("%w: pid %d: %w", errNoProcess, pid, err)
	}
	p := &process{pid: pid, fd: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid)), done: make(chan struct{})}
	// The order matters: what was read about the pid is about this pidfd's process only if that one lives on afterwards.
	if !verify(pid) || p.signal(0) != nil {
		_ = p.fd.Close() // nothing was written to it
		return nil, fmt.Errorf("%w: pid %d", errNoProcess, pid)
	}
	go p.watch()
	return p, nil
}

func (p *process) watch() {
	defer close(p.done)
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0
	})
	// As PID 1 of a container, or as a subreaper, this process inherits the sandbox's and must not leave them as zombies.
	_ = raw.Control(func(fd uintptr) { _ = unix.Waitid(unix.P_PIDFD, int(fd), nil, unix.WEXITED|unix.WNOHANG, nil) })
}

func (p *process) signal(s unix.Signal) error {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, 0) }); err != nil {
		return err
	}
	return sent
}

// kill kills the process and waits for its end.
func (p *process) kill(ctx context.Context) error {
	if err := p.signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing pid %d: %w", p.pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pid %d does not end: %w", p.pid, ctx.Err())
	}
}

// close lets go of the process; it must not be used afterwards.
func (p *process) close() {
	_ = p.fd.Close() // nothing was written to it
	<-p.done
}

// ofRoot tells processes of runsc whose state folder is root: kernel, file proxy and the runsc that starts them all carry it as a flag.
func ofRoot(root string) func(pid int) bool {
	return func(pid int) bool { return runscRoot(pid) == root }
}

// runscRoot returns the state folder of a runsc process, or "" if pid is none.
func runscRoot(pid int) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	args := strings.Split(string(b), "\x00")
	if !strings.HasPrefix(args[0], "runsc") {
		return ""
	}
	i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--root=") })
	if i < 0 {
		return ""
	}
	return strings.TrimPrefix(args[i], "--root=")
}

// scan returns the pids of all runsc processes whose state folder match accepts.
func scan(match func(root string) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if root := runscRoot(pid); root != "" && match(root) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killAll kills what list lists and verify accepts, until list finds nothing more to kill.
func killAll(ctx context.Context, list func() ([]int, error), verify func(pid int) bool) error {
	for {
		pids, err := list()
		if err != nil {
			return err
		}
		killed := 0
		for _, pid := range pids {
			p, err := openProcess(pid, verify)
			if err != nil {
				continue // ended meanwhile
			}
			killed++
			err = p.kill(ctx)
			p.close()
			if err != nil {
				return err
			}
		}
		if killed == 0 {
			return nil
		}
		// A process may have been on its way into a fork when it was listed.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
