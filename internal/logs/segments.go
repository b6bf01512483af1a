package logs

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

const segmentSuffix = ".log"

// segment is what is known of a file of events without reading it.
type segment struct {
	ID          uint64
	Gen         uint32 // how often it has been written anew without events that were deleted
	Size        int64  // bytes of the file
	Min, Max    int64  // times of the oldest and the newest event
	First, Last uint64 // numbers of events
	Spans       map[uint64]span
}

// span is the part of one stream in a segment.
type span struct {
	Min, Max int64
	Ingested int64 // newest
	Bytes    int64 // of the messages, and eventOverhead for each
}

func newSegment(id uint64, gen uint32) *segment {
	return &segment{ID: id, Gen: gen, Min: maxTime, Max: minTime, Spans: map[uint64]span{}}
}

func (g *segment) file() string { return fmt.Sprintf("%08x.%d%s", g.ID, g.Gen, segmentSuffix) }

// count adds a batch to what is known.
func (g *segment) count(b batch) {
	p, ok := g.Spans[b.stream]
	if !ok {
		p = span{Min: b.min, Max: b.max}
	}
	g.Spans[b.stream] = span{Min: min(p.Min, b.min), Max: max(p.Max, b.max), Ingested: max(p.Ingested, b.ingested), Bytes: p.Bytes + b.bytes()}
	if g.Last == 0 {
		g.First = b.first
	}
	g.Min, g.Max, g.Last = min(g.Min, b.min), max(g.Max, b.max), b.last()
}

// group is a log group: what is known of it, and its files.
type group struct {
	s   *Service
	id  uint64
	dir string
	// Of the group's, what never changes.
	name  string
	class string

	upkeep sync.Mutex   // one rewrite or removal of files at a time; taken before files
	files  sync.RWMutex // held for reading while files are read: what is being read is not removed; taken before mu

	mu         sync.RWMutex
	info       Group
	streams    map[string]*stream
	byID       map[uint64]*stream
	lastStream uint64
	segments   []*segment // full ones, in the order of their numbers; never changed, only replaced
	unlisted   []unlisted // those of them that are not in the catalogue yet
	active     *segment   // the one that is written; nil before the first event
	writer     *journal.Writer
	lastEvent  uint64
	dirty      bool  // written since the last sync
	written    int64 // when, for closing the file of an idle group
	changed    chan struct{}
	gone       bool
}

// unlisted is a full segment that is still to be synced and listed in the catalogue.
type unlisted struct {
	seg    *segment
	writer *journal.Writer // nil if it is on the disk already
}

type stream struct {
	id                    uint64
	name                  string
	created               int64
	first, last, ingested int64 // times of events that are there, and the newest ingestion; 0 is none
	bytes                 int64
}

func newGroup(s *Service, id uint64, info Group) *group {
	return &group{s: s, id: id, name: info.Name, class: info.Class, info: info, streams: map[string]*stream{}, byID: map[uint64]*stream{}, changed: make(chan struct{})}
}

// addStream makes a stream known. g.mu is held.
func (g *group) addStream(st *stream) {
	g.streams[st.name], g.byID[st.id] = st, st
	g.lastStream = max(g.lastStream, st.id)
}

// append writes a batch of a stream. The entries are in order, and at least one.
func (g *group) append(streamName string, entries []Entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return noGroup()
	}
	st := g.streams[streamName]
	if st == nil {
		return noStream()
	}
	if err := g.ready(); err != nil {
		return fault.Wrap(err, "write to log group %s", g.name)
	}
	now := g.s.now()
	record := encodeBatch(st.id, now, g.lastEvent+1, entries)
	if err := g.writer.Append(record); err != nil {
		return fault.Wrap(err, "write to log group %s", g.name)
	}
	b, err := decodeBatch(record)
	if err != nil {
		return fault.Wrap(err, "log group %s", g.name)
	}
	g.active.count(b)
	g.active.Size, g.lastEvent, g.dirty, g.written = g.writer.Size(), b.last(), true, now
	st.count(span{Min: b.min, Max: b.max, Ingested: now, Bytes: b.bytes()})
	if g.active.Size >= segmentSize || len(g.active.Spans) >= maxSpans {
		g.rotate()
	}
	g.wake()
	return nil
}

func (st *stream) count(p span) {
	if st.bytes == 0 {
		st.first = p.Min
	}
	st.first, st.last, st.ingested, st.bytes = min(st.first, p.Min), max(st.last, p.Max), max(st.ingested, p.Ingested), st.bytes+p.Bytes
}

// ready opens the segment that is written. g.mu is held.
func (g *group) ready() (err error) {
	if g.active == nil {
		next := uint64(1)
		if n := len(g.segments); n > 0 {
			next = g.segments[n-1].ID + 1
		}
		seg := newSegment(next, 0)
		if g.writer, err = journal.Create(filepath.Join(g.dir, seg.file())); err == nil {
			g.active = seg
		}
		return err
	}
	if g.writer == nil {
		g.writer, err = journal.Resume(filepath.Join(g.dir, g.active.file()), g.active.Size)
	}
	return err
}

// rotate ends the active segment; maintenance syncs it and lists it, so that nobody who writes waits for the disk. g.mu is held.
func (g *group) rotate() {
	g.segments, g.unlisted = append(g.segments, g.active), append(g.unlisted, unlisted{g.active, g.writer})
	g.active, g.writer, g.dirty = nil, nil, false
}

// wake tells followers that there is something new. g.mu is held.
func (g *group) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// list syncs full segments and lists them in the catalogue.
func (g *group) list() error {
	g.mu.Lock()
	pending := g.unlisted
	g.unlisted = nil
	g.mu.Unlock()
	for i := range pending {
		u, err := &pending[i], error(nil)
		if u.writer != nil {
			err = u.writer.Close()
			u.writer = nil
		}
		if err == nil {
			err = g.s.catalog.putSegment(g, u.seg)
		}
		if err != nil { // tried again later; at the next start it is found in its folder, too
			g.mu.Lock()
			g.unlisted = append(pending[i:], g.unlisted...)
			g.mu.Unlock()
			return fmt.Errorf("list segment %s of log group %s: %w", u.seg.file(), g.name, err)
		}
	}
	return nil
}

// sync waits until what was written is on the disk, and closes the file of a group that has been idle since a time. Nobody who writes waits for it: files are only closed by who holds upkeep.
func (g *group) sync(idleSince int64) error {
	g.upkeep.Lock()
	defer g.upkeep.Unlock()
	err := g.list()
	g.mu.Lock()
	w, dirty := g.writer, g.dirty
	g.dirty = false
	if w != nil && g.written < idleSince {
		g.writer = nil
		g.mu.Unlock()
		return errors.Join(err, w.Close())
	}
	g.mu.Unlock()
	if w != nil && dirty {
		err = errors.Join(err, w.Sync())
	}
	return err
}

func (g *group) close() error {
	g.upkeep.Lock()
	defer g.upkeep.Unlock()
	err := g.list()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	g.wake()
	if g.writer != nil {
		err = errors.Join(err, g.writer.Close())
		g.writer = nil
	}
	return err
}

// recount computes what follows from the segments: the times and sizes of streams, and the number of the last event. g.mu is held, or nobody else knows the group yet.
func (g *group) recount() {
	for _, st := range g.streams {
		st.first, st.last, st.bytes = 0, 0, 0 // ingested stays: it is when something came, whether or not it is still there
	}
	for _, seg := range g.withActive() {
		g.lastEvent = max(g.lastEvent, seg.Last)
		for id, p := range seg.Spans {
			if st := g.byID[id]; st != nil {
				st.count(p)
			}
		}
	}
}

// withActive returns all segments in the order of their numbers. g.mu is held.
func (g *group) withActive() []*segment {
	all := append([]*segment(nil), g.segments...)
	if g.active != nil {
		all = append(all, g.active)
	}
	return all
}

// view is a part of a file that may be read without a lock but files.
type view struct {
	path     string
	id       uint64
	gen      uint32
	size     int64
	min, max int64
	last     uint64
}

// views returns the segments that may have events of a query, and the names of streams to look for. g.files is held.
func (g *group) views(q *scan) ([]view, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.gone {
		return nil, noGroup()
	}
	var ids []uint64 // nil is all
	if !q.streams.all() {
		ids = []uint64{}
		for _, st := range g.selected(q.streams) {
			ids = append(ids, st.id)
		}
	}
	var views []view
	for _, seg := range g.withActive() {
		v := view{path: filepath.Join(g.dir, seg.file()), id: seg.ID, gen: seg.Gen, size: seg.Size, min: seg.Min, max: seg.Max, last: seg.Last}
		if ids != nil {
			v.min, v.max = maxTime, minTime-1
			for _, id := range ids {
				if p, ok := seg.Spans[id]; ok {
					v.min, v.max = min(v.min, p.Min), max(v.max, p.Max)
				}
			}
		}
		if v.max >= q.start && v.min < q.end && v.min <= v.max {
			views = append(views, v)
		}
	}
	return views, nil
}

// selected returns the streams that a selection has. g.mu is held.
func (g *group) selected(sel Selection) []*stream {
	var out []*stream
	if sel.Prefixes == nil {
		for _, name := range sel.Names {
			if st := g.streams[name]; st != nil {
				out = append(out, st)
			}
		}
		return out
	}
	for name, st := range g.streams {
		if sel.has(name) {
			out = append(out, st)
		}
	}
	return out
}

// nameOf is the name of a stream that has not been deleted.
func (g *group) nameOf(id uint64) (string, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	st := g.byID[id]
	if st == nil {
		return "", false
	}
	return st.name, true
}
