package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Host is what the checks ask of a machine.
type Host struct {
	Files        fs.FS // the root file system: "proc/sys/kernel/osrelease", "etc/os-release"
	OS, Arch     string
	UID          int // effective
	Now          func() time.Time
	LookPath     func(program string) error
	Space        func(dir string) (Space, error) // of the file system that dir is on, or will be on
	Listen       func(ctx context.Context, address string) error
	NewNamespace func(ctx context.Context) error // starts a process in a user namespace of its own
}

// Space is what is left of a file system for this user.
type Space struct {
	Bytes int64
	Files int64 // inodes; 0 where the file system has no fixed number
}

// ThisHost returns the machine that the process runs on.
func ThisHost() *Host {
	return &Host{
		Files: os.DirFS("/"), OS: runtime.GOOS, Arch: runtime.GOARCH, UID: os.Geteuid(), Now: time.Now,
		LookPath:     func(program string) error { _, err := exec.LookPath(program); return err },
		Space:        space,
		Listen:       listen,
		NewNamespace: newNamespace,
	}
}

// space looks at the nearest folder above that exists.
func space(dir string) (Space, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Space{}, err
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			s := Space{Bytes: int64(st.Bavail) * st.Bsize}
			if st.Files > 0 {
				s.Files = int64(st.Ffree)
			}
			return s, nil
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return Space{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
}

func listen(ctx context.Context, address string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// newNamespace runs a program that does nothing in a new user namespace, as gVisor starts its own processes.
func newNamespace(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	return cmd.Run()
}
