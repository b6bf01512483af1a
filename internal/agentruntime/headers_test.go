package agentruntime_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

// mcp is a request as MCP clients send it: with an id of theirs, and a session of the SDK's that is new each time.
func (h *harness) mcp(id, mcpSession string) agentruntime.Answer {
	h.t.Helper()
	in := agentruntime.Invocation{Header: map[string][]string{}}
	if mcpSession != "" {
		in.Header["Mcp-Session-Id"] = []string{mcpSession}
	}
	a, err := h.Invoke(h.t.Context(), scope, id, in)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = a.Body.Close()
	return a
}

func TestMCPSessionsAreFoundByTheirOwnIDs(t *testing.T) {
	run(t, func(_ *agentruntime.Options, n *agentruntime.NewRuntime) { n.Protocol = agentruntime.MCP }, func(t *testing.T, h *harness, id string) {
		first := h.mcp(id, "")
		if again := h.mcp(id, first.Header["Mcp-Session-Id"][0]); again.Session != first.Session {
			t.Errorf("a stateless server: %q, then %q", first.Session, again.Session)
		}
		h.wantAlive(1)
		h.send = func(_ context.Context, _ *instance, r agentruntime.Request) (agentruntime.Answer, error) {
			a := answer("{}")
			a.Header = map[string][]string{"Mcp-Session-Id": {"given-by-the-server"}}
			return a, nil
		}
		second := h.mcp(id, "")
		if again := h.mcp(id, "given-by-the-server"); again.Session != second.Session || second.Session == first.Session {
			t.Errorf("a server with sessions: %q, then %q", second.Session, again.Session)
		}
		h.wantAlive(2)
	})
}

// A container that gives out the id of another session must not get that session's requests.
func TestAnMCPServerCannotTakeAnothersSession(t *testing.T) {
	run(t, func(_ *agentruntime.Options, n *agentruntime.NewRuntime) { n.Protocol = agentruntime.MCP }, func(t *testing.T, h *harness, id string) {
		victim := h.mcp(id, "")
		claim := victim.Session
		h.send = func(context.Context, *instance, agentruntime.Request) (agentruntime.Answer, error) {
			a := answer("{}")
			a.Header = map[string][]string{"Mcp-Session-Id": {claim}}
			return a, nil
		}
		thief := h.mcp(id, "")
		if got := h.mcp(id, victim.Session); got.Session != victim.Session || thief.Session == victim.Session {
			t.Errorf("the victim's request went to %q, the victim is %q", got.Session, victim.Session)
		}
	})
}

func TestHeadersOfALimitedSize(t *testing.T) {
	run(t, func(_ *agentruntime.Options, n *agentruntime.NewRuntime) { n.Headers = []string{"x-tenant"} }, func(t *testing.T, h *harness, id string) {
		ask := func(size int) error {
			a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a", Header: map[string][]string{"X-Tenant": {strings.Repeat("x", size)}}})
			if err == nil {
				_ = a.Body.Close()
			}
			return err
		}
		if err := ask(4096); err != nil {
			t.Error(err)
		}
		wantCode(t, ask(4097), fault.Validation, "x-tenant")
		if s := h.Sessions(); len(s) != 1 || s[0].InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}
