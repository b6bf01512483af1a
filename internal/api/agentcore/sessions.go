package agentcore

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type sessionID string

func (sessionID) Rule() wire.Rule { return wire.Rule{Pattern: `[0-9a-zA-Z]{1,40}`} }

type traceHeader string

func (traceHeader) Rule() wire.Rule { return wire.Length(0, 1024) }

type startSessionInput struct {
	TraceID      traceHeader   `header:"X-Amzn-Trace-Id"`
	TraceParent  traceHeader   `header:"traceparent"`
	Interpreter  string        `uri:"codeInterpreterIdentifier" required:"true"`
	Name         string        `aws:"name" min:"1" max:"100"`
	Timeout      *int          `aws:"sessionTimeoutSeconds" min:"1" max:"28800"`
	Certificates []certificate `aws:"certificates" min:"1" max:"200"`
	ClientToken  clientToken   `aws:"clientToken"`
}

type startSessionOutput struct {
	Interpreter string    `aws:"codeInterpreterIdentifier" required:"true"`
	SessionID   string    `aws:"sessionId" required:"true"`
	CreatedAt   time.Time `aws:"createdAt"`
}

func (a *API) startSession(ctx context.Context, in *startSessionInput) (*startSessionOutput, error) {
	if err := noCertificates(in.Certificates); err != nil {
		return nil, err
	}
	n := codeinterpreter.NewSession{InterpreterID: in.Interpreter, Name: in.Name}
	if in.Timeout != nil {
		n.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	s, err := a.Interpreters.StartSession(ctx, scope(ctx), n, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &startSessionOutput{Interpreter: s.InterpreterID, SessionID: s.ID, CreatedAt: s.CreatedAt}, nil
}

type getSessionInput struct {
	Interpreter string    `uri:"codeInterpreterIdentifier" required:"true"`
	SessionID   sessionID `query:"sessionId" required:"true"`
}

type getSessionOutput struct {
	Interpreter string    `aws:"codeInterpreterIdentifier" required:"true"`
	SessionID   string    `aws:"sessionId" required:"true"`
	Name        string    `aws:"name"`
	CreatedAt   time.Time `aws:"createdAt"`
	Timeout     int       `aws:"sessionTimeoutSeconds"`
	Status      string    `aws:"status" required:"true"`
}

func (a *API) getSession(ctx context.Context, in *getSessionInput) (*getSessionOutput, error) {
	s, err := a.Interpreters.Session(ctx, scope(ctx), in.Interpreter, string(in.SessionID))
	if err != nil {
		return nil, err
	}
	return &getSessionOutput{Interpreter: s.InterpreterID, SessionID: s.ID, Name: s.Name, CreatedAt: s.CreatedAt,
		Timeout: int(s.Timeout / time.Second), Status: string(s.Status)}, nil
}

type listSessionsInput struct {
	Interpreter string    `uri:"codeInterpreterIdentifier" required:"true"`
	MaxResults  *int      `aws:"maxResults" min:"1" max:"100"`
	NextToken   nextToken `aws:"nextToken"`
	Status      string    `aws:"status" enum:"READY,TERMINATED"`
}

type listSessionsOutput struct {
	Items     []sessionSummary `aws:"items"`
	NextToken string           `aws:"nextToken"`
}

type sessionSummary struct {
	Interpreter   string    `aws:"codeInterpreterIdentifier" required:"true"`
	SessionID     string    `aws:"sessionId" required:"true"`
	Name          string    `aws:"name"`
	Status        string    `aws:"status" required:"true"`
	CreatedAt     time.Time `aws:"createdAt"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
}

func (a *API) listSessions(ctx context.Context, in *listSessionsInput) (*listSessionsOutput, error) {
	const usual = 10 // the model's default
	items, next, err := a.Interpreters.Sessions(ctx, scope(ctx), in.Interpreter, codeinterpreter.SessionStatus(in.Status), page(in.MaxResults, in.NextToken, usual))
	if err != nil {
		return nil, err
	}
	out := &listSessionsOutput{Items: []sessionSummary{}, NextToken: next}
	for _, s := range items {
		out.Items = append(out.Items, sessionSummary{Interpreter: s.InterpreterID, SessionID: s.ID, Name: s.Name, Status: string(s.Status),
			CreatedAt: s.CreatedAt, LastUpdatedAt: s.UpdatedAt})
	}
	return out, nil
}

type stopSessionInput struct {
	TraceID     traceHeader `header:"X-Amzn-Trace-Id"`
	TraceParent traceHeader `header:"traceparent"`
	Interpreter string      `uri:"codeInterpreterIdentifier" required:"true"`
	SessionID   sessionID   `query:"sessionId" required:"true"`
	ClientToken clientToken `aws:"clientToken"`
}

type stopSessionOutput struct {
	Interpreter   string    `aws:"codeInterpreterIdentifier" required:"true"`
	SessionID     string    `aws:"sessionId" required:"true"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
}

func (a *API) stopSession(ctx context.Context, in *stopSessionInput) (*stopSessionOutput, error) {
	s, err := a.Interpreters.StopSession(ctx, scope(ctx), in.Interpreter, string(in.SessionID))
	if err != nil {
		return nil, err
	}
	return &stopSessionOutput{Interpreter: s.InterpreterID, SessionID: s.ID, LastUpdatedAt: s.UpdatedAt}, nil
}
