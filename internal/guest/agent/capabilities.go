package agent

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// rootCapabilities are what root in a container keeps: Docker's default without raw sockets, device files, chroot and the audit log. All of them act on the sandbox alone. What the
// guest has besides (the sandbox's addresses and packet filter) the container's root does not get, which also keeps it from tracing the guest.
var rootCapabilities = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETFCAP, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SETUID,
}

// confined runs f on a thread of its own whose children can have no more than rootCapabilities. The bounding set belongs to a thread and cannot be widened again, so the thread ends
// with f.
func confined(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and stays so: the goroutine's end is the thread's
		if err := dropCapabilities(); err != nil {
			result <- fmt.Errorf("give up capabilities: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

func dropCapabilities() error {
	const most = 64 // bits in a set
	for c := range uintptr(most) {
		if slices.Contains(rootCapabilities, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && c > unix.CAP_MAC_OVERRIDE { // the kernel knows no more
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
