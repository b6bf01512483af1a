package codeinterpreter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// TaskStatus is where a task stands.
type TaskStatus string

// The task statuses.
const (
	TaskSubmitted TaskStatus = "submitted"
	TaskWorking   TaskStatus = "working"
	TaskCompleted TaskStatus = "completed"
	TaskCanceled  TaskStatus = "canceled"
	TaskFailed    TaskStatus = "failed"
)

const (
	maxTaskTime     = 8 * time.Hour // AWS's ceiling
	maxRunningTasks = 10            // at once in one session
	maxKeptTasks    = 100           // the oldest finished one is forgotten first
	taskOutputLimit = 1 << 20       // bytes kept of stdout, and of stderr, of one task
)

// taskTable has the tasks of one session.
type taskTable struct {
	mu      sync.Mutex
	tasks   map[string]*task
	order   []string
	running sync.WaitGroup
}

// task is a command that runs in the background of its session.
type task struct {
	id     string
	cancel context.CancelFunc
	done   chan struct{}

	mu             sync.Mutex
	status         TaskStatus
	stdout, stderr output
	run            proto.Run
}

// wait returns when no task runs any more. The session's sandbox must have ended.
func (t *taskTable) wait() { t.running.Wait() }

func (t *taskTable) get(id string) *task {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tasks[id]
}

// add makes room for a new task and counts it as running.
func (t *taskTable) add(k *task) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	working, kept, full := 0, t.order[:0:0], len(t.order) >= maxKeptTasks
	for _, id := range t.order {
		if t.tasks[id].working() {
			working++
		} else if full {
			delete(t.tasks, id) // the oldest finished one
			full = false
			continue
		}
		kept = append(kept, id)
	}
	if working >= maxRunningTasks {
		return fault.New(fault.ServiceQuota, "The session runs %d tasks already, which is the limit.", maxRunningTasks)
	}
	if t.tasks == nil {
		t.tasks = map[string]*task{}
	}
	kept = append(kept, k.id)
	t.tasks[k.id], t.order = k, kept
	t.running.Add(1)
	return nil
}

func (k *task) working() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status == TaskSubmitted || k.status == TaskWorking
}

func (s *Service) startTask(l *liveSession, args Arguments) (Result, error) {
	if args.Command == nil {
		return failed("startCommandExecution needs the argument command."), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTaskTime) // a task outlives the call that starts it
	k := &task{id: uuid.NewString(), cancel: cancel, done: make(chan struct{}), status: TaskSubmitted,
		stdout: output{limit: taskOutputLimit}, stderr: output{limit: taskOutputLimit}}
	if err := l.tasks.add(k); err != nil {
		cancel()
		return Result{}, err
	}
	go func() {
		defer l.tasks.running.Done()
		defer cancel()
		k.execute(ctx, l.sandbox.Guest(), *args.Command)
	}()
	return Result{Content: []Block{{Type: TextBlock, Text: "The command was started as task " + k.id + "."}},
		Structured: &Structured{TaskID: k.id, Status: TaskSubmitted}}, nil
}

// execute runs the command to its end and records how it went.
func (k *task) execute(ctx context.Context, guest *client.Client, command string) {
	defer close(k.done)
	k.set(TaskWorking)
	collected := collect(&k.stdout, &k.stderr)
	run, err := guest.RunCommand(ctx, client.Run{Text: command, OutputLimit: taskOutputLimit, Output: func(isErr bool, p []byte) {
		k.mu.Lock()
		defer k.mu.Unlock()
		collected(isErr, p)
	}})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stdout.elided, k.stderr.elided, k.run = run.StdoutElided, run.StderrElided, run
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		k.status = TaskCanceled
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		k.status, k.run.ExitCode = TaskFailed, 124
		k.stderr.bytes = fmt.Appendf(k.stderr.bytes, "\nThe task reached its limit of %s and was stopped.\n", maxTaskTime)
	case err != nil:
		k.status, k.run.ExitCode = TaskFailed, 1
		k.stderr.bytes = fmt.Appendf(k.stderr.bytes, "\nThe task could not be run: %v\n", err)
	case run.ExitCode != 0:
		k.status = TaskFailed
	default:
		k.status = TaskCompleted
	}
}

func (k *task) set(s TaskStatus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = s
}

// result is the task's state for a client: what it printed so far, from its start.
func (k *task) result() Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	stdout, stderr := k.stdout.text(taskOutputLimit), k.stderr.text(taskOutputLimit)
	r := Result{Structured: &Structured{TaskID: k.id, Status: k.status, Stdout: stdout, Stderr: stderr}}
	text := summary(stdout, stderr, 0)
	if k.status != TaskSubmitted && k.status != TaskWorking {
		code, took := k.run.ExitCode, k.run.Duration
		r.Structured.ExitCode, r.Structured.Duration = &code, &took
		r.IsError = k.status == TaskFailed
		text = summary(stdout, stderr, code)
	}
	r.Content = []Block{{Type: TextBlock, Text: orElse(text, "The task is "+string(k.status)+".")}}
	return r
}

func find(l *liveSession, tool Tool, id *string) (*task, Result) {
	if id == nil || *id == "" {
		return nil, failed("%s needs the argument taskId.", tool)
	}
	k := l.tasks.get(*id)
	if k == nil {
		return nil, failed("There is no task %q in this session.", *id)
	}
	return k, Result{}
}

func getTask(l *liveSession, args Arguments) (Result, error) {
	k, bad := find(l, GetTask, args.TaskID)
	if k == nil {
		return bad, nil
	}
	return k.result(), nil
}

func stopTask(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	k, bad := find(l, StopTask, args.TaskID)
	if k == nil {
		return bad, nil
	}
	k.cancel()
	select {
	case <-k.done:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	return k.result(), nil
}
