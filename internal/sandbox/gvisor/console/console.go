// Package console keeps the last words of sandboxes and makes them fit for a log.
//
// It is apart from the driver because Go cannot build gVisor with the instrumentation of its fuzzer, and this reads what hostile code prints.
package console

import (
	"context"
	"os"
	"strings"
	"sync"
	"unicode"
)

// Size is how many bytes of the end of a console are kept.
const Size = 4 << 10

// Tail keeps the end of what a sandbox prints: runsc's errors at first, then whatever the guest prints by itself. It reads a pipe, so that a
// sandbox cannot fill the host's disk with it.
type Tail struct {
	r, w *os.File
	done chan struct{}

	mu  sync.Mutex
	buf []byte
}

// New returns a tail that is being read until Drain.
func New() (*Tail, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	t := &Tail{r: r, w: w, done: make(chan struct{})}
	go t.read()
	return t, nil
}

func (t *Tail) read() {
	defer close(t.done)
	p := make([]byte, 1<<10)
	for {
		n, err := t.r.Read(p)
		t.mu.Lock()
		t.buf = append(t.buf, p[:n]...)
		if extra := len(t.buf) - Size; extra > 0 {
			t.buf = append(t.buf[:0], t.buf[extra:]...)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Writer is the writing end, for the sandbox's processes to inherit.
func (t *Tail) Writer() *os.File { return t.w }

// Started closes the host's own copy of the writing end, once the sandbox has its own.
func (t *Tail) Started() { _ = t.w.Close() }

// Drain reads what the sandbox, which has ended, still had in the pipe, and ends the reading.
func (t *Tail) Drain(ctx context.Context) {
	_ = t.w.Close()
	select {
	case <-t.done:
	case <-ctx.Done(): // something still holds the pipe open
	}
	_ = t.r.Close()
	<-t.done
}

// Text is the end of what was printed, fit for one line of a log.
func (t *Tail) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return OneLine(string(t.buf))
}

// MaxLine bounds what OneLine keeps, in bytes.
const MaxLine = 600

// OneLine makes text from a sandbox, which may try to play with the reader's terminal, printable: the last non-empty lines, joined.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	var lines []string
	for l := range strings.SplitSeq(s, "\n") {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			lines = append(lines, l)
		}
	}
	out := strings.Join(lines, "; ")
	if len(out) > MaxLine {
		out = "..." + strings.ToValidUTF8(out[len(out)-MaxLine:], "")
	}
	return out
}
