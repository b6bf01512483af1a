package logs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

// followed is a follower that runs beside the test.
type followed struct {
	events chan logs.Event
	err    chan error
	stop   context.CancelFunc
}

func (s *store) follow(q logs.FollowQuery) *followed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &followed{events: make(chan logs.Event), err: make(chan error, 1), stop: cancel}
	follow := s.Follow(ctx, scope, group, q)
	go func() {
		defer close(f.err)
		for events, err := range follow {
			if err != nil {
				f.err <- err
				return
			}
			for _, e := range events {
				select {
				case f.events <- e:
				case <-ctx.Done():
				}
			}
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		for range f.err {
		}
	})
	return f
}

func (f *followed) wants(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case e := <-f.events:
			if !strings.HasPrefix(e.Message, w) {
				t.Fatalf("followed %.40q, want %q", e.Message, w)
			}
		case err := <-f.err:
			t.Fatalf("ended with %v before %q", err, w)
		}
	}
}

func TestFollowersMissNothing(t *testing.T) {
	s := open(t)
	s.create("a", "b", "gone")
	now := s.clock.millis()
	s.put("a", now+1, "old-2")
	s.put("b", now, "old-1")
	from := now - 100
	all := s.follow(logs.FollowQuery{Start: &from})
	onlyB := s.follow(logs.FollowQuery{Start: &from, Streams: logs.Selection{Names: []string{"b"}}})
	errs := s.follow(logs.FollowQuery{Start: &from, Pattern: "error", Streams: logs.Selection{Prefixes: []string{"a", "later"}}})
	all.wants(t, "old-1", "old-2")
	onlyB.wants(t, "old-1")
	s.put("gone", now, "gone")
	for i := range 12 { // through several segments, and times that go back
		s.put("a", now-int64(i), fmt.Sprint("new-", i), strings.Repeat("x", 800_000))
	}
	s.put("b", now, "b")
	s.create("later")
	s.put("later", now, "fine", "error here")
	all.wants(t, "gone")
	for i := range 12 {
		all.wants(t, fmt.Sprint("new-", i), "xxx")
	}
	all.wants(t, "b", "fine", "error here")
	onlyB.wants(t, "b")
	must(t, s.DeleteStream(t.Context(), scope, group, "gone")) // the segments are written anew below the followers
	s.put("b", now, "still-b")
	all.wants(t, "still-b")
	onlyB.wants(t, "still-b")
	s.put("a", now, "error again")
	if e := <-errs.events; e.Message != "error again" && e.Message != "error here" {
		t.Error(e.Message)
	}
	must(t, s.DeleteGroup(t.Context(), scope, group))
	wantCode(t, <-onlyB.err, logs.NotFound, "group")
	all.stop()
	errs.stop()
	for _, err := range s.Follow(t.Context(), scope, "none", logs.FollowQuery{}) {
		wantCode(t, err, logs.NotFound, "group")
	}
}

func TestFollowersEndWithTheirContextAndTheService(t *testing.T) {
	s := open(t)
	s.create("s")
	from := s.clock.millis()
	f, g := s.follow(logs.FollowQuery{Start: &from}), s.follow(logs.FollowQuery{Start: &from})
	s.put("s", from, "x")
	f.wants(t, "x")
	g.wants(t, "x")
	f.stop()
	if err := <-f.err; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	s.reopen()
	if err := <-g.err; err != nil {
		t.Errorf("ended with %v", err)
	}
}
