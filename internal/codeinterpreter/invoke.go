package codeinterpreter

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Tool is the name of a tool.
type Tool string

// The tools.
const (
	ExecuteCode           Tool = "executeCode"
	ExecuteCommand        Tool = "executeCommand"
	ReadFiles             Tool = "readFiles"
	ListFiles             Tool = "listFiles"
	RemoveFiles           Tool = "removeFiles"
	WriteFiles            Tool = "writeFiles"
	StartCommandExecution Tool = "startCommandExecution"
	GetTask               Tool = "getTask"
	StopTask              Tool = "stopTask"
)

// Arguments are the arguments of every tool in one, as the model has them. nil means absent.
type Arguments struct {
	Code         *string
	Language     string
	Runtime      string
	ClearContext bool
	Command      *string
	Path         *string
	Paths        []string
	Content      []InputFile
	Directory    *string
	TaskID       *string
}

// InputFile is a file to write: Text or Blob.
type InputFile struct {
	Path string
	Text *string
	Blob []byte
}

// Invoke runs a tool in a session. What the tool itself makes of its arguments, failures included, is the Result; an error means that the call did not take place, or that the
// session ended under it.
func (s *Service) Invoke(ctx context.Context, scope Scope, interpreterID, sessionID string, tool Tool, args Arguments) (Result, error) {
	if sessionID == "" {
		return Result{}, fault.Invalid("sessionId", "Member must not be null: start a session first and send its id in the header x-amzn-code-interpreter-session-id")
	}
	l, err := s.running(ctx, scope, interpreterID, sessionID)
	if err != nil {
		return Result{}, err
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		return Result{}, fault.New(fault.ServiceQuota, "The session %s runs %d invocations already, which is the limit.", sessionID, cap(l.slots))
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	r, err := s.run(ctx, l, tool, args)
	if err == nil {
		return r, nil
	}
	return s.explain(ctx, l, err)
}

func (s *Service) run(ctx context.Context, l *liveSession, tool Tool, args Arguments) (Result, error) {
	switch tool {
	case ExecuteCode:
		return s.executeCode(ctx, l, args)
	case ExecuteCommand:
		return s.executeCommand(ctx, l, args)
	case WriteFiles:
		return writeFiles(ctx, l, args)
	case ReadFiles:
		return readFiles(ctx, l, args)
	case ListFiles:
		return listFiles(ctx, l, args)
	case RemoveFiles:
		return removeFiles(ctx, l, args)
	case StartCommandExecution:
		return s.startTask(l, args)
	case GetTask:
		return getTask(l, args)
	case StopTask:
		return stopTask(ctx, l, args)
	}
	return Result{}, fault.Invalid("name", "Member must be the name of a tool")
}

// explain turns what went wrong below a tool into the caller's terms.
func (s *Service) explain(ctx context.Context, l *liveSession, err error) (Result, error) {
	if e, ok := errors.AsType[*proto.Error](err); ok { // the guest's own answer
		return failed("%s", e.Message), nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return Result{}, err
	}
	if errors.Is(err, client.ErrProtocol) {
		s.o.Log.Warn("the guest of a session broke the protocol", "session", l.ID, "error", err)
		s.end(ctx, l, "The session's sandbox misbehaved.")
	}
	if ctx.Err() != nil && !errors.Is(err, client.ErrClosed) {
		return Result{}, fault.New(fault.Internal, "The call was given up before the tool had ended.").With(err)
	}
	// The connection broke: almost always because the sandbox has died, which watch is about to find out, or because the session was stopped.
	select {
	case <-l.gone:
	case <-l.sandbox.Done():
		s.end(ctx, l, "The sandbox ended: "+describe(l.sandbox.Exit())+".")
	case <-time.After(5 * time.Second):
		return Result{}, fault.Wrap(err, "tool call in session %s", l.ID)
	}
	record, rerr := s.Session(context.WithoutCancel(ctx), l.Scope, l.InterpreterID, l.ID)
	if rerr != nil {
		return Result{}, rerr
	}
	return Result{}, terminated(record)
}

func (s *Service) executeCode(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	if args.Code == nil {
		return failed("executeCode needs the argument code."), nil
	}
	if args.Language == "" {
		return failed("executeCode needs the argument language: python."), nil
	}
	if args.Language != "python" || (args.Runtime != "" && args.Runtime != "python") {
		return failed("executeCode runs python only so far; %s can be run as a command (node FILE, deno run FILE).", args.Language), nil
	}
	run := client.Run{Language: args.Language, Text: *args.Code, ClearContext: args.ClearContext}
	return s.runToEnd(ctx, l.sandbox.Guest().RunCode, run, func(text string) string {
		return strings.TrimRight(text, "\r\n") // recorded AWS answers have no final newline
	})
}

func (s *Service) executeCommand(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	if args.Command == nil {
		return failed("executeCommand needs the argument command."), nil
	}
	return s.runToEnd(ctx, l.sandbox.Guest().RunCommand, client.Run{Text: *args.Command}, func(text string) string { return text })
}

// runToEnd runs code or a command and makes a result of what it printed and how it ended.
func (s *Service) runToEnd(ctx context.Context, call func(context.Context, client.Run) (proto.Run, error), r client.Run, tidy func(string) string) (Result, error) {
	stdout, stderr := output{limit: outputLimit}, output{limit: outputLimit}
	r.OutputLimit = outputLimit
	r.Output = collect(&stdout, &stderr)
	began := time.Now()
	run, err := call(ctx, r)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		note := "\nThe call reached its limit of " + s.o.Timeout.String() + " and was stopped. Use startCommandExecution for what takes longer.\n"
		stderr.bytes = append(stderr.bytes, note...)
		run, err = proto.Run{ExitCode: 124, Duration: time.Since(began)}, nil
	}
	if err != nil {
		return Result{}, err
	}
	stdout.elided, stderr.elided = run.StdoutElided, run.StderrElided
	return finished(&stdout, &stderr, run.ExitCode, run.Duration, tidy), nil
}

func collect(stdout, stderr *output) func(bool, []byte) {
	return func(isErr bool, p []byte) {
		if isErr {
			stderr.bytes = append(stderr.bytes, p...)
		} else {
			stdout.bytes = append(stdout.bytes, p...)
		}
	}
}

// finished makes the result of a run, as much of its output as one answer carries.
func finished(stdout, stderr *output, exitCode int, took time.Duration, tidy func(string) string) Result {
	for limit := outputLimit; ; limit /= 2 {
		out, errs := tidy(stdout.text(limit)), tidy(stderr.text(limit))
		text := summary(out, errs, exitCode)
		if encodedLen(out)+encodedLen(errs)+encodedLen(text) > MaxAnswer {
			continue
		}
		return Result{Content: []Block{{Type: TextBlock, Text: text}}, IsError: exitCode != 0,
			Structured: &Structured{Stdout: out, Stderr: errs, ExitCode: &exitCode, Duration: &took}}
	}
}

// summary is the content text, which is all that some clients read: stdout, and after a failure stderr as well.
func summary(stdout, stderr string, exitCode int) string {
	switch {
	case stdout == "":
		return stderr
	case stderr == "" || exitCode == 0:
		return stdout
	case strings.HasSuffix(stdout, "\n"):
		return stdout + stderr
	}
	return stdout + "\n" + stderr
}
