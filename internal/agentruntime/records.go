package agentruntime

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/idempotency"
)

// Scope is the account and region that own a resource.
type Scope struct {
	Account string // twelve digits
	Region  string
}

// Status of a runtime, a version or an endpoint.
type Status string

// The statuses. What is deleted is gone: DELETING is only said in the answer.
const (
	Creating     Status = "CREATING"
	CreateFailed Status = "CREATE_FAILED"
	Updating     Status = "UPDATING"
	UpdateFailed Status = "UPDATE_FAILED"
	Ready        Status = "READY"
	Deleting     Status = "DELETING"
)

// unfinished reports whether something is still being done.
func (s Status) unfinished() bool { return s == Creating || s == Updating }

// Protocol is what an agent's container speaks.
type Protocol string

// The protocols.
const (
	HTTP Protocol = "HTTP"
	MCP  Protocol = "MCP"
	A2A  Protocol = "A2A"
	AGUI Protocol = "AGUI"
)

// NetworkMode says what an instance may reach.
type NetworkMode string

// The network modes.
const (
	NetworkPublic NetworkMode = "PUBLIC"
	NetworkVPC    NetworkMode = "VPC"
)

// Network is a runtime's network configuration. The lists are set in VPC mode only.
type Network struct {
	Mode           NetworkMode `json:"mode"`
	Subnets        []string    `json:"subnets,omitempty"`
	SecurityGroups []string    `json:"securityGroups,omitempty"`
}

// Lifecycle bounds instances, to the second.
type Lifecycle struct {
	Idle        time.Duration `json:"idle"`        // without an invocation and not busy
	MaxLifetime time.Duration `json:"maxLifetime"` // from the start
}

// Configuration is what a version of a runtime is; it never changes.
type Configuration struct {
	Description  string            `json:"description,omitempty"`
	ContainerURI string            `json:"containerUri"`
	Role         string            `json:"role"` // ARN
	Network      Network           `json:"network"`
	Protocol     Protocol          `json:"protocol,omitempty"` // "" is HTTP, unsaid
	Lifecycle    Lifecycle         `json:"lifecycle"`
	Environment  map[string]string `json:"environment,omitempty"`
	Headers      []string          `json:"headers,omitempty"` // of requests, that are passed on to the agent
	// RequireMMDSV2 has the metadata service refuse requests without a token; nil is unsaid.
	RequireMMDSV2 *bool `json:"requireMmdsV2,omitempty"`
}

// Speaks returns the protocol of the agent's container.
func (c Configuration) Speaks() Protocol {
	if c.Protocol == "" {
		return HTTP
	}
	return c.Protocol
}

// Runtime is an agent runtime at one version. Status and FailureReason are the version's, UpdatedAt the time when they changed last.
type Runtime struct {
	Scope
	ID      string
	Name    string
	Version int // from 1
	Configuration
	Status        Status
	FailureReason string
	Tags          map[string]string
	CreatedAt     time.Time // of the runtime
	UpdatedAt     time.Time
}

// DefaultEndpoint is the endpoint that every runtime has, and that follows its newest version.
const DefaultEndpoint = "DEFAULT"

// Endpoint is a name under which a version of a runtime is invoked.
type Endpoint struct {
	Scope
	RuntimeID     string
	ID            string
	Name          string
	Description   string
	Live, Target  int // versions: that serves, and that is to serve; Live is 0 before the first one
	Status        Status
	FailureReason string
	Tags          map[string]string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Workload is a workload identity: who an agent is when it asks for others' credentials.
type Workload struct {
	Scope
	Name       string
	ReturnURLs []string // of OAuth2 flows
	Tags       map[string]string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Page asks for part of a list: Limit items after the one that Token stands for.
type Page struct {
	Limit int
	Token string
}

// token is the key of a client token in an operation.
func token(s Scope, operation, clientToken string) idempotency.Key {
	return idempotency.Key{Account: s.Account, Region: s.Region, Operation: operation, Token: clientToken}
}

// Store keeps runtimes, versions, endpoints, workload identities and the answers to client tokens. Implementations return fault.ResourceNotFound for what is not there.
type Store interface {
	// CreateRuntime keeps a runtime with its first version, its DEFAULT endpoint and its workload identity. It fails with fault.Conflict when the scope has the name (or the workload identity's) already, and
	// with fault.ServiceQuota when it has limit runtimes.
	CreateRuntime(ctx context.Context, r Runtime, e Endpoint, w Workload, limit int) error
	// AddVersion keeps the next version of a runtime, whose number it returns in the record, and has the DEFAULT endpoint aim at it. It fails with fault.Conflict while the newest version is unfinished, and
	// with fault.ServiceQuota when there are limit versions.
	AddVersion(ctx context.Context, r Runtime, limit int) (Runtime, error)
	// FinishVersion records what became of an unfinished version: its artifact if it is Ready. The DEFAULT endpoint follows: with a version that is Ready it serves it, otherwise what it served. A runtime that
	// is gone meanwhile is fault.ResourceNotFound.
	FinishVersion(ctx context.Context, r Runtime, a Artifact) error
	// UnfinishedVersions returns the versions of all accounts whose artifacts are still to be brought.
	UnfinishedVersions(ctx context.Context) ([]Runtime, error)
	// Runtime returns a runtime at a version, or at its newest for 0.
	Runtime(ctx context.Context, s Scope, id string, version int) (Runtime, error)
	// Artifact returns the artifact of a version that is Ready.
	Artifact(ctx context.Context, s Scope, id string, version int) (Artifact, error)
	// Runtimes lists runtimes at their newest versions, in the order of their creation.
	Runtimes(ctx context.Context, s Scope, p Page) (items []Runtime, next string, err error)
	// RuntimeVersions lists the versions of a runtime, the newest first.
	RuntimeVersions(ctx context.Context, s Scope, id string, p Page) (items []Runtime, next string, err error)
	// DeleteRuntime removes a runtime with all that it has: versions, endpoints, workload identity. It fails with fault.Conflict while a version is unfinished.
	DeleteRuntime(ctx context.Context, s Scope, id string) error

	// CreateEndpoint fails with fault.Conflict when the runtime has the name already, with fault.ServiceQuota when it has limit endpoints, and with fault.ResourceNotFound when it is gone.
	CreateEndpoint(ctx context.Context, e Endpoint, limit int) error
	Endpoint(ctx context.Context, s Scope, runtimeID, name string) (Endpoint, error)
	Endpoints(ctx context.Context, s Scope, runtimeID string, p Page) (items []Endpoint, next string, err error)
	// ChangeEndpoint replaces an endpoint by what change makes of it, in one transaction.
	ChangeEndpoint(ctx context.Context, s Scope, runtimeID, name string, change func(e *Endpoint) error) (Endpoint, error)
	DeleteEndpoint(ctx context.Context, s Scope, runtimeID, name string) error

	// CreateWorkload fails with fault.Conflict when the scope has the name already.
	CreateWorkload(ctx context.Context, w Workload) error
	Workload(ctx context.Context, s Scope, name string) (Workload, error)
	Workloads(ctx context.Context, s Scope, p Page) (items []Workload, next string, err error)
	ChangeWorkload(ctx context.Context, s Scope, name string, change func(w *Workload) error) (Workload, error)
	DeleteWorkload(ctx context.Context, s Scope, name string) error

	// ChangeRuntimeTags replaces a runtime's tags by what change makes of them, in one transaction.
	ChangeRuntimeTags(ctx context.Context, s Scope, id string, change func(tags map[string]string) error) error

	idempotency.Store
}
