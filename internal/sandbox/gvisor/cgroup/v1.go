package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
