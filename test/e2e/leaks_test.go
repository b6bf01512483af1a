//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// state is what a server could leave on the host.
type state struct {
	processes map[string]bool // of gVisor
	mounts    map[string]bool
	cgroups   map[string]bool
	folders   map[string]bool
}

func hostState() (state, error) {
	s := state{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return s, err
	}
	for _, path := range commands {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || len(b) == 0 {
			continue
		}
		line := strings.ReplaceAll(string(b), "\x00", " ")
		if strings.HasPrefix(line, "runsc") || strings.Contains(line, "sunaba") && strings.Contains(line, "/run/") || strings.HasPrefix(line, "/.sunaba/guest") {
			s.processes[filepath.Dir(path)+": "+line] = true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "sunaba") {
			s.mounts[strings.TrimSpace(line)] = true
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/sunaba*", "/sys/fs/cgroup/sunaba*", "/sys/fs/cgroup/*/*/sunaba*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return s, err
		}
		for _, f := range found {
			s.cgroups[f] = true
		}
	}
	found, err := filepath.Glob("/run/sunaba/*")
	for _, f := range found {
		s.folders[f] = true
	}
	return s, err
}

// compare returns what there is now and was not before.
func (s state) compare() error {
	now, err := hostState()
	if err != nil {
		return err
	}
	var errs []error
	for what, pair := range map[string][2]map[string]bool{"process": {s.processes, now.processes}, "mount": {s.mounts, now.mounts}, "cgroup": {s.cgroups, now.cgroups}, "folder": {s.folders, now.folders}} {
		for _, k := range slices.Sorted(maps.Keys(pair[1])) {
			if !pair[0][k] {
				errs = append(errs, fmt.Errorf("%s %s", what, k))
			}
		}
	}
	return errors.Join(errs...)
}
