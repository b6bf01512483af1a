// Package gvisor makes sandboxes with gVisor, embedded in this very binary (see internal/runsc), on any Linux host with root: no KVM, no
// container engine, no second daemon.
//
// One sandbox is two processes (gVisor's kernel and its file proxy), one control group, and one folder:
//
//	RunDir/s/<id>/runsc/    gVisor's state of this sandbox
//	RunDir/s/<id>/bundle/   its OCI configuration
//	RunDir/s/<id>/root/     its root file system, mounted while it starts
//	DataDir/s/<id>/ctl/     the guest and the socket it dials, mounted read-only at /.sunaba
//	DataDir/s/<id>/overlay/ what it writes (an unlinked file: gone with the process)
//	DataDir/guest-*, runsc-* the executables
//	DataDir/trust/          for each image and certificate authority, the lists of the image with the authority in them
//
// The guest is on the disk and not in RunDir because gVisor maps executables from the host's files, and Debian mounts /run noexec.
//
// Whatever happens to a sandbox, one goroutine notices through a pidfd, and one function removes all of the above. What a killed server leaves
// behind is found again by its paths (Driver.Reap).
package gvisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/runsc"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/cgroup"
)

// File names of the stored executables begin with these; the rest is a hash.
const (
	guestPrefix = "guest-"
	runscPrefix = "runsc-"
)

// maxRunDir keeps the longest socket path below the kernel's 108 bytes: RunDir/s/<40 of an id>/runsc/runsc-s.sock.
const maxRunDir = 44

// Options configure a Driver.
type Options struct {
	// RunDir holds sockets and gVisor's state: an absolute path of at most 44 bytes, best on a tmpfs. One driver at a time may use it.
	RunDir string
	// DataDir holds what sandboxes write: an absolute path without comma or colon, on a disk with room for the sandboxes' disk limits that is not
	// mounted noexec.
	DataDir string
	// Guest is the guest's binary, a static executable: PID 1 of every sandbox.
	Guest []byte
	// BootTimeout bounds the time from start to the guest's first answer; 0 means 60 seconds.
	BootTimeout time.Duration
	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// Driver is gVisor's sandbox.Driver.
type Driver struct {
	opts    Options
	log     *slog.Logger
	lock    *os.File // RunDir itself, flocked
	guest   string   // path of the guest's binary, on DataDir's file system
	runsc   string   // path of gVisor's
	cgroups *cgroup.Parent

	mu     sync.Mutex
	closed bool
	boxes  map[string]*box

	trusted map[trustKey]trustLayer // layers that have been made
}

var _ sandbox.Driver = (*Driver)(nil)

// New returns a driver that owns RunDir until Close. It fails if another process's driver owns it, or if the host lacks what sandboxes need. What
// an earlier process left there stays until Reap.
func New(o Options) (*Driver, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	if o.BootTimeout == 0 {
		o.BootTimeout = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{opts: o, log: o.Log, boxes: map[string]*box{}, trusted: map[trustKey]trustLayer{}}
	for _, dir := range []string{d.runRoot(), d.dataRoot()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("sandbox folders: %w", err)
		}
	}
	if err := checkExec(o.DataDir); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.RunDir)
	if err != nil {
		return nil, err
	}
	d.lock = lock
	if err := makeSkeleton(d.skeleton()); err != nil {
		_ = lock.Close()
		return nil, err
	}
	if err := d.storeBinaries(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	sum := sha256.Sum256([]byte(o.RunDir))
	d.cgroups, err = cgroup.NewParent("/sunaba-" + hex.EncodeToString(sum[:4]))
	if err != nil {
		d.log.Warn("Sandboxes run without memory, CPU and process limits: the host's control groups cannot be used.", "error", err)
	}
	return d, nil
}

func check(o Options) error {
	if os.Geteuid() != 0 {
		return errors.New("gVisor sandboxes need root: start the server with sudo")
	}
	for name, dir := range map[string]string{"RunDir": o.RunDir, "DataDir": o.DataDir} {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
			return fmt.Errorf("%s %q is not a clean absolute path", name, dir)
		}
	}
	if len(o.RunDir) > maxRunDir {
		return fmt.Errorf("RunDir %q is longer than %d bytes: socket paths below it would not fit", o.RunDir, maxRunDir)
	}
	if strings.ContainsAny(o.DataDir, ",:") {
		return fmt.Errorf("DataDir %q holds a comma or a colon, which gVisor's overlay option cannot express", o.DataDir)
	}
	if len(o.Guest) == 0 {
		return errors.New("no guest binary")
	}
	return nil
}

// lockDir takes the exclusive lock of a folder.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("%s is in use by another running server", dir)
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	// A driver that closed in between may have removed the folder; the lock would then guard nothing.
	var held, now unix.Stat_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &held), unix.Stat(dir, &now)); err != nil || held.Ino != now.Ino || held.Dev != now.Dev {
		_ = f.Close()
		return nil, fmt.Errorf("%s was removed by another server that just ended; start again", dir)
	}
	return f, nil
}

// checkExec refuses a file system from which gVisor could not map the guest.
func checkExec(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if st.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("DataDir %s is on a file system mounted noexec: choose another, or run `mount -o remount,exec` on its mount point", dir)
	}
	return nil
}

func (d *Driver) runRoot() string  { return filepath.Join(d.opts.RunDir, "s") }
func (d *Driver) dataRoot() string { return filepath.Join(d.opts.DataDir, "s") }
func (d *Driver) skeleton() string { return filepath.Join(d.opts.RunDir, "skeleton") }

// Create implements sandbox.Driver.
func (d *Driver) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	return d.boot(ctx, c, "")
}

// Restore implements sandbox.Driver.
func (d *Driver) Restore(ctx context.Context, c sandbox.Config, checkpoint string) (sandbox.Sandbox, error) {
	if _, err := os.Stat(filepath.Join(checkpoint, "checkpoint.img")); err != nil {
		return nil, fmt.Errorf("%s is not a checkpoint: %w", checkpoint, err)
	}
	return d.boot(ctx, c, checkpoint)
}

// Close implements sandbox.Driver.
func (d *Driver) Close(ctx context.Context) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	boxes := make([]*box, 0, len(d.boxes))
	for _, b := range d.boxes {
		boxes = append(boxes, b)
	}
	d.mu.Unlock()

	var errs []error
	for _, b := range boxes {
		b.end(sandbox.Exit{Cause: sandbox.Destroyed, Detail: "the server ended"})
	}
	for _, b := range boxes {
		errs = append(errs, b.Destroy(ctx))
	}
	errs = append(errs, unmountAll(filepath.Join(d.opts.RunDir, nullNetNS)), os.RemoveAll(d.trustRoot()))
	if d.cgroups != nil {
		errs = append(errs, d.cgroups.Remove())
	}
	// The folders go only if nothing is left in them: a sandbox that could not be removed stays findable for Reap.
	for _, path := range []string{d.guest, d.runsc, filepath.Join(d.skeleton(), ctlMount), d.skeleton(), filepath.Join(d.opts.RunDir, nullNetNS), d.runRoot(), d.dataRoot(), d.opts.RunDir} {
		_ = os.Remove(path)
	}
	errs = append(errs, d.lock.Close())
	return errors.Join(errs...)
}

// add registers a sandbox under its id.
func (d *Driver) add(b *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("the sandbox driver is closed")
	}
	if d.boxes[b.id] != nil {
		return fmt.Errorf("sandbox %s exists already", b.id)
	}
	d.boxes[b.id] = b
	return nil
}

func (d *Driver) remove(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, b.id)
}

func (d *Driver) owns(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boxes[id] != nil
}

// storeBinaries puts the guest and gVisor where sandboxes start them from.
func (d *Driver) storeBinaries() (err error) {
	if d.guest, err = storeBinary(d.opts.DataDir, guestPrefix, d.opts.Guest); err != nil {
		return fmt.Errorf("storing the guest's binary: %w", err)
	}
	runtime, err := runsc.Binary()
	if err != nil {
		return err
	}
	if d.runsc, err = storeBinary(d.opts.DataDir, runscPrefix, runtime); err != nil {
		return fmt.Errorf("storing gVisor's binary: %w", err)
	}
	return nil
}

// storeBinary writes an executable below dir under a name that holds its hash, unless it is there, and returns its path. All sandboxes use the one copy and share its pages.
func storeBinary(dir, prefix string, binary []byte) (string, error) {
	sum := sha256.Sum256(binary)
	path := filepath.Join(dir, prefix+hex.EncodeToString(sum[:8]))
	if have, err := os.ReadFile(path); err == nil && sha256.Sum256(have) == sum {
		return path, nil
	}
	f, err := os.CreateTemp(dir, prefix+"*.tmp")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(binary)
	if err := errors.Join(err, f.Chmod(0o500), f.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}
