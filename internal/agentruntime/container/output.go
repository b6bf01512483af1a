package container

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
)

// Limits of what is kept of a program's output in memory.
const (
	maxPart  = 64 << 10 // bytes of a line without an end, for each of the two streams: more becomes the next line
	tailSize = 10       // lines that are kept for the reason of a failure
	tailLine = 300      // bytes of each of them
)

// output takes what a program writes and makes lines of it.
type output struct {
	lines Lines // may be nil
	ctx   context.Context
	stop  context.CancelFunc

	mu    sync.Mutex
	parts [2][]byte // the beginnings of lines: of stdout, of stderr
	last  []string
}

// open opens the output of an instance.
func (l *Launcher) open(start agentruntime.Launch, id string) (*output, error) {
	o := &output{}
	o.ctx, o.stop = context.WithCancel(context.Background())
	if l.o.Output == nil {
		return o, nil
	}
	var err error
	o.lines, err = l.o.Output(start, logGroup(start), logStream(time.Now(), id))
	return o, err
}

// write takes a piece of output. While it waits for the log, the program's output waits, so that a flood holds up the program and nothing else.
func (o *output) write(stderr bool, p []byte) {
	which := 0
	if stderr {
		which = 1
	}
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		o.mu.Lock()
		part := o.parts[which]
		if room := maxPart - len(part); len(line) > room {
			line, rest, whole = p[:room], p[room:], true
		}
		part = append(part, line...)
		if !whole {
			o.parts[which] = part
			o.mu.Unlock()
			return
		}
		text := strings.TrimSuffix(string(part), "\r")
		o.parts[which] = part[:0]
		o.keep(text)
		o.mu.Unlock()
		o.emit(text)
		p = rest
	}
}

// keep remembers a line for the reason of a failure. o.mu is held.
func (o *output) keep(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(line) > tailLine {
		line = line[:tailLine] + "..."
	}
	if len(o.last) == tailSize {
		o.last = append(o.last[:0], o.last[1:]...)
	}
	o.last = append(o.last, strings.ToValidUTF8(line, "\uFFFD"))
}

func (o *output) emit(line string) {
	if o.lines != nil {
		o.lines.Line(o.ctx, line)
	}
}

// tail returns the last lines, of both streams.
func (o *output) tail() string {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.last, "\n")
}

// flush makes lines of what has no end yet.
func (o *output) flush() {
	o.mu.Lock()
	var rest []string
	for i, part := range o.parts {
		if len(part) > 0 {
			rest = append(rest, string(part))
			o.keep(string(part))
		}
		o.parts[i] = nil
	}
	o.mu.Unlock()
	for _, line := range rest {
		o.emit(line)
	}
}

// close ends the log, with all that came.
func (o *output) close(ctx context.Context) error {
	o.flush()
	o.stop()
	if o.lines == nil {
		return nil
	}
	return o.lines.Close(ctx)
}
