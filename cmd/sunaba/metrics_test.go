package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sunaba-dev/sunaba/internal/network"
)

func TestConnectionsAreCounted(t *testing.T) {
	m := newMetrics()
	m.connection(network.Connection{Verdict: network.Allowed, Sent: 10, Received: 200, Name: "secret.example.com"})
	m.connection(network.Connection{Verdict: network.Refused})
	m.connection(network.Connection{Verdict: network.Refused})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{`sunaba_egress_connections_total{verdict="allowed"} 1`, `sunaba_egress_connections_total{verdict="denied"} 2`, `sunaba_egress_connections_total{verdict="failed"} 0`,
		`sunaba_egress_bytes_total{direction="sent"} 10`, `sunaba_egress_bytes_total{direction="received"} 200`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "example.com") {
		t.Error("a name is among the metrics")
	}
}

func TestMetricsAreServedOnlyWhereAsked(t *testing.T) {
	u := &up{log: slog.New(slog.DiscardHandler)}
	if err := newMetrics().serve(t.Context(), u, ""); err != nil || len(u.cleanup) != 0 {
		t.Fatalf("without an address: %v, %d listeners", err, len(u.cleanup))
	}
	var said strings.Builder
	u.log = slog.New(slog.NewTextHandler(&said, nil))
	if err := newMetrics().serve(t.Context(), u, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(said.String()), "address=")
	r, err := http.Get(url) //nolint:gosec,noctx // our own listener
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil || !strings.Contains(string(body), "sunaba_egress_connections_total") {
		t.Errorf("%v: %s", err, body)
	}
	if err := u.cleanup[0](t.Context()); err != nil {
		t.Error(err)
	}
}
