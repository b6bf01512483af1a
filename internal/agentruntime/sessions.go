package agentruntime

import (
	"context"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// sessionKey names a session: the same id under another endpoint is another session.
type sessionKey struct {
	Scope
	runtime, endpoint, id string
}

// session has an instance for itself, from the first invocation on until it is stopped, idle for too long, too old, or its instance ends. It keeps the version that its endpoint served at its start.
type session struct {
	key      sessionKey
	runtime  Runtime // at the session's version
	started  chan struct{}
	instance Instance // set when started is closed, unless err is
	err      error
	ctx      context.Context // ends when the session does
	cancel   context.CancelFunc
	ended    sync.Once
	gone     chan struct{} // closed when nothing is left of the session

	mu       sync.Mutex
	ending   bool
	reason   string // why it ends
	inFlight int
	active   time.Time   // end of the last invocation, or when the agent was seen busy
	idle     *time.Timer // runs while nothing is in flight
	lifetime *time.Timer
	aliases  []sessionKey
}

// maxAliases is how many ids of its own an MCP server can give to one session.
const maxAliases = 64

// noteBusy is the answer while a session comes or goes.
func noteBusy() error {
	return fault.New(RetryableConflict, "Session operation in progress, please retry")
}

// enter returns the session with a key, started if there is none, and counts an invocation in; leave must be called for it. Invocations that come while a session starts wait for the one start.
func (s *Service) enter(ctx context.Context, k sessionKey) (*session, error) {
	l := s.find(k)
	if l == nil {
		r, a, err := s.served(ctx, k)
		if err != nil {
			return nil, err
		}
		if l, err = s.begin(k, r, a); err != nil {
			return nil, err
		}
	}
	select {
	case <-l.started:
	case <-ctx.Done():
		return nil, fault.New(RuntimeClientError, "The caller went away while the session was starting.").With(ctx.Err())
	}
	if l.err != nil {
		return nil, l.err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return nil, noteBusy()
	}
	l.inFlight++
	l.idle.Stop()
	return l, nil
}

// leave counts an invocation out.
func (s *Service) leave(l *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.active = time.Now()
	if l.inFlight == 0 && !l.ending {
		l.idle.Reset(l.runtime.Lifecycle.Idle)
	}
}

// find returns the live session with a key, or that an MCP server has given the id.
func (s *Service) find(k sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.live[k]; l != nil {
		return l
	}
	return s.aliases[k]
}

// served returns what an endpoint serves.
func (s *Service) served(ctx context.Context, k sessionKey) (Runtime, Artifact, error) {
	arn := Runtime{Scope: k.Scope, ID: k.runtime}.ARN()
	e, err := s.o.Store.Endpoint(ctx, k.Scope, k.runtime, k.endpoint)
	switch {
	case fault.Is(err, fault.ResourceNotFound):
		return Runtime{}, Artifact{}, noEndpoint(k.endpoint, arn).With(err)
	case err != nil:
		return Runtime{}, Artifact{}, err
	case e.Live == 0 && e.Status.unfinished():
		return Runtime{}, Artifact{}, fault.New(RetryableConflict, "The agent runtime %s is being created, please retry", arn)
	case e.Live == 0:
		return Runtime{}, Artifact{}, noEndpoint(k.endpoint, arn)
	}
	r, err := s.o.Store.Runtime(ctx, k.Scope, k.runtime, e.Live)
	if err != nil {
		return Runtime{}, Artifact{}, err
	}
	a, err := s.o.Store.Artifact(ctx, k.Scope, k.runtime, e.Live)
	return r, a, err
}

// begin makes a session and starts its instance in the background, unless another invocation has done so meanwhile.
func (s *Service) begin(k sessionKey, r Runtime, a Artifact) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, shuttingDown()
	}
	if l := s.live[k]; l != nil {
		return l, nil
	}
	if n := s.counts[k.Scope]; n >= s.o.Quota.Sessions {
		return nil, fault.New(fault.ServiceQuota, "maxVms limit exceeded for account %s: it has %d sessions in %s, which is the limit.", k.Account, n, k.Region)
	}
	l := &session{key: k, runtime: r, started: make(chan struct{}), gone: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(s.ctx)
	s.live[k] = l
	s.counts[k.Scope]++
	s.wg.Go(func() { s.start(l, a) })
	return l, nil
}

// start starts a session's instance. Whoever asked for it may be gone by then: others may wait.
func (s *Service) start(l *session, a Artifact) {
	err := s.turn(l.ctx)
	var i Instance
	if err == nil {
		began := time.Now()
		i, err = s.o.Launcher.Launch(l.ctx, Launch{Runtime: l.runtime, Artifact: a, Endpoint: l.key.endpoint, Session: l.key.id})
		<-s.starts
		s.o.Log.Info("a session's instance was started", "runtime", l.key.runtime, "version", l.runtime.Version, "session", l.key.id, "took", time.Since(began).Round(time.Millisecond), "error", err)
	}
	l.mu.Lock()
	ending := l.ending
	if err == nil && !ending {
		l.active = time.Now()
		l.idle = time.AfterFunc(l.runtime.Lifecycle.Idle, func() { s.inBackground(func() { s.idle(l) }) })
		l.lifetime = time.AfterFunc(l.runtime.Lifecycle.MaxLifetime, func() {
			s.inBackground(func() { s.end(l, "Its maximum lifetime of "+l.runtime.Lifecycle.MaxLifetime.String()+" was reached.") })
		})
	}
	if ending && err == nil {
		err = noteBusy()
	}
	l.instance, l.err = i, err
	l.mu.Unlock()
	if err != nil { // nothing is left behind, but for an instance that came too late
		s.forget(l)
		l.cancel()
		if i != nil {
			s.destroy(l)
		}
		close(l.gone)
		close(l.started)
		return
	}
	close(l.started)
	s.wg.Go(func() { s.watch(l) })
}

// turn waits for a place among the starts.
func (s *Service) turn(ctx context.Context) error {
	select {
	case s.starts <- struct{}{}:
		return nil
	case <-ctx.Done():
		return noteBusy()
	}
}

// inBackground runs f, which a timer has woken, unless the service is being closed: Close ends all sessions.
func (s *Service) inBackground(f func()) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	f()
}

// watch ends the session when its instance ends by itself.
func (s *Service) watch(l *session) {
	select {
	case <-l.ctx.Done():
	case <-l.instance.Done():
		s.end(l, l.instance.Reason())
	}
}

// end ends a session; the second and later calls wait for the first. A session that is still starting ends when it has started.
func (s *Service) end(l *session, reason string) {
	l.mu.Lock()
	if !l.ending {
		l.ending, l.reason = true, reason
	}
	l.mu.Unlock()
	select {
	case <-l.started:
	default:
		l.cancel()
		<-l.started
	}
	l.mu.Lock()
	failed := l.err != nil
	l.mu.Unlock()
	if failed { // start has cleaned up
		return
	}
	l.ended.Do(func() {
		l.cancel() // what is in flight ends
		l.idle.Stop()
		l.lifetime.Stop()
		s.destroy(l)
		s.forget(l) // only now: until here the session's id is busy
		close(l.gone)
		s.o.Log.Info("a session ended", "runtime", l.key.runtime, "session", l.key.id, "reason", reason)
	})
}

func (s *Service) destroy(l *session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), stopTime)
	defer cancel()
	if err := l.instance.Destroy(ctx); err != nil {
		s.o.Log.Error("an instance was not removed completely", "runtime", l.key.runtime, "session", l.key.id, "error", err)
	}
}

// forget frees a session's id and its place in the quota.
func (s *Service) forget(l *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, l.key)
	for _, k := range l.aliases {
		delete(s.aliases, k)
	}
	if s.counts[l.key.Scope]--; s.counts[l.key.Scope] == 0 {
		delete(s.counts, l.key.Scope)
	}
}

// alias notes an id that an MCP server has given to a session. Ids that stand for another session already are the server's mistake, or its attack, and change nothing.
func (s *Service) alias(l *session, id string) {
	k := l.key
	k.id = id
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[l.key] != l || s.live[k] != nil || s.aliases[k] != nil || len(l.aliases) == maxAliases {
		return
	}
	s.aliases[k] = l
	l.aliases = append(l.aliases, k)
}

// endAll ends the sessions that match, in the background.
func (s *Service) endAll(reason string, match func(sessionKey) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for k, l := range s.live {
		if match(k) {
			s.wg.Go(func() { s.end(l, reason) })
		}
	}
}
