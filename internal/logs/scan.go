package logs

import (
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs/filter"
	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// Event is an event as it is read.
type Event struct {
	Stream   string
	Time     int64 // milliseconds since 1970
	Ingested int64 // when it was put
	Message  string
	Number   uint64 // within the group, in the order in which events were put
}

// ID is the event's id: 56 digits, in the order of events.
func (e Event) ID() string { return e.position().String() }

func (e Event) position() position { return position{e.Time, e.Number} }

// Selection says which streams of a group are looked at: those with one of the names or one of the prefixes. The zero value is all.
type Selection struct {
	Names    []string
	Prefixes []string
}

func (s Selection) all() bool { return s.Names == nil && s.Prefixes == nil }

func (s Selection) has(name string) bool {
	return s.all() || slices.Contains(s.Names, name) || slices.ContainsFunc(s.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// scan is one look through a group for a page of events: the first ones, in its direction, after a position.
type scan struct {
	streams    Selection
	start, end int64 // milliseconds; end is not included
	after      position
	backward   bool
	limit      int
	pattern    *filter.Pattern // nil is every event
	budget     int64           // bytes of files that are read before the page ends, full or not
	until      uint64          // number of the last event that counts; 0 is any
}

// found is a page in the order of its scan.
type found struct {
	events []Event
	more   bool     // there may be more
	next   position // where to go on
}

// before reports whether a comes before b in the direction of the scan.
func (q *scan) before(a, b position) bool {
	if q.backward {
		a, b = b, a
	}
	return a.before(b)
}

// origin is the position before all others.
func (q *scan) origin() position {
	if q.backward {
		return position{maxTime, math.MaxUint64}
	}
	return position{minTime - 1, 0}
}

// near is the edge of a segment at which the scan meets it.
func (q *scan) near(v view) position {
	if q.backward {
		return position{v.max, math.MaxUint64}
	}
	return position{v.min, 0}
}

// beyond reports whether the scan has passed all of a segment.
func (q *scan) beyond(v view) bool {
	if q.backward {
		return v.min > q.after.time
	}
	return v.max < q.after.time
}

// page is what a scan has found so far: the best events that fit, the worst of them on top of the heap.
type page struct {
	q     *scan
	items []Event
	bytes int
	bound *position // the best that did not fit: what is not before it does not belong to the page
}

func (p *page) Len() int           { return len(p.items) }
func (p *page) Less(i, j int) bool { return p.q.before(p.items[j].position(), p.items[i].position()) }
func (p *page) Swap(i, j int)      { p.items[i], p.items[j] = p.items[j], p.items[i] }
func (p *page) Push(x any)         { p.items = append(p.items, x.(Event)) }
func (p *page) Pop() any {
	last := p.items[len(p.items)-1]
	p.items[len(p.items)-1] = Event{}
	p.items = p.items[:len(p.items)-1]
	return last
}

// fits reports whether an event at a position may still belong to the page.
func (p *page) fits(at position) bool { return p.bound == nil || p.q.before(at, *p.bound) }

func (p *page) add(e Event) {
	heap.Push(p, e)
	p.bytes += len(e.Message) + eventOverhead
	for len(p.items) > p.q.limit || p.bytes > maxBatchBytes && len(p.items) > 1 {
		worst := heap.Pop(p).(Event)
		p.bytes -= len(worst.Message) + eventOverhead
		at := worst.position()
		p.bound = &at
	}
}

// buffers holds the memory that segments are read into.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, segmentSize+maxBatchBytes/2); return &b }}

// run looks through the group. Segments are met in the order of their times, so that it can stop when no other can have anything better; memory holds one segment and one page.
func (q *scan) run(ctx context.Context, g *group) (found, error) {
	select {
	case g.s.scans <- struct{}{}:
		defer func() { <-g.s.scans }()
	case <-ctx.Done():
		return found{}, ctx.Err()
	}
	g.files.RLock()
	defer g.files.RUnlock()
	g.mu.RLock()
	q.start = max(q.start, g.cutoff())
	g.mu.RUnlock()
	views, err := g.views(q)
	if err != nil {
		return found{}, err
	}
	slices.SortStableFunc(views, func(a, b view) int {
		switch x, y := q.near(a), q.near(b); {
		case q.before(x, y):
			return -1
		case q.before(y, x):
			return 1
		}
		return 0
	})
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	p := &page{q: q}
	read := int64(0)
	for _, v := range views {
		if q.beyond(v) {
			continue
		}
		if p.bound != nil && !q.before(q.near(v), *p.bound) {
			break
		}
		if read >= q.budget && q.before(q.after, q.edge(v)) {
			return p.upTo(q.edge(v)), nil
		}
		if err := ctx.Err(); err != nil {
			return found{}, err
		}
		if err := q.read(g, v, buf, p); err != nil {
			return found{}, err
		}
		read += v.size
	}
	return p.done(), nil
}

// edge is the last position before a segment begins.
func (q *scan) edge(v view) position {
	if q.backward {
		return position{v.max + 1, 0}
	}
	return position{v.min - 1, math.MaxUint64}
}

// done is the page when all was looked through that can have a part in it.
func (p *page) done() found {
	f := found{events: p.items, more: p.bound != nil, next: p.q.after}
	slices.SortFunc(f.events, func(a, b Event) int {
		if p.q.before(a.position(), b.position()) {
			return -1
		}
		return 1
	})
	if n := len(f.events); n > 0 {
		f.next = f.events[n-1].position()
	}
	return f
}

// upTo is the page when only what comes before a position was looked through.
func (p *page) upTo(edge position) found {
	f := p.done()
	if f.more && p.q.before(f.next, edge) {
		return f
	}
	f.events = slices.DeleteFunc(f.events, func(e Event) bool { return p.q.before(edge, e.position()) })
	f.more, f.next = true, edge
	return f
}

// read adds what a segment has to the page.
func (q *scan) read(g *group, v view, buf *[]byte, p *page) error {
	data, err := journal.Read(v.path, 0, v.size, *buf)
	if errors.Is(err, fs.ErrNotExist) {
		g.s.o.Log.Error("a segment of a log group is missing: its events are lost", "group", g.name, "segment", v.path)
		return nil
	}
	if err != nil {
		return fault.Wrap(err, "read log group %s", g.name)
	}
	if cap(data) > cap(*buf) {
		*buf = data
	}
	if !q.backward {
		for record, err := range journal.Records(data) {
			q.look(g, v, record, err, p)
		}
		return nil
	}
	var records [][]byte // the last ones first: of those that come later fewer then belong to the page for a while
	for record, err := range journal.Records(data) {
		if err != nil {
			q.look(g, v, nil, err, p)
			continue
		}
		records = append(records, record)
	}
	for _, record := range slices.Backward(records) {
		q.look(g, v, record, nil, p)
	}
	return nil
}

// look adds what a batch has to the page.
func (q *scan) look(g *group, v view, record []byte, err error, p *page) {
	b, name, ok := q.batch(g, v, record, err)
	if !ok || b.max < q.start || b.min >= q.end {
		return
	}
	for at, message := range b.each() {
		if at.time < q.start || at.time >= q.end || !q.before(q.after, at) || q.until > 0 && at.number > q.until || !p.fits(at) || !q.pattern.Match(message) {
			continue
		}
		p.add(Event{Stream: name, Time: at.time, Ingested: b.ingested, Message: string(message), Number: at.number})
	}
}

// batch decodes a record if it is of a stream that is looked for. Damage is logged and passed over.
func (q *scan) batch(g *group, v view, record []byte, err error) (batch, string, bool) {
	b := batch{}
	if err == nil {
		b, err = decodeBatch(record)
	}
	if err != nil {
		g.s.o.Log.Error("a batch of log events is damaged and has been passed over", "segment", v.path, "error", err)
		return b, "", false
	}
	name, exists := g.nameOf(b.stream)
	return b, name, exists && q.streams.has(name)
}
