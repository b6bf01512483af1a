// Package client is the host's side of the guest protocol: it accepts the guest's connections and offers its operations as Go calls.
package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Errors of a Client besides *proto.Error, which is the guest's own answer.
var (
	ErrDisconnected = errors.New("the guest's connection broke during the call")
	ErrClosed       = errors.New("the guest is gone")
	ErrProtocol     = errors.New("the guest broke the protocol") // wrapped with what it did; the caller should give up the sandbox
)

// Options configure a Client.
type Options struct {
	Configure proto.Configure
	Relay     func(ctx context.Context, listener string, conn net.Conn) // owns conn; nil refuses all
	MaxRelays int                                                       // at once; 0 means 1024
	Log       *slog.Logger
}

// Client talks to one guest. Its methods may be called from several goroutines.
type Client struct { /* ... */
}

// New returns a client that has no connection yet.
func New(o Options) *Client { panic("skeleton") }

// Serve accepts the guest's connections from l until Close; a newer control connection replaces the older.
func (c *Client) Serve(l net.Listener) error { panic("skeleton") }

// Close ends all connections and fails all calls with ErrClosed. It returns when every goroutine of the client has ended.
func (c *Client) Close() error { panic("skeleton") }

// Ready waits until a guest is connected and configured.
func (c *Client) Ready(ctx context.Context) (proto.Hello, error) { panic("skeleton") }

// Run is code or a command to run. Output is called with pieces of what it prints, in order per stream, never concurrently; the slice is reused.
type Run struct {
	Language     string // code only
	Text         string
	ClearContext bool  // code only
	OutputLimit  int64 // bytes per stream; 0 means 8 MiB
	Output       func(stderr bool, p []byte)
}

// RunCode runs code in the session's persistent interpreter. Code of one interpreter is queued in order. Cancelling ctx interrupts the code.
func (c *Client) RunCode(ctx context.Context, r Run) (proto.Run, error) { panic("skeleton") }

// RunCommand runs a command line in a fresh shell. Cancelling ctx kills its process tree.
func (c *Client) RunCommand(ctx context.Context, r Run) (proto.Run, error) { panic("skeleton") }

// Prepare starts the interpreter of a language ahead of its first use.
func (c *Client) Prepare(ctx context.Context, language string) error { panic("skeleton") }

// File is a file to write: exactly Size bytes are read from Content.
type File struct {
	Path    string
	Size    int64
	Content io.Reader
}

// WriteFiles writes all the files or none of them.
func (c *Client) WriteFiles(ctx context.Context, files []File) error { panic("skeleton") }

// ReadFiles calls each for every path in order, with a reader of the content that is valid during the call.
func (c *Client) ReadFiles(ctx context.Context, paths []string, each func(e proto.Entry, content io.Reader) error) error {
	panic("skeleton")
}

// ListFiles lists one folder, one level deep, sorted by name.
func (c *Client) ListFiles(ctx context.Context, dir string) ([]proto.Entry, error) { panic("skeleton") }

// RemoveFiles removes files and folders (with what is in them) and returns how many of the paths it removed. A missing path fails the call before anything is removed.
func (c *Client) RemoveFiles(ctx context.Context, paths []string) (int, error) { panic("skeleton") }

// Listen makes the guest listen inside; what connects there is relayed to Options.Relay under the listener's name.
func (c *Client) Listen(ctx context.Context, l proto.Listener) error { panic("skeleton") }

// Ping makes one round trip.
func (c *Client) Ping(ctx context.Context) error { panic("skeleton") }
