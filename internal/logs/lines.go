package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
)

// Lines returns an io.WriteCloser that cuts what a program writes into lines and gives them to the writer, one for each of its outputs. Close hands over a last line without an end; it does not close
// the writer. Write never fails before Close: lines that there is no room for are counted by the writer.
func (w *Writer) Lines(ctx context.Context) io.WriteCloser { return &lines{ctx: ctx, w: w} }

type lines struct {
	ctx context.Context
	w   *Writer

	mu     sync.Mutex
	part   []byte // of a line whose end has not come yet
	closed bool
}

var errLinesClosed = errors.New("the output is closed")

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, errLinesClosed
	}
	n := len(b)
	for {
		line, rest, found := bytes.Cut(b, []byte{'\n'})
		l.part = append(l.part, line...)
		if !found {
			break
		}
		l.hand()
		b = rest
	}
	for len(l.part) >= maxLine { // a line without end must not fill the memory
		l.hand()
	}
	return n, nil
}

// hand gives the line to the writer. A carriage return at its end belongs to the end.
func (l *lines) hand() {
	l.w.Line(l.ctx, string(bytes.TrimSuffix(l.part, []byte{'\r'})))
	if l.part = l.part[:0]; cap(l.part) > 64<<10 {
		l.part = nil
	}
}

// Close implements io.Closer.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && len(l.part) > 0 {
		l.hand()
	}
	l.closed = true
	return nil
}
