package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parent returns a parent of this test's own on the host's control groups, whichever version they are.
func parent(t *testing.T) *Parent {
	t.Helper()
	p, err := NewParent("/sunaba-test-" + strings.ToLower(filepath.Base(t.TempDir())) + "-" + strings.ToLower(t.Name()))
	if err != nil {
		t.Fatalf("These tests need root and a host whose control groups have the memory, cpu and pids controllers: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Remove(); err != nil {
			t.Errorf("Remove: %v", err)
		}
	})
	return p
}

// start starts a command in the group: a shell that joins and then becomes the command.
func start(t *testing.T, g *Group, line string) *exec.Cmd {
	t.Helper()
	var join strings.Builder
	for _, dir := range g.parent.dirs(g.name) {
		join.WriteString("echo $$ > '" + dir + "/cgroup.procs' || exit 99; ")
	}
	cmd := exec.Command("sh", "-c", join.String()+"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo joined; "+line) // some work, for its CPU time to show
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 16)); n == 0 {
		t.Fatalf("joining the group: %v", err)
	}
	return cmd
}

func TestLimitsAndProcesses(t *testing.T) {
	p := parent(t)
	g, err := p.Create("a", Limits{Memory: 64 << 20, CPUs: 0.5, PIDs: 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Create("a", Limits{}); err == nil {
		t.Error("a group was made twice")
	}
	if got := g.Path(); got != p.path+"/a" {
		t.Errorf("Path %q", got)
	}
	want := map[string]string{"memory.limit_in_bytes": "67108864", "cpu.cfs_quota_us": "50000", "pids.max": "20"}
	if p.v2 {
		want = map[string]string{"memory.max": "67108864", "cpu.max": "50000 100000", "pids.max": "20"}
	}
	for name, value := range want {
		controller, _, _ := strings.Cut(name, ".")
		if b, err := os.ReadFile(g.file(controller, name)); err != nil || strings.TrimSpace(string(b)) != value {
			t.Errorf("%s is %q, %v; want %q", name, b, err, value)
		}
	}
	cmd := start(t, g, "exec sleep 1000")
	if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("Procs %d, %v; want %d", pids, err, cmd.Process.Pid)
	}
	if !g.Has(cmd.Process.Pid) || g.Has(os.Getpid()) || p.Group("b").Has(cmd.Process.Pid) {
		t.Error("Has is wrong about who is in the group")
	}
	if u, err := g.Usage(); err != nil || u.Memory <= 0 || u.CPU <= 0 || u.OOMKills != 0 {
		t.Errorf("Usage %+v, %v", u, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := g.Remove(t.Context()); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Errorf("Remove of what is gone: %v", err)
	}
	if pids, err := g.Procs(); err != nil || len(pids) > 0 {
		t.Errorf("Procs of what is gone: %d, %v", pids, err)
	}
	if names, err := p.Names(); err != nil || len(names) > 0 {
		t.Errorf("Names %q, %v; want none", names, err)
	}
}

// TestOOMKills reads after the death what the death was of.
func TestOOMKills(t *testing.T) {
	p := parent(t)
	g, err := p.Create("a", Limits{Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	cmd := start(t, g, "exec tail /dev/zero") // which keeps it all, as it has no line
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the greedy command: %v; want it killed", err)
	}
	if u, err := g.Usage(); err != nil || u.OOMKills == 0 {
		t.Errorf("Usage %+v, %v; want an OOM kill", u, err)
	}
}

func TestRemoveBusy(t *testing.T) {
	p := parent(t)
	g, err := p.Create("a", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, g, "exec sleep 1000")
	removed := make(chan error, 1)
	go func() { removed <- g.Remove(t.Context()) }() // waits for the process's end
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := <-removed; err != nil {
		t.Errorf("Remove while the last process ends: %v", err)
	}
}

func TestBadPaths(t *testing.T) {
	for _, path := range []string{"", "/", "relative", "/a/../b", "/a/"} {
		if _, err := NewParent(path); err == nil {
			t.Errorf("NewParent(%q) succeeded", path)
		}
	}
	if _, err := newParent(t.TempDir(), "/a"); !errors.Is(err, ErrUnusable) {
		t.Errorf("a host without controllers: %v; want %v", err, ErrUnusable)
	}
	if _, err := newParent("/does/not/exist", "/a"); !errors.Is(err, ErrUnusable) {
		t.Errorf("a host without control groups: %v; want %v", err, ErrUnusable)
	}
}

// TestUsageV2 parses the files of cgroup v2 on hosts that have v1, too.
func TestUsageV2(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "p", "a")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"memory.current": "1048576\n",
		"cpu.stat":       "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
		"memory.events":  "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := (&Parent{root: root, path: "/p", v2: true}).Group("a")
	if u, err := g.Usage(); err != nil || u != (Usage{Memory: 1 << 20, CPU: 1500 * time.Microsecond, OOMKills: 3}) {
		t.Errorf("Usage %+v, %v", u, err)
	}
}
