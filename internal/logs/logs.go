// Package logs is CloudWatch Logs: log groups, their streams, and events that are kept in files until their retention ends, found again by time, stream and filter pattern, and handed to
// followers as they come.
//
// Every group has a folder of segments, each an append-only file of some MiB with the batches of all its streams as they came. A catalogue beside them has what is known of groups, streams and
// full segments. An event is safe from the end of the process when [Service.Put] returns, and from the end of the machine a second later. Memory holds about 300 bytes for each stream, and a few MiB
// for each of the scans that may run at once; events are read from the files. Times are milliseconds since 1970, as in the API.
package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// The exceptions of the service. Source: the botocore model of logs (2014-03-28). All have the HTTP status 400.
const (
	InvalidParameter fault.Code = "InvalidParameterException"
	NotFound         fault.Code = "ResourceNotFoundException"
	AlreadyExists    fault.Code = "ResourceAlreadyExistsException"
	LimitExceeded    fault.Code = "LimitExceededException"
	TooManyTags      fault.Code = "TooManyTagsException"
	SessionTimeout   fault.Code = "SessionTimeoutException"
)

// Limits beside those of the API.
const (
	maxGroups       = 10_000  // of an account and region
	maxStreams      = 200_000 // of a group: each takes memory
	segmentSize     = 4 << 20 // bytes, then a new segment begins
	maxSpans        = 10_000  // streams of a segment, then a new one begins: the catalogue has a record of them all
	maxScans        = 8       // at once, over all groups: each holds a segment in memory
	scanBudget      = 64 << 20
	syncEvery       = time.Second
	retentionEvery  = time.Minute
	idleAfter       = time.Minute // a group that nothing is written to gives back its open file
	compactionSlack = 1000        // records of the catalogue that may be out of date
)

// Scope is where groups live.
type Scope struct {
	Account string
	Region  string
}

// Options configure a Service.
type Options struct {
	Dir string           // made if it does not exist; of this service alone
	Now func() time.Time // nil is time.Now
	Log *slog.Logger
}

// Service is the log store.
type Service struct {
	o       Options
	scans   chan struct{}
	stop    context.CancelFunc
	done    sync.WaitGroup
	writers sync.WaitGroup
	closing context.Context // ends when the service begins to close: what is pending is still written

	mu        sync.RWMutex
	groups    map[groupKey]*group
	lastGroup uint64
	closed    bool

	catalog *catalog
}

type groupKey struct {
	Scope
	name string
}

// Open opens the store in a folder, or makes one. What an earlier run was writing when it was killed is cut off and logged.
func Open(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the log store: %w", err)
	}
	s := &Service{o: o, scans: make(chan struct{}, maxScans), groups: map[groupKey]*group{}}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open the log store %s: %w", o.Dir, err)
	}
	s.closing, s.stop = context.WithCancel(context.Background())
	s.done.Go(s.maintain)
	return s, nil
}

// Close ends writers and followers, writes what is pending to the disk and closes the store.
func (s *Service) Close() error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.writers.Wait()
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, g := range s.groups {
		errs = append(errs, g.close())
	}
	s.groups = map[groupKey]*group{}
	return errors.Join(append(errs, s.catalog.close())...)
}

func (s *Service) now() int64 { return s.o.Now().UnixMilli() }

// group finds a group; without it the error is NotFound.
func (s *Service) group(scope Scope, name string) (*group, error) {
	if err := checkGroupName("logGroupName", name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[groupKey{scope, name}]
	if g == nil {
		return nil, noGroup()
	}
	return g, nil
}

func noGroup() error { return fault.New(NotFound, "The specified log group does not exist.") }

func noStream() error { return fault.New(NotFound, "The specified log stream does not exist.") }

// load reads the catalogue and looks through the folders: for segments that were not full when the last run ended, and for what a crash left behind.
func (s *Service) load() error {
	path := filepath.Join(s.o.Dir, "catalogue")
	state := newState()
	c, cut, err := openCatalog(path, state)
	if err != nil {
		return err
	}
	s.catalog = c
	if cut > 0 {
		s.o.Log.Warn("the end of the log store's catalogue was damaged and has been cut off", "bytes", cut)
	}
	s.lastGroup = state.lastGroup
	folders, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return errors.Join(err, c.close())
	}
	for _, f := range folders {
		id, err := strconv.ParseUint(f.Name(), 16, 64)
		if !f.IsDir() || err != nil || state.groups[id] != nil {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.o.Dir, f.Name())); err != nil {
			return errors.Join(err, c.close())
		}
	}
	for _, g := range state.groups {
		g.s, g.dir = s, filepath.Join(s.o.Dir, folderName(g.id))
		if err := g.load(); err != nil {
			return errors.Join(err, c.close())
		}
		s.groups[groupKey{g.info.Scope, g.name}] = g
	}
	if c.stale() {
		if err := c.compact(s.all(), s.lastGroup); err != nil {
			return errors.Join(err, c.close())
		}
	}
	return nil
}

func folderName(id uint64) string { return fmt.Sprintf("%08x", id) }

func (s *Service) all() []*group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		all = append(all, g)
	}
	return all
}

// load finds the group's segments that the catalogue does not know yet: those that were being written.
func (g *group) load() error {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(g.dir)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, f := range files {
		present[f.Name()] = true
	}
	kept := g.segments[:0]
	for _, seg := range g.segments {
		if !present[seg.file()] {
			g.s.o.Log.Error("a segment of a log group is missing: its events are lost", "group", g.name, "segment", seg.file())
			if err := g.s.catalog.dropSegment(g, seg); err != nil {
				return err
			}
			continue
		}
		delete(present, seg.file())
		kept = append(kept, seg)
	}
	g.segments = kept
	for _, f := range files {
		if !present[f.Name()] {
			continue
		}
		seg, ok := parseSegmentName(f.Name())
		if !ok || g.knows(seg.ID) { // left behind by a rewrite that did not end
			if err := os.RemoveAll(filepath.Join(g.dir, f.Name())); err != nil {
				return err
			}
			continue
		}
		if err := g.adopt(seg); err != nil {
			return err
		}
	}
	g.recount()
	return nil
}

func (g *group) knows(id uint64) bool {
	for _, seg := range g.segments {
		if seg.ID == id {
			return true
		}
	}
	return false
}

// adopt reads a segment that was being written when the last run ended. The newest is written on.
func (g *group) adopt(seg *segment) error {
	path := filepath.Join(g.dir, seg.file())
	w, cut, err := journal.Open(path, func(record []byte) error {
		b, err := decodeBatch(record)
		if err != nil {
			g.s.o.Log.Error("a batch of log events cannot be read", "group", g.name, "segment", seg.file(), "error", err)
			return nil
		}
		seg.count(b)
		return nil
	})
	if err != nil {
		return err
	}
	if cut > 0 {
		g.s.o.Log.Warn("the end of a log segment was incomplete and has been cut off", "group", g.name, "segment", seg.file(), "bytes", cut)
	}
	seg.Size = w.Size()
	if err := w.Close(); err != nil {
		return err
	}
	if seg.Size == 0 {
		return os.Remove(path)
	}
	if g.active != nil { // files are in the order of their numbers: this one is newer
		g.segments, g.unlisted = append(g.segments, g.active), append(g.unlisted, unlisted{seg: g.active})
	}
	g.active = seg
	return nil
}

// Bounds of a time range that is open at one end.
const (
	minTime = 0
	maxTime = math.MaxInt64
)

func parseSegmentName(name string) (*segment, bool) {
	name, ok := strings.CutSuffix(name, segmentSuffix)
	id, gen, found := strings.Cut(name, ".")
	if !ok || !found {
		return nil, false
	}
	n, err := strconv.ParseUint(id, 16, 64)
	m, err2 := strconv.ParseUint(gen, 10, 32)
	return newSegment(n, uint32(m)), err == nil && err2 == nil
}
