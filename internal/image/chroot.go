package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate runs a command made with the same context in a mount namespace and a process namespace of its own. prepare may mount what the command needs: no mount is ever seen by the
// rest of the host, and all are gone with the command, however it ends. When the context ends, everything the command started is killed.
func isolate(ctx context.Context, cmd *exec.Cmd, prepare func() error) error {
	done := make(chan error, 1)
	go onOwnThread(func() { done <- isolated(ctx, cmd, prepare) })
	return <-done
}

// onOwnThread runs f on an operating system thread that ends with it, so that a namespace entered by f is never seen by another goroutine.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked: the runtime ends the thread
	}
	// The process's first thread does not end, and /proc/self shows its namespaces. While it is held here the work must land on another one.
	defer runtime.UnlockOSThread()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		runtime.LockOSThread()
		f()
	}()
	<-finished
}

func isolated(ctx context.Context, cmd *exec.Cmd, prepare func() error) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := prepare(); err != nil {
		return err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// The command is process 1 of its namespace: when it ends, the kernel kills what it left running.
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // with this thread, which outlives the command unless the whole process is killed
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// bind shows a file or folder of the host at a path inside root, making the place for it.
func bind(source, root, inside string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	target := filepath.Join(root, inside)
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = os.MkdirAll(filepath.Dir(target), 0o755)
		if err == nil {
			var f *os.File
			if f, err = os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
				err = f.Close()
			}
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", source, target, err)
	}
	return nil
}

// mountSystem mounts what programs expect to find in a root file system: /proc, a few devices, and memory on /run, where the rest of the build's
// temporary mounts find their place without a trace in the image.
func mountSystem(root string) error {
	errs := []error{
		unix.Mount("proc", filepath.Join(root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""),
		unix.Mount("tmpfs", filepath.Join(root, "run"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"),
		unix.Mount("tmpfs", filepath.Join(root, "dev"), "tmpfs", unix.MS_NOSUID, "mode=0755"),
	}
	for _, device := range []string{"null", "zero", "full", "random", "urandom"} {
		errs = append(errs, bind("/dev/"+device, root, "dev/"+device))
	}
	errs = append(errs,
		os.Symlink("/proc/self/fd", filepath.Join(root, "dev/fd")),
		os.Mkdir(filepath.Join(root, "dev/shm"), 0o1777), // multiprocessing's semaphores
		unix.Mount("tmpfs", filepath.Join(root, "dev/shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("preparing %s: %w", root, err)
	}
	return nil
}

const cloneNewNet = syscall.CLONE_NEWNET

// chrootInto makes a command run with root as its root file system.
func chrootInto(cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
}
