package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Limits of a Writer.
const (
	maxPending   = 4 << 20                       // bytes that wait to be written
	maxLine      = maxBatchBytes - eventOverhead // longer lines become several events
	linger       = 10 * time.Millisecond         // lines that come within it are written together
	patience     = time.Second                   // how long a line waits for room before it is dropped
	retryAfter   = time.Second                   // after a failed write
	closeTimeout = 5 * time.Second               // for what is pending when the service is closed
)

// Writer appends lines of a program to a stream, in the background: who writes is held up for a second at most, and when the store cannot keep up, lines are dropped and the stream says how many. It
// makes the group and the stream when there is something to write, and again if they are deleted. It is safe for concurrent use.
type Writer struct {
	s             *Service
	scope         Scope
	group, stream string

	mu      sync.Mutex
	pending []Entry
	bytes   int
	dropped int
	closed  bool
	room    chan struct{} // closed when there is room again

	wake chan struct{} // of one: there is something to write
	idle chan struct{} // closed when the goroutine has ended
}

// Writer returns a writer for a stream. It must be closed.
func (s *Service) Writer(scope Scope, group, stream string) (*Writer, error) {
	if err := checkGroupName("logGroupName", group); err != nil {
		return nil, err
	}
	if err := checkStreamName("logStreamName", stream); err != nil {
		return nil, err
	}
	s.mu.Lock() // no writer begins while Close waits for them
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, errClosed
	}
	w := &Writer{s: s, scope: scope, group: group, stream: stream, room: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{})}
	s.writers.Go(w.run)
	return w, nil
}

// Line takes a line, without its end, as an event of now. What is not UTF-8 in it becomes U+FFFD; an empty line becomes a blank, because AWS has no empty events. It waits for room, until ctx ends or
// for a second, and reports whether the line was taken.
func (w *Writer) Line(ctx context.Context, line string) bool {
	line = strings.ToValidUTF8(line, "\uFFFD")
	if line == "" {
		line = " "
	}
	at := w.s.now()
	taken := true
	for part := range parts(line) {
		taken = w.take(ctx, Entry{at, part}) && taken
	}
	return taken
}

// parts cuts a line that is too long for one event, between characters.
func parts(line string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(line) > maxLine {
			cut := maxLine
			for line[cut]&0xC0 == 0x80 {
				cut--
			}
			if !yield(line[:cut]) {
				return
			}
			line = line[cut:]
		}
		yield(line)
	}
}

func (w *Writer) take(ctx context.Context, e Entry) bool {
	size := len(e.Message) + eventOverhead
	var timeout <-chan time.Time
	for {
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			return false
		}
		if w.bytes == 0 || w.bytes+size <= maxPending {
			w.noteDropped(e.Time)
			w.push(e)
			w.mu.Unlock()
			w.signal()
			return true
		}
		if w.dropped > 0 { // lines have waited in vain already: the store does not keep up, and the program is not held up for each line
			w.dropped++
			w.mu.Unlock()
			return false
		}
		room := w.room
		w.mu.Unlock()
		if timeout == nil {
			t := time.NewTimer(patience)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-room:
		case <-timeout:
			w.drop()
			return false
		case <-ctx.Done():
			w.drop()
			return false
		case <-w.s.closing.Done():
			w.drop()
			return false
		}
	}
}

// push adds an event to what is pending. w.mu is held.
func (w *Writer) push(e Entry) {
	w.pending, w.bytes = append(w.pending, e), w.bytes+len(e.Message)+eventOverhead
}

// noteDropped puts into the stream, at its place, that lines are missing. w.mu is held.
func (w *Writer) noteDropped(at int64) {
	if w.dropped > 0 {
		w.push(Entry{at, fmt.Sprintf("[sunaba] %d lines were dropped here: they came faster than they could be stored.", w.dropped)})
		w.dropped = 0
	}
}

func (w *Writer) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped++
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close writes what is pending and ends the writer. What the store does not take within ctx is lost, and the error says so.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("log stream %s of %s: lines are still pending: %w", w.stream, w.group, ctx.Err())
	}
}

// run writes what is pending until the writer or the service is closed.
func (w *Writer) run() {
	defer close(w.idle)
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := func(d time.Duration) {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-w.s.closing.Done():
		}
	}
	for {
		select {
		case <-w.wake:
		case <-w.s.closing.Done():
			w.last()
			return
		}
		if !w.ended() {
			pause(linger)
		}
		for {
			left, err := w.flush()
			if err != nil {
				w.s.o.Log.Error("log lines could not be written", "group", w.group, "stream", w.stream, "error", err)
				pause(retryAfter)
			}
			if w.s.closing.Err() != nil {
				w.last()
				return
			}
			if !left {
				break
			}
		}
		if w.ended() {
			return
		}
	}
}

// last writes what is pending when the service is closed: once more, and not for long.
func (w *Writer) last() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for end := time.Now().Add(closeTimeout); time.Now().Before(end); {
		if left, err := w.flush(); err != nil || !left {
			return
		}
	}
}

// ended reports whether the writer is closed and nothing is pending.
func (w *Writer) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.pending) == 0 && w.dropped == 0
}

// flush writes one batch, and reports whether more is left. What could not be written stays pending.
func (w *Writer) flush() (left bool, err error) {
	w.mu.Lock()
	if len(w.pending) == 0 {
		w.noteDropped(w.s.now())
	}
	batch := w.batch()
	w.mu.Unlock()
	if len(batch) == 0 {
		return false, nil
	}
	err = w.put(batch)
	return w.settle(len(batch), err), err
}

// batch is the first lines that are pending, as many as a batch may have. w.mu is held.
func (w *Writer) batch() []Entry {
	size := 0
	for i, e := range w.pending {
		if size += len(e.Message) + eventOverhead; size > maxBatchBytes || i == maxBatchEvents {
			return w.pending[:i:i]
		}
	}
	return w.pending[:len(w.pending):len(w.pending)]
}

// settle removes what was written, and reports whether there is more.
func (w *Writer) settle(lines int, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		for _, e := range w.pending[:lines] {
			w.bytes -= len(e.Message) + eventOverhead
		}
		if w.pending = w.pending[lines:]; len(w.pending) == 0 {
			w.pending = nil
		}
		close(w.room)
		w.room = make(chan struct{})
	}
	return len(w.pending) > 0 || w.dropped > 0
}

// put appends a batch, and makes the group and the stream if they are not there.
func (w *Writer) put(batch []Entry) error {
	if !slices.IsSortedFunc(batch, byTime) { // the clock was set back
		batch = slices.Clone(batch)
		slices.SortStableFunc(batch, byTime)
	}
	err := w.append(batch)
	if !fault.Is(err, NotFound) {
		return err
	}
	ctx := context.Background()
	if err := w.s.CreateGroup(ctx, Group{Scope: w.scope, Name: w.group}); err != nil && !fault.Is(err, AlreadyExists) {
		return err
	}
	if err := w.s.CreateStream(ctx, w.scope, w.group, w.stream); err != nil && !fault.Is(err, AlreadyExists) {
		return err
	}
	return w.append(batch)
}

func (w *Writer) append(batch []Entry) error {
	g, err := w.s.group(w.scope, w.group)
	if err != nil {
		return err
	}
	return g.append(w.stream, batch)
}

func byTime(a, b Entry) int {
	switch {
	case a.Time < b.Time:
		return -1
	case a.Time > b.Time:
		return 1
	}
	return 0
}
