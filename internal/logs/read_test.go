package logs_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

func (s *store) read(q logs.ReadQuery) logs.ReadPage {
	s.t.Helper()
	p, err := s.Read(s.ctx(), scope, group, "s", q)
	must(s.t, err)
	if p.Forward == "" || p.Backward == "" {
		s.t.Error("a token is empty")
	}
	return p
}

func TestReadMovesBothWays(t *testing.T) {
	s := open(t)
	s.create("s", "other")
	now := s.clock.millis()
	for i := range 10 {
		s.put("s", now+int64(i), fmt.Sprint(i))
		s.put("other", now+int64(i), "noise")
	}
	step := func(q logs.ReadQuery, want string) logs.ReadPage {
		t.Helper()
		p := s.read(q)
		if got := messages(p.Events); got != want {
			t.Errorf("read %q, want %q", got, want)
		}
		return p
	}
	last := step(logs.ReadQuery{Limit: 4}, "6 7 8 9")
	middle := step(logs.ReadQuery{Limit: 4, Token: last.Backward}, "2 3 4 5")
	step(logs.ReadQuery{Limit: 4, Token: middle.Forward, FromHead: true}, "6 7 8 9")
	first := step(logs.ReadQuery{Limit: 4, Token: middle.Backward}, "0 1")
	if p := step(logs.ReadQuery{Token: first.Backward}, ""); p.Backward != first.Backward {
		t.Error("the token changes at the beginning")
	}
	end := step(logs.ReadQuery{FromHead: true}, "0 1 2 3 4 5 6 7 8 9")
	if p := step(logs.ReadQuery{Token: end.Forward}, ""); p.Forward != end.Forward {
		t.Error("the token changes at the end")
	}
	s.put("s", now+10, "10")
	step(logs.ReadQuery{Token: end.Forward}, "10")
	from, to := now+2, now+4
	step(logs.ReadQuery{Start: &from, End: &to, FromHead: true}, "2 3")
	s.reopen()
	step(logs.ReadQuery{Token: middle.Forward}, "6 7 8 9 10")
	for _, token := range []string{"x", "f/", "f/3", "x/" + strings.Repeat("3", 56), "f/" + strings.Repeat("9", 56), "f/3" + strings.Repeat("-", 55)} {
		_, err := s.Read(t.Context(), scope, group, "s", logs.ReadQuery{Token: token})
		wantCode(t, err, logs.InvalidParameter, "The specified nextToken is invalid.")
	}
	_, err := s.Read(t.Context(), scope, group, "s", logs.ReadQuery{Limit: 10_001})
	wantCode(t, err, logs.InvalidParameter, "less than or equal to 10000")
}

// A follower that begins at an empty stream gets what comes.
func TestReadAnEmptyStream(t *testing.T) {
	s := open(t)
	s.create("s")
	p := s.read(logs.ReadQuery{})
	s.put("s", s.clock.millis(), "first")
	if got := messages(s.read(logs.ReadQuery{Token: p.Forward}).Events); got != "first" {
		t.Errorf("read %q", got)
	}
}

func TestFilterInterleavesStreams(t *testing.T) {
	s := open(t)
	s.create("a1", "a2", "b")
	now := s.clock.millis()
	s.put("a1", now+1, "one")
	s.put("a2", now, "zero")
	s.put("b", now+2, "two")
	s.put("a1", now+2, "two-again")
	s.wants(logs.FilterQuery{}, "zero one two two-again")
	s.wants(logs.FilterQuery{Backward: true}, "two-again two one zero")
	s.wants(logs.FilterQuery{Limit: 1, Backward: true}, "two-again two one zero")
	s.wants(logs.FilterQuery{Streams: logs.Selection{Names: []string{"b", "a2"}}}, "zero two")
	s.wants(logs.FilterQuery{Streams: logs.Selection{Prefixes: []string{"a"}}}, "zero one two-again")
	at := now + 1
	s.wants(logs.FilterQuery{Start: &at, End: &at}, "one")
	s.wants(logs.FilterQuery{Pattern: "two"}, "two two-again")
	s.wants(logs.FilterQuery{Pattern: `-two`}, "zero one")
	ids := map[string]bool{}
	for _, e := range s.all(logs.FilterQuery{}) {
		ids[e.ID()] = true
		if len(e.ID()) != 56 {
			t.Errorf("the id %s has not 56 digits", e.ID())
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d ids of 4 events", len(ids))
	}
	_, _, err := s.Filter(t.Context(), scope, group, logs.FilterQuery{Pattern: "{ $.a"})
	wantCode(t, err, logs.InvalidParameter, "Invalid filter pattern")
	_, _, err = s.Filter(t.Context(), scope, group, logs.FilterQuery{Streams: logs.Selection{Names: []string{"none"}}})
	wantCode(t, err, logs.NotFound, "stream")
	_, _, err = s.Filter(t.Context(), scope, group, logs.FilterQuery{Streams: logs.Selection{Names: []string{"b"}, Prefixes: []string{"b"}}})
	wantCode(t, err, logs.InvalidParameter, "mutually exclusive")
}

// Whatever the order in which events are put, and however small the pages, all of them come once and in order.
func TestPagesAreWhatSortingGives(t *testing.T) {
	s := open(t)
	s.create("a", "b", "c")
	now := s.clock.millis()
	rng := rand.New(rand.NewPCG(1, 2))
	var want []string
	for i := range 60 {
		at := now + rng.Int64N(40)
		stream := string("abc"[rng.IntN(3)])
		big := strings.Repeat("x", rng.IntN(400_000)) // several segments, and pages that end at 1 MiB
		s.put(stream, at, fmt.Sprintf("%s-%013d-%03d-%s", stream, at, i, big))
		want = append(want, fmt.Sprintf("%013d-%03d", at, i))
	}
	if files, _ := s.segments(); files < 3 {
		t.Fatalf("%d segments do not test what this is about", files)
	}
	slices.Sort(want)
	keys := func(events []logs.Event) []string {
		var out []string
		for _, e := range events {
			out = append(out, e.Message[2:19])
		}
		return out
	}
	for _, limit := range []int{0, 1, 7, 59} {
		if got := keys(s.all(logs.FilterQuery{Limit: limit})); !slices.Equal(got, want) {
			t.Errorf("limit %d: forward\n%v, want\n%v", limit, got, want)
		}
		got := keys(s.all(logs.FilterQuery{Limit: limit, Backward: true}))
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: backward\n%v, want\n%v", limit, got, want)
		}
		all := s.all(logs.FilterQuery{Limit: limit, Streams: logs.Selection{Names: []string{"a", "c"}}})
		n := 0
		for _, e := range all {
			if e.Stream == "b" {
				t.Error("an event of another stream")
			}
			n++
		}
		if b := len(s.all(logs.FilterQuery{Streams: logs.Selection{Names: []string{"b"}}})); n+b != len(want) {
			t.Errorf("%d and %d events of %d", n, b, len(want))
		}
	}
}

// A page ends after so many bytes of files, so that a pattern that nothing matches holds nothing up; the pages together still look at everything.
func TestPagesAreBoundedInWork(t *testing.T) {
	s := open(t)
	s.create("s")
	now := s.clock.millis()
	n := s.bulk("s", now, 80)
	s.put("s", now+int64(n), "needle")
	for _, backward := range []bool{false, true} {
		q, pages, found := logs.FilterQuery{Pattern: "needle", Backward: backward}, 0, 0
		for {
			events, next, err := s.Filter(t.Context(), scope, group, q)
			must(t, err)
			pages, found = pages+1, found+len(events)
			if next == "" {
				break
			}
			q.Token = next
		}
		if pages != 2 || found != 1 {
			t.Errorf("backward %v: %d pages with %d events, want 2 with 1", backward, pages, found)
		}
	}
}

func FuzzToken(f *testing.F) {
	s := open(f)
	s.create("s")
	s.put("s", s.clock.millis(), "x")
	p := s.read(logs.ReadQuery{})
	f.Add(p.Forward)
	f.Add(p.Backward)
	f.Add("f/" + strings.Repeat("3", 56) + "/s")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := s.Read(t.Context(), scope, group, "s", logs.ReadQuery{Token: token})
		if err != nil {
			wantCode(t, err, logs.InvalidParameter, "")
		} else if token != "" && len(p.Events) == 0 && token != p.Forward && token != p.Backward && strings.HasSuffix(token, "/s") {
			t.Errorf("the token %q became %q and %q", token, p.Forward, p.Backward)
		}
	})
}
