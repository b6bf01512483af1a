package agentruntime

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/resourceid"
)

// NewEndpoint is what CreateAgentRuntimeEndpoint takes.
type NewEndpoint struct {
	RuntimeID   string
	Name        string
	Version     int // 0 is the newest
	Description string
	Tags        map[string]string
}

// CreateEndpoint makes an endpoint that serves one version until it is updated. It serves at once; the answer says CREATING as AWS's does. A repeated client token returns the first answer.
func (s *Service) CreateEndpoint(ctx context.Context, scope Scope, in NewEndpoint, clientToken string) (Endpoint, error) {
	if err := checkTags(in.Tags); err != nil {
		return Endpoint{}, err
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "CreateAgentRuntimeEndpoint", clientToken), in, func() (Endpoint, error) {
		version, err := s.serveable(ctx, scope, in.RuntimeID, in.Version)
		if err != nil {
			return Endpoint{}, err
		}
		now := time.Now().UTC()
		e := Endpoint{Scope: scope, RuntimeID: in.RuntimeID, ID: resourceid.New(in.Name), Name: in.Name, Description: in.Description, Live: version, Target: version, Status: Ready, Tags: in.Tags,
			CreatedAt: now, UpdatedAt: now}
		if err := s.o.Store.CreateEndpoint(ctx, e, s.o.Quota.Endpoints); err != nil {
			return Endpoint{}, err
		}
		e.Status = Creating
		return e, nil
	})
}

// serveable returns the number of a version that can be served.
func (s *Service) serveable(ctx context.Context, scope Scope, id string, version int) (int, error) {
	r, err := s.o.Store.Runtime(ctx, scope, id, version)
	if err != nil {
		return 0, err
	}
	if r.Status != Ready {
		return 0, fault.New(fault.Conflict, "Version %d of the agent runtime %q is %s.", r.Version, id, r.Status)
	}
	return r.Version, nil
}

// EndpointChange is what UpdateAgentRuntimeEndpoint takes.
type EndpointChange struct {
	RuntimeID   string
	Name        string
	Version     int // 0 leaves it
	Description *string
}

// UpdateEndpoint has an endpoint serve another version: sessions that run keep theirs. The answer says UPDATING as AWS's does. A repeated client token returns the first answer.
func (s *Service) UpdateEndpoint(ctx context.Context, scope Scope, in EndpointChange, clientToken string) (Endpoint, error) {
	if in.Name == DefaultEndpoint && in.Version != 0 {
		return Endpoint{}, fault.New(fault.Conflict, "The endpoint %s follows the newest version; an endpoint of another name can be kept at one.", DefaultEndpoint)
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "UpdateAgentRuntimeEndpoint", clientToken), in, func() (Endpoint, error) {
		if in.Version != 0 {
			if _, err := s.serveable(ctx, scope, in.RuntimeID, in.Version); err != nil {
				return Endpoint{}, err
			}
		}
		e, err := s.o.Store.ChangeEndpoint(ctx, scope, in.RuntimeID, in.Name, func(e *Endpoint) error {
			if in.Version != 0 {
				e.Live, e.Target = in.Version, in.Version
			}
			if in.Description != nil {
				e.Description = *in.Description
			}
			e.UpdatedAt = time.Now().UTC()
			return nil
		})
		e.Status = Updating
		return e, err
	})
}

// Endpoint returns one endpoint.
func (s *Service) Endpoint(ctx context.Context, scope Scope, runtimeID, name string) (Endpoint, error) {
	return s.o.Store.Endpoint(ctx, scope, runtimeID, name)
}

// Endpoints lists the endpoints of a runtime in the order of their creation.
func (s *Service) Endpoints(ctx context.Context, scope Scope, runtimeID string, p Page) ([]Endpoint, string, error) {
	if _, err := s.o.Store.Runtime(ctx, scope, runtimeID, 0); err != nil {
		return nil, "", err
	}
	return s.o.Store.Endpoints(ctx, scope, runtimeID, p)
}

// DeleteEndpoint removes an endpoint and ends its sessions. DEFAULT goes with its runtime only.
func (s *Service) DeleteEndpoint(ctx context.Context, scope Scope, runtimeID, name string) (Endpoint, error) {
	e, err := s.o.Store.Endpoint(ctx, scope, runtimeID, name)
	if err != nil {
		return e, err
	}
	if name == DefaultEndpoint {
		return e, fault.New(fault.Conflict, "The endpoint %s cannot be deleted; it goes with its agent runtime.", DefaultEndpoint)
	}
	if err := s.o.Store.DeleteEndpoint(ctx, scope, runtimeID, name); err != nil {
		return e, err
	}
	s.endAll("The agent runtime endpoint was deleted.", func(k sessionKey) bool { return k.Scope == scope && k.runtime == runtimeID && k.endpoint == name })
	e.Status = Deleting
	return e, nil
}

// ParseVersion reads a version's number, 0 for none. The model's pattern has been checked.
func ParseVersion(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
