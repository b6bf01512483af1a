package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const defaultOutputLimit = 8 << 20

// maxArgument is the kernel's limit of one argument, MAX_ARG_STRLEN, less its final NUL.
const maxArgument = 128<<10 - 1

// command runs a command line in a fresh shell and returns when the shell exits. What it left running is killed then.
func (a *Agent) command(ctx context.Context, config *proto.Configure, c *call) (*proto.Result, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.whileOpen(ctx)
	defer cancel()
	if err := makeDir(config.Dir, config.User); err != nil { // the user may have removed it
		return nil, fmt.Errorf("make the working folder: %w", err)
	}
	mark := rand.Text()
	began := time.Now()
	stdout, stderr, child, err := a.spawnShell(text, mark)
	if err != nil {
		return nil, err
	}
	defer stdout.close()
	defer stderr.close()
	limit := orDefault(c.OutputLimit)
	out, errs := newElider(c.w, proto.FrameStdout, limit), newElider(c.w, proto.FrameStderr, limit)
	stdout.attach(out.write)
	stderr.attach(errs.write)
	select {
	case <-child.done:
	case <-ctx.Done():
		child.killTree()
		<-child.done
		return nil, ctx.Err()
	}
	stdout.drain()
	stderr.drain()
	run := &proto.Run{ExitCode: exitCode(child.status), Duration: time.Since(began), StdoutElided: out.finish(), StderrElided: errs.finish()}
	a.procs.bury(child)
	return &proto.Result{Run: run}, nil
}

func orDefault(limit int64) int64 {
	if limit <= 0 {
		return defaultOutputLimit
	}
	return limit
}

// spawnShell starts the shell with two pumps on its output.
func (a *Agent) spawnShell(text, mark string) (stdout, stderr *pump, child *process, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = null.Close() }()
	stdout, outFD, err := newPump()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = unix.Close(outFD) }()
	stderr, errFD, err := newPump()
	if err != nil {
		stdout.close()
		return nil, nil, nil, err
	}
	defer func() { _ = unix.Close(errFD) }()
	a.mu.Lock()
	argv := []string{a.shell, "-c", text}
	a.mu.Unlock()
	files := []uintptr{null.Fd(), uintptr(outFD), uintptr(errFD)}
	if len(text) > maxArgument {
		script, serr := scriptFile(text)
		if serr != nil {
			stdout.close()
			stderr.close()
			return nil, nil, nil, serr
		}
		defer func() { _ = unix.Close(script) }()
		files = append(files, uintptr(script))
		argv = []string{argv[0], "/dev/fd/" + strconv.Itoa(len(files)-1)}
	}
	child, err = a.procs.start(argv, a.environment(mark), mark, files)
	if err != nil {
		stdout.close()
		stderr.close()
	}
	return stdout, stderr, child, err
}

// scriptFile puts a command line that is too long for an argument into a file without a name.
func scriptFile(text string) (int, error) {
	fd, err := unix.MemfdCreate("command", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	err = unix.Fchmod(fd, 0o444)
	for rest := []byte(text); len(rest) > 0 && err == nil; {
		var n int
		if n, err = unix.Write(fd, rest); err == nil {
			rest = rest[n:]
		}
	}
	if err == nil {
		_, err = unix.Seek(fd, 0, unix.SEEK_SET)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
