package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// What Hasten moves comes back: a thread that stayed would keep the parent group from being removed, and count against nobody.
func TestHastenLeavesNothing(t *testing.T) {
	p, err := NewParent("/sunaba-hasten-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Create("g", Limits{Memory: 64 << 20, CPUs: 1, PIDs: 64})
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.Hasten(done)
	}()
	if !p.v2 {
		tasks := filepath.Join(p.root, "memory", p.path, "tasks")
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(tasks)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no thread came into the parent group")
			}
		}
	}
	close(done)
	<-ended
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Remove(); err != nil {
		t.Errorf("the parent group is still in use: %v", err)
	}
}
