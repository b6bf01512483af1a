package sandboxtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

const mib = 1 << 20

// testDiskLimit proves that the disk is the disk: more can be written than there is memory, no more than the limit, and the sandbox survives.
func testDiskLimit(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Limits.Disk, c.Limits.Memory = 256*mib, 192*mib
	s := Create(t, d, c)
	DiskLimit(t, s)
}

// DiskLimit fills the disk of a sandbox with 256 MiB of disk and less memory than that.
func DiskLimit(t testing.TB, s sandbox.Sandbox) {
	t.Helper()
	if r := Command(t, s, "dd if=/dev/urandom of=big bs=1M count=240 && sync big && md5sum big > sum"); r.ExitCode != 0 {
		t.Fatalf("writing 240 of 256 MiB: %s", r)
	}
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after 240 MiB were written: %d MiB of memory, %d MiB of disk", st.Memory/mib, st.Disk/mib)
	if st.Disk < 240*mib || st.Disk > 256*mib+mib {
		t.Errorf("%d bytes of disk in use; want 240 to 257 MiB", st.Disk)
	}
	if r := Command(t, s, "dd if=/dev/zero of=more bs=1M count=64"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "No space left on device") {
		t.Errorf("writing beyond the limit: %s; want ENOSPC", r)
	}
	if r := Command(t, s, "rm -f more && md5sum -c sum && rm big && dd if=/dev/zero of=again bs=1M count=200"); r.ExitCode != 0 {
		t.Errorf("the full disk was damaged, or did not become free again: %s", r)
	}
	Prints(t, s, "print('alive')", "alive")
}

// testTmpIsDisk proves that /tmp counts as disk, even where it is empty in the image.
func testTmpIsDisk(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Limits.Disk, c.Limits.Memory = 256*mib, 192*mib
	s := Create(t, d, c)
	if r := Command(t, s, "dd if=/dev/zero of=/tmp/big bs=1M count=240 && sync /tmp/big"); r.ExitCode != 0 {
		t.Fatalf("writing 240 MiB to /tmp with 192 MiB of memory: %s", r)
	}
	if r := Command(t, s, "dd if=/dev/zero of=/tmp/more bs=1M count=64"); r.ExitCode == 0 {
		t.Errorf("/tmp does not count: %s", r)
	}
}

func testMemoryLimit(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	neighbour := Create(t, d, Config(image))
	Python(t, neighbour, "x = 41")
	c := Config(image)
	c.Limits.Memory = 192 * mib
	RunOutOfMemory(t, Create(t, d, c))
	Prints(t, neighbour, "print(x)", "41")

	// Other ways to use memory, each destroyed as soon as the caller notices: the cause must still be told.
	for name, line := range map[string]string{
		"a child":       "python3 -c 'a = bytearray(400 << 20)\nfor i in range(0, len(a), 4096): a[i] = 1'",
		"many":          "for i in $(seq 40); do python3 -c 'import time; a = b\"x\" * (20 << 20); time.sleep(60)' & done; wait",
		"a memory disk": "dd if=/dev/zero of=/dev/shm/a bs=1M count=90; python3 -c 'a = b\"x\" * (150 << 20)'; sleep 60",
	} {
		c := Config(image)
		c.Limits.Memory = 192 * mib
		s := Create(t, d, c)
		if r, err := call(t.Context(), s.Guest().RunCommand, client.Run{Text: line}); err == nil {
			t.Errorf("%s: %s; want the sandbox dead", name, r)
		}
		if err := s.Destroy(t.Context()); err != nil {
			t.Errorf("%s: Destroy: %v", name, err)
		}
		if e := Ended(t, s); e.Cause != sandbox.OutOfMemory {
			t.Errorf("%s: exit %+v; want %q", name, e, sandbox.OutOfMemory)
		}
	}
	Prints(t, neighbour, "print(x)", "41")
}

// RunOutOfMemory makes a sandbox with less than 400 MiB die by its memory limit.
func RunOutOfMemory(t testing.TB, s sandbox.Sandbox) {
	t.Helper()
	r, err := call(t.Context(), s.Guest().RunCode, client.Run{Language: "python", Text: "a = bytearray(400 << 20)\nfor i in range(0, len(a), 4096): a[i] = 1\nprint('survived')"})
	if err == nil && strings.Contains(r.Stdout, "survived") {
		t.Fatalf("400 MiB were used: %s", r)
	}
	if e := Ended(t, s); e.Cause != sandbox.OutOfMemory {
		t.Errorf("exit %+v; want %q", e, sandbox.OutOfMemory)
	}
	wantGone(t, s)
}

// testPIDLimit forks until it may not. What the guest itself starts, the interpreter here, need not count: gVisor charges a process to whoever forked it.
func testPIDLimit(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Limits.PIDs = 50
	s := Create(t, d, c)
	r := Python(t, s, `import os, signal, time
pids = []
try:
    for i in range(1000):
        pid = os.fork()
        if pid == 0:
            time.sleep(1000)
        pids.append(pid)
except OSError as e:
    print(e.strerror)
for p in pids: os.kill(p, signal.SIGKILL)
for p in pids: os.waitpid(p, 0)
print(10 < len(pids) <= 50)`)
	if r.Stdout != "Resource temporarily unavailable\nTrue\n" {
		t.Errorf("%s; want EAGAIN after at most 50 processes", r)
	}
	if r := Command(t, s, "echo alive"); r.Stdout != "alive\n" {
		t.Error(r)
	}
}

// testForkBomb lets a bomb rage until the call is cancelled. The sandbox must live on, and its neighbour must not notice.
func testForkBomb(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Limits.PIDs = 64
	s, neighbour := Create(t, d, c), Create(t, d, Config(image))
	Python(t, s, "x = 41")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := s.Guest().RunCommand(ctx, client.Run{Text: "bomb() { bomb | bomb & }; bomb; wait; sleep 100"})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the bomb: %v (%s)", err, fate(s))
	}
	Prints(t, neighbour, "print('alive')", "alive")
	Prints(t, s, "print(x)", "41")
}

func testStats(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	before, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Memory < mib || before.Memory > 512*mib || before.CPU <= 0 {
		t.Errorf("of a new sandbox: %+v", before)
	}
	Python(t, s, "a = bytearray(b'x') * (64 << 20)\nfor i in range(10**6): pass")
	if r := Command(t, s, "dd if=/dev/urandom of=file bs=1M count=32"); r.ExitCode != 0 {
		t.Fatal(r)
	}
	after, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Memory < before.Memory+32*mib || after.CPU <= before.CPU || after.Disk < before.Disk+32*mib {
		t.Errorf("%+v after 64 MiB of memory and 32 MiB of disk were used, %+v before", after, before)
	}
}
