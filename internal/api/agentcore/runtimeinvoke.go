package agentcore

import (
	"context"
	"errors"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Headers of invocations as the model spells them.
const sessionHeader = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

type mediaType string

func (mediaType) Rule() wire.Rule { return wire.Length(1, 256) }

type mcpHeader string

func (mcpHeader) Rule() wire.Rule { return wire.Length(1, 1024) }

type runtimeSessionID string

func (runtimeSessionID) Rule() wire.Rule { return wire.Length(33, 256) }

// invokeRuntimeInput has the headers that the model has rules for, and all of them: a runtime may have listed others.
type invokeRuntimeInput struct {
	ContentType mediaType        `header:"Content-Type"`
	Accept      mediaType        `header:"Accept"`
	MCPSession  mcpHeader        `header:"Mcp-Session-Id"`
	MCPVersion  mcpHeader        `header:"Mcp-Protocol-Version"`
	SessionID   runtimeSessionID `header:"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"`
	UserID      string           `header:"X-Amzn-Bedrock-AgentCore-Runtime-User-Id" min:"1" max:"1024"`
	TraceID     string           `header:"X-Amzn-Trace-Id" max:"128"`
	TraceParent string           `header:"traceparent" max:"128"`
	TraceState  string           `header:"tracestate" max:"512"`
	Baggage     string           `header:"baggage" max:"8192"`
	Runtime     string           `uri:"agentRuntimeArn" required:"true"`
	Qualifier   string           `query:"qualifier"`
	Account     string           `query:"accountId" pattern:"[0-9]{12}"`
	Headers     wire.Headers     `headers:"headers"`
	Payload     wire.Payload     `payload:"payload" required:"true" max:"100000000"`
}

type rawOutput struct {
	Response wire.Raw `raw:"response"`
}

func (a *API) invokeRuntime(ctx context.Context, in *invokeRuntimeInput) (*rawOutput, error) {
	return a.askRuntime(ctx, in.Runtime, in.Account, agentruntime.Invocation{Endpoint: in.Qualifier, Session: string(in.SessionID), Header: in.Headers, Body: in.Payload})
}

type agentCardInput struct {
	SessionID runtimeSessionID `header:"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"`
	Runtime   string           `uri:"agentRuntimeArn" required:"true"`
	Qualifier string           `query:"qualifier"`
	Account   string           `query:"accountId" pattern:"[0-9]{12}"`
	Headers   wire.Headers     `headers:"headers"`
}

func (a *API) getAgentCard(ctx context.Context, in *agentCardInput) (*rawOutput, error) {
	return a.askRuntime(ctx, in.Runtime, in.Account, agentruntime.Invocation{Endpoint: in.Qualifier, Session: string(in.SessionID), Header: in.Headers, Card: true})
}

func (a *API) askRuntime(ctx context.Context, runtime, account string, in agentruntime.Invocation) (*rawOutput, error) {
	scope, id, err := own(ctx, runtime, account)
	if err != nil {
		return nil, err
	}
	in.ID = wire.RequestOf(ctx).ID
	answer, err := a.Runtimes.Invoke(ctx, scope, id, in)
	if err != nil {
		if errors.Is(err, agentruntime.ErrSilent) {
			err = wire.AtStatus(err, http.StatusGatewayTimeout)
		}
		return nil, err
	}
	header := http.Header(answer.Header)
	header.Set(sessionHeader, answer.Session)
	if header.Get("Content-Type") == "" { // the model requires one, and an answer without a body has none
		header.Set("Content-Type", "application/octet-stream")
	}
	return &rawOutput{wire.Raw{Status: answer.Status, Header: header, Length: answer.Length, Body: answer.Body}}, nil
}

// own returns the runtime that an invocation names, which is of the caller's account, and in the region that the request was signed for.
func own(ctx context.Context, runtime, account string) (agentruntime.Scope, string, error) {
	caller := runtimeScope(ctx)
	scope, id, err := agentruntime.ParseRuntime(caller, runtime, account)
	switch {
	case err != nil:
		return scope, id, err
	case scope.Account != caller.Account:
		return scope, id, fault.New(fault.AccessDenied, "The agent runtime belongs to the account %s, and lets no other account in.", scope.Account)
	case scope.Region != caller.Region:
		return scope, id, fault.Invalid("agentRuntimeArn", "the agent runtime is in the region %s, and the request is signed for %s", scope.Region, caller.Region)
	}
	return scope, id, nil
}

type stopRuntimeSessionInput struct {
	SessionID   runtimeSessionID `header:"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id" required:"true"`
	Runtime     string           `uri:"agentRuntimeArn" required:"true"`
	Qualifier   string           `query:"qualifier"`
	Account     string           `query:"accountId" pattern:"[0-9]{12}"`
	ClientToken clientToken      `aws:"clientToken"`
}

type stopRuntimeSessionOutput struct {
	SessionID string `header:"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"`
}

func (a *API) stopRuntimeSession(ctx context.Context, in *stopRuntimeSessionInput) (*stopRuntimeSessionOutput, error) {
	scope, id, err := own(ctx, in.Runtime, in.Account)
	if err != nil {
		return nil, err
	}
	if err := a.Runtimes.Stop(ctx, scope, id, in.Qualifier, string(in.SessionID), string(in.ClientToken)); err != nil {
		return nil, err
	}
	return &stopRuntimeSessionOutput{SessionID: string(in.SessionID)}, nil
}
