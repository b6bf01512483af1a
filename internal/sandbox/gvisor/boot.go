package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/runsc"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/cgroup"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/console"
)

var validID = regexp.MustCompile(`^[0-9a-z]{1,40}$`)

// hostPIDs is how many host processes and threads a sandbox may have whose user may have pids inside. gVisor needs about two per process inside,
// and some for itself; at this limit its kernel would die, so the one inside must always be reached first.
func hostPIDs(pids int64) int64 {
	if pids <= 0 {
		return 0
	}
	return 4*pids + 1024
}

// boot starts a sandbox, from a checkpoint if one is given, and waits for its guest.
func (d *Driver) boot(ctx context.Context, c sandbox.Config, checkpoint string) (_ sandbox.Sandbox, err error) {
	if !validID.MatchString(c.ID) {
		return nil, fmt.Errorf("sandbox id %q is not 1 to 40 characters of [0-9a-z]", c.ID)
	}
	if st, err := os.Stat(c.Image.Root); err != nil || !st.IsDir() || !filepath.IsAbs(c.Image.Root) {
		return nil, fmt.Errorf("image root %q is not the absolute path of a folder (`sunaba image build` makes the default image)", c.Image.Root)
	}
	b := d.box(c.ID)
	if err := d.add(b); err != nil {
		return nil, err
	}
	if err := b.claim(); err != nil {
		d.remove(b)
		return nil, fmt.Errorf("starting sandbox %s: %w", b.id, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.BootTimeout, fmt.Errorf("it did not come up within %s", d.opts.BootTimeout))
	defer cancel()
	var hastening sync.WaitGroup
	started := make(chan struct{})
	if d.cgroups != nil {
		hastening.Go(func() { d.cgroups.Hasten(started) })
	}
	err = b.start(ctx, c, checkpoint)
	close(started)
	hastening.Wait()
	if err != nil {
		b.finish()
		return nil, b.bootError(ctx, err)
	}
	go b.watch()
	if _, err := b.guest.Ready(ctx); err != nil {
		if !errors.Is(err, client.ErrClosed) { // that one says that it has ended by itself
			b.end(sandbox.Exit{Cause: sandbox.Destroyed, Detail: "it did not come up"})
		}
		<-b.done
		return nil, b.bootError(ctx, err)
	}
	return b, nil
}

// bootError explains why the sandbox, which is finished, did not come up.
func (b *box) bootError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	b.mu.Lock()
	exit, left := b.exit, b.err
	b.mu.Unlock()
	detail := ""
	if b.console != nil {
		detail = b.console.Text()
	}
	if exit.Cause != sandbox.Destroyed && b.console != nil { // it died by itself, and why is known better
		detail = exit.Detail
	}
	if detail != "" {
		err = fmt.Errorf("%w: %s", err, detail)
	}
	return errors.Join(fmt.Errorf("starting sandbox %s: %w", b.id, err), left)
}

// claim makes the sandbox's folders. They say whose everything else of the same id is: if one exists, it belongs to a sandbox of an earlier server,
// which only Reap may judge, and nothing of it is touched.
func (b *box) claim() error {
	if err := os.Mkdir(b.run, 0o700); err != nil {
		return leftover(err)
	}
	if err := os.Mkdir(b.data, 0o700); err != nil {
		return errors.Join(leftover(err), os.Remove(b.run))
	}
	return nil
}

func leftover(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("an earlier server left a sandbox of this id behind (the next start removes it): %w", err)
	}
	return err
}

// start makes all that the sandbox needs on the host and starts it. After an error the caller must finish it.
func (b *box) start(ctx context.Context, c sandbox.Config, checkpoint string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, dir := range []string{b.overlay(), b.ctl(), b.bundle(), b.runscDir()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.Link(b.d.guest, filepath.Join(b.ctl(), guestName)); err != nil {
		return err
	}
	configure := c.Guest
	configure.PIDs = c.Limits.PIDs
	configure.Env = maps.Clone(c.Image.Env)
	if configure.Env == nil {
		configure.Env = map[string]string{}
	}
	maps.Copy(configure.Env, c.Guest.Env)
	image, err := filepath.EvalSymlinks(c.Image.Root)
	if err != nil {
		return err
	}
	layers := []string{b.d.skeleton()}
	if n := c.Guest.Network; n != nil && n.Trust != nil {
		layer, err := b.d.trust(image, *n.Trust, configure.Env)
		if err != nil {
			return err
		}
		layers = append(layers, layer.dir)
		configure.Env = withDefaults(configure.Env, layer.env)
	}
	listener, err := b.listen(ctx)
	if err != nil {
		return err
	}
	if err := writeBoot(b.ctl(), configure); err != nil {
		return err
	}
	b.guest = client.New(client.Options{Configure: configure, Relay: c.Relay, Log: b.d.log.With("sandbox", b.id)})
	b.served = make(chan struct{})
	go func() {
		defer close(b.served)
		if err := b.guest.Serve(listener); err != nil {
			b.d.log.Error("A sandbox's control socket failed.", "sandbox", b.id, "error", err)
		}
	}()
	cgroupPath := ""
	if b.d.cgroups != nil {
		b.cgroup, err = b.d.cgroups.Create(b.id, cgroup.Limits{Memory: c.Limits.Memory, CPUs: c.Limits.CPUs, PIDs: hostPIDs(c.Limits.PIDs)})
		if err != nil {
			return err
		}
		cgroupPath = b.cgroup.Path()
	}
	if err := b.mountRoot(append(layers, image)...); err != nil {
		return err
	}
	if err := writeSpec(b.bundle(), spec(c, b.root(), b.ctl(), cgroupPath)); err != nil {
		return err
	}
	if b.console, err = console.New(); err != nil {
		return err
	}
	defer b.console.Started()
	return b.exec(ctx, c.Limits.Disk, checkpoint)
}

// writeBoot leaves the guest its configuration where only root reads it, so that it need not wait for the connection.
func writeBoot(ctl string, c proto.Configure) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ctl, bootName), text, 0o600)
}

// listen opens the socket that the guest dials. Only root may dial it, inside the sandbox too: the user's code must not pose as the guest.
func (b *box) listen(ctx context.Context) (net.Listener, error) {
	// A socket's path may have 107 bytes, a folder's 4,095. By way of the open folder the path is short wherever the folder is.
	dir, err := os.Open(b.ctl())
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName))
	if err != nil {
		return nil, fmt.Errorf("control socket in %s: %w", b.ctl(), err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then the path means something else; the folder is removed as a whole
	if err := os.Chmod(filepath.Join(b.ctl(), socketName), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// exec runs runsc, which starts the sandbox's two processes and ends, and takes hold of them.
func (b *box) exec(ctx context.Context, disk int64, checkpoint string) error {
	args := []string{"run", "--detach", "--bundle=" + b.bundle(), containerID}
	if checkpoint != "" {
		args = []string{"restore", "--detach", "--bundle=" + b.bundle(), "--image-path=" + checkpoint, containerID}
	}
	overlay := "--overlay2=root:dir=" + b.overlay()
	if disk > 0 {
		overlay += ",size=" + strconv.FormatInt(disk, 10)
	}
	args = b.d.flags(b, append([]string{overlay}, args...)...)
	cmd := runsc.Command(ctx, b.d.runsc, args...)
	cmd.Stdout, cmd.Stderr = b.console.Writer(), b.console.Writer()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("runsc: %w", err)
	}
	if err := b.unmountRoot(); err != nil {
		return err
	}
	return b.attach()
}

// flags returns runsc's command line: the flags of all its commands for the sandbox b, then args.
func (d *Driver) flags(b *box, args ...string) []string {
	flags := []string{
		"--root=" + b.runscDir(),
		"--shared-root=" + d.opts.RunDir,
		"--platform=systrap",
		"--network=none",
		"--net-raw",       // raw sockets, which only the guest may open: it sets the tables of the sandbox's own network
		"--host-uds=open", // the guest dials the host's socket
		"--panic-log=" + b.panicLog(),
		"--host-settings=ignore",
		// gVisor's kernel is in the same binary; by default a later gVisor would insist on a file of its own for it.
		"--sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK",
	}
	if b.cgroup == nil {
		flags = append(flags, "--ignore-cgroups")
	}
	return append(flags, args...)
}

// state is what the driver reads of runsc's state file.
type state struct {
	GoferPID int `json:"goferPid"`
	Sandbox  struct {
		PID int `json:"pid"`
	} `json:"sandbox"`
}

func readState(dir string) (state, error) {
	var s state
	data, err := os.ReadFile(filepath.Join(dir, containerID+"_sandbox:"+containerID+".state"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("runsc's state: %w", err)
	}
	return s, nil
}

// attach takes hold of the processes that runsc has started.
func (b *box) attach() error {
	s, err := readState(b.runscDir())
	if err != nil {
		return err
	}
	verify := ofRoot(b.runscDir())
	if b.sentry, err = openProcess(s.Sandbox.PID, verify); err != nil {
		return fmt.Errorf("gVisor's kernel has ended: %w", err)
	}
	if b.gofer, err = openProcess(s.GoferPID, verify); err != nil {
		return fmt.Errorf("gVisor's file proxy has ended: %w", err)
	}
	return nil
}
