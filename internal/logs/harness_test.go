package logs_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SUNABA_LOGS_CRASH_DIR"); dir != "" {
		crashing(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var scope = logs.Scope{Account: "111122223333", Region: "us-west-2"}

const (
	day   = int64(24 * time.Hour / time.Millisecond)
	group = "/app/one"
)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) ahead(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) millis() int64 { return c.now().UnixMilli() }

// store is a service under test.
type store struct {
	*logs.Service
	t     testing.TB
	dir   string
	clock *clock
	log   *logLines
}

// logLines keeps what is logged.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func open(t testing.TB) *store {
	t.Helper()
	s := &store{t: t, dir: filepath.Join(t.TempDir(), "logs"), clock: &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}, log: &logLines{}}
	s.open()
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func (s *store) open() {
	s.t.Helper()
	service, err := logs.Open(logs.Options{Dir: s.dir, Now: s.clock.now, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Service = service
}

func (s *store) reopen() {
	s.t.Helper()
	must(s.t, s.Close())
	s.open()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code fault.Code, text string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %s with %q", err, code, text)
	}
}

// create makes the group and streams.
func (s *store) create(streams ...string) {
	s.t.Helper()
	if err := s.CreateGroup(s.ctx(), logs.Group{Scope: scope, Name: group}); err != nil && !fault.Is(err, logs.AlreadyExists) {
		s.t.Fatal(err)
	}
	for _, name := range streams {
		must(s.t, s.CreateStream(s.ctx(), scope, group, name))
	}
}

func (s *store) ctx() context.Context { return context.Background() }

// put appends messages at the same time.
func (s *store) put(stream string, at int64, messages ...string) {
	s.t.Helper()
	entries := make([]logs.Entry, len(messages))
	for i, m := range messages {
		entries[i] = logs.Entry{Time: at, Message: m}
	}
	s.puts(stream, entries)
}

func (s *store) puts(stream string, entries []logs.Entry) {
	s.t.Helper()
	rejected, err := s.Put(s.ctx(), scope, group, stream, entries)
	if err != nil || rejected != nil {
		s.t.Fatalf("put: %v, rejected %+v", err, rejected)
	}
}

// all reads every event of a query, page by page.
func (s *store) all(q logs.FilterQuery) []logs.Event {
	s.t.Helper()
	var all []logs.Event
	for {
		events, next, err := s.Filter(s.ctx(), scope, group, q)
		must(s.t, err)
		all = append(all, events...)
		if next == "" {
			return all
		}
		if next == q.Token {
			s.t.Fatalf("the page does not move on: %s", next)
		}
		q.Token = next
	}
}

func messages(events []logs.Event) string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.Message
	}
	return strings.Join(list, " ")
}

func (s *store) wants(q logs.FilterQuery, want string) {
	s.t.Helper()
	if got := messages(s.all(q)); got != want {
		s.t.Errorf("found %q, want %q", got, want)
	}
}

// segments returns how many files of events there are, and their bytes.
func (s *store) segments() (files int, bytes int64) {
	s.t.Helper()
	must(s.t, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".log") {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				files, bytes = files+1, bytes+info.Size()
			}
		}
		return err
	}))
	return files, bytes
}

// bulk puts about n MiB of events a millisecond apart, and returns how many.
func (s *store) bulk(stream string, from int64, mib int) int {
	s.t.Helper()
	n := 0
	for range mib {
		entries := make([]logs.Entry, 1000)
		for i := range entries {
			entries[i] = logs.Entry{Time: from + int64(n), Message: fmt.Sprintf("%s %07d %s", stream, n, strings.Repeat("x", 1000))}
			n++
		}
		s.puts(stream, entries)
	}
	return n
}
