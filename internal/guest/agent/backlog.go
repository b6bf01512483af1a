package agent

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	maxChunk  = 64 << 10
	chunkCost = 64 // of a chunk besides its bytes
	// maxUnsent is how far a program may run ahead of a host that listens. The rest of the backlog is what was sent last: it may have been lost with a connection.
	maxUnsent = proto.MaxBacklog / 2
)

// backlog is a service's output: what a host that listens has not been sent yet, and the last of what it has, for a connection that breaks. Its writers wait for a host
// that listens, and for nobody else.
type backlog struct {
	mu      sync.Mutex
	changed *sync.Cond
	chunks  []chunk
	cost    int64
	end     int64 // bytes written so far
	sent    int64 // of these, how many the listener has
	reader  int   // counts listeners: the newest is served
	heard   bool  // there is one
	closed  bool
}

// chunk is a piece of one stream.
type chunk struct {
	at     int64 // its offset in the whole output
	stderr bool
	data   []byte
}

func newBacklog() *backlog {
	b := &backlog{}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// write takes p, which stays the caller's.
func (b *backlog) write(stderr bool, p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 {
		for b.heard && b.end-b.sent >= maxUnsent {
			b.changed.Wait()
		}
		n := b.add(stderr, p)
		p = p[n:]
		b.trim()
		b.changed.Broadcast()
	}
}

// add appends some of p, to the last chunk if that fits.
func (b *backlog) add(stderr bool, p []byte) int {
	if len(b.chunks) > 0 {
		if last := &b.chunks[len(b.chunks)-1]; last.stderr == stderr && len(last.data) < maxChunk {
			n := min(len(p), maxChunk-len(last.data))
			last.data = append(last.data, p[:n]...)
			b.cost += int64(n)
			b.end += int64(n)
			return n
		}
	}
	n := min(len(p), maxChunk)
	b.chunks = append(b.chunks, chunk{at: b.end, stderr: stderr, data: slices.Clone(p[:n])})
	b.cost += int64(n) + chunkCost
	b.end += int64(n)
	return n
}

func (b *backlog) trim() {
	for b.cost > proto.MaxBacklog && len(b.chunks) > 1 {
		if first := b.chunks[0]; b.heard && first.at+int64(len(first.data)) > b.sent {
			return // the listener's: what is ahead of it is bounded otherwise
		}
		b.cost -= int64(len(b.chunks[0].data)) + chunkCost
		b.chunks[0] = chunk{}
		b.chunks = b.chunks[1:]
	}
}

// close says that nothing more is to come.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
}

// listen makes the caller the one that is served, from the offset on or, if that is gone, from the oldest byte that is kept. Until leave, the writers wait for it.
func (b *backlog) listen(offset int64) (reader int, from int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := b.end
	if len(b.chunks) > 0 {
		oldest = b.chunks[0].at
	}
	b.reader++
	b.heard = true
	b.sent = min(max(offset, oldest), b.end)
	b.changed.Broadcast()
	return b.reader, b.sent
}

func (b *backlog) leave(reader int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reader == reader {
		b.heard = false
		b.trim()
	}
	b.changed.Broadcast()
}

// next waits for more of the output and returns it. It is over when there is none, another listens, or ctx has ended.
func (b *backlog) next(ctx context.Context, reader int) (stderr bool, p []byte, ok bool) {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.reader != reader || ctx.Err() != nil:
			return false, nil, false
		case b.sent < b.end:
			i, found := slices.BinarySearchFunc(b.chunks, b.sent, func(c chunk, at int64) int { return cmp.Compare(c.at, at) })
			if !found {
				i--
			}
			c := b.chunks[i]
			p = c.data[b.sent-c.at:]
			b.sent += int64(len(p))
			b.changed.Broadcast()
			return c.stderr, p[:len(p):len(p)], true
		case b.closed:
			return false, nil, false
		}
		b.changed.Wait()
	}
}
