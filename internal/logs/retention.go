package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// slack is how long an event may lie on the disk after its retention has ended; it is not returned any more. A segment is not written anew for every minute that passes.
const slack = 24 * time.Hour

// maintain syncs what is written, and removes what nobody can read any more, until the service is closed.
func (s *Service) maintain() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	cleaned := s.o.Now()
	for {
		select {
		case <-s.closing.Done():
			return
		case <-tick.C:
		}
		now := s.o.Now()
		for _, g := range s.all() {
			if err := g.sync(now.Add(-idleAfter).UnixMilli()); err != nil {
				s.o.Log.Error("log events could not be written to the disk", "error", err)
			}
		}
		if now.Sub(cleaned) >= retentionEvery {
			cleaned = now
			s.enforce()
		}
	}
}

// enforce removes events whose retention has ended, and those of deleted streams.
func (s *Service) enforce() {
	for _, g := range s.all() {
		g.mu.Lock()
		cutoff := g.cutoff()
		if g.active != nil && g.active.Min < cutoff-slack.Milliseconds() {
			g.rotate()
		}
		g.mu.Unlock()
		if err := g.clean(cutoff); err != nil {
			s.o.Log.Error("log events whose retention has ended could not be removed", "error", err)
		}
	}
}

// clean frees the space of full segments: of events from before a time, and of streams that are gone.
func (g *group) clean(cutoff int64) error {
	g.upkeep.Lock()
	defer g.upkeep.Unlock()
	if err := g.list(); err != nil {
		return err
	}
	g.mu.RLock()
	segments := g.segments
	var old []*segment
	for _, seg := range segments {
		if seg.Max < cutoff || seg.Min < cutoff-slack.Milliseconds() || g.hasOrphans(seg) {
			old = append(old, seg)
		}
	}
	gone := g.gone
	g.mu.RUnlock()
	if gone {
		return nil
	}
	for _, seg := range old {
		if err := g.rewrite(seg, cutoff); err != nil {
			return fmt.Errorf("segment %s of log group %s: %w", seg.file(), g.name, err)
		}
	}
	if len(old) > 0 {
		g.mu.Lock()
		g.recount()
		g.mu.Unlock()
	}
	return nil
}

// hasOrphans reports whether a segment has events of a stream that is gone. g.mu is held.
func (g *group) hasOrphans(seg *segment) bool {
	for id := range seg.Spans {
		if g.byID[id] == nil {
			return true
		}
	}
	return false
}

func (g *group) path(seg *segment) string { return filepath.Join(g.dir, seg.file()) }

// rewrite puts a segment in the place of another that has only what is still to be read. g.upkeep is held. The new file is complete before the catalogue has it, and the old one is removed after.
func (g *group) rewrite(old *segment, cutoff int64) error {
	seg, err := g.distil(old, cutoff)
	if err != nil {
		return err
	}
	g.files.Lock() // waits for who reads
	defer g.files.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if seg == nil {
		if err := g.s.catalog.dropSegment(g, old); err != nil {
			return err
		}
		g.dropSegment(old.ID)
	} else {
		if err := g.s.catalog.putSegment(g, seg); err != nil {
			return errors.Join(err, os.Remove(g.path(seg)))
		}
		g.putSegment(seg)
	}
	return os.Remove(g.path(old))
}

// distil writes what is to be kept of a segment to a new file; nil if that is nothing.
func (g *group) distil(old *segment, cutoff int64) (seg *segment, err error) {
	if old.Max < cutoff {
		return nil, nil
	}
	data, err := journal.Read(g.path(old), 0, old.Size, nil)
	if err != nil {
		return nil, err
	}
	seg = newSegment(old.ID, old.Gen+1)
	if err := os.RemoveAll(g.path(seg)); err != nil { // of an attempt that failed
		return nil, err
	}
	w, err := journal.Create(g.path(seg))
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, w.Close())
		if err != nil || seg.Size == 0 {
			err = errors.Join(err, os.Remove(g.path(seg)))
			seg = nil
		}
	}()
	for record, damaged := range journal.Records(data) {
		if damaged != nil {
			g.s.o.Log.Error("a batch of log events is damaged and has been left out", "segment", g.path(old), "error", damaged)
			continue
		}
		b, err := decodeBatch(record)
		if err != nil {
			continue
		}
		if _, exists := g.nameOf(b.stream); !exists {
			continue
		}
		if err := seg.keep(w, b, cutoff); err != nil {
			return seg, err
		}
	}
	seg.Size = w.Size()
	return seg, nil
}

// keep writes the events of a batch that are not older than a time. They are the last ones: a batch is in order.
func (g *segment) keep(w *journal.Writer, b batch, cutoff int64) error {
	var entries []Entry
	first := uint64(0)
	for at, message := range b.each() {
		if at.time < cutoff {
			continue
		}
		if entries == nil {
			first = at.number
		}
		entries = append(entries, Entry{at.time, string(message)})
	}
	if entries == nil {
		return nil
	}
	record := encodeBatch(b.stream, b.ingested, first, entries)
	if err := w.Append(record); err != nil {
		return err
	}
	kept, err := decodeBatch(record)
	if err == nil {
		g.count(kept)
	}
	return err
}
