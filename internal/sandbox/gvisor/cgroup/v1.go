package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (p *Parent) checkV1() error {
	for _, c := range []string{"memory", "cpu", "cpuacct", "pids"} {
		if _, err := os.Stat(filepath.Join(p.root, c)); err != nil {
			return fmt.Errorf("the %s controller is missing: %w", c, err)
		}
	}
	return nil
}

func (g *Group) limitV1(l Limits) error {
	if err := g.fillCPUSet(); err != nil {
		return err
	}
	if l.Memory > 0 {
		n := strconv.FormatInt(l.Memory, 10)
		if err := write(g.file("memory", "memory.limit_in_bytes"), n); err != nil {
			return err
		}
		// Kernels without swap accounting lack the file; then there is no swap limit to set.
		if err := write(g.file("memory", "memory.memsw.limit_in_bytes"), n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if l.CPUs > 0 {
		if err := write(g.file("cpu", "cpu.cfs_period_us"), strconv.Itoa(period)); err != nil {
			return err
		}
		if err := write(g.file("cpu", "cpu.cfs_quota_us"), strconv.FormatInt(int64(l.CPUs*period), 10)); err != nil {
			return err
		}
	}
	if l.PIDs > 0 {
		return write(g.file("pids", "pids.max"), strconv.FormatInt(l.PIDs, 10))
	}
	return nil
}

// Hasten makes moves of processes into groups quick ones, until done is closed. On cgroup v1 a move waits for a grace period of the kernel, 5 to 16 ms, unless another move came at most 10 ms before
// it. So a thread of this process goes into the parent group, again and again, while a sandbox is made ready that is about to be moved; then the thread goes back, and ends.
// What goes wrong costs time and nothing else, and is not reported. On cgroup v2 processes are started inside their groups, and there is nothing to hasten.
func (p *Parent) Hasten(done <-chan struct{}) {
	if p.v2 {
		<-done
		return
	}
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and nothing else ever runs in the group
	thread := strconv.Itoa(unix.Gettid())
	home, err := memoryGroup()
	if err != nil {
		return
	}
	defer func() { _ = write(filepath.Join(p.root, "memory", home, "tasks"), thread) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = write(filepath.Join(p.root, "memory", p.path, "tasks"), thread)
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// memoryGroup returns the path of this process's group in the memory hierarchy.
func memoryGroup() (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), "memory") {
			return f[2], nil
		}
	}
	return "", errors.New("this process is in no memory control group")
}

// fillCPUSet gives the group its ancestors' CPUs and memory nodes: new cpuset groups start with none and then take no processes.
func (g *Group) fillCPUSet() error {
	root := filepath.Join(g.parent.root, "cpuset")
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, dir := range []string{filepath.Join(root, g.parent.path), filepath.Join(root, g.Path())} {
			file := filepath.Join(dir, name)
			have, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(have)) != "" {
				value = have
				continue
			}
			if err := write(file, strings.TrimSpace(string(value))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Group) usageV1() (Usage, error) {
	memory, err := readInt(g.file("memory", "memory.usage_in_bytes"))
	if err != nil {
		return Usage{}, err
	}
	cpu, err := readInt(g.file("cpuacct", "cpuacct.usage"))
	if err != nil {
		return Usage{}, err
	}
	kills, err := readKey(g.file("memory", "memory.oom_control"), "oom_kill")
	if err != nil {
		return Usage{}, err
	}
	return Usage{Memory: memory, CPU: time.Duration(cpu), OOMKills: kills}, nil
}
