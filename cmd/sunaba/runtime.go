package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/oklog/ulid/v2"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/agentruntime/container"
	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// runtimeImages brings the images of agents from the registry, as their roles.
type runtimeImages struct {
	who      identities
	registry *registry.Service
	images   *image.Store
	local    string // host and port of the registry, beside ECR's own names
}

// Pull implements agentruntime.Images.
func (r runtimeImages) Pull(ctx context.Context, p agentruntime.Pull) (a agentruntime.Artifact, err error) {
	id, ref, ok := registry.ParseImage(p.URI, registry.Scope{Account: p.Account, Region: p.Region}, r.local)
	if !ok {
		return a, fault.Invalid("agentRuntimeArtifact.containerConfiguration.containerUri", "the image %q is not in this server's registry: push it to %s first", p.URI, r.local)
	}
	if err := r.mayPull(ctx, p, id); err != nil {
		return a, err
	}
	img, err := r.registry.Image(ctx, id, ref, v1.Platform{OS: "linux", Architecture: runtime.GOARCH})
	if err != nil {
		return a, err
	}
	i, err := r.images.Add(ctx, img, p.URI)
	switch {
	case errors.Is(err, image.ErrArchitecture), errors.Is(err, image.ErrNoProgram), errors.Is(err, image.ErrInvalid):
		return a, fault.Invalid("agentRuntimeArtifact.containerConfiguration.containerUri", "%v", err)
	case err != nil:
		return a, err
	}
	return agentruntime.Artifact{ID: i.ID, Digest: i.Digest, Entrypoint: i.Entrypoint, Cmd: i.Cmd, Env: i.Env, User: i.User, WorkingDir: i.WorkingDir}, nil
}

// mayPull decides whether the runtime's role may pull from the repository, in the role's own name.
func (r runtimeImages) mayPull(ctx context.Context, p agentruntime.Pull, id registry.ID) (err error) {
	name := roleSession("pull", p.SourceARN)
	k, err := r.who.AssumeRoleForService(ctx, iam.Handover{RoleARN: p.Role, Service: agentcoreService, SourceAccount: p.Account, SourceARN: p.SourceARN, SessionName: name})
	if err != nil {
		return err
	}
	defer func() {
		_, ended := r.who.EndSessions(context.WithoutCancel(ctx), iam.Sessions{Service: agentcoreService, SourceARN: p.SourceARN, Name: name})
		err = errors.Join(err, ended)
	}()
	caller, _, err := r.who.KeyHolder(ctx, k.AccessKeyID)
	if err != nil {
		return err
	}
	var conditions map[string][]string
	var policy []byte
	repository, missing := r.registry.Repository(ctx, id)
	if missing == nil {
		conditions = repository.Conditions()
		if policy, err = repository.ResourcePolicy(); err != nil {
			return err
		}
	}
	for _, action := range []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} {
		if err := r.who.Authorize(ctx, iam.Request{Principal: caller, Action: action, Resource: id.ARN(), Context: conditions, ResourcePolicy: policy}); err != nil {
			return err
		}
	}
	return missing
}

// roleSession is a name for a session of a role: the resource's session ids may be longer than those of roles.
func roleSession(kind string, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return "BedrockAgentCore-" + kind + "-" + hex.EncodeToString(sum[:12])
}

// unpacked finds an artifact's root, and keeps it while an instance runs.
func (r runtimeImages) unpacked(_ context.Context, a agentruntime.Artifact) (root string, release func(), err error) {
	i, err := r.images.Resolve(a.ID)
	if err != nil {
		return "", nil, fault.New(agentruntime.RuntimeClientError, "The agent's image is not on this host any more: update the runtime, and it is brought again.").With(err)
	}
	release, err = r.images.Use(i.ID)
	return i.Root, release, err
}

// agentGuest is a sandbox's guest as agents need it.
type agentGuest struct{ *client.Client }

// Run implements container.Guest.
func (g agentGuest) Run(ctx context.Context, s proto.Service, out func(stderr bool, p []byte)) (container.Program, error) {
	run, err := g.RunService(ctx, s, out)
	if err != nil {
		return nil, err
	}
	return run, nil
}

// Dial implements container.Guest.
func (g agentGuest) Dial(ctx context.Context, port int) (net.Conn, error) {
	return g.Client.Dial(ctx, port)
}

// asInterpreter is a runtime as the rules of the network see it: both have a role, a mode and tags.
func asInterpreter(r agentruntime.Runtime) codeinterpreter.Interpreter {
	return codeinterpreter.Interpreter{Scope: codeinterpreter.Scope{Account: r.Account, Region: r.Region}, ID: r.ID, ExecutionRole: r.Role, Tags: r.Tags,
		Network: codeinterpreter.Network{Mode: codeinterpreter.NetworkMode(r.Network.Mode), Subnets: r.Network.Subnets, SecurityGroups: r.Network.SecurityGroups}}
}

// connectAgent gives an instance of an agent its view of the network.
func (c connector) connectAgent(l agentruntime.Launch) container.Connection {
	if l.Runtime.RequireMMDSV2 != nil && *l.Runtime.RequireMMDSV2 {
		c.outside.imdsV1 = false
	}
	v := c.view(asInterpreter(l.Runtime), l.Runtime.ARN(), l.Session+"-"+l.Runtime.ID, roleSession("runtime", l.Runtime.ID, l.Session))
	return container.Connection{Network: v.Network, Relay: v.Relay, End: v.End}
}

// checkAgentRole decides whether a runtime may have its role.
func (i identities) checkAgentRole(ctx context.Context, r agentruntime.Runtime) error {
	if err := i.PassRole(ctx, iam.PrincipalOf(ctx), r.Role, agentcoreService); err != nil {
		return err
	}
	err := i.TrustsService(ctx, iam.Handover{RoleARN: r.Role, Service: agentcoreService, SourceAccount: r.Account, SourceARN: r.ARN()})
	if fault.Is(err, iam.NoSuchEntity) || fault.Is(err, fault.AccessDenied) {
		return fault.Invalid("roleArn", "Role validation failed for '%s'. Please verify that the role exists and its trust policy allows assumption by %s", r.Role, agentcoreService).With(err)
	}
	return err
}

// runtimes starts AgentCore Runtime.
func (u *up) runtimes(ctx context.Context, d *domains, driver sandbox.Driver, connect connector, limits sandbox.Limits, store agentruntime.Store) (err error) {
	images := runtimeImages{who: d.who, registry: d.registry, images: image.New(u.s.cacheDir), local: strings.TrimPrefix(d.endpoint, "http://")}
	launcher := container.New(container.Options{
		Driver: driver, Guest: func(s sandbox.Sandbox) container.Guest { return agentGuest{s.Guest()} }, Image: images.unpacked, Limits: limits, Connect: connect.connectAgent,
		Output: func(l agentruntime.Launch, group, stream string) (container.Lines, error) {
			return d.logs.Writer(logs.Scope{Account: l.Runtime.Account, Region: l.Runtime.Region}, group, stream)
		},
		NewID: func() string { return strings.ToLower(ulid.Make().String()) }, Log: u.log,
	})
	d.runtimes, err = agentruntime.New(ctx, agentruntime.Options{Store: store, Images: images, Launcher: launcher, Log: u.log, CheckRole: d.who.checkAgentRole,
		CheckNetwork: func(r agentruntime.Runtime) error { return connect.outside.check(asInterpreter(r)) }})
	if err != nil {
		return err
	}
	u.later(d.runtimes.Close)
	return nil
}
