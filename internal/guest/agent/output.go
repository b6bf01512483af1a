package agent

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// elider sends a stream of output as it comes until half of the limit, and keeps the last half of what follows for the end.
type elider struct {
	w     *proto.Writer
	frame proto.FrameType
	half  int64 // bytes sent at once
	rest  int64 // bytes kept of the end
	sent  int64
	total int64
	tail  []byte
}

func newElider(w *proto.Writer, frame proto.FrameType, limit int64) *elider {
	return &elider{w: w, frame: frame, half: limit / 2, rest: limit - limit/2}
}

func (e *elider) write(p []byte) {
	e.total += int64(len(p))
	if room := e.half - e.sent; room > 0 {
		n := min(room, int64(len(p)))
		e.send(p[:n])
		e.sent += n
		p = p[n:]
	}
	e.tail = append(e.tail, p...)
	if int64(len(e.tail)) > 2*e.rest {
		n := copy(e.tail, e.tail[int64(len(e.tail))-e.rest:])
		e.tail = e.tail[:n]
	}
}

// send may fail only because the host has closed the call; then nothing needs to be sent any more.
func (e *elider) send(p []byte) {
	for len(p) > 0 {
		n := min(len(p), proto.MaxData)
		_ = e.w.Write(e.frame, p[:n])
		p = p[n:]
	}
}

// finish sends the end of the output and returns how many bytes of its middle were left out.
func (e *elider) finish() (elided int64) {
	if int64(len(e.tail)) > e.rest {
		e.tail = e.tail[int64(len(e.tail))-e.rest:]
	}
	e.send(e.tail)
	elided = e.total - e.sent - int64(len(e.tail))
	e.tail = nil
	return elided
}

// pump reads a pipe that processes write to. What it reads goes to the sink of the moment, or is kept for the next one.
type pump struct {
	f      *os.File
	closed atomic.Bool

	mu   sync.Mutex
	sink func([]byte)
	kept []byte
	buf  []byte
}

const (
	maxKept  = 64 << 10 // bytes printed between two calls that the next one gets
	maxDrain = 1 << 20  // the most that a pipe can hold
)

// newPump makes a pipe and starts to read it. The caller closes the returned write end once the process has it.
func newPump() (p *pump, write int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, 0, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		return nil, 0, err
	}
	p = &pump{f: os.NewFile(uintptr(fds[0]), "pipe"), buf: make([]byte, 64<<10)}
	go p.loop()
	return p, fds[1], nil
}

func (p *pump) loop() {
	raw, err := p.f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { // returning false waits until there is more
		return !errors.Is(p.read(fd, 1<<62), unix.EAGAIN)
	})
}

// read takes up to limit bytes that are there, in order with all other readers.
func (p *pump) read(fd uintptr, limit int) error {
	for total := 0; total < limit && !p.closed.Load(); {
		p.mu.Lock()
		n, err := unix.Read(int(fd), p.buf)
		if n > 0 {
			p.deliver(p.buf[:n])
		}
		p.mu.Unlock()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return nil // end of file
		}
		total += n
	}
	return nil
}

func (p *pump) deliver(b []byte) {
	if p.sink != nil {
		p.sink(b)
		return
	}
	p.kept = append(p.kept, b...)
	if over := len(p.kept) - maxKept; over > 0 {
		p.kept = p.kept[:copy(p.kept, p.kept[over:])]
	}
}

// attach makes sink the receiver, beginning with what was kept for it.
func (p *pump) attach(sink func([]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink = sink
	if len(p.kept) > 0 {
		sink(p.kept)
		p.kept = nil
	}
}

// drain delivers what has been written so far, and detaches the sink. What comes later is kept.
func (p *pump) drain() {
	if raw, err := p.f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = p.read(fd, maxDrain) })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink = nil
}

func (p *pump) close() {
	p.closed.Store(true) // a reader that always finds more ends too
	_ = p.f.Close()
}
