package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const defaultOutputLimit = 8 << 20

// maxArgument is the kernel's limit of one argument, MAX_ARG_STRLEN, less its final NUL.
const maxArgument = 128<<10 - 1

// command runs a command line in a fresh shell, or a program without one, and returns when that exits. What it left running is killed then.
func (a *Agent) command(ctx context.Context, config *proto.Configure, c *call) (*proto.Result, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.whileOpen(ctx)
	defer cancel()
	mark := rand.Text()
	around, err := a.commandSurroundings(config, mark)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	stdout, stderr, child, err := a.spawnCommand(text, c.Argv, around, mark)
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

// commandSurroundings are those of the service, if there is one.
func (a *Agent) commandSurroundings(config *proto.Configure, mark string) (surroundings, error) {
	if s := a.running(); s != nil {
		return s.around.marked(mark), nil
	}
	if err := makeDir(config.Dir, config.User); err != nil { // the user may have removed it
		return surroundings{}, fmt.Errorf("make the working folder: %w", err)
	}
	return a.environment(mark), nil
}

func orDefault(limit int64) int64 {
	if limit <= 0 {
		return defaultOutputLimit
	}
	return limit
}

// spawnCommand starts a program, or the shell with a text, with two pumps on its output.
func (a *Agent) spawnCommand(text string, argv []string, around surroundings, mark string) (stdout, stderr *pump, child *process, err error) {
	var who account
	if around.creds != nil {
		who = account{uid: around.creds.Uid, gid: around.creds.Gid}
	}
	stdout, stderr, files, release, err := pipes(who)
	if err != nil {
		return nil, nil, nil, err
	}
	defer release()
	child, err = a.spawn(text, argv, around, mark, files)
	if err != nil {
		stdout.close()
		stderr.close()
	}
	return stdout, stderr, child, err
}

func (a *Agent) spawn(text string, argv []string, around surroundings, mark string, files []uintptr) (*process, error) {
	if len(argv) > 0 {
		path, err := lookProgram(argv[0], around)
		if err != nil {
			return nil, err
		}
		child, err := a.procs.start(path, argv, around, mark, files)
		if err != nil {
			return nil, startError(argv[0], err)
		}
		return child, nil
	}
	a.mu.Lock()
	argv = []string{a.shell, "-c", text}
	a.mu.Unlock()
	if len(text) > maxArgument {
		script, err := scriptFile(text)
		if err != nil {
			return nil, err
		}
		defer func() { _ = unix.Close(script) }()
		files = append(files, uintptr(script))
		argv = []string{argv[0], "/dev/fd/" + strconv.Itoa(len(files)-1)}
	}
	return a.procs.start(argv[0], argv, around, mark, files)
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
