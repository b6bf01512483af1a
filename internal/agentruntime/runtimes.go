package agentruntime

import (
	"context"
	"errors"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/resourceid"
)

// NewRuntime is what CreateAgentRuntime takes.
type NewRuntime struct {
	Name string
	Configuration
	Tags map[string]string
}

// CreateRuntime makes a runtime with version 1, its DEFAULT endpoint and its workload identity. The artifact is brought in the background: the runtime is CREATING until it is there, then READY or
// CREATE_FAILED. A repeated client token returns the first answer.
func (s *Service) CreateRuntime(ctx context.Context, scope Scope, in NewRuntime, clientToken string) (Runtime, error) {
	if err := errors.Join(in.check(), checkTags(in.Tags)); err != nil {
		return Runtime{}, err
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "CreateAgentRuntime", clientToken), in, func() (Runtime, error) {
		now := time.Now().UTC()
		r := Runtime{Scope: scope, ID: resourceid.New(in.Name), Name: in.Name, Version: 1, Configuration: in.Configuration, Status: Creating, Tags: in.Tags, CreatedAt: now, UpdatedAt: now}
		if err := s.allowed(ctx, r); err != nil {
			return Runtime{}, err
		}
		e := Endpoint{Scope: scope, RuntimeID: r.ID, ID: resourceid.New(DefaultEndpoint), Name: DefaultEndpoint, Target: 1, Status: Creating, CreatedAt: now, UpdatedAt: now}
		w := r.Workload()
		w.CreatedAt, w.UpdatedAt = now, now
		if err := s.o.Store.CreateRuntime(ctx, r, e, w, s.o.Quota.Runtimes); err != nil {
			return Runtime{}, err
		}
		s.prepareLater(r)
		return r, nil
	})
}

// UpdateRuntime makes the next version of a runtime, of the whole configuration: what is left out is as if it had been left out at first. DEFAULT follows when the artifact is there. The description may be
// changed, too, and is kept with the version. A repeated client token returns the first answer.
func (s *Service) UpdateRuntime(ctx context.Context, scope Scope, id string, c Configuration, clientToken string) (Runtime, error) {
	if err := c.check(); err != nil {
		return Runtime{}, err
	}
	type parameters struct {
		ID string
		Configuration
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "UpdateAgentRuntime", clientToken), parameters{id, c}, func() (Runtime, error) {
		r, err := s.o.Store.Runtime(ctx, scope, id, 0)
		if err != nil {
			return Runtime{}, err
		}
		r.Configuration, r.Status, r.FailureReason, r.UpdatedAt = c, Updating, "", time.Now().UTC()
		if err := s.allowed(ctx, r); err != nil {
			return Runtime{}, err
		}
		if r, err = s.o.Store.AddVersion(ctx, r, s.o.Quota.Versions); err != nil {
			return Runtime{}, err
		}
		s.prepareLater(r)
		return r, nil
	})
}

// allowed asks about the network and the role.
func (s *Service) allowed(ctx context.Context, r Runtime) error {
	if s.o.CheckNetwork != nil {
		if err := s.o.CheckNetwork(r); err != nil {
			return err
		}
	}
	if s.o.CheckRole != nil {
		return s.o.CheckRole(ctx, r)
	}
	return nil
}

// Bounds of lifecycles, and what they are when nothing is said. Source: the model, and runtime-lifecycle-settings.
const (
	DefaultIdle        = 900 * time.Second
	DefaultMaxLifetime = 28800 * time.Second
)

// WithDefaults returns the lifecycle with what is zero filled in. A maximum below the usual idle time, said alone, is both.
func (l Lifecycle) WithDefaults() Lifecycle {
	if l.MaxLifetime == 0 {
		l.MaxLifetime = DefaultMaxLifetime
	}
	if l.Idle == 0 {
		l.Idle = min(DefaultIdle, l.MaxLifetime)
	}
	return l
}

// check refuses what the model's rules for single members cannot say.
func (c Configuration) check() error {
	const vpc = "networkConfiguration.networkModeConfig"
	hasVPC := len(c.Network.Subnets)+len(c.Network.SecurityGroups) > 0
	switch {
	case c.Network.Mode == NetworkVPC && !hasVPC:
		return fault.Invalid(vpc, "networkModeConfig is required when networkMode is VPC")
	case c.Network.Mode != NetworkVPC && hasVPC:
		return fault.Invalid(vpc, "networkModeConfig is allowed only when networkMode is VPC")
	case c.Lifecycle.Idle > c.Lifecycle.MaxLifetime:
		return fault.Invalid("lifecycleConfiguration.idleRuntimeSessionTimeout", "idleRuntimeSessionTimeout must be less than or equal to maxLifetime")
	}
	return checkHeaders(c.Headers)
}

// prepareLater brings the artifact of a version in the background. If the server is being stopped the next one does it.
func (s *Service) prepareLater(r Runtime) {
	_ = s.background(func() { s.prepare(s.ctx, r) })
}

// prepare brings the artifact of a version and records what became of it.
func (s *Service) prepare(ctx context.Context, r Runtime) {
	a, err := s.o.Images.Pull(ctx, Pull{Scope: r.Scope, Role: r.Role, SourceARN: r.ARN(), URI: r.ContainerURI})
	if ctx.Err() != nil {
		return
	}
	failed, log := CreateFailed, s.o.Log.With("runtime", r.ID, "version", r.Version)
	if r.Version > 1 {
		failed = UpdateFailed
	}
	r.Status, r.FailureReason, r.UpdatedAt = Ready, "", time.Now().UTC()
	if err == nil && len(a.Entrypoint)+len(a.Cmd) == 0 {
		err = fault.New(fault.Validation, "The container image has neither an entrypoint nor a command, so that there is nothing to run.")
	}
	if err != nil {
		log.Warn("the artifact of a runtime could not be brought", "error", err)
		r.Status, r.FailureReason = failed, fault.From(err).Message
	}
	if err := s.o.Store.FinishVersion(ctx, r, a); err != nil && !fault.Is(err, fault.ResourceNotFound) {
		log.Error("what became of a runtime's version was not recorded; it is tried again at the next start", "error", err)
	}
}

// Runtime returns a runtime at a version, or at its newest for 0.
func (s *Service) Runtime(ctx context.Context, scope Scope, id string, version int) (Runtime, error) {
	return s.o.Store.Runtime(ctx, scope, id, version)
}

// Runtimes lists the account's runtimes at their newest versions, in the order of their creation.
func (s *Service) Runtimes(ctx context.Context, scope Scope, p Page) ([]Runtime, string, error) {
	return s.o.Store.Runtimes(ctx, scope, p)
}

// Versions lists the versions of a runtime, the newest first.
func (s *Service) Versions(ctx context.Context, scope Scope, id string, p Page) ([]Runtime, string, error) {
	if _, err := s.o.Store.Runtime(ctx, scope, id, 0); err != nil {
		return nil, "", err
	}
	return s.o.Store.RuntimeVersions(ctx, scope, id, p)
}

// DeleteRuntime removes a runtime with its versions, endpoints and workload identity, and ends its sessions. It is gone at once; the answer says DELETING as AWS's does.
func (s *Service) DeleteRuntime(ctx context.Context, scope Scope, id string) (Runtime, error) {
	r, err := s.o.Store.Runtime(ctx, scope, id, 0)
	if err != nil {
		return r, err
	}
	if err := s.o.Store.DeleteRuntime(ctx, scope, id); err != nil {
		return r, err
	}
	s.endAll("The agent runtime was deleted.", func(k sessionKey) bool { return k.Scope == scope && k.runtime == id })
	r.Status, r.UpdatedAt = Deleting, time.Now().UTC()
	return r, nil
}
