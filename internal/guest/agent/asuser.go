package agent

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// asUser runs f on a thread that has the user's credentials, so that files belong to the user and permissions count. The thread is thrown away if it cannot get its own back.
func asUser(u proto.User, f func() error) error {
	if os.Geteuid() != 0 {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := become(u.UID, u.GID); err != nil {
			result <- err // the goroutine ends with its thread locked, which ends the thread
			return
		}
		err := f()
		if become(0, 0) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// become changes the effective ids of the calling thread alone: the raw system calls, not the wrappers that change every thread. The supplementary
// groups of the guest are given up for good: they would open files to the user, and the guest needs none.
func become(uid, gid int) error {
	const keep = ^uintptr(0)
	set := func(call uintptr, id int) error {
		if _, _, e := syscall.RawSyscall(call, keep, uintptr(id), keep); e != 0 {
			return fmt.Errorf("change credentials: %w", e)
		}
		return nil
	}
	if uid == 0 { // first the user, without whose power the group cannot be changed
		if err := set(syscall.SYS_SETRESUID, uid); err != nil {
			return err
		}
		return set(syscall.SYS_SETRESGID, gid)
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return fmt.Errorf("give up groups: %w", e)
	}
	if err := set(syscall.SYS_SETRESGID, gid); err != nil {
		return err
	}
	return set(syscall.SYS_SETRESUID, uid)
}
