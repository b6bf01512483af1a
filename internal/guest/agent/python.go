package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

//go:embed driver/*.py
var driverParts embed.FS

// pythonDriver returns the driver as one script: its parts are one program, split for its readers. Some of them it compiles later, from the texts in PARTS.
func pythonDriver() (string, error) {
	var script strings.Builder
	script.WriteString("PARTS = {}\n")
	for _, part := range []string{"syntax", "magics", "tracebacks", "head", "shell", "main"} {
		text, err := driverParts.ReadFile("driver/" + part + ".py")
		if err != nil {
			return "", err
		}
		switch part {
		case "syntax", "magics", "tracebacks":
			// Go's escapes of ASCII strings are Python's too.
			fmt.Fprintf(&script, "PARTS[%q] = %s\n", part, strconv.QuoteToASCII(string(text)))
		default:
			script.WriteString(string(text) + "\n\n")
		}
	}
	return script.String(), nil
}

const (
	startTimeout  = 60 * time.Second // for a Python to say that it is ready
	interruptTime = 2 * time.Second  // for interrupted code to end by itself
	maxReply      = 1 << 20          // bytes of one line of the driver
)

// interpreter is the session's Python. Its process is started when it is first needed, and again after it has died.
type interpreter struct {
	procs *processes
	env   func(mark string) surroundings
	home  func() error  // makes sure of the working folder
	turn  chan struct{} // held while code runs: code is queued in order
	p     *python       // nil while no process runs; touched with the turn only
}

// python is one interpreter process.
type python struct {
	child          *process
	stdout, stderr *pump
	requests       *os.File
	replies        chan reply // closed when the driver's end of the pipe is
	call           string     // of the cell that runs: not to be guessed, so that no code can answer for later cells
}

// reply is what the driver says when it is ready ("ready"), and after each cell ("done CALL EXIT").
type reply struct {
	Ready bool
	Call  string
	Exit  int
}

// parseReply reads a line of the driver.
func parseReply(line string) (r reply, ok bool) {
	if line == "ready" {
		return reply{Ready: true}, true
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "done" {
		return reply{}, false
	}
	exit, err := strconv.Atoi(words[2])
	return reply{Call: words[1], Exit: exit}, err == nil
}

func newInterpreter(procs *processes, env func(string) surroundings, home func() error) *interpreter {
	return &interpreter{procs: procs, env: env, home: home, turn: make(chan struct{}, 1)}
}

func (i *interpreter) lock(ctx context.Context) error {
	select {
	case i.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (i *interpreter) unlock() { <-i.turn }

func (a *Agent) prepare(ctx context.Context, language string) error {
	if language != "python" {
		return bad(proto.BadRequest, "", "there is no interpreter for %q", language)
	}
	if err := a.python.lock(ctx); err != nil {
		return err
	}
	defer a.python.unlock()
	return a.python.ensure(ctx)
}

// code runs one cell.
func (a *Agent) code(ctx context.Context, c *call) (*proto.Result, error) {
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	if c.Language != "python" {
		return nil, bad(proto.BadRequest, "", "there is no interpreter for %q", c.Language)
	}
	ctx, cancel := c.whileOpen(ctx)
	defer cancel()
	i := a.python
	if err := i.lock(ctx); err != nil {
		return nil, err
	}
	defer i.unlock()
	if err := i.ensure(ctx); err != nil {
		return nil, err
	}
	run, err := i.run(ctx, c, text)
	return &proto.Result{Run: run}, err
}

// ensure starts the process if none runs.
func (i *interpreter) ensure(ctx context.Context) error {
	if i.p != nil {
		select {
		case <-i.p.child.done: // it died between two calls, by a timer or a thread of the user's
			i.discard()
		default:
			return nil
		}
	}
	if err := i.home(); err != nil {
		return err
	}
	path, err := findPython(i.env("").env)
	if err != nil {
		return err
	}
	if i.p, err = i.spawn(path); err != nil {
		return bad(proto.Unavailable, "", "Python does not start: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case r, ok := <-i.p.replies:
		if ok && r.Ready {
			return nil
		}
		err = errors.New("it ended at once")
	case <-i.p.child.done:
		err = fmt.Errorf("it ended at once with status %d", exitCode(i.p.child.status))
	case <-ctx.Done():
		err = ctx.Err()
	}
	said := i.p.lastWords()
	i.discard()
	return bad(proto.Unavailable, "", "Python (%s) does not start: %v%s", path, err, said)
}

// findPython looks for Python along the PATH of user processes.
func findPython(env []string) (string, error) {
	for _, v := range env {
		dirs, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, name := range []string{"python3", "python"} {
			for dir := range strings.SplitSeq(dirs, ":") {
				if path := dir + "/" + name; strings.HasPrefix(dir, "/") && unix.Access(path, unix.X_OK) == nil {
					return path, nil
				}
			}
		}
	}
	return "", bad(proto.Unavailable, "", "the image has no Python: there is no python3 on the PATH")
}

func (i *interpreter) spawn(path string) (_ *python, err error) {
	var toClose []int
	defer func() {
		for _, fd := range toClose {
			_ = unix.Close(fd)
		}
	}()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	toClose = append(toClose, null)
	text, err := pythonDriver()
	if err != nil {
		return nil, err
	}
	script, err := scriptFile(text)
	if err != nil {
		return nil, err
	}
	toClose = append(toClose, script)
	var in, out [2]int
	if err := unix.Pipe2(in[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	toClose = append(toClose, in[0])
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return nil, errors.Join(err, unix.Close(in[1]))
	}
	toClose = append(toClose, out[1])
	_ = unix.SetNonblock(in[1], true)
	_ = unix.SetNonblock(out[0], true)
	p := &python{requests: os.NewFile(uintptr(in[1]), "requests"), replies: make(chan reply, 1)}
	replies := os.NewFile(uintptr(out[0]), "replies")
	defer func() {
		if err != nil {
			p.close()
			_ = replies.Close()
		}
	}()
	var outFD, errFD int
	if p.stdout, outFD, err = newPump(); err != nil {
		return nil, err
	}
	toClose = append(toClose, outFD)
	if p.stderr, errFD, err = newPump(); err != nil {
		return nil, err
	}
	toClose = append(toClose, errFD)
	mark := rand.Text()
	p.child, err = i.procs.start(path, []string{path, "/dev/fd/5"}, i.env(mark), mark, []uintptr{uintptr(null), uintptr(outFD), uintptr(errFD), uintptr(in[0]), uintptr(out[1]), uintptr(script)})
	if err != nil {
		return nil, err
	}
	go p.listen(replies)
	return p, nil
}

// listen reads the driver's replies. What is no reply of the driver's ends it: the user's code has got at the pipe.
func (p *python) listen(f *os.File) {
	defer close(p.replies)
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 4096), maxReply)
	for lines.Scan() {
		r, ok := parseReply(lines.Text())
		if !ok {
			return
		}
		p.replies <- r
	}
}

// lastWords is what a process that did not start said on standard error.
func (p *python) lastWords() string {
	var said []byte
	p.stderr.attach(func(b []byte) { said = append(said, b[:min(len(b), 2000)]...) })
	p.stderr.drain()
	if len(said) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(said[max(0, len(said)-2000):]))
}

func (p *python) close() {
	_ = p.requests.Close()
	for _, pump := range []*pump{p.stdout, p.stderr} {
		if pump != nil {
			pump.close()
		}
	}
}

// discard kills the process with all that belongs to it.
func (i *interpreter) discard() {
	p := i.p
	i.p = nil
	p.child.killTree()
	p.close()
	go func() { // the reader of replies must not stay behind
		for range p.replies {
		}
	}()
}

// run runs one cell on the process that is there.
func (i *interpreter) run(ctx context.Context, c *call, text string) (*proto.Run, error) {
	p := i.p
	p.call = rand.Text()
	limit := orDefault(c.OutputLimit)
	out, errs := newElider(c.w, proto.FrameStdout, limit), newElider(c.w, proto.FrameStderr, limit)
	p.stdout.attach(out.write)
	p.stderr.attach(errs.write)
	began := time.Now()
	clear := "keep"
	if c.ClearContext {
		clear = "clear"
	}
	head := fmt.Sprintf("%s %s %d\n", p.call, clear, len(text))
	go func() { _, _ = p.requests.Write(append([]byte(head), text...)) }() // a driver that does not read it has died, which is noticed below
	exit, restarted := p.wait(ctx)
	p.stdout.drain()
	p.stderr.drain()
	if restarted != "" {
		errs.write([]byte(restarted + "\n"))
		i.discard()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &proto.Run{ExitCode: exit, Duration: time.Since(began), StdoutElided: out.finish(), StderrElided: errs.finish(), Restarted: restarted}, nil
}

// wait returns when the cell is over. A reason in restarted says that the process is of no use any more.
func (p *python) wait(ctx context.Context) (exit int, restarted string) {
	interrupt := ctx.Done()
	var giveUp, again <-chan time.Time
	for {
		select {
		case r, ok := <-p.replies:
			switch {
			case ok && r.Call == p.call:
				return r.Exit, ""
			case ok: // an answer that nobody waits for any more
				continue
			}
			return p.died()
		case <-p.child.done:
			// Its last reply may be waiting still: a cell that ended, and a process that died right after it.
			select {
			case r, ok := <-p.replies:
				if ok && r.Call == p.call {
					return r.Exit, ""
				}
			case <-time.After(10 * time.Millisecond):
			}
			return p.died()
		case <-interrupt:
			interrupt = nil
			_ = unix.Kill(-p.child.pid, unix.SIGINT)
			giveUp = time.After(interruptTime)
			again = time.After(interruptTime / 4)
		case <-again: // the first may have come before the code began
			_ = unix.Kill(-p.child.pid, unix.SIGINT)
		case <-giveUp:
			return 128 + int(unix.SIGKILL), "The Python interpreter did not react to an interrupt and was killed: its variables are lost."
		}
	}
}

// died says how the process ended, or that it lives and cannot be talked to.
func (p *python) died() (exit int, restarted string) {
	const fate = " It is started anew: its variables are lost."
	select {
	case <-p.child.done:
	case <-time.After(time.Second):
		return 1, "The connection to the Python interpreter was broken by the code." + fate
	}
	status := p.child.status
	if status.Signaled() {
		return exitCode(status), fmt.Sprintf("The Python interpreter was ended by signal %d (%s).%s", status.Signal(), describeSignal(status.Signal()), fate)
	}
	return exitCode(status), fmt.Sprintf("The Python interpreter ended with status %d.%s", exitCode(status), fate)
}

func describeSignal(s syscall.Signal) string {
	switch s {
	case unix.SIGKILL:
		return "killed, perhaps for lack of memory"
	case unix.SIGSEGV:
		return "segmentation fault"
	}
	return s.String()
}
