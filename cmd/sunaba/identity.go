package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// agentcoreService is how AgentCore is called in trust policies and in iam:PassedToService.
const agentcoreService = "bedrock-agentcore.amazonaws.com"

// identities joins IAM to the parts that ask it.
type identities struct{ *iam.Service }

// Lookup implements sigv4.KeyStore.
func (i identities) Lookup(ctx context.Context, accessKeyID, sessionToken string) (sigv4.Key, error) {
	secret, principal, expires, err := i.Key(ctx, accessKeyID, sessionToken)
	switch {
	case errors.Is(err, iam.ErrUnknownKey):
		return sigv4.Key{}, sigv4.ErrUnknownKey
	case errors.Is(err, iam.ErrInvalidToken):
		return sigv4.Key{}, sigv4.ErrInvalidToken
	case errors.Is(err, iam.ErrExpiredToken):
		return sigv4.Key{}, sigv4.ErrExpiredToken
	case err != nil:
		return sigv4.Key{}, err
	}
	return sigv4.Key{Secret: secret, Expires: expires, Principal: principal}, nil
}

// admit puts the caller, and what policies may ask of the request, into the context. It is called once a signature has been found valid, and notes that its key was used.
func (i identities) admit(ctx context.Context, principal any, r *http.Request) (context.Context, server.Principal) {
	p, ok := principal.(iam.Principal)
	if !ok {
		return ctx, server.Principal{}
	}
	if scope, ok := sigv4.ScopeOf(r); ok {
		i.Used(p, scope.Service, scope.Region)
	}
	keys := map[string][]string{"aws:UserAgent": {r.UserAgent()}, "aws:SecureTransport": {"false"}}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		keys["aws:SourceIp"] = []string{host}
		// What does not leave the machine needs no TLS; CDK's bootstrap bucket denies everything else.
		if ip := net.ParseIP(host); r.TLS != nil || (ip != nil && ip.IsLoopback()) {
			keys["aws:SecureTransport"] = []string{"true"}
		}
	}
	return iam.WithKeys(iam.WithPrincipal(ctx, p), keys), server.Principal{Account: p.Account, ARN: p.ARN}
}

// endSessions voids the temporary credentials that earlier runs of the server handed to sessions: those died with it, and what they held must not outlive them. It is called before the first session of
// this run starts, and returns how many there were.
func (i identities) endSessions(ctx context.Context) (int, error) {
	return i.EndSessions(ctx, iam.Sessions{Service: agentcoreService})
}

// authorize implements the decision that wire.Service asks for.
func (i identities) authorize(ctx context.Context, action string, t wire.Target) error {
	return i.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context})
}

// authorizeWith is authorize for what has a policy of its own.
func (i identities) authorizeWith(ctx context.Context, action string, t wire.Target, policy []byte) error {
	return i.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context, ResourcePolicy: policy})
}

// checkRole decides whether an interpreter may have its execution role, as CreateCodeInterpreter does on AWS: at once. Terraform waits for new roles by this message.
func (i identities) checkRole(ctx context.Context, ci codeinterpreter.Interpreter) error {
	if err := i.PassRole(ctx, iam.PrincipalOf(ctx), ci.ExecutionRole, agentcoreService); err != nil {
		return err
	}
	err := i.TrustsService(ctx, iam.Handover{RoleARN: ci.ExecutionRole, Service: agentcoreService, SourceAccount: ci.Account, SourceARN: ci.ARN()})
	if fault.Is(err, iam.NoSuchEntity) || fault.Is(err, fault.AccessDenied) {
		e := fault.Invalid("executionRoleArn", "CodeInterpreter role validation failed: the role %s does not exist or its trust policy does not allow %s to assume it for %s",
			ci.ExecutionRole, agentcoreService, ci.ARN())
		return e.With(err)
	}
	return err
}
