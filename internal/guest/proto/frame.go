package proto

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

const headerSize = 5

// ErrFrame says that the other side sent what is no frame of this protocol.
var ErrFrame = errors.New("malformed frame")

// limit is the largest payload of a frame type, or -1 for a type that does not exist.
func (t FrameType) limit() int {
	switch t {
	case FrameData, FrameStdout, FrameStderr:
		return MaxData
	case FrameCall, FrameEntry, FrameResult, FrameError, FrameHello, FrameStart:
		return MaxJSON
	case FrameEnd:
		return 0
	}
	return -1
}

// Reader reads frames. It never allocates more than the largest frame that the protocol allows.
type Reader struct {
	r   io.Reader
	buf []byte
}

// NewReader returns a reader of frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next frame; its payload is valid until the call after. io.EOF is returned between frames only.
func (r *Reader) Next() (FrameType, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	t, n := FrameType(head[0]), int64(binary.BigEndian.Uint32(head[1:]))
	if limit := t.limit(); limit < 0 || n > int64(limit) {
		return 0, nil, fmt.Errorf("%w: type %q with %d bytes", ErrFrame, head[0], n)
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return t, r.buf, nil
}

// Writer writes frames, each in one Write. It may be used from several goroutines.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	buf  []byte
	held bool
}

const holdLimit = 64 << 10

// Hold gathers the frames that follow, up to 64 KiB at a time, until Release: what the other side needs all of anyway is better sent at once.
func (w *Writer) Hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held, w.buf = true, w.buf[:0]
}

// Release sends what Hold has gathered.
func (w *Writer) Release() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = false
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// NewWriter returns a writer of frames to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one frame. Its payload must be within the type's limit.
func (w *Writer) Write(t FrameType, p []byte) error {
	if limit := t.limit(); limit < 0 || len(p) > limit {
		return fmt.Errorf("%w: type %q with %d bytes", ErrFrame, byte(t), len(p))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = binary.BigEndian.AppendUint32(append(w.buf, byte(t)), uint32(len(p)))
	w.buf = append(w.buf, p...)
	if w.held && len(w.buf) < holdLimit {
		return nil
	}
	return w.flush()
}

// WriteJSON writes one frame with v as JSON.
func (w *Writer) WriteJSON(t FrameType, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Write(t, b)
}

// Copy writes what r has as frames of type t, until EOF, and returns how much it was.
func (w *Writer) Copy(t FrameType, r io.Reader) (int64, error) {
	const chunk = 64 << 10
	buf := make([]byte, chunk)
	var total int64
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if werr := w.Write(t, buf[:n]); werr != nil {
				return total, werr
			}
			total += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Payload reads the FrameData frames of one payload up to its FrameEnd.
type Payload struct {
	r    *Reader
	rest []byte
	done bool
}

// NewPayload returns the payload that begins with r's next frame.
func NewPayload(r *Reader) *Payload { return &Payload{r: r} }

// Read implements io.Reader.
func (p *Payload) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.done {
			return 0, io.EOF
		}
		t, data, err := p.r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case t == FrameEnd:
			p.done = true
		case t == FrameData:
			p.rest = data
		case t == FrameError: // the sender gave up in the middle
			e := &Error{}
			if err := json.Unmarshal(data, e); err != nil {
				return 0, fmt.Errorf("%w: error frame: %w", ErrFrame, err)
			}
			return 0, e
		default:
			return 0, fmt.Errorf("%w: type %q inside a payload", ErrFrame, byte(t))
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// WritePreface opens a connection of a kind.
func WritePreface(w io.Writer, kind byte) error {
	_, err := w.Write(append([]byte(Magic), kind))
	return err
}

// ReadPreface reads a connection's preface and returns its kind.
func ReadPreface(r io.Reader) (kind byte, err error) {
	var b [len(Magic) + 1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	if kind = b[len(Magic)]; string(b[:len(Magic)]) != Magic || (kind != KindControl && kind != KindRelay) {
		return 0, fmt.Errorf("%w: no preface", ErrFrame)
	}
	return kind, nil
}
