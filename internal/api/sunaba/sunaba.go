// Package sunaba declares the API of what Sunaba has and AWS has not: what live sessions connected to, and what they may connect to. It is signed and authorised like every other service, under the
// name sunaba; sunaba's own command line is its client.
package sunaba

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has what the operations call.
type API struct {
	// Session returns a live session's network by the session's id; nil when there is none, or when it sees nothing of the network.
	Session func(id string) *network.Session
	// Authorize decides whether the caller may act; see wire.Service.
	Authorize func(ctx context.Context, action string, t wire.Target) error
}

// Service returns the declared service.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "sunaba",
		Protocol:  wire.RestJSON,
		Authorize: a.Authorize,
		Operations: []wire.Operation{
			wire.On(wire.Op("ListSessionConnections", "GET /sunaba/sessions/{sessionId}/connections 200", a.listConnections), onSession),
			wire.On(wire.Op("GetSessionEgress", "GET /sunaba/sessions/{sessionId}/egress 200", a.getEgress), onSession),
			wire.On(wire.Op("PutSessionEgress", "PUT /sunaba/sessions/{sessionId}/egress 200", a.putEgress),
				func(ctx context.Context, in *putEgressInput) (wire.Target, error) {
					return session(ctx, in.SessionID)
				}),
		},
	}
}

func onSession(ctx context.Context, in *sessionInput) (wire.Target, error) {
	return session(ctx, in.SessionID)
}

// session is the target of what acts on one session.
func session(ctx context.Context, id sessionID) (wire.Target, error) {
	r := wire.RequestOf(ctx)
	return wire.Target{Resource: "arn:aws:sunaba:" + r.Region + ":" + r.Account + ":session/" + string(id)}, nil
}

type sessionID string

func (sessionID) Rule() wire.Rule { return wire.Rule{Pattern: `[0-9a-zA-Z-]{1,100}`} }

type sessionInput struct {
	SessionID sessionID `uri:"sessionId" required:"true"`
}

// live returns the session if it is the caller's.
func (a *API) live(ctx context.Context, id sessionID) (*network.Session, error) {
	r := wire.RequestOf(ctx)
	if s := a.Session(string(id)); s != nil {
		if account, region := s.Owner(); account == r.Account && region == r.Region {
			return s, nil
		}
	}
	return nil, fault.New(fault.ResourceNotFound, "There is no live session %q with a network in %s.", id, r.Region)
}

type connection struct {
	Began    time.Time `aws:"began" required:"true"`
	Took     float64   `aws:"seconds" required:"true"`
	Name     string    `aws:"name"`
	Address  string    `aws:"address"`
	Subnet   string    `aws:"subnet"`
	Verdict  string    `aws:"verdict" required:"true"`
	Reason   string    `aws:"reason"`
	Sent     int64     `aws:"bytesSent" required:"true"`
	Received int64     `aws:"bytesReceived" required:"true"`
}

type listConnectionsOutput struct {
	Connections []connection `aws:"connections" required:"true"`
}

// listConnections returns the last 1,000 connections that have ended and attempts that were refused, the oldest first.
func (a *API) listConnections(ctx context.Context, in *sessionInput) (*listConnectionsOutput, error) {
	s, err := a.live(ctx, in.SessionID)
	if err != nil {
		return nil, err
	}
	out := &listConnectionsOutput{Connections: []connection{}}
	for _, c := range s.Connections() {
		shown := connection{Began: c.Began, Took: c.Took.Seconds(), Name: c.Name, Subnet: c.Subnet, Verdict: string(c.Verdict), Reason: c.Reason, Sent: c.Sent, Received: c.Received}
		if c.Address.IsValid() {
			shown.Address = c.Address.String()
		}
		out.Connections = append(out.Connections, shown)
	}
	return out, nil
}

type egressOutput struct {
	Egress string `aws:"egress" required:"true"`
}

func (a *API) getEgress(ctx context.Context, in *sessionInput) (*egressOutput, error) {
	s, err := a.live(ctx, in.SessionID)
	if err != nil {
		return nil, err
	}
	return &egressOutput{Egress: s.Names().String()}, nil
}

type putEgressInput struct {
	SessionID sessionID `uri:"sessionId" required:"true"`
	Egress    string    `aws:"egress" required:"true" min:"1" max:"4096"`
}

// putEgress changes which names a live session may connect to, in the form of the tag sunaba:egress. Connections that the new list does not allow are cut off; the interpreter's tag stays as it is.
func (a *API) putEgress(ctx context.Context, in *putEgressInput) (*egressOutput, error) {
	s, err := a.live(ctx, in.SessionID)
	if err != nil {
		return nil, err
	}
	if !s.HasOutside() {
		return nil, fault.Invalid("egress", "a session in SANDBOX mode has no way out, so that there is nothing to list")
	}
	names, err := egress.ParseNames(in.Egress)
	if err != nil {
		return nil, fault.Invalid("egress", "%v", err)
	}
	s.SetNames(names)
	return &egressOutput{Egress: s.Names().String()}, nil
}
