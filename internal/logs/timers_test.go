package logs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

// inBubble runs a test with a store whose clock is the bubble's.
func inBubble(t *testing.T, f func(t *testing.T, s *store)) {
	dir := filepath.Join(t.TempDir(), "logs")
	synctest.Test(t, func(t *testing.T) {
		s := &store{t: t, dir: dir, clock: &clock{at: time.Now()}, log: &logLines{}}
		s.open()
		defer func() { must(t, s.Close()) }()
		f(t, s)
	})
}

// pass lets time pass, for the store's clock too, in steps that its timers see.
func (s *store) pass(d time.Duration) {
	s.clock.ahead(d)
	time.Sleep(2 * time.Minute)
	synctest.Wait()
}

func TestRetentionRemovesEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		s.create("s")
		s.bulk("s", s.clock.millis(), 5) // a full segment, and the beginning of another
		must(t, s.SetRetention(t.Context(), scope, group, 3))
		s.pass(2 * 24 * time.Hour)
		s.put("s", s.clock.millis(), "young")
		if n := len(s.all(logs.FilterQuery{})); n != 5001 {
			t.Fatalf("%d events within the retention", n)
		}
		s.pass(25 * time.Hour)
		s.wants(logs.FilterQuery{}, "young") // at once, whatever is on the disk
		if _, bytes := s.segments(); bytes > 2<<20 {
			t.Errorf("%d bytes: the full segment should be gone", bytes)
		}
		s.pass(24 * time.Hour)
		if _, bytes := s.segments(); bytes > 1000 {
			t.Errorf("%d bytes: the old events of the newer segment should be gone", bytes)
		}
		s.wants(logs.FilterQuery{}, "young")
		s.pass(24 * time.Hour)
		s.wants(logs.FilterQuery{}, "")
		s.pass(24 * time.Hour)
		s.reopen()
		s.put("s", s.clock.millis(), "next")
		s.wants(logs.FilterQuery{}, "next")
		must(t, s.SetRetention(t.Context(), scope, group, 0))
		s.pass(100 * 24 * time.Hour)
		s.wants(logs.FilterQuery{}, "next")
	})
}

func TestIdleGroupsCloseTheirFiles(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		s.create("s")
		s.put("s", s.clock.millis(), "one")
		files := openFiles(t, s.dir)
		s.pass(5 * time.Minute)
		if now := openFiles(t, s.dir); files != 2 || now != 1 {
			t.Errorf("%d files were open, then %d; want 2, then the catalogue only", files, now)
		}
		s.put("s", s.clock.millis(), "two")
		s.wants(logs.FilterQuery{}, "one two")
	})
}

// openFiles counts the descriptors below a folder.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, dir+"/") {
			n++
		}
	}
	return n
}

func (s *store) writer() *logs.Writer {
	s.t.Helper()
	w, err := s.Writer(scope, group, "out")
	must(s.t, err)
	return w
}

func TestWriterMakesWhatItNeeds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		w := s.writer()
		w.Line(t.Context(), "one")
		w.Line(t.Context(), "")
		w.Line(t.Context(), "b\xffd")
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		s.wants(logs.FilterQuery{}, "one   b\uFFFDd")
		must(t, s.DeleteGroup(t.Context(), scope, group))
		w.Line(t.Context(), "again")
		must(t, w.Close(t.Context()))
		s.wants(logs.FilterQuery{}, "again")
		if w.Line(t.Context(), "late") {
			t.Error("a closed writer takes a line")
		}
		if _, err := s.Writer(scope, "a b", "out"); err == nil {
			t.Error("a bad name is taken")
		}
	})
}

func TestWriterSplitsLongLines(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		w := s.writer()
		long := strings.Repeat("ä", 1_200_000)
		out := w.Lines(t.Context())
		_, err := fmt.Fprintf(out, "short\r\n%s\nlast", long)
		must(t, err)
		must(t, out.Close())
		must(t, w.Close(t.Context()))
		var whole strings.Builder
		events := s.all(logs.FilterQuery{})
		for _, e := range events {
			whole.WriteString(e.Message)
		}
		if events[0].Message != "short" || whole.String() != "short"+long+"last" {
			t.Errorf("%d events with %d bytes", len(events), whole.Len())
		}
	})
}

// A store that takes nothing holds a program up for a second in all, and what was lost is said where it was lost.
func TestWriterDropsAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		must(t, os.WriteFile(s.dir+"/blocked", nil, 0o600))
		s.create("out")
		folder := filepath.Join(s.dir, "00000001")
		must(t, os.RemoveAll(folder)) // no segment can be made in it
		w := s.writer()
		line := strings.Repeat("x", 100_000)
		began, taken, dropped := time.Now(), 0, 0
		for range 60 {
			if w.Line(t.Context(), line) {
				taken++
			} else {
				dropped++
			}
		}
		if took := time.Since(began); took != time.Second || taken != 41 || dropped != 19 {
			t.Errorf("%d lines were taken and %d dropped in %v", taken, dropped, took)
		}
		if !strings.Contains(s.log.String(), "log lines could not be written") {
			t.Error("nothing is logged")
		}
		must(t, os.Mkdir(folder, 0o700))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		w.Line(t.Context(), "after")
		must(t, w.Close(t.Context()))
		events := s.all(logs.FilterQuery{})
		if n := len(events); n != 43 || events[41].Message != "[sunaba] 19 lines were dropped here: they came faster than they could be stored." || events[42].Message != "after" {
			t.Errorf("%d events, the last %.100q", n, events[n-1].Message)
		}
	})
}

func TestWriterEndsWithTheService(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		w := s.writer()
		w.Line(t.Context(), "pending")
		s.reopen()
		s.wants(logs.FilterQuery{}, "pending")
		must(t, w.Close(t.Context()))
	})
}

// A line that finds no room is not waited for beyond its context.
func TestWriterHonoursContexts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store) {
		s.create("out")
		must(t, os.RemoveAll(filepath.Join(s.dir, "00000001")))
		w := s.writer()
		for range 41 {
			w.Line(t.Context(), strings.Repeat("x", 100_000))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if w.Line(ctx, strings.Repeat("x", 100_000)) || time.Since(began) != time.Millisecond {
			t.Errorf("took %v", time.Since(began))
		}
		if err := w.Close(ctx); err == nil {
			t.Error("pending lines are not told of")
		}
	})
}
