package agentruntime

import (
	"context"
	"time"
)

// Health is how an agent says it is.
type Health struct {
	Busy bool // HealthyBusy: it works although no invocation is in flight
	// Since is when that began to be so (time_of_last_update); zero if it does not say.
	Since time.Time
}

const (
	pingTime = 5 * time.Second  // for an agent to say how it is
	busyTime = 15 * time.Second // until a busy agent is asked again; sessions may outlive their idle time by as much on AWS, too
)

// idle is called when a session has had no invocation for its idle time. It ends the session unless the agent says that it is busy, or has been until lately. Source: runtime-lifecycle-settings and
// runtime-troubleshooting: HealthyBusy keeps a session, Healthy has the idle time count from time_of_last_update; an agent that always says now is kept until the maximum lifetime.
//
// An agent is asked only then, and not from time to time: what it said before makes no difference.
func (s *Service) idle(l *session) {
	l.mu.Lock()
	if l.inFlight > 0 || l.ending {
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.ctx, pingTime)
	h, err := l.instance.Ping(ctx)
	cancel()
	l.mu.Lock()
	if l.inFlight > 0 || l.ending {
		l.mu.Unlock()
		return
	}
	now, limit := time.Now(), l.runtime.Lifecycle.Idle
	if err == nil {
		if h.Busy {
			l.active = now
			l.idle.Reset(min(busyTime, limit))
			l.mu.Unlock()
			return
		}
		if since := earlier(h.Since, now); since.After(l.active) {
			l.active = since
		}
	}
	if rest := l.active.Add(limit).Sub(now); rest > 0 {
		l.idle.Reset(rest)
		l.mu.Unlock()
		return
	}
	l.ending, l.reason = true, "It was idle for "+limit.String()+"."
	l.mu.Unlock()
	s.end(l, l.reason)
}

// earlier keeps an agent from lying about the future.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
