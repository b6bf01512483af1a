package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// service is the container's own program, which outlives the calls and connections that listen to it.
type service struct {
	child  *process
	around surroundings
	began  time.Time
	output *backlog
	run    proto.Run // once output is closed
}

// serveService starts the container's program, or finds it, and sends its output until it ends or the host listens no more.
func (a *Agent) serveService(ctx context.Context, config *proto.Configure, c *call) (*proto.Result, error) {
	s, err := a.startService(config, c.Service)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.whileOpen(ctx)
	defer cancel()
	reader, from := s.output.listen(c.Offset)
	defer s.output.leave(reader)
	if err := c.w.WriteJSON(proto.FrameStart, proto.Started{Offset: from}); err != nil {
		return nil, err
	}
	if err := c.w.Release(); err != nil {
		return nil, err
	}
	for {
		stderr, p, ok := s.output.next(ctx, reader)
		if !ok {
			break
		}
		frame := proto.FrameStdout
		if stderr {
			frame = proto.FrameStderr
		}
		if err := c.w.Write(frame, p); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	run, over := s.ended()
	if !over {
		return nil, bad(proto.Failed, "", "another call listens to the service")
	}
	return &proto.Result{Run: &run}, nil
}

// ended returns how the program ended, once all of its output is known.
func (s *service) ended() (proto.Run, bool) {
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	return s.run, s.output.closed
}

// startService starts the program unless one has been started before, which it returns instead.
func (a *Agent) startService(config *proto.Configure, want *proto.Service) (*service, error) {
	a.starting.Lock()
	defer a.starting.Unlock()
	if s := a.running(); s != nil {
		return s, nil
	}
	if want == nil {
		return nil, bad(proto.NotFound, "", "no service has been started")
	}
	if len(want.Argv) == 0 || want.Argv[0] == "" {
		return nil, bad(proto.BadRequest, "", "a service needs a program")
	}
	who, err := findAccount(want.User)
	if err != nil {
		return nil, err
	}
	mark := rand.Text()
	around, err := serviceSurroundings(config, want, who)
	if err != nil {
		return nil, err
	}
	path, err := lookProgram(want.Argv[0], around)
	if err != nil {
		return nil, err
	}
	stdout, stderr, files, release, err := pipes(who)
	if err != nil {
		return nil, err
	}
	defer release()
	s := &service{around: around, began: time.Now(), output: newBacklog()}
	s.child, err = a.procs.start(path, want.Argv, around.marked(mark), mark, files)
	if err != nil {
		stdout.close()
		stderr.close()
		return nil, startError(want.Argv[0], err)
	}
	stdout.attach(func(p []byte) { s.output.write(false, p) })
	stderr.attach(func(p []byte) { s.output.write(true, p) })
	a.mu.Lock()
	a.service = s
	a.mu.Unlock()
	go a.attend(s, stdout, stderr)
	return s, nil
}

func (a *Agent) running() *service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.service
}

// attend waits for the program's end, which is the end of all that runs beside it, as in any container.
func (a *Agent) attend(s *service, stdout, stderr *pump) {
	<-s.child.done
	run := proto.Run{ExitCode: exitCode(s.child.status), Duration: time.Since(s.began)}
	a.killAll(s.child)
	for _, p := range []*pump{stdout, stderr} {
		p.drain()
		p.close()
	}
	s.output.mu.Lock()
	s.run = run
	s.output.mu.Unlock()
	s.output.close()
}

// killAll kills everything but the guest. Only PID 1 of a sandbox is sure that everything is the program's; another guest kills what it finds of the tree.
func (a *Agent) killAll(child *process) {
	if a.o.Init && os.Getpid() == 1 {
		_ = unix.Kill(-1, unix.SIGKILL) // there may be nothing left
		return
	}
	child.killTree()
}

// signal sends a signal to the service: to its program alone, as container engines do, but SIGKILL to everything.
func (a *Agent) signal(number int) (*proto.Result, error) {
	s := a.running()
	if s == nil {
		return nil, bad(proto.NotFound, "", "no service has been started")
	}
	const last = 64
	if number < 1 || number > last {
		return nil, bad(proto.BadRequest, "", "there is no signal %d", number)
	}
	if err := a.procs.signal(s.child, syscall.Signal(number)); err != nil {
		return nil, err
	}
	if syscall.Signal(number) == unix.SIGKILL {
		a.killAll(s.child)
	}
	return &proto.Result{}, nil
}

// serviceSurroundings is what the program gets, as container engines make it.
func serviceSurroundings(config *proto.Configure, want *proto.Service, who account) (surroundings, error) {
	dir := want.Dir
	if dir == "" {
		dir = "/"
	}
	if !strings.HasPrefix(dir, "/") {
		return surroundings{}, bad(proto.BadRequest, dir, "the working folder %q is not absolute", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return surroundings{}, bad(proto.Failed, dir, "make the working folder: %v", err)
	}
	values := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": who.home, "HOSTNAME": config.Hostname}
	if who.name != "" {
		values["USER"] = who.name
	}
	maps.Copy(values, config.Env)
	maps.Copy(values, want.Env)
	s := surroundings{dir: dir, confined: true}
	for k, v := range values {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return surroundings{}, bad(proto.BadRequest, "", "the environment variable %q cannot be passed to a program", k)
		}
		s.env = append(s.env, k+"="+v)
	}
	if os.Geteuid() == 0 {
		s.creds = &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}
	}
	return s, nil
}

// marked returns the surroundings with a mark, by which the members of one process tree are found again.
func (s surroundings) marked(mark string) surroundings {
	s.env = append(s.env[:len(s.env):len(s.env)], markVariable+"="+mark)
	return s
}

// lookProgram finds a program as execvp does, on the PATH that it will have itself.
func lookProgram(name string, s surroundings) (string, error) {
	if strings.ContainsRune(name, 0) {
		return "", bad(proto.BadRequest, "", "a program's name has no zero bytes")
	}
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.dir, name)
		}
		return name, nil // whether it can run is the kernel's to say
	}
	var search string
	for _, v := range s.env {
		if text, ok := strings.CutPrefix(v, "PATH="); ok {
			search = text
		}
	}
	for _, dir := range filepath.SplitList(search) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", bad(proto.NotFound, name, "the program %q is not on the PATH %s", name, search)
}

// startError says what the kernel has against a program.
func startError(program string, err error) error {
	code, reason := proto.Failed, err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, reason = proto.NotFound, "there is no such program, or not the interpreter or loader that it asks for"
	case errors.Is(err, fs.ErrPermission):
		code, reason = proto.Denied, "the user may not run it, or may not enter the working folder"
	case errors.Is(err, unix.ENOEXEC):
		code, reason = proto.Unavailable, "it is no program of this machine's architecture, and no script that names its interpreter"
	}
	return bad(code, program, "the program %q does not start: %s", program, reason)
}

// pipes makes what a program without a terminal reads and writes: nothing, and two pipes that belong to its user, who may want to open /dev/stdout by that name.
func pipes(who account) (stdout, stderr *pump, files []uintptr, release func(), err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	stdout, out, err := newPump()
	if err != nil {
		return nil, nil, nil, nil, errors.Join(err, null.Close())
	}
	stderr, errs, err := newPump()
	if err != nil {
		stdout.close()
		return nil, nil, nil, nil, errors.Join(err, unix.Close(out), null.Close())
	}
	for _, fd := range []int{out, errs} {
		_ = unix.Fchown(fd, int(who.uid), int(who.gid)) // a guest that is not root has nobody else's program either
	}
	return stdout, stderr, []uintptr{null.Fd(), uintptr(out), uintptr(errs)}, func() {
		_, _, _ = null.Close(), unix.Close(out), unix.Close(errs)
	}, nil
}

// signal sends a signal to a child that has not been reaped: its number may be another's afterwards.
func (p *processes) signal(child *process, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started[child.pid] != child {
		return bad(proto.NotFound, "", "the service has ended")
	}
	if err := unix.Kill(child.pid, sig); err != nil {
		return fmt.Errorf("signal the service: %w", err)
	}
	return nil
}
