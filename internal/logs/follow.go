package logs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// FollowQuery says which events of a group are followed.
type FollowQuery struct {
	Streams Selection // of names that need not exist yet
	Start   *int64    // milliseconds since 1970: events from then on come first, in the order of time; nil begins with what is put from now on
	Pattern string    // in the language of the package filter; empty is every event
}

// Follow yields events as they are put, as soon as they are, until ctx or the service ends; then the last error is the context's, or nil. Nothing is left out: a slow follower reads later what is in
// the files, and slows nobody down. What is put after Follow returns is yielded, even if the loop begins later. It ends with NotFound when the group is deleted. The sequence can be used once.
func (s *Service) Follow(ctx context.Context, scope Scope, groupName string, q FollowQuery) iter.Seq2[[]Event, error] {
	f, err := s.follower(scope, groupName, q)
	return func(yield func([]Event, error) bool) {
		err := err
		if err == nil {
			err = f.run(ctx, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped ends a follower whose consumer has had enough.
var errStopped = errors.New("stopped")

// follower is a place in the files of a group.
type follower struct {
	g       *group
	q       scan
	start   *int64
	segment uint64
	gen     uint32
	offset  int64
	last    uint64 // number of the last event that was seen
}

func (s *Service) follower(scope Scope, groupName string, q FollowQuery) (*follower, error) {
	g, err := s.group(scope, groupName)
	if err != nil {
		return nil, err
	}
	sc, err := newScan(q.Start, nil, 0)
	if err != nil {
		return nil, err
	}
	if sc.pattern, err = parsePattern(q.Pattern); err != nil {
		return nil, err
	}
	sc.streams, sc.budget = q.Streams, math.MaxInt64
	f := &follower{g: g, q: *sc, start: q.Start}
	g.mu.RLock()
	defer g.mu.RUnlock()
	f.last = g.lastEvent
	if all := g.withActive(); len(all) > 0 {
		newest := all[len(all)-1]
		f.segment, f.gen, f.offset = newest.ID, newest.Gen, newest.Size
	}
	return f, nil
}

func (f *follower) run(ctx context.Context, yield func([]Event, error) bool) error {
	if f.start != nil {
		if err := f.history(ctx, yield); err != nil {
			return err
		}
	}
	for {
		changed, err := f.news(ctx, yield)
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-f.g.s.closing.Done():
			return nil
		}
	}
}

// history yields what was there when the follower began.
func (f *follower) history(ctx context.Context, yield func([]Event, error) bool) error {
	if f.last == 0 {
		return nil
	}
	q := f.q
	q.limit, q.until, q.after = maxEvents, f.last, q.origin()
	for {
		page, err := q.run(ctx, f.g)
		if err != nil {
			return err
		}
		if len(page.events) > 0 && !yield(page.events, nil) {
			return errStopped
		}
		if !page.more {
			return nil
		}
		q.after = page.next
	}
}

// news yields what was put since, and returns a channel that is closed when there is more.
func (f *follower) news(ctx context.Context, yield func([]Event, error) bool) (<-chan struct{}, error) {
	for {
		v, from, changed, err := f.next()
		if err != nil || v == nil {
			return changed, err
		}
		events, err := f.read(ctx, *v, from)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 && !yield(events, nil) {
			return nil, errStopped
		}
	}
}

// next finds the part of a segment that has not been read yet, or else the channel that announces one. The channel and the segments are looked at together, so that nothing can come in between.
func (f *follower) next() (*view, int64, <-chan struct{}, error) {
	g := f.g
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.gone {
		if g.s.closing.Err() != nil {
			return nil, 0, nil, errStopped
		}
		return nil, 0, nil, noGroup()
	}
	for _, seg := range g.withActive() {
		from := int64(0)
		switch {
		case seg.ID < f.segment || seg.Last <= f.last:
			continue
		case seg.ID == f.segment && seg.Gen == f.gen:
			from = f.offset
		}
		if from < seg.Size {
			return &view{path: g.path(seg), id: seg.ID, gen: seg.Gen, size: seg.Size, last: seg.Last}, from, nil, nil
		}
	}
	return nil, 0, g.changed, nil
}

func (f *follower) read(ctx context.Context, v view, from int64) ([]Event, error) {
	g := f.g
	select {
	case g.s.scans <- struct{}{}:
		defer func() { <-g.s.scans }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	g.files.RLock()
	defer g.files.RUnlock()
	data, err := journal.Read(v.path, from, v.size, nil)
	if errors.Is(err, fs.ErrNotExist) { // rewritten or removed in between: the next look finds what has become of it
		return nil, f.missing(v)
	}
	if err != nil {
		return nil, fault.Wrap(err, "read log group %s", g.name)
	}
	var events []Event
	for record, err := range journal.Records(data) {
		b, name, ok := f.q.batch(g, v, record, err)
		if !ok {
			continue
		}
		for at, message := range b.each() {
			if at.number > f.last && at.time >= f.q.start && f.q.pattern.Match(message) {
				events = append(events, Event{Stream: name, Time: at.time, Ingested: b.ingested, Message: string(message), Number: at.number})
			}
		}
	}
	f.segment, f.gen, f.offset, f.last = v.id, v.gen, v.size, v.last
	return events, nil
}

// missing passes over a segment whose file is lost, which is not one that was replaced.
func (f *follower) missing(v view) error {
	g := f.g
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, seg := range g.withActive() {
		if seg.ID == v.id && seg.Gen == v.gen {
			g.s.o.Log.Error("a segment of a log group is missing: its events are lost", "group", g.name, "segment", v.path)
			f.segment, f.gen, f.offset, f.last = v.id, v.gen, v.size, v.last
		}
	}
	return nil
}
