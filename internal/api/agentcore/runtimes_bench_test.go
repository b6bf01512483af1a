package agentcore_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
)

// What an invocation of a live session costs beyond its agent: over HTTP, through the API, the store and the session, to an agent in this process.
func BenchmarkInvoke(b *testing.B) {
	h := newHarness(b, echo())
	r, err := h.service.CreateRuntime(b.Context(), agentruntime.Scope{Account: account, Region: region}, agentruntime.NewRuntime{Name: "agent", Configuration: agentruntime.Configuration{ContainerURI: "u", Role: role,
		Network: agentruntime.Network{Mode: agentruntime.NetworkPublic}, Lifecycle: agentruntime.Lifecycle{Idle: time.Minute, MaxLifetime: time.Hour}}}, "")
	if err != nil {
		b.Fatal(err)
	}
	url := h.url + "/runtimes/" + r.ID + "/invocations?accountId=" + account
	invoke := func() int {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", session)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for invoke() == http.StatusConflict { // it is being created
	}
	for b.Loop() {
		if status := invoke(); status != http.StatusOK {
			b.Fatal(status)
		}
	}
}
