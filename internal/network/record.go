package network

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Verdict is what became of a connection.
type Verdict string

// The verdicts.
const (
	Allowed Verdict = "allowed"
	Refused Verdict = "denied" // by a policy
	Failed  Verdict = "failed" // allowed, but there was nobody
)

// Connection is one connection to the outside that has ended, or one attempt at it: of a program's to connect, or to resolve a name.
type Connection struct {
	Session  string
	Began    time.Time
	Took     time.Duration
	Name     string         // that was asked for, or that its address was resolved from; "" when nothing was resolved
	Address  netip.AddrPort // the zero value when only a name was asked for
	Subnet   string         // that it went through; "" outside of VPC mode
	Verdict  Verdict
	Reason   string // in words; "" when allowed
	Sent     int64  // bytes, from the sandbox
	Received int64  // bytes, to the sandbox
}

const (
	kept         = 1000 // connections that a session remembers
	refusalRate  = 10   // log lines a second about refusals of one session: what is refused costs a hostile program nothing
	refusalBurst = 50
)

// ring keeps the last connections of a session. It grows as it is used.
type ring struct {
	mu   sync.Mutex
	all  []Connection
	next int // oldest, once all has kept elements
}

func (r *ring) add(c Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < kept {
		r.all = append(r.all, c)
		return
	}
	r.all[r.next] = c
	r.next = (r.next + 1) % kept
}

// list returns them, the oldest first.
func (r *ring) list() []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append(make([]Connection, 0, len(r.all)), r.all[r.next:]...), r.all[:r.next]...)
}

// Connections returns the last 1,000 connections to the outside that have ended, and attempts that were refused, the oldest first.
func (s *Session) Connections() []Connection { return s.log.list() }

// record notes a connection that has ended, or an attempt.
func (s *Session) record(c Connection) {
	c.Session = s.policy.Session
	c.Took = time.Since(c.Began)
	c.Name = clip(c.Name)
	s.log.add(c)
	if s.n.o.Observe != nil {
		s.n.o.Observe(c)
	}
	if c.Verdict != Allowed && !s.lines.Allow() {
		return
	}
	attributes := []slog.Attr{slog.String("session", c.Session), slog.String("verdict", string(c.Verdict)), slog.String("name", c.Name), slog.String("address", text(c.Address)),
		slog.Int64("sent", c.Sent), slog.Int64("received", c.Received), slog.Duration("took", c.Took.Round(time.Millisecond))}
	if c.Subnet != "" {
		attributes = append(attributes, slog.String("subnet", c.Subnet))
	}
	if c.Reason != "" {
		attributes = append(attributes, slog.String("reason", c.Reason))
	}
	s.n.o.Log.LogAttrs(s.n.ctx, slog.LevelInfo, "egress", attributes...)
}

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
