package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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
	sent   chan error
}

// send writes a call's payload.
type send func(w *proto.Writer) error

func (c *Client) open(ctx context.Context, session *smux.Session, call proto.Call, payload send) (*conversation, error) {
	stream, err := session.OpenStream()
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	v := &conversation{c: c, ctx: ctx, stream: stream, reader: proto.NewReader(stream), sent: make(chan error, 1)}
	v.unhook = context.AfterFunc(ctx, func() { _ = stream.Close() })
	w := proto.NewWriter(stream)
	go func() {
		err := w.WriteJSON(proto.FrameCall, call)
		if err == nil && payload != nil {
			err = payload(w)
		}
		v.sent <- err
	}()
	return v, nil
}

// close ends the call, whatever state it is in, and waits for its sender.
func (v *conversation) close() error {
	v.unhook()
	_ = v.stream.Close()
	return <-v.sent
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
	if sendErr := v.close(); err != nil && sendErr != nil && errors.Is(err, ErrDisconnected) {
		err = errors.Join(err, localOnly(sendErr))
	}
	return result, err
}

// localOnly keeps a failure of the caller's own reader, which is not the connection's.
func localOnly(err error) error {
	if errors.Is(err, errContent) {
		return err
	}
	return nil
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
	ClearContext bool  // code only
	OutputLimit  int64 // bytes per stream; 0 means 8 MiB
	Output       func(stderr bool, p []byte)
}

const defaultOutputLimit = 8 << 20

// RunCode runs code in the session's persistent interpreter. Code of one interpreter is queued in order. Cancelling ctx interrupts the code.
func (c *Client) RunCode(ctx context.Context, r Run) (proto.Run, error) {
	return c.run(ctx, proto.Call{Op: proto.OpCode, Language: r.Language, ClearContext: r.ClearContext}, r)
}

// RunCommand runs a command line in a fresh shell. Cancelling ctx kills its process tree.
func (c *Client) RunCommand(ctx context.Context, r Run) (proto.Run, error) {
	return c.run(ctx, proto.Call{Op: proto.OpCommand}, r)
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
	return func(w *proto.Writer) error {
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
	_, err := c.call(ctx, call, func(w *proto.Writer) error {
		for _, f := range files {
			n, err := w.Copy(proto.FrameData, io.LimitReader(f.Content, f.Size))
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

// maxEntries bounds one listing.
const maxEntries = 100_000

// ListFiles lists one folder, one level deep, sorted by name.
func (c *Client) ListFiles(ctx context.Context, dir string) ([]proto.Entry, error) {
	var entries []proto.Entry
	_, err := c.call(ctx, proto.Call{Op: proto.OpList, Paths: []string{dir}}, nil, func(t proto.FrameType, p []byte) error {
		if t != proto.FrameEntry {
			return unexpected(t)
		}
		if len(entries) == maxEntries {
			return fmt.Errorf("%w: more than %d entries in one folder", ErrProtocol, maxEntries)
		}
		var e proto.Entry
		if err := json.Unmarshal(p, &e); err != nil {
			return fmt.Errorf("%w: entry: %w", ErrProtocol, err)
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// RemoveFiles removes files and folders (with what is in them) and returns how many of the paths it removed. A missing path fails the call before anything is removed.
func (c *Client) RemoveFiles(ctx context.Context, paths []string) (int, error) {
	r, err := c.call(ctx, proto.Call{Op: proto.OpRemove, Paths: paths}, nil, nil)
	if err != nil {
		return 0, err
	}
	return r.Count, nil
}
