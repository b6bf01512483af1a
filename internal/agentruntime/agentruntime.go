// Package agentruntime is AgentCore Runtime: agent runtimes with their immutable versions and endpoints, workload identities, and the sessions in which an agent's container answers invocations.
//
// It knows neither HTTP nor SQL: a [Store] keeps what must survive, [Images] brings the artifacts, a [Launcher] starts the isolated instance that a session has for itself, and errors are coded faults.
// Behaviour follows the models of bedrock-agentcore (2024-02-28) and bedrock-agentcore-control (2023-06-05), and the developer guide; docs/runtime.md lists every difference.
package agentruntime

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
)

// The exceptions that only this service has. Source: the model of bedrock-agentcore.
const (
	RuntimeClientError fault.Code = "RuntimeClientError" // HTTP status 424: what the agent did wrong
	RetryableConflict  fault.Code = "RetryableConflictException"
	Unauthorized       fault.Code = "UnauthorizedException"
)

// Quota is what an account may use at once, in one region.
type Quota struct {
	Runtimes  int
	Versions  int // of one runtime
	Endpoints int // of one runtime, DEFAULT included
	Sessions  int // with an instance
	Starts    int // of instances at once, over all accounts: more wait for their turn
}

// DefaultQuota is AWS's, but for sessions, of which one host has fewer. Source: bedrock-agentcore-limits, 2026-09-26.
var DefaultQuota = Quota{Runtimes: 1000, Versions: 1000, Endpoints: 10, Sessions: 1000, Starts: 8}

// Options configure a Service.
type Options struct {
	Store    Store
	Images   Images
	Launcher Launcher
	Quota    Quota // the zero value is DefaultQuota
	Log      *slog.Logger
	// CheckRole decides whether a runtime may have its role: the caller may hand it over, and it trusts the service for this runtime. nil allows every role.
	CheckRole func(ctx context.Context, r Runtime) error
	// CheckNetwork refuses, with a ValidationException, a runtime whose network the server cannot give it, or whose tags about the network make no sense. nil refuses nothing.
	CheckNetwork func(r Runtime) error
}

// Images brings artifacts to this host.
type Images interface {
	// Pull resolves a container's URI and unpacks the image, as the runtime's role. Its faults are what GetAgentRuntime shows as the failure reason.
	Pull(ctx context.Context, p Pull) (Artifact, error)
}

// Pull says which image is wanted, and for whom.
type Pull struct {
	Scope
	Role      string // ARN
	SourceARN string // of the runtime
	URI       string
}

// Artifact is an unpacked image.
type Artifact struct {
	ID         string            `json:"id"` // by which the instance's root is found again
	Digest     string            `json:"digest,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
}

// Launcher starts instances.
type Launcher interface {
	// Launch starts an instance and returns it once its agent answers. A failure leaves nothing behind; RuntimeClientError is one of the agent's own.
	Launch(ctx context.Context, l Launch) (Instance, error)
}

// Launch is what an instance starts from.
type Launch struct {
	Runtime  Runtime // at the version that the instance runs
	Artifact Artifact
	Endpoint string // name
	Session  string
}

// Instance is one running agent, for one session.
type Instance interface {
	// Send hands a request to the agent and returns its answer, whose body may go on for long. What the agent does wrong is a RuntimeClientError.
	Send(ctx context.Context, r Request) (Answer, error)
	// Ping asks the agent how it is; an agent whose protocol has no ping is Healthy.
	Ping(ctx context.Context) (Health, error)
	// Done is closed when the instance has ended by itself, and Reason says why in a sentence.
	Done() <-chan struct{}
	Reason() string
	Destroy(ctx context.Context) error
}

// Service is AgentCore Runtime.
type Service struct {
	o       Options
	tokens  *idempotency.Tokens
	starts  chan struct{}
	ctx     context.Context // of what runs in the background; ends with Close
	cancel  context.CancelFunc
	mu      sync.Mutex
	live    map[sessionKey]*session
	aliases map[sessionKey]*session // by the session ids that MCP servers give out
	counts  map[Scope]int           // of live
	closed  bool
	wg      sync.WaitGroup
}

// stopTime bounds what must still be done for a request that is over.
const stopTime = time.Minute

// New returns a service. Artifacts that were being brought when the server ended are brought now.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Quota == (Quota{}) {
		o.Quota = DefaultQuota
	}
	s := &Service{o: o, tokens: idempotency.New(o.Store), starts: make(chan struct{}, o.Quota.Starts), live: map[sessionKey]*session{}, aliases: map[sessionKey]*session{}, counts: map[Scope]int{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	unfinished, err := o.Store.UnfinishedVersions(ctx)
	if err != nil {
		s.cancel()
		return nil, err
	}
	for _, r := range unfinished {
		s.wg.Go(func() { s.prepare(s.ctx, r) })
	}
	return s, nil
}

// Close ends every session and waits for all that runs in the background. Artifacts that are being brought stay CREATING, for the next start.
func (s *Service) Close(context.Context) error {
	s.mu.Lock()
	s.closed = true
	var all []*session
	for _, l := range s.live {
		all = append(all, l)
	}
	s.mu.Unlock()
	s.cancel()
	for _, l := range all {
		s.wg.Go(func() { s.end(l, "The server was stopped.") })
	}
	s.wg.Wait()
	return nil
}

// background runs f unless the service is closed.
func (s *Service) background(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return shuttingDown()
	}
	s.wg.Go(f)
	return nil
}

func shuttingDown() error { return fault.New(fault.Throttling, "The server is shutting down.") }
