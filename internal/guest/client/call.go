package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/xtaci/smux"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// conversation is one call: a stream with its sender running beside the reader, so that a guest that answers before it has read everything blocks nobody.
type conversation struct {
	c      *Client
	ctx    context.Context
	stream *smux.Stream
	reader *proto.Reader
	unhook func() bool
	sent   chan error // what stopped the sender, if it was the caller's own content

	mu   sync.Mutex // held while the caller's content is read
	over bool       // the call has ended: no content may be read any more
}

// send writes a call's payload. What it reads of the caller's it reads through the conversation.
type send func(v *conversation, w *proto.Writer) error

func (c *Client) open(ctx context.Context, session *smux.Session, call proto.Call, payload send) (*conversation, error) {
	if err := speakable(call); err != nil {
		return nil, err
	}
	stream, err := c.openStream(ctx, session)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	v := &conversation{c: c, ctx: ctx, stream: stream, reader: proto.NewReader(stream), sent: make(chan error, 1)}
	v.unhook = context.AfterFunc(ctx, func() { _ = stream.Close() })
	w := proto.NewWriter(stream)
	go func() {
		w.Hold()
		err := w.WriteJSON(proto.FrameCall, call)
		if err == nil && payload != nil {
			err = payload(v, w)
		}
		if err == nil {
			err = w.Release()
		}
		if errors.Is(err, errContent) || errors.Is(err, proto.ErrFrame) {
			v.sent <- err // before the reader learns of the end
			_ = stream.Close()
		}
	}()
	return v, nil
}

// speakable refuses paths that JSON would carry as others.
func speakable(call proto.Call) error {
	paths := slices.Clone(call.Paths)
	for _, f := range call.Files {
		paths = append(paths, f.Path)
	}
	for _, p := range paths {
		if !utf8.ValidString(p) {
			return &proto.Error{Code: proto.BadPath, Message: fmt.Sprintf("the path %q is not valid UTF-8", p)}
		}
	}
	return nil
}

// openStream opens a stream, for no longer than ctx: a guest that does not read its connection can hold this up.
func (c *Client) openStream(ctx context.Context, session *smux.Session) (*smux.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type opened struct {
		stream *smux.Stream
		err    error
	}
	result := make(chan opened, 1)
	go func() {
		stream, err := session.OpenStream()
		result <- opened{stream, err}
	}()
	select {
	case o := <-result:
		return o.stream, o.err
	case <-ctx.Done():
		go func() {
			if o := <-result; o.err == nil {
				_ = o.stream.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// close ends the call, whatever state it is in, and returns what was wrong with the caller's content. It does not wait for the guest: what is
// blocked in the connection ends with the connection. The caller's content is not read any more after it.
func (v *conversation) close() error {
	v.unhook()
	go func() { _ = v.stream.Close() }()
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	select {
	case err := <-v.sent:
		return err
	default:
		return nil
	}
}

// source is a caller's content, whose errors are told from the connection's.
type source struct {
	v *conversation
	r io.Reader
}

func (s source) Read(p []byte) (int, error) {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if s.v.over {
		return 0, io.ErrClosedPipe
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errContent, err)
	}
	return n, err
}

// next returns the next frame that is not the last; the last one comes as done with its result.
func (v *conversation) next() (t proto.FrameType, p []byte, result *proto.Result, err error) {
	t, p, err = v.reader.Next()
	if err != nil {
		return 0, nil, nil, v.c.broken(v.ctx, err)
	}
	switch t {
	case proto.FrameResult:
		result = &proto.Result{}
		if err := json.Unmarshal(p, result); err != nil {
			return 0, nil, nil, fmt.Errorf("%w: result: %w", ErrProtocol, err)
		}
	case proto.FrameError:
		e := &proto.Error{}
		if err := json.Unmarshal(p, e); err != nil {
			return 0, nil, nil, fmt.Errorf("%w: error: %w", ErrProtocol, err)
		}
		return 0, nil, nil, e
	}
	return t, p, result, nil
}

func unexpected(t proto.FrameType) error {
	return fmt.Errorf("%w: unexpected frame %q", ErrProtocol, byte(t))
}

// call makes a call whose frames other than the last go to on; nil expects none.
func (c *Client) call(ctx context.Context, call proto.Call, payload send, on func(proto.FrameType, []byte) error) (*proto.Result, error) {
	session, _, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	return c.callOn(ctx, session, call, payload, on)
}

func (c *Client) callOn(ctx context.Context, session *smux.Session, call proto.Call, payload send, on func(proto.FrameType, []byte) error) (*proto.Result, error) {
	v, err := c.open(ctx, session, call, payload)
	if err != nil {
		return nil, err
	}
	result, err := v.frames(on)
	if local := v.close(); err != nil && local != nil && ctx.Err() == nil {
		err = local
	}
	return result, err
}

func (v *conversation) frames(on func(proto.FrameType, []byte) error) (*proto.Result, error) {
	for {
		t, p, result, err := v.next()
		if err != nil || result != nil {
			return result, err
		}
		if on == nil {
			return nil, unexpected(t)
		}
		if err := on(t, p); err != nil {
			return nil, err
		}
	}
}

// Run is code or a command to run. Output is called with pieces of what it prints, in order per stream, never concurrently; the slice is reused.
type Run struct {
	Language     string // code only
	Text         string
	Argv         []string // command only: a program and its arguments, run without a shell instead of Text
	ClearContext bool     // code only
	OutputLimit  int64    // bytes per stream; 0 means 8 MiB
	Output       func(stderr bool, p []byte)
}

const defaultOutputLimit = 8 << 20

// RunCode runs code in the session's persistent interpreter. Code of one interpreter is queued in order. Cancelling ctx interrupts the code.
func (c *Client) RunCode(ctx context.Context, r Run) (proto.Run, error) {
	return c.run(ctx, proto.Call{Op: proto.OpCode, Language: r.Language, ClearContext: r.ClearContext}, r)
}

// RunCommand runs a command line in a fresh shell, or a program without one. Cancelling ctx kills its process tree.
func (c *Client) RunCommand(ctx context.Context, r Run) (proto.Run, error) {
	return c.run(ctx, proto.Call{Op: proto.OpCommand, Argv: r.Argv}, r)
}

func (c *Client) run(ctx context.Context, call proto.Call, r Run) (proto.Run, error) {
	if r.OutputLimit == 0 {
		r.OutputLimit = defaultOutputLimit
	}
	call.OutputLimit = r.OutputLimit
	left := map[proto.FrameType]int64{proto.FrameStdout: r.OutputLimit, proto.FrameStderr: r.OutputLimit}
	result, err := c.call(ctx, call, text(r.Text), func(t proto.FrameType, p []byte) error {
		room, ok := left[t]
		if !ok {
			return unexpected(t)
		}
		if left[t] = room - int64(len(p)); left[t] < 0 {
			return fmt.Errorf("%w: more output than the limit of %d bytes", ErrProtocol, r.OutputLimit)
		}
		if r.Output != nil {
			r.Output(t == proto.FrameStderr, p)
		}
		return nil
	})
	if err != nil {
		return proto.Run{}, err
	}
	if result.Run == nil {
		return proto.Run{}, fmt.Errorf("%w: a run without its end", ErrProtocol)
	}
	return *result.Run, nil
}

// text sends a string without copying it as a whole.
func text(s string) send {
	return func(_ *conversation, w *proto.Writer) error {
		for len(s) > 0 {
			n := min(len(s), proto.MaxData/4)
			if err := w.Write(proto.FrameData, []byte(s[:n])); err != nil {
				return err
			}
			s = s[n:]
		}
		return w.Write(proto.FrameEnd, nil)
	}
}

// Prepare starts the interpreter of a language ahead of its first use.
func (c *Client) Prepare(ctx context.Context, language string) error {
	_, err := c.call(ctx, proto.Call{Op: proto.OpPrepare, Language: language}, nil, nil)
	return err
}

// Ping makes one round trip.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.call(ctx, proto.Call{Op: proto.OpPing}, nil, nil)
	return err
}

// Listen makes the guest listen inside; what connects there is relayed to Options.Relay under the listener's name.
func (c *Client) Listen(ctx context.Context, l proto.Listener) error {
	_, err := c.call(ctx, proto.Call{Op: proto.OpListen, Listener: &l}, nil, nil)
	return err
}

// File is a file to write: exactly Size bytes are read from Content.
type File struct {
	Path    string
	Size    int64
	Content io.Reader
}

var errContent = errors.New("the content of a file to write could not be read")

// WriteFiles writes all the files or none of them.
func (c *Client) WriteFiles(ctx context.Context, files []File) error {
	call := proto.Call{Op: proto.OpWrite}
	for _, f := range files {
		call.Files = append(call.Files, proto.File{Path: f.Path, Size: f.Size})
	}
	_, err := c.call(ctx, call, func(v *conversation, w *proto.Writer) error {
		for _, f := range files {
			n, err := w.Copy(proto.FrameData, source{v, io.LimitReader(f.Content, f.Size)})
			if err == nil && n != f.Size {
				err = fmt.Errorf("%w: %s has %d bytes instead of %d", errContent, f.Path, n, f.Size)
			}
			if err == nil {
				err = w.Write(proto.FrameEnd, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil)
	return err
}

// ReadFiles calls each for every path in order, with a reader of the content that is valid during the call.
func (c *Client) ReadFiles(ctx context.Context, paths []string, each func(e proto.Entry, content io.Reader) error) error {
	session, _, err := c.connected(ctx)
	if err != nil {
		return err
	}
	v, err := c.open(ctx, session, proto.Call{Op: proto.OpRead, Paths: paths}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = v.close() }()
	for range paths {
		t, p, _, err := v.next()
		if err != nil {
			return err
		}
		var e proto.Entry
		if t != proto.FrameEntry {
			return unexpected(t)
		}
		if err := json.Unmarshal(p, &e); err != nil {
			return fmt.Errorf("%w: entry: %w", ErrProtocol, err)
		}
		content := &content{v: v, payload: proto.NewPayload(v.reader)}
		if err := each(e, content); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, content); err != nil { // what each left unread
			return err
		}
	}
	t, _, result, err := v.next()
	if err == nil && result == nil {
		err = unexpected(t)
	}
	return err
}

// content is one file's payload, with the conversation's errors.
type content struct {
	v       *conversation
	payload *proto.Payload
}

func (r *content) Read(b []byte) (int, error) {
	n, err := r.payload.Read(b)
	if _, told := errors.AsType[*proto.Error](err); err == nil || errors.Is(err, io.EOF) || told {
		return n, err
	}
	return n, r.v.c.broken(r.v.ctx, err)
}

// ListFiles lists one folder, one level deep, sorted by name.
func (c *Client) ListFiles(ctx context.Context, dir string) ([]proto.Entry, error) {
	var entries []proto.Entry
	size := 0
	_, err := c.call(ctx, proto.Call{Op: proto.OpList, Paths: []string{dir}}, nil, func(t proto.FrameType, p []byte) error {
		if t != proto.FrameEntry {
			return unexpected(t)
		}
		var e proto.Entry
		if err := json.Unmarshal(p, &e); err != nil {
			return fmt.Errorf("%w: entry: %w", ErrProtocol, err)
		}
		if size += len(e.Path); len(entries) == proto.MaxEntries || size > proto.MaxListing {
			return fmt.Errorf("%w: a listing above the limit of %d entries and %d bytes", ErrProtocol, proto.MaxEntries, proto.MaxListing)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// RemoveFiles removes files and folders (with what is in them) and returns how many of the paths it removed. A missing path fails the call before anything is removed.
func (c *Client) RemoveFiles(ctx context.Context, paths []string) (int, error) {
	r, err := c.call(ctx, proto.Call{Op: proto.OpRemove, Paths: paths}, nil, nil)
	if err != nil {
		return 0, err
	}
	return r.Count, nil
}
