package gvisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// filestorePrefix begins the name that runsc gives to the file behind an overlay before it unlinks it.
const filestorePrefix = "runsc-filestore-"

// Stats implements sandbox.Sandbox. Without control groups only Disk is known.
func (b *box) Stats(ctx context.Context) (sandbox.Stats, error) {
	if err := ctx.Err(); err != nil {
		return sandbox.Stats{}, err
	}
	select {
	case <-b.done:
		return sandbox.Stats{}, sandbox.ErrGone
	default:
	}
	var s sandbox.Stats
	if b.cgroup != nil {
		u, err := b.cgroup.Usage()
		if err != nil {
			return s, b.statsError(err)
		}
		s.Memory, s.CPU = u.Memory, u.CPU
	}
	disk, err := b.diskUsage()
	if err != nil {
		return s, b.statsError(err)
	}
	s.Disk = disk
	return s, nil
}

// statsError tells a failure from the sandbox's end between two steps.
func (b *box) statsError(err error) error {
	select {
	case <-b.sentry.done:
		return sandbox.ErrGone
	default:
		return fmt.Errorf("reading the usage of sandbox %s: %w", b.id, err)
	}
}

// diskUsage is what the overlay's file occupies. It has no name any more and is found among the descriptors of gVisor's kernel; the descriptor's
// number is remembered, and checked, because looking through hundreds of them each time would be a waste.
func (b *box) diskUsage() (int64, error) {
	dir := filepath.Join("/proc", strconv.Itoa(b.sentry.pid), "fd")
	b.mu.Lock()
	fd := b.overlayFD
	b.mu.Unlock()
	if fd == "" || !isFilestore(filepath.Join(dir, fd)) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		fd = ""
		for _, e := range entries {
			if isFilestore(filepath.Join(dir, e.Name())) {
				fd = e.Name()
				break
			}
		}
		if fd == "" {
			return 0, fmt.Errorf("the overlay's file is not open in gVisor's kernel (pid %d)", b.sentry.pid)
		}
		b.mu.Lock()
		b.overlayFD = fd
		b.mu.Unlock()
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, fd), &st); err != nil {
		return 0, err
	}
	return st.Blocks * 512, nil // stat(2) counts in 512 bytes whatever the file system
}

func isFilestore(link string) bool {
	target, err := os.Readlink(link)
	return err == nil && strings.HasPrefix(filepath.Base(target), filestorePrefix)
}
