// Package cgroup makes the control groups that bound sandboxes, on hosts with cgroup v1 (also hybrid) and with cgroup v2.
//
// The groups are made before the sandbox starts and removed by the same hand: a group that exists already is neither configured nor deleted by
// runsc, so its counters can still be read after the sandbox has died, which is the only way to tell a death by memory from any other.
package cgroup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnusable says that the host gives this process no control groups with the memory, cpu and pids controllers.
var ErrUnusable = errors.New("the host's control groups cannot be used")

// mountpoint is where every distribution and gVisor look for control groups.
const mountpoint = "/sys/fs/cgroup"

// period is the length in microseconds of the window in which a CPU quota counts; the kernel's default.
const period = 100_000

// v1Controllers are the hierarchies that runsc joins. It would make, and then own, a group in each where none exists, so all are made here.
var v1Controllers = []string{
	"blkio", "cpu", "cpuset", "hugetlb", "memory", "net_cls", "net_prio", "pids", "cpuacct", "devices", "freezer", "perf_event", "rdma", "systemd",
}

// Limits bound a group. Zero values mean no limit.
type Limits struct {
	Memory int64   // bytes, swap included
	CPUs   float64 // cores' worth of time
	PIDs   int64   // processes and threads
}

// Usage is what a group has used.
type Usage struct {
	Memory   int64         // bytes charged now
	CPU      time.Duration // CPU time so far
	OOMKills int64         // processes that the kernel killed because the memory limit was reached
}

// Parent is the group under which the groups of one installation live.
type Parent struct {
	root string // the mount point
	path string // slash-separated, absolute within every hierarchy, like "/sunaba-1a2b3c4d"
	v2   bool
}

// NewParent returns the parent at path ("/name", one level) after proving that a group with all limits can be made under it.
// The error wraps ErrUnusable and says what is missing.
func NewParent(path string) (*Parent, error) {
	return newParent(mountpoint, path)
}

func newParent(root, path string) (*Parent, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		return nil, fmt.Errorf("cgroup path %q is not a clean absolute path below the root", path)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnusable, root, err)
	}
	p := &Parent{root: root, path: path, v2: st.Type == unix.CGROUP2_SUPER_MAGIC}
	probe, err := p.Create(".probe", Limits{Memory: 64 << 20, CPUs: 1, PIDs: 64})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err := probe.Remove(context.Background()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return p, nil
}

// Group returns the group called name, whether it exists or not.
func (p *Parent) Group(name string) *Group {
	return &Group{parent: p, name: name}
}

// Create makes the group called name, which must not exist, with limits.
func (p *Parent) Create(name string, l Limits) (*Group, error) {
	g := p.Group(name)
	made, err := g.makeDirs()
	if err == nil {
		err = g.limit(l)
	}
	if err != nil {
		// Only what was made here: a group of the name that existed before is someone's.
		for _, dir := range made {
			_ = os.Remove(dir)
		}
		return nil, fmt.Errorf("making cgroup %s: %w", g.Path(), err)
	}
	return g, nil
}

// Names lists the groups under the parent.
func (p *Parent) Names() ([]string, error) {
	seen := map[string]bool{}
	var names []string
	for _, dir := range p.dirs("") {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				names = append(names, e.Name())
			}
		}
	}
	return names, nil
}

// Remove removes the parent. It fails while groups are under it.
func (p *Parent) Remove() error {
	var errs []error
	for _, dir := range p.dirs("") {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dirs are the folders that make up one group.
func (p *Parent) dirs(name string) []string {
	if p.v2 {
		return []string{filepath.Join(p.root, p.path, name)}
	}
	var dirs []string
	seen := map[string]bool{}
	for _, c := range v1Controllers {
		// Controllers may be links to one mount, as in cpu -> cpu,cpuacct.
		real, err := filepath.EvalSymlinks(filepath.Join(p.root, c))
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		dirs = append(dirs, filepath.Join(real, p.path, name))
	}
	return dirs
}

// Group is one control group.
type Group struct {
	parent *Parent
	name   string
}

// Path is the group's path within every hierarchy, as linux.cgroupsPath of an OCI configuration wants it.
func (g *Group) Path() string { return filepath.Join(g.parent.path, g.name) }

// file is the path of a control file; on v1 controller says in which hierarchy.
func (g *Group) file(controller, name string) string {
	if g.parent.v2 {
		return filepath.Join(g.parent.root, g.Path(), name)
	}
	return filepath.Join(g.parent.root, controller, g.Path(), name)
}

// Procs lists the processes in the group.
func (g *Group) Procs() ([]int, error) {
	b, err := os.ReadFile(g.file("memory", "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var pids []int
	for f := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.file("memory", "cgroup.procs"), err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Usage reads the group's counters. After the last process has died they stay readable until Remove.
func (g *Group) Usage() (Usage, error) {
	if g.parent.v2 {
		return g.usageV2()
	}
	return g.usageV1()
}

// Remove removes the group, which must have no living process. The kernel lets go of dead ones a little after their exit, so busy is tried
// again until ctx ends, or for 5 seconds.
func (g *Group) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	wait := time.Millisecond
	dirs := g.parent.dirs(g.name)
	for {
		var left []string
		var last error
		for _, dir := range dirs {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				left, last = append(left, dir), err
			}
		}
		if len(left) == 0 {
			return nil
		}
		dirs = left
		if !errors.Is(last, unix.EBUSY) {
			return fmt.Errorf("removing cgroup %s: %w", left[0], last)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("removing cgroup %s: %w", left[0], last)
		case <-time.After(wait):
			wait = min(2*wait, 50*time.Millisecond)
		}
	}
}

// makeDirs makes the group's folders, and its parent's where they are missing, and returns those of the group that it made.
func (g *Group) makeDirs() (made []string, err error) {
	if err := g.parent.check(); err != nil {
		return nil, err
	}
	for _, dir := range g.parent.dirs(g.name) {
		if err := os.Mkdir(filepath.Dir(dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return made, err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return made, err
		}
		made = append(made, dir)
	}
	return made, nil
}

// check tells what the host lacks.
func (p *Parent) check() error {
	if p.v2 {
		return p.checkV2()
	}
	return p.checkV1()
}

// limit sets a new group's limits.
func (g *Group) limit(l Limits) error {
	if g.parent.v2 {
		return g.limitV2(l)
	}
	return g.limitV1(l)
}

func write(path, value string) error {
	// Not os.WriteFile: a control file that does not exist must not be tried to be made.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func readInt(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// readKey reads one number of a file of "key number" lines; a key that is not there counts as 0.
func readKey(path, key string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || k != key {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %s: %w", path, key, err)
		}
		return n, nil
	}
	return 0, nil
}

// Has reports whether the process is in the group.
func (g *Group) Has(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return false
	}
	// Lines are "id:controllers:path", with no controllers on cgroup v2.
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && f[2] == g.Path() && (f[1] == "") == g.parent.v2 {
			return true
		}
	}
	return false
}
