// Package codeinterpreter is AgentCore's Code Interpreter: interpreters, their sessions, and the tools that run inside a session's sandbox.
//
// It knows neither HTTP nor SQL: a [Store] keeps what must survive, a [sandbox.Driver] makes the sandboxes, and errors are coded faults. Behaviour follows the
// models of bedrock-agentcore (2024-02-28) and bedrock-agentcore-control (2023-06-05); docs/compatibility.md lists every difference.
package codeinterpreter

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// Scope is the account and region that own a resource.
type Scope struct {
	Account string // twelve digits
	Region  string
}

// Status of an interpreter.
type Status string

// The statuses of an interpreter.
const (
	Creating Status = "CREATING"
	Ready    Status = "READY"
	Deleting Status = "DELETING"
)

// NetworkMode says what a session's sandbox may reach.
type NetworkMode string

// The network modes.
const (
	NetworkPublic  NetworkMode = "PUBLIC"
	NetworkSandbox NetworkMode = "SANDBOX"
	NetworkVPC     NetworkMode = "VPC"
)

// Network is an interpreter's network configuration. The lists are set in VPC mode only.
type Network struct {
	Mode           NetworkMode `json:"mode"`
	Subnets        []string    `json:"subnets,omitempty"`
	SecurityGroups []string    `json:"securityGroups,omitempty"`
}

// Interpreter is a code interpreter: what its sessions start from.
type Interpreter struct {
	Scope
	ID            string
	Name          string
	Description   string
	ExecutionRole string // ARN
	Network       Network
	Status        Status
	Tags          map[string]string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// SessionStatus is the status of a session. (The model's documentation also speaks of ACTIVE, STOPPING and STOPPED, which the service does not use.)
type SessionStatus string

// The statuses of a session.
const (
	SessionReady      SessionStatus = "READY"
	SessionTerminated SessionStatus = "TERMINATED"
)

// Session is one session of an interpreter. It has a sandbox of its own for as long as it is READY.
type Session struct {
	Scope
	ID            string
	InterpreterID string
	Name          string
	Timeout       time.Duration // hard time to live from CreatedAt
	Status        SessionStatus
	Reason        string // why it is TERMINATED
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Page asks for part of a list: Limit items after the one that Token stands for.
type Page struct {
	Limit int
	Token string
}

// Store keeps interpreters, sessions and the answers to client tokens. Implementations return fault.ResourceNotFound for what is not there.
type Store interface {
	// CreateInterpreter fails with fault.Conflict when the scope has the name already, and with fault.ServiceQuota when it has limit interpreters.
	CreateInterpreter(ctx context.Context, i Interpreter, limit int) error
	Interpreter(ctx context.Context, s Scope, id string) (Interpreter, error)
	Interpreters(ctx context.Context, s Scope, p Page) (items []Interpreter, next string, err error)
	// DeleteInterpreter fails with fault.Conflict while the interpreter has READY sessions.
	DeleteInterpreter(ctx context.Context, s Scope, id string) error
	// SetTags replaces an interpreter's tags by what change returns, in one transaction.
	SetTags(ctx context.Context, s Scope, id string, change func(tags map[string]string) error) error

	// CreateSession fails with fault.ResourceNotFound when the interpreter is gone by now, and with fault.ServiceQuota when the account has limit READY sessions.
	CreateSession(ctx context.Context, s Session, limit int) error
	Session(ctx context.Context, s Scope, interpreterID, id string) (Session, error)
	Sessions(ctx context.Context, s Scope, interpreterID string, status SessionStatus, p Page) (items []Session, next string, err error)
	// EndSession makes a READY session TERMINATED and reports whether it was READY.
	EndSession(ctx context.Context, s Scope, id, reason string, at time.Time) (ended bool, err error)
	// EndAllSessions makes every READY session TERMINATED and returns how many there were.
	EndAllSessions(ctx context.Context, reason string, at time.Time) (int, error)
	// ForgetSessions deletes the records of sessions that were terminated before a time, and client tokens of that age.
	ForgetSessions(ctx context.Context, before time.Time) error

	idempotency.Store
}

// token is the key of a client token in an operation.
func token(s Scope, operation, clientToken string) idempotency.Key {
	return idempotency.Key{Account: s.Account, Region: s.Region, Operation: operation, Token: clientToken}
}

// Options configure a Service.
type Options struct {
	Store  Store
	Driver sandbox.Driver
	Image  func(ctx context.Context) (sandbox.Image, error) // the default interpreter image
	Limits sandbox.Limits                                   // of each session's sandbox
	Quota  Quota
	Log    *slog.Logger
	// CheckRole decides whether an interpreter may have its execution role: the caller may hand it over, and it trusts the service for this interpreter. nil allows every role.
	CheckRole func(ctx context.Context, i Interpreter) error
	// CheckNetwork refuses, with a ValidationException, an interpreter whose network the server cannot give it, or whose tags about the network make no sense. It is asked before an interpreter is made
	// or tagged; nil refuses nothing.
	CheckNetwork func(i Interpreter) error
	// Connect gives a session its view of the network: names, endpoints, the way out, the execution role's credentials; an empty Connection where there is nothing to see. nil gives none.
	Connect func(i Interpreter, s Session) Connection
	NewID   func() string // of sandboxes; see sandbox.Config.ID
	Timeout time.Duration // of one synchronous tool call; 0 means AWS's 15 minutes
}

// Connection is what a session sees of AWS.
type Connection struct {
	Network *proto.Network
	Relay   func(ctx context.Context, listener string, conn net.Conn)
	// End takes the session's credentials back.
	End func(ctx context.Context) error
}

// Quota is what an account may use at once.
type Quota struct {
	Interpreters int // per account and region
	Sessions     int // READY at once, per account and region
	Invocations  int // at once in one session
}

// DefaultQuota is AWS's: 1,000 interpreters and sessions per account, and the ten parallel calls per session that its users observe.
var DefaultQuota = Quota{Interpreters: 1000, Sessions: 1000, Invocations: 10}

// Service is the Code Interpreter.
type Service struct {
	o      Options
	tokens *idempotency.Tokens

	mu     sync.Mutex
	live   map[string]*liveSession // by session id
	closed bool
	wg     sync.WaitGroup // sandboxes being started or destroyed
}

const (
	defaultCallTimeout = 15 * time.Minute
	sessionRetention   = 30 * 24 * time.Hour // terminated sessions stay listed that long
)

// New returns a service. Sessions that the store still has as READY belong to an earlier run of the server, whose sandboxes are gone: they become TERMINATED.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultCallTimeout
	}
	s := &Service{o: o, tokens: idempotency.New(o.Store), live: map[string]*liveSession{}}
	n, err := o.Store.EndAllSessions(ctx, "The server was restarted.", time.Now())
	if err != nil {
		return nil, err
	}
	if n > 0 {
		o.Log.Warn("sessions of an earlier run are terminated", "sessions", n)
	}
	if err := o.Store.ForgetSessions(ctx, time.Now().Add(-sessionRetention)); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends every session: their sandboxes are destroyed, and the records say why.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var all []*liveSession
	for _, l := range s.live {
		all = append(all, l)
	}
	s.mu.Unlock()
	for _, l := range all {
		s.wg.Go(func() { s.end(ctx, l, "The server was stopped.") })
	}
	s.wg.Wait()
	return nil
}
