package network

import (
	"net"
	"sync"
	"time"
)

const (
	fullRecord = 5 + 16<<10 + 1 + 16    // bytes of a TLS 1.3 record that holds as much as one can
	batchLimit = 8 * fullRecord         // bytes held back at most
	batchTime  = 200 * time.Microsecond // and for how long
)

// batch gathers full TLS records into larger writes. crypto/tls writes each record by itself, and each write to a sandbox wakes the guest, which reads it and writes it on: for a large body eight at a
// time are a third less work for both sides. What is not a full record ends a body, or is none, and goes out at once.
type batch struct {
	net.Conn
	mu    sync.Mutex
	held  []byte
	timer *time.Timer
	err   error // of a write that the timer made
}

func newBatch(c net.Conn) *batch {
	b := &batch{Conn: c}
	b.timer = time.AfterFunc(time.Hour, b.late)
	b.timer.Stop()
	return b
}

// Write implements net.Conn. An error of bytes that were held back comes with the next write.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if len(p) < fullRecord && len(b.held) == 0 {
		return b.Conn.Write(p)
	}
	b.held = append(b.held, p...)
	if len(p) == fullRecord && len(b.held) < batchLimit {
		b.timer.Reset(batchTime)
		return len(p), nil
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// late sends what no other write has followed.
func (b *batch) late() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		_ = b.flush()
	}
}

func (b *batch) flush() error {
	b.timer.Stop()
	if len(b.held) == 0 {
		return nil
	}
	_, b.err = b.Conn.Write(b.held)
	b.held = b.held[:0]
	return b.err
}

// Close implements net.Conn. What is held back is sent first: it was written before.
func (b *batch) Close() error {
	b.late()
	return b.Conn.Close()
}
