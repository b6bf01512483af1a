package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// configure takes over what the host says of the surroundings. The host says it again on every connection; all but the first time nothing is left to do.
func (a *Agent) configure(c *proto.Configure) (*proto.Result, error) {
	if c == nil || !strings.HasPrefix(c.Dir, "/") {
		return nil, bad(proto.BadRequest, "", "a configuration needs an absolute working folder")
	}
	first, err := a.take(c)
	if err != nil {
		return nil, err
	}
	if first && c.Prepare != "" {
		go func() { _ = a.prepare(context.Background(), c.Prepare) }() // who needs the interpreter will be told why there is none
		runtime.Gosched()                                              // Python takes longest to start: it goes before all that follows
	}
	if a.o.Init && !a.furnished.Load() {
		if err := furnish(c); err != nil {
			return nil, fmt.Errorf("set up the sandbox: %w", err)
		}
		a.furnished.Store(true)
	}
	return &proto.Result{Hello: &proto.Hello{Version: a.o.Version, BootID: a.bootID}}, nil
}

// take makes c the configuration; first is whether there was none.
func (a *Agent) take(c *proto.Configure) (first bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.config == nil {
		if err := a.setUp(c); err != nil {
			return false, fmt.Errorf("set up the sandbox: %w", err)
		}
	}
	if err := a.connect(c); err != nil {
		return false, fmt.Errorf("set up the sandbox's network: %w", err)
	}
	first = a.config == nil
	a.config = c
	a.shell = shell()
	if a.python == nil {
		a.python = newInterpreter(a.procs, a.environment, func() error {
			c := a.configuration()
			return makeDir(c.Dir, c.User)
		})
	}
	return first, nil
}

func (a *Agent) setUp(c *proto.Configure) error {
	if err := makeDir(c.Dir, c.User); err != nil {
		return err
	}
	if !a.o.Init {
		return nil
	}
	// Limits are inherited by all that the guest starts. The guest itself is not bound, by CAP_SYS_RESOURCE.
	if c.PIDs > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: uint64(c.PIDs), Max: uint64(c.PIDs)}); err != nil {
			return fmt.Errorf("limit processes: %w", err)
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// furnish makes the files of the image fit the session's user.
func furnish(c *proto.Configure) error {
	return errors.Join(
		os.Chmod("/tmp", 0o1777|os.ModeSticky),
		addLine("/etc/passwd", c.User.Name+":", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh", c.User.Name, c.User.UID, c.User.GID, c.Dir)),
		addLine("/etc/group", c.User.Name+":", fmt.Sprintf("%s:x:%d:", c.User.Name, c.User.GID)),
		addLine("/etc/hosts", "127.0.0.1", "127.0.0.1\tlocalhost "+c.Hostname),
	)
}

// makeDir makes the working folder, owned by the user, below folders that everybody may enter.
func makeDir(dir string, u proto.User) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() && (os.Geteuid() != 0 || owner(info) == u.UID) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(dir, u.UID, u.GID)
}

func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// addLine appends a line to a file unless one there begins with prefix. Images without the file get it.
func addLine(path, prefix, line string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for have := range strings.Lines(string(text)) {
		if strings.HasPrefix(have, prefix) {
			return nil
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		line = "\n" + line
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // images with nothing but one program exist
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// shell is what command lines are given to.
func shell() string {
	for _, path := range []string{"/bin/bash", "/usr/bin/bash", "/bin/sh"} {
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return "/bin/sh"
}

// surroundings is what a process of the user gets.
type surroundings struct {
	dir      string
	env      []string
	creds    *syscall.Credential
	confined bool // no more than rootCapabilities, whoever the user is
}

// environment returns the surroundings of a new process of the user. The mark is how the members of one process tree are found again.
func (a *Agent) environment(mark string) surroundings {
	c := a.configuration()
	values := map[string]string{"HOME": c.Dir, "PWD": c.Dir, "USER": c.User.Name, "LOGNAME": c.User.Name}
	for k, v := range c.Env {
		if _, own := values[k]; !own {
			values[k] = v
		}
	}
	s := surroundings{dir: c.Dir}
	for k, v := range values {
		s.env = append(s.env, k+"="+v)
	}
	if mark != "" {
		s.env = append(s.env, markVariable+"="+mark)
	}
	if os.Geteuid() == 0 {
		s.creds = &syscall.Credential{Uid: uint32(c.User.UID), Gid: uint32(c.User.GID)}
		s.confined = c.User.UID == 0
	}
	return s
}
