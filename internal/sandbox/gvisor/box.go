package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/runsc"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/cgroup"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/console"
)

// endTimeout bounds the removal of a dead sandbox. The kernel needs milliseconds, but seconds to let go of a disk of 10 GB that was just filled.
const endTimeout = 2 * time.Minute

// box is one sandbox.
type box struct {
	d       *Driver
	id      string
	run     string // RunDir/s/<id>
	data    string // DataDir/s/<id>
	cgroup  *cgroup.Group
	guest   *client.Client
	served  chan struct{} // closed when the guest's connections are no longer accepted; nil before they are
	console *console.Tail
	sentry  *process // gVisor's kernel
	gofer   *process // gVisor's file proxy

	saving sync.Mutex    // held while a checkpoint is written, so that its outcome is known before the sandbox's end is explained
	done   chan struct{} // closed when the sandbox has ended and is removed

	mu        sync.Mutex
	asked     sandbox.Exit // why it was ended from this side; the zero value while it was not
	exit      sandbox.Exit
	err       error  // what could not be removed
	overlayFD string // the overlay's file among the sentry's descriptors, once found
}

var _ sandbox.Sandbox = (*box)(nil)

// box returns the sandbox called id, of which nothing need exist.
func (d *Driver) box(id string) *box {
	return &box{d: d, id: id, run: filepath.Join(d.runRoot(), id), data: filepath.Join(d.dataRoot(), id), done: make(chan struct{})}
}

func (b *box) runscDir() string { return filepath.Join(b.run, "runsc") }
func (b *box) bundle() string   { return filepath.Join(b.run, "bundle") }
func (b *box) panicLog() string { return filepath.Join(b.run, "panic.log") }
func (b *box) root() string     { return filepath.Join(b.run, "root") }
func (b *box) ctl() string      { return filepath.Join(b.data, "ctl") }
func (b *box) overlay() string  { return filepath.Join(b.data, "overlay") }

// ID implements sandbox.Sandbox.
func (b *box) ID() string { return b.id }

// Guest implements sandbox.Sandbox.
func (b *box) Guest() *client.Client { return b.guest }

// Done implements sandbox.Sandbox.
func (b *box) Done() <-chan struct{} { return b.done }

// Exit implements sandbox.Sandbox.
func (b *box) Exit() sandbox.Exit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.exit
}

// Destroy implements sandbox.Sandbox.
func (b *box) Destroy(ctx context.Context) error {
	b.end(sandbox.Exit{Cause: sandbox.Destroyed, Detail: "destroyed"})
	select {
	case <-b.done:
	case <-ctx.Done():
		return fmt.Errorf("destroying sandbox %s: %w", b.id, ctx.Err())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// end kills the sandbox and records why, unless it is being ended already. watch does the rest.
func (b *box) end(why sandbox.Exit) {
	b.mu.Lock()
	if b.asked.Cause == "" {
		b.asked = why
	}
	b.mu.Unlock()
	// An error here is a process that has ended, or one that finish will report when it does not end.
	_ = b.sentry.signal(unix.SIGKILL)
}

// watch waits for the sandbox's end and removes what is left of it.
func (b *box) watch() {
	select {
	case <-b.sentry.done:
	case <-b.gofer.done: // without its file proxy the sandbox can only hang
	}
	b.finish()
	if e := b.Exit(); e.Cause == sandbox.Crashed || e.Cause == sandbox.OutOfMemory {
		b.d.log.Warn("A sandbox died.", "sandbox", b.id, "cause", e.Cause, "detail", e.Detail)
	}
}

// finish makes sure that the sandbox is dead, finds out why, and removes all that it left. It also ends a boot that failed half-way: every step
// allows for what has not been made.
func (b *box) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var errs []error
	// The kernel before the proxy: runsc arranges for the proxy to be the last holder of resources that are slow to release.
	for _, p := range []*process{b.sentry, b.gofer} {
		if p != nil {
			errs = append(errs, p.kill(ctx))
			p.close()
		}
	}
	errs = append(errs, b.sweep(ctx))
	if b.console != nil {
		b.console.Drain(ctx)
	}
	b.saving.Lock()
	exit := b.explain()
	b.saving.Unlock()
	if b.guest != nil {
		errs = append(errs, b.guest.Close())
		<-b.served
	}
	if b.cgroup != nil {
		errs = append(errs, b.cgroup.Remove(ctx))
	}
	errs = append(errs, b.unmountRoot(), os.RemoveAll(b.run), os.RemoveAll(b.data))
	err := errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("removing sandbox %s: %w", b.id, err)
		b.d.log.Error("A dead sandbox could not be removed entirely; the next start of the server tries again.", "sandbox", b.id, "error", err)
	}
	b.d.remove(b)
	b.mu.Lock()
	b.exit, b.err = exit, err
	b.mu.Unlock()
	close(b.done)
}

// sweep kills what is left of the sandbox besides the two known processes: helpers, or all of it if the boot was cut short before they were known.
func (b *box) sweep(ctx context.Context) error {
	if b.cgroup != nil {
		return killAll(ctx, b.cgroup.Procs, b.cgroup.Has)
	}
	root := b.runscDir()
	return killAll(ctx, func() ([]int, error) { return scan(func(r string) bool { return r == root }) }, ofRoot(root))
}

// explain tells why the sandbox, which is dead now, has died.
func (b *box) explain() sandbox.Exit {
	b.mu.Lock()
	asked := b.asked
	b.mu.Unlock()
	if asked.Cause == sandbox.Checkpointed {
		return asked
	}
	// Before other reasons: whoever notices a broken connection may well have called Destroy before the death was seen here. No sandbox survives a
	// kill in its group, whichever of its processes the kernel picks.
	if b.cgroup != nil {
		if u, err := b.cgroup.Usage(); err == nil && u.OOMKills > 0 {
			return sandbox.Exit{Cause: sandbox.OutOfMemory, Detail: "the sandbox used more memory than its limit and was killed"}
		}
	}
	if asked.Cause != "" {
		return asked
	}
	detail := "the sandbox ended without a word: its guest ended, or it was killed from outside"
	if words := head(b.panicLog()); words != "" {
		detail = "gVisor's kernel crashed: " + words
	} else if b.console != nil && b.console.Text() != "" {
		detail = "the sandbox ended; its last words: " + b.console.Text()
	}
	return sandbox.Exit{Cause: sandbox.Crashed, Detail: detail}
}

// Checkpoint implements sandbox.Sandbox.
func (b *box) Checkpoint(ctx context.Context, dir string) error {
	if entries, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("checkpoint folder: %w", err)
	} else if len(entries) > 0 {
		return fmt.Errorf("checkpoint folder %s is not empty", dir)
	}
	select {
	case <-b.done:
		return sandbox.ErrGone
	default:
	}
	err := b.save(ctx, dir)
	// A sandbox that was saved ends. One that was not may be half-way to it, and is worth nothing.
	b.end(sandbox.Exit{Cause: sandbox.Crashed, Detail: "its checkpoint failed"})
	<-b.done // bounded by endTimeout
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("checkpointing sandbox %s: %w", b.id, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("checkpointing sandbox %s: %w", b.id, err)
	case b.Exit().Cause != sandbox.Checkpointed: // it was destroyed at the same time
		return sandbox.ErrGone
	}
	return nil
}

// save writes the checkpoint and records the sandbox's end by it.
func (b *box) save(ctx context.Context, dir string) error {
	b.saving.Lock()
	defer b.saving.Unlock()
	out, err := console.New()
	if err != nil {
		return err
	}
	// Uncompressed: pages of a clone are then read straight from the page cache, which is what makes a restore fast.
	cmd := runsc.Command(ctx, b.d.runsc, b.d.flags(b, "checkpoint", "--image-path="+dir, "--compression=none", containerID)...)
	cmd.Stdout, cmd.Stderr = out.Writer(), out.Writer()
	err = cmd.Run()
	out.Drain(ctx)
	if err != nil {
		return fmt.Errorf("runsc: %w: %s", err, out.Text())
	}
	b.end(sandbox.Exit{Cause: sandbox.Checkpointed, Detail: "checkpointed"}) // it is on its way out by itself: no need to wait for that
	return nil
}

// head is the beginning of a log as one line, "" if there is none: a crash begins with its reason, what follows are stacks.
func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	p := make([]byte, min(st.Size(), console.MaxLine))
	n, _ := f.ReadAt(p, 0)
	return console.OneLine(string(p[:n]))
}
