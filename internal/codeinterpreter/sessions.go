package codeinterpreter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// Surroundings of user code, as AWS has them: several clients hard-code the folder.
const (
	WorkDir  = "/opt/amazon/genesis1p-tools/var"
	userName = "genesis1ptools"
	userID   = 992
)

// DefaultTimeout is a session's time to live when the request names none.
const DefaultTimeout = 900 * time.Second

// liveSession is a READY session with its sandbox.
type liveSession struct {
	Session
	sandbox    sandbox.Sandbox
	connection Connection
	expiry     *time.Timer
	slots      chan struct{} // one per running invocation
	tasks      taskTable
	ended      sync.Once
	gone       chan struct{} // closed when the session has ended
}

// NewSession is what StartCodeInterpreterSession takes.
type NewSession struct {
	InterpreterID string
	Name          string
	Timeout       time.Duration // 0 means DefaultTimeout
}

// StartSession boots a sandbox and returns a READY session. A repeated client token returns the first answer.
func (s *Service) StartSession(ctx context.Context, scope Scope, in NewSession, clientToken string) (Session, error) {
	i, err := s.Interpreter(ctx, scope, in.InterpreterID)
	if err != nil {
		return Session{}, err
	}
	in.InterpreterID = i.ID
	if in.Timeout == 0 {
		in.Timeout = DefaultTimeout
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "StartCodeInterpreterSession", clientToken), in, func() (Session, error) { return s.start(ctx, scope, i, in) })
}

func (s *Service) start(ctx context.Context, scope Scope, i Interpreter, in NewSession) (Session, error) {
	if err := s.enter(); err != nil {
		return Session{}, err
	}
	defer s.wg.Done()
	image, err := s.o.Image(ctx)
	if err != nil {
		return Session{}, err
	}
	now := time.Now().UTC()
	record := Session{Scope: scope, ID: ulid.Make().String(), InterpreterID: i.ID, Name: in.Name, Timeout: in.Timeout, Status: SessionReady, CreatedAt: now, UpdatedAt: now}
	// The record comes first: it holds the place in the quota, and keeps the interpreter from being deleted meanwhile.
	if err := s.o.Store.CreateSession(ctx, record, s.o.Quota.Sessions); err != nil {
		return Session{}, err
	}
	config := sandbox.Config{ID: s.o.NewID(), Image: image, Limits: s.o.Limits, Guest: guestConfig(image, scope, record)}
	var connection Connection
	if s.o.Connect != nil {
		connection = s.o.Connect(i, record)
		config.Guest.Network, config.Relay = connection.Network, connection.Relay
	}
	box, err := s.o.Driver.Create(ctx, config)
	if err != nil {
		ctx := context.WithoutCancel(ctx)
		_, endErr := s.o.Store.EndSession(ctx, scope, record.ID, "The sandbox did not start.", time.Now())
		if connection.End != nil {
			endErr = errors.Join(endErr, connection.End(ctx))
		}
		return Session{}, errors.Join(fault.Wrap(err, "start the sandbox of session %s", record.ID), endErr)
	}
	l := &liveSession{Session: record, sandbox: box, connection: connection, slots: make(chan struct{}, s.o.Quota.Invocations), gone: make(chan struct{})}
	s.mu.Lock()
	s.live[record.ID] = l
	l.expiry = time.AfterFunc(time.Until(now.Add(in.Timeout)), func() { s.endInBackground(l, "The session's timeout of "+in.Timeout.String()+" was reached.") })
	closed := s.closed
	s.mu.Unlock()
	if closed { // Close did not see this session
		s.end(context.WithoutCancel(ctx), l, "The server was stopped.")
		return Session{}, shuttingDown()
	}
	s.wg.Go(func() { s.watch(l) })
	return record, nil
}

// enter counts a start that Close must wait for.
func (s *Service) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return shuttingDown()
	}
	s.wg.Add(1)
	return nil
}

func shuttingDown() error {
	return fault.New(fault.Throttling, "The server is shutting down.")
}

// guestConfig has the guest start Python at once: it is ready while the caller is on its way to the first invocation.
func guestConfig(image sandbox.Image, scope Scope, record Session) proto.Configure {
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "dumb", "MPLBACKEND": "Agg",
	}
	for k, v := range image.Env {
		env[k] = v
	}
	env["AWS_REGION"], env["AWS_DEFAULT_REGION"] = scope.Region, scope.Region
	env["BEDROCK_AGENTCORE_CODE_INTERPRETER_SESSION_ID"] = record.ID
	return proto.Configure{User: proto.User{Name: userName, UID: userID, GID: userID}, Dir: WorkDir, Env: env, Hostname: "localhost", Prepare: "python"}
}

// watch ends the session when its sandbox dies by itself.
func (s *Service) watch(l *liveSession) {
	select {
	case <-l.gone:
	case <-l.sandbox.Done():
		e := l.sandbox.Exit()
		s.end(context.Background(), l, fmt.Sprintf("The sandbox ended: %s.", describe(e)))
	}
}

func describe(e sandbox.Exit) string {
	switch e.Cause {
	case sandbox.OutOfMemory:
		return "it used more memory than its limit"
	case sandbox.Destroyed:
		return "it was destroyed"
	}
	return "it crashed"
}

func (s *Service) endInBackground(l *liveSession, reason string) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return // Close ends it
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	s.end(context.Background(), l, reason)
}

// end makes a session TERMINATED and destroys its sandbox; the second and later calls wait for the first.
func (s *Service) end(ctx context.Context, l *liveSession, reason string) {
	l.ended.Do(func() {
		ctx := context.WithoutCancel(ctx)
		l.expiry.Stop()
		// The record first: whoever finds the session gone reads there why.
		if _, err := s.o.Store.EndSession(ctx, l.Scope, l.ID, reason, time.Now().UTC()); err != nil {
			s.o.Log.Error("the end of a session was not recorded", "session", l.ID, "error", err)
		}
		s.mu.Lock()
		delete(s.live, l.ID)
		s.mu.Unlock()
		close(l.gone)
		if l.connection.End != nil {
			if err := l.connection.End(ctx); err != nil {
				s.o.Log.Error("a session's credentials were not taken back; they expire by themselves", "session", l.ID, "error", err)
			}
		}
		if err := l.sandbox.Destroy(ctx); err != nil {
			s.o.Log.Error("a sandbox was not removed completely", "session", l.ID, "sandbox", l.sandbox.ID(), "error", err)
		}
		l.tasks.wait()
		s.o.Log.Info("session ended", "session", l.ID, "reason", reason, "age", time.Since(l.CreatedAt).Round(time.Millisecond))
	})
}

// Session returns one session's record.
func (s *Service) Session(ctx context.Context, scope Scope, interpreterID, id string) (Session, error) {
	return s.o.Store.Session(ctx, scope, IDOf(interpreterID), id)
}

// Sessions lists an interpreter's sessions, the newest first. An empty status means all.
func (s *Service) Sessions(ctx context.Context, scope Scope, interpreterID string, status SessionStatus, p Page) ([]Session, string, error) {
	i, err := s.Interpreter(ctx, scope, interpreterID)
	if err != nil {
		return nil, "", err
	}
	return s.o.Store.Sessions(ctx, scope, i.ID, status, p)
}

// StopSession ends a session. Stopping one that is TERMINATED already is not an error.
func (s *Service) StopSession(ctx context.Context, scope Scope, interpreterID, id string) (Session, error) {
	record, err := s.Session(ctx, scope, interpreterID, id)
	if err != nil || record.Status == SessionTerminated {
		return record, err
	}
	s.mu.Lock()
	l := s.live[id]
	s.mu.Unlock()
	if l != nil {
		s.end(ctx, l, "The session was stopped.")
	}
	return s.Session(ctx, scope, interpreterID, id)
}

// running returns the session for an invocation, or the answer about one that is not there any more.
func (s *Service) running(ctx context.Context, scope Scope, interpreterID, id string) (*liveSession, error) {
	s.mu.Lock()
	l := s.live[id]
	s.mu.Unlock()
	if l != nil && l.Scope == scope && l.InterpreterID == IDOf(interpreterID) {
		return l, nil
	}
	record, err := s.Session(ctx, scope, interpreterID, id)
	if err != nil {
		return nil, err
	}
	return nil, terminated(record)
}

// terminated is what AWS answers about a session that has ended, with why it did.
func terminated(record Session) error {
	return fault.New(fault.ResourceNotFound, "The code interpreter session %q is not running. %s", record.ID, record.Reason)
}
