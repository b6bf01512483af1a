package agentruntime

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
)

// How long an invocation may take. Source: bedrock-agentcore-limits.
const (
	answerTime = 15 * time.Minute // until the answer begins, or until its end if its length is known at its beginning
	streamTime = 60 * time.Minute // until the end of any other answer
)

// ErrSilent is in the chain of the error about an agent that does not answer in time. AWS has the HTTP status 504 for it.
var ErrSilent = errors.New("the agent did not answer in time")

// Why an invocation is cut off.
var (
	errEnded    = errors.New("the session ended")
	errTooLong  = errors.New("the answer took too long")
	errFinished = errors.New("the answer is over")
)

// Invocation is a request to an agent.
type Invocation struct {
	Endpoint string              // name; "" is DEFAULT
	Session  string              // "" is a new one
	Header   map[string][]string // all of the request, with canonical keys; those that are for the agent are picked
	Body     []byte
	ID       string // of the request
	Card     bool   // asks for the agent card of an A2A agent, instead of sending the body
}

// Request is what an instance's agent gets.
type Request struct {
	Header map[string][]string // canonical keys
	Body   []byte
	Card   bool
}

// Answer is an agent's answer.
type Answer struct {
	Session string
	Status  int                 // HTTP's, as the agent gave it
	Header  map[string][]string // canonical keys
	Length  int64               // bytes of the body; below zero if that is not known
	Body    io.ReadCloser       // must be closed; what comes is there to be read at once
}

// Invoke sends a request to the session's agent, starting it if need be, and returns the answer once it begins. Faults: ResourceNotFound about the runtime or the endpoint, RetryableConflict while the session
// comes or goes, ServiceQuota, and RuntimeClientError about all that the agent does wrong, with ErrSilent in the chain if it is only slow. When ctx ends the agent loses the connection.
func (s *Service) Invoke(ctx context.Context, scope Scope, runtimeID string, in Invocation) (Answer, error) {
	k := sessionKey{scope, runtimeID, in.Endpoint, in.Session}
	if k.endpoint == "" {
		k.endpoint = DefaultEndpoint
	}
	if in.Card {
		r, _, err := s.served(ctx, k)
		if err != nil {
			return Answer{}, err
		}
		if r.Speaks() != A2A {
			return Answer{}, fault.Invalid("agentRuntimeArn", "only agents whose protocol is A2A have an agent card; this one's is %s", r.Speaks())
		}
	}
	if id := in.Header[headerMCP]; len(id) > 0 {
		var err error
		if k, err = s.mcpSession(ctx, k, id[0]); err != nil {
			return Answer{}, err
		}
	}
	if k.id == "" {
		k.id = uuid.NewString()
	}
	l, err := s.enter(ctx, k)
	if err != nil {
		return Answer{}, err
	}
	a, err := s.send(ctx, l, in)
	if err != nil {
		s.leave(l)
		return Answer{}, err
	}
	return a, nil
}

// mcpSession is where a request to an MCP server belongs: the session that has given out its Mcp-Session-Id, whatever the other header says, which SDKs fill anew for each request.
func (s *Service) mcpSession(ctx context.Context, k sessionKey, id string) (sessionKey, error) {
	mcp := k
	mcp.id = id
	if l := s.find(mcp); l != nil {
		if l.runtime.Speaks() == MCP {
			return l.key, nil
		}
		return k, nil
	}
	r, _, err := s.served(ctx, k)
	if err == nil && r.Speaks() == MCP {
		return mcp, nil
	}
	return k, err
}

// send sends an invocation to a session that it has entered. The session is left when the answer's body is closed.
func (s *Service) send(ctx context.Context, l *session, in Invocation) (Answer, error) {
	header, err := requestHeaders(in.Header, l.runtime.Headers)
	if err != nil {
		return Answer{}, err
	}
	header[HeaderSession] = []string{l.key.id}
	if in.ID != "" {
		header[HeaderRequest] = []string{in.ID}
	}
	began := time.Now()
	limited, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(l.ctx, func() { cancel(errEnded) })
	timer := time.AfterFunc(answerTime, func() { cancel(ErrSilent) })
	done := func() {
		unhook()
		timer.Stop()
		cancel(errFinished)
	}
	a, err := l.instance.Send(limited, Request{Header: header, Body: in.Body, Card: in.Card})
	if err == nil && (a.Status < 200 || a.Status > 299) {
		err = fault.New(RuntimeClientError, "Received error (%d) from runtime. Please check your CloudWatch logs for more information.", a.Status)
		_ = a.Body.Close() // its content is not for the caller
	}
	if err != nil {
		err = l.failure(limited, err)
		done()
		return Answer{}, err
	}
	if a.Length < 0 && timer.Stop() {
		timer = time.AfterFunc(streamTime-time.Since(began), func() { cancel(errTooLong) })
	}
	a.Session, a.Header = l.key.id, answerHeaders(a.Header)
	if l.runtime.Speaks() == MCP {
		if id := a.Header[headerMCP]; len(id) > 0 {
			s.alias(l, id[0])
		} else {
			a.Header[headerMCP] = []string{l.key.id}
		}
	}
	a.Body = &body{ReadCloser: a.Body, fail: func(err error) error { return l.failure(limited, err) }, done: func() { done(); s.leave(l) }}
	return a, nil
}

// failure is what a caller learns of an invocation that failed.
func (l *session) failure(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil && l.ctx.Err() != nil { // the connection broke before this invocation was told
		cause = errEnded
	}
	switch {
	case errors.Is(cause, ErrSilent):
		return fault.New(RuntimeClientError, "The runtime did not answer within %s.", answerTime).With(errors.Join(ErrSilent, err))
	case errors.Is(cause, errTooLong):
		return fault.New(RuntimeClientError, "The runtime's answer did not end within %s.", streamTime).With(errors.Join(cause, err))
	case errors.Is(cause, errEnded):
		l.mu.Lock()
		defer l.mu.Unlock()
		return fault.New(RuntimeClientError, "The session ended before the runtime's answer did. %s", l.reason).With(errors.Join(cause, err))
	case cause != nil:
		return fault.New(RuntimeClientError, "The caller went away.").With(errors.Join(cause, err))
	}
	return err
}

// body is an answer's body: to close it is to leave the session.
type body struct {
	io.ReadCloser
	fail func(error) error
	once sync.Once
	done func()
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fail(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.done)
	return err
}

// Stop ends a session and returns when nothing is left of it. Its id may be used again. ResourceNotFound if there is none, RetryableConflict while it comes or goes. A repeated client token returns the first answer.
func (s *Service) Stop(ctx context.Context, scope Scope, runtimeID, endpoint, id, clientToken string) error {
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	type parameters struct{ Runtime, Endpoint, Session string }
	_, err := idempotency.Once(ctx, s.tokens, token(scope, "StopRuntimeSession", clientToken), parameters{runtimeID, endpoint, id}, func() (struct{}, error) {
		return struct{}{}, s.stop(ctx, sessionKey{scope, runtimeID, endpoint, id})
	})
	return err
}

func (s *Service) stop(ctx context.Context, k sessionKey) error {
	l := s.find(k)
	if l == nil {
		if _, err := s.o.Store.Endpoint(ctx, k.Scope, k.runtime, k.endpoint); fault.Is(err, fault.ResourceNotFound) {
			return noEndpoint(k.endpoint, Runtime{Scope: k.Scope, ID: k.runtime}.ARN()).With(err)
		}
		return NotFound("runtime session", k.id)
	}
	select {
	case <-l.started:
	default:
		return noteBusy()
	}
	l.mu.Lock()
	if l.ending || l.err != nil {
		l.mu.Unlock()
		return noteBusy()
	}
	l.ending, l.reason = true, "It was stopped."
	l.mu.Unlock()
	s.end(l, l.reason)
	return nil
}

// LiveSession is one session as it is now.
type LiveSession struct {
	Scope
	RuntimeID, Endpoint, ID string
	Version                 int
	Started                 bool // false while its instance is starting
	InFlight                int  // invocations
}

// Sessions returns the sessions of all accounts that have an instance, or are about to.
func (s *Service) Sessions() []LiveSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]LiveSession, 0, len(s.live))
	for k, l := range s.live {
		l.mu.Lock()
		out = append(out, LiveSession{Scope: k.Scope, RuntimeID: k.runtime, Endpoint: k.endpoint, ID: k.id, Version: l.runtime.Version, Started: l.instance != nil, InFlight: l.inFlight})
		l.mu.Unlock()
	}
	return out
}
