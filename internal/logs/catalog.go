package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// catalog is the file with everything that is known of groups but their events: one JSON record for each change.
type catalog struct {
	path string

	mu      sync.Mutex
	w       *journal.Writer
	records int // in the file
	live    int // of those that a new file would have
}

// change is one record. Exactly one member is set.
type change struct {
	Group       *groupRecord   `json:"group,omitempty"` // a new group, or what it has become
	DropGroup   uint64         `json:"dropGroup,omitempty"`
	Stream      *streamRecord  `json:"stream,omitempty"`
	DropStream  *streamRecord  `json:"dropStream,omitempty"`
	Segment     *segmentRecord `json:"segment,omitempty"` // a full segment, or what a rewrite has made of it
	DropSegment *segmentRecord `json:"dropSegment,omitempty"`
	LastGroup   uint64         `json:"lastGroup,omitempty"` // numbers of groups are not used again
}

type groupRecord struct {
	ID         uint64 `json:"id"`
	LastStream uint64 `json:"lastStream,omitempty"` // numbers of streams are not used again
	LastEvent  uint64 `json:"lastEvent,omitempty"`
	Info       Group  `json:"info"`
}

type streamRecord struct {
	Group    uint64 `json:"group"`
	ID       uint64 `json:"id"`
	Name     string `json:"name,omitempty"`
	Created  int64  `json:"created,omitempty"`
	Ingested int64  `json:"ingested,omitempty"`
}

type segmentRecord struct {
	Group   uint64   `json:"group"`
	Segment *segment `json:"segment,omitempty"`
	ID      uint64   `json:"id,omitempty"`
}

// state is what replaying the records gives.
type state struct {
	groups    map[uint64]*group
	lastGroup uint64
}

func newState() *state { return &state{groups: map[uint64]*group{}} }

func openCatalog(path string, st *state) (*catalog, int64, error) {
	c := &catalog{path: path}
	w, cut, err := journal.Open(path, func(record []byte) error {
		var ch change
		if err := json.Unmarshal(record, &ch); err != nil {
			return fmt.Errorf("record %d of the catalogue: %w", c.records+1, err)
		}
		c.records++
		st.apply(ch)
		return nil
	})
	c.w = w
	for _, g := range st.groups {
		c.live += 1 + len(g.streams) + len(g.segments)
	}
	return c, cut, err
}

func (st *state) apply(ch change) {
	switch {
	case ch.LastGroup > 0:
		st.lastGroup = max(st.lastGroup, ch.LastGroup)
	case ch.Group != nil:
		st.lastGroup = max(st.lastGroup, ch.Group.ID)
		if g := st.groups[ch.Group.ID]; g != nil {
			g.info = ch.Group.Info
			return
		}
		g := newGroup(nil, ch.Group.ID, ch.Group.Info)
		g.lastStream, g.lastEvent = ch.Group.LastStream, ch.Group.LastEvent
		st.groups[g.id] = g
	case ch.DropGroup > 0:
		delete(st.groups, ch.DropGroup)
	case ch.Stream != nil:
		if g := st.groups[ch.Stream.Group]; g != nil {
			g.addStream(&stream{id: ch.Stream.ID, name: ch.Stream.Name, created: ch.Stream.Created, ingested: ch.Stream.Ingested})
		}
	case ch.DropStream != nil:
		if g := st.groups[ch.DropStream.Group]; g != nil {
			g.forget(ch.DropStream.ID)
		}
	case ch.Segment != nil && ch.Segment.Segment != nil:
		if g := st.groups[ch.Segment.Group]; g != nil {
			g.putSegment(ch.Segment.Segment)
		}
	case ch.DropSegment != nil:
		if g := st.groups[ch.DropSegment.Group]; g != nil {
			g.dropSegment(ch.DropSegment.ID)
		}
	}
}

// forget removes a stream from what is known. g.mu is held.
func (g *group) forget(id uint64) {
	if st := g.byID[id]; st != nil {
		delete(g.streams, st.name)
		delete(g.byID, id)
	}
}

// putSegment adds or replaces a full segment; the order of their numbers is kept. g.mu is held. The list is a new one: others may be reading the old.
func (g *group) putSegment(seg *segment) {
	all := make([]*segment, 0, len(g.segments)+1)
	placed := false
	for _, have := range g.segments {
		switch {
		case have.ID == seg.ID:
			have, placed = seg, true
		case have.ID > seg.ID && !placed:
			all, placed = append(all, seg), true
		}
		all = append(all, have)
	}
	if !placed {
		all = append(all, seg)
	}
	g.segments = all
}

// dropSegment removes a full segment from what is known. g.mu is held.
func (g *group) dropSegment(id uint64) {
	all := make([]*segment, 0, len(g.segments))
	for _, have := range g.segments {
		if have.ID != id {
			all = append(all, have)
		}
	}
	g.segments = all
}

// write appends a record and waits until it is on the disk.
func (c *catalog) write(ch change, live int) error {
	b, err := json.Marshal(ch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.w.Append(b); err != nil {
		return err
	}
	c.records, c.live = c.records+1, c.live+live
	return c.w.Sync()
}

func (c *catalog) putGroup(id uint64, info Group, isNew bool) error {
	live := 0
	if isNew {
		live = 1
	}
	return c.write(change{Group: &groupRecord{ID: id, Info: info}}, live)
}

func (c *catalog) dropGroup(g *group) error {
	return c.write(change{DropGroup: g.id}, -1-len(g.streams)-len(g.segments))
}

func (c *catalog) putStream(g *group, st *stream) error {
	return c.write(change{Stream: st.record(g)}, 1)
}

func (st *stream) record(g *group) *streamRecord {
	return &streamRecord{Group: g.id, ID: st.id, Name: st.name, Created: st.created, Ingested: st.ingested}
}

func (c *catalog) dropStream(g *group, id uint64) error {
	return c.write(change{DropStream: &streamRecord{Group: g.id, ID: id}}, -1)
}

func (c *catalog) putSegment(g *group, seg *segment) error {
	return c.write(change{Segment: &segmentRecord{Group: g.id, Segment: seg}}, 1)
}

func (c *catalog) dropSegment(g *group, seg *segment) error {
	return c.write(change{DropSegment: &segmentRecord{Group: g.id, ID: seg.ID}}, -1)
}

// stale reports whether more than half of the file is out of date.
func (c *catalog) stale() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records > 2*c.live+compactionSlack
}

// compact writes the catalogue anew: beside the old one, which it then replaces. It is done before anybody else knows the store.
func (c *catalog) compact(groups []*group, lastGroup uint64) (err error) {
	beside := c.path + ".new"
	if err := os.RemoveAll(beside); err != nil {
		return err
	}
	w, err := journal.Create(beside)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(), os.Remove(beside))
		}
	}()
	n := 0
	put := func(ch change) {
		b, failed := json.Marshal(ch)
		if failed == nil {
			failed = w.Append(b)
		}
		err, n = errors.Join(err, failed), n+1
	}
	put(change{LastGroup: lastGroup})
	for _, g := range groups {
		put(change{Group: &groupRecord{ID: g.id, LastStream: g.lastStream, LastEvent: g.lastEvent, Info: g.info}})
		for _, st := range g.streams {
			put(change{Stream: st.record(g)})
		}
		pending := map[*segment]bool{}
		for _, u := range g.unlisted {
			pending[u.seg] = true
		}
		for _, seg := range g.segments {
			if !pending[seg] {
				put(change{Segment: &segmentRecord{Group: g.id, Segment: seg}})
			}
		}
	}
	if err != nil {
		return err
	}
	if err = w.Sync(); err != nil {
		return err
	}
	if err = os.Rename(beside, c.path); err != nil {
		return err
	}
	old := c.w
	c.w, c.records, c.live = w, n, n
	return old.Close()
}

func (c *catalog) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Close()
}
