package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// controllersV2 lists the controllers that the host hands down.
func (p *Parent) controllersV2() ([]string, error) {
	b, err := os.ReadFile(filepath.Join(p.root, "cgroup.controllers"))
	return strings.Fields(string(b)), err
}

func (p *Parent) checkV2() error {
	have, err := p.controllersV2()
	if err != nil {
		return err
	}
	for _, c := range []string{"memory", "cpu", "pids"} {
		if !slices.Contains(have, c) {
			return fmt.Errorf("the %s controller is missing from %s/cgroup.controllers", c, p.root)
		}
	}
	return nil
}

func (g *Group) limitV2(l Limits) error {
	have, err := g.parent.controllersV2()
	if err != nil {
		return err
	}
	// A group has the controllers that every group above it hands down.
	enable := "+" + strings.Join(have, " +")
	for _, d := range []string{g.parent.root, filepath.Join(g.parent.root, g.parent.path)} {
		if err := write(filepath.Join(d, "cgroup.subtree_control"), enable); err != nil {
			return err
		}
	}
	if l.Memory > 0 {
		if err := write(g.file("", "memory.max"), strconv.FormatInt(l.Memory, 10)); err != nil {
			return err
		}
		if err := g.writeOptional("memory.swap.max", "0"); err != nil {
			return err
		}
		// A sandbox whose kernel is killed for memory is dead as a whole; the kernel may as well end all of it at once.
		if err := g.writeOptional("memory.oom.group", "1"); err != nil {
			return err
		}
	}
	if l.CPUs > 0 {
		if err := write(g.file("", "cpu.max"), fmt.Sprintf("%d %d", int64(l.CPUs*period), period)); err != nil {
			return err
		}
	}
	if l.PIDs > 0 {
		return write(g.file("", "pids.max"), strconv.FormatInt(l.PIDs, 10))
	}
	return nil
}

// writeOptional writes a control file that older kernels, or kernels without swap, lack.
func (g *Group) writeOptional(name, value string) error {
	if err := write(g.file("", name), value); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (g *Group) usageV2() (Usage, error) {
	memory, err := readInt(g.file("", "memory.current"))
	if err != nil {
		return Usage{}, err
	}
	micros, err := readKey(g.file("", "cpu.stat"), "usage_usec")
	if err != nil {
		return Usage{}, err
	}
	kills, err := readKey(g.file("", "memory.events"), "oom_kill")
	if err != nil {
		return Usage{}, err
	}
	return Usage{Memory: memory, CPU: time.Duration(micros) * time.Microsecond, OOMKills: kills}, nil
}
