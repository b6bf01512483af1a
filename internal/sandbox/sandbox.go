// Package sandbox says what an isolated sandbox is, whatever makes it: a driver boots one from an image, and the guest inside it (see
// internal/guest) runs code, commands and file operations. Drivers share the contract tests of the sandboxtest package.
//
// Everything inside a sandbox is hostile, its guest included: a driver enforces limits and network policy from the host's side.
package sandbox

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Errors that a driver's callers tell apart.
var (
	// ErrGone says that the sandbox has ended; Sandbox.Exit tells why.
	ErrGone = errors.New("the sandbox is gone")
	// ErrUnsupported says that this driver or host cannot do what was asked (a checkpoint without privileges, for one).
	ErrUnsupported = errors.New("not supported by this sandbox driver")
)

// Image is the root file system that a sandbox starts from. The folder is shared read-only between sandboxes: what a sandbox writes goes to an overlay of its own.
type Image struct {
	Root string            // absolute path of the unpacked root file system
	Env  map[string]string // the image's own environment (PATH and the like)
}

// Limits bound one sandbox. A zero value means no limit of that kind.
type Limits struct {
	CPUs   float64 // cores' worth of CPU time
	Memory int64   // bytes, of everything the sandbox uses: its kernel, its processes, its page cache
	Disk   int64   // bytes that may be written to the root overlay
	PIDs   int64   // processes and threads of the user inside
}

// Config describes a sandbox to start.
type Config struct {
	// ID names the sandbox on this host: 1 to 40 characters of [0-9a-z], all of one driver's ids of the same length (runsc matches ids by prefix).
	ID     string
	Image  Image
	Limits Limits
	// Guest is what the guest is told about its surroundings: user, working folder, environment. Limits.PIDs is filled in by the driver.
	Guest proto.Configure
	// Relay serves the connections that the guest relays from inside: listener is the name the host gave when it asked for the listener
	// (client.Client.Listen). Relay owns conn and must close it. nil refuses all.
	Relay func(ctx context.Context, listener string, conn net.Conn)
}

// Driver makes sandboxes.
type Driver interface {
	// Create boots a sandbox and returns when its guest answers. A failure leaves nothing behind.
	Create(ctx context.Context, c Config) (Sandbox, error)
	// Restore boots a sandbox from a checkpoint made by a sandbox of the same image, limits and driver version, and returns when its guest has dialled in again.
	Restore(ctx context.Context, c Config, checkpoint string) (Sandbox, error)
	// Reap destroys every sandbox that an earlier process of this installation left behind (processes, mounts, cgroups, files) and returns their ids.
	Reap(ctx context.Context) ([]string, error)
	// Close ends the driver: every sandbox it still has is destroyed.
	Close(ctx context.Context) error
}

// Sandbox is one running sandbox.
type Sandbox interface {
	ID() string
	// Guest is the connection to the guest. Its calls fail with client.ErrClosed after the sandbox has ended.
	Guest() *client.Client
	// Checkpoint writes the sandbox's whole state to the folder, which must exist and be empty, and ends the sandbox.
	Checkpoint(ctx context.Context, dir string) error
	// Destroy kills the sandbox and removes all that it left on the host. It may be called more than once, and after the sandbox has died by itself.
	Destroy(ctx context.Context) error
	// Done is closed when the sandbox has ended, for whatever reason, and Exit is known.
	Done() <-chan struct{}
	// Exit tells why the sandbox ended. It is only meaningful once Done is closed.
	Exit() Exit
	// Stats reads what the sandbox uses now.
	Stats(ctx context.Context) (Stats, error)
}

// Cause is why a sandbox ended.
type Cause string

// The causes.
const (
	Destroyed    Cause = "destroyed"    // Destroy was called
	Checkpointed Cause = "checkpointed" // Checkpoint was called
	OutOfMemory  Cause = "out of memory"
	Crashed      Cause = "crashed" // its kernel or its guest ended by itself, or was killed from outside
)

// Exit says how a sandbox ended.
type Exit struct {
	Cause  Cause
	Detail string // one line for people
}

// Stats is what a sandbox uses.
type Stats struct {
	Memory int64         // bytes charged now
	CPU    time.Duration // CPU time used so far
	Disk   int64         // bytes of the overlay on the host's disk
}
