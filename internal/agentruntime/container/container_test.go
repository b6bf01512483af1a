package container_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/agentruntime/agenttest"
	"github.com/sunaba-dev/sunaba/internal/agentruntime/container"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness launches agents of the test.
type harness struct {
	*agenttest.Driver
	t *testing.T
	o container.Options

	mu       sync.Mutex
	released int
	ended    int // credentials taken back
	group    string
	stream   string
	lines    []string
	closed   bool
}

func newHarness(t *testing.T, agent http.HandlerFunc) *harness {
	h := &harness{t: t, Driver: &agenttest.Driver{Agent: agent}}
	h.o = container.Options{Driver: h.Driver, Guest: h.Guest, Log: slog.New(slog.DiscardHandler), NewID: func() string { return "box" },
		Image: func(context.Context, agentruntime.Artifact) (string, func(), error) {
			return "/image", func() { h.count(&h.released) }, nil
		},
		Connect: func(agentruntime.Launch) container.Connection {
			return container.Connection{Network: &proto.Network{Nameserver: "n"}, End: func(context.Context) error { h.count(&h.ended); return nil }}
		},
		Output: func(_ agentruntime.Launch, group, stream string) (container.Lines, error) {
			h.group, h.stream = group, stream
			return h, nil
		}}
	return h
}

func (h *harness) count(n *int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*n++
}

// Line implements container.Lines.
func (h *harness) Line(_ context.Context, line string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
	return true
}

// Close implements container.Lines.
func (h *harness) Close(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func (h *harness) launch(p agentruntime.Protocol) (agentruntime.Instance, error) {
	h.t.Helper()
	return container.New(h.o).Launch(h.t.Context(), agentruntime.Launch{Endpoint: "DEFAULT", Session: "s", Artifact: agentruntime.Artifact{Entrypoint: []string{"/agent"}, Cmd: []string{"-x"}},
		Runtime: agentruntime.Runtime{Scope: agentruntime.Scope{Account: "111122223333", Region: "eu-west-1"}, ID: "agent-0123456789", Configuration: agentruntime.Configuration{Protocol: p}}})
}

func (h *harness) mustLaunch(p agentruntime.Protocol) agentruntime.Instance {
	h.t.Helper()
	i, err := h.launch(p)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := i.Destroy(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	return i
}

// wantNothingLeft checks that all that an instance had is given back.
func (h *harness) wantNothingLeft() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.Alive(); n != 0 || h.released != 1 || h.ended != 1 || !h.closed {
		h.t.Errorf("%d sandboxes live, image released %d times, credentials taken back %d times, log closed %v", n, h.released, h.ended, h.closed)
	}
}

func wantCode(t *testing.T, err error, code fault.Code, text string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("error %v, want %s with %q", err, code, text)
	}
}

func send(t *testing.T, i agentruntime.Instance, body string) (string, error) {
	t.Helper()
	a, err := i.Send(t.Context(), agentruntime.Request{Body: []byte(body)})
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(a.Body)
	return string(text), errors.Join(err, a.Body.Close())
}

func TestEveryProtocolHasItsPortAndPath(t *testing.T) {
	for _, c := range []struct {
		protocol agentruntime.Protocol
		port     int
		path     string
	}{{"", 8080, "POST /invocations"}, {agentruntime.HTTP, 8080, "POST /invocations"}, {agentruntime.AGUI, 8080, "POST /invocations"}, {agentruntime.MCP, 8000, "POST /mcp"}, {agentruntime.A2A, 9000, "POST /"}} {
		t.Run(string(c.protocol), func(t *testing.T) {
			h := newHarness(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method+" "+r.URL.Path) })
			h.Port = c.port
			got, err := send(t, h.mustLaunch(c.protocol), "{}")
			if err != nil || got != c.path {
				t.Errorf("%q %v, want %q", got, err, c.path)
			}
		})
	}
}

func TestAnInstanceGivesBackWhatItHad(t *testing.T) {
	h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
	i := h.mustLaunch(agentruntime.HTTP)
	if h.group != "/aws/bedrock-agentcore/runtimes/agent-0123456789-DEFAULT" || !strings.Contains(h.stream, "/[runtime-logs]box") {
		t.Errorf("the log is %s, %s", h.group, h.stream)
	}
	b := h.Sandboxes()[0]
	if b.Config.Guest.Network.Nameserver != "n" || strings.Join(b.Service.Argv, " ") != "/agent -x" || b.Service.Dir != "/" || b.Service.Env["AWS_DEFAULT_REGION"] != "eu-west-1" {
		t.Errorf("%+v %+v", b.Config, b.Service)
	}
	if err := i.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	h.wantNothingLeft()
	if s := b.Signals(); len(s) != 1 || s[0] != syscall.SIGTERM {
		t.Errorf("the program got %v before its end", s)
	}
}

func TestAnAgentThatIgnoresSIGTERMIsDestroyedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
		h.Ignores = func(syscall.Signal) bool { return true }
		i, err := h.launch(agentruntime.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := i.Destroy(t.Context()); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		h.wantNothingLeft()
	})
}

func TestAnAgentThatNeverListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
		h.Port = -1
		h.Main = func(b *agenttest.Sandbox) { b.Out(true, []byte("waiting for a database")) }
		began := time.Now()
		_, err := h.launch(agentruntime.HTTP)
		wantCode(t, err, agentruntime.RuntimeClientError, "initialization time exceeded. Please make sure that initialization completes in 120s")
		wantCode(t, err, agentruntime.RuntimeClientError, "waiting for a database")
		if time.Since(began) != 120*time.Second { // and none for a program that ends when it is told to
			t.Errorf("after %s", time.Since(began))
		}
		h.wantNothingLeft()
	})
}

func TestAnAgentThatAcceptsAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := h.launch(agentruntime.HTTP)
		wantCode(t, err, agentruntime.RuntimeClientError, "initialization time exceeded")
		h.wantNothingLeft()
	})
}

func TestAnAgentThatExitsAtItsStart(t *testing.T) {
	h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
	h.Port = -1
	h.Main = func(b *agenttest.Sandbox) {
		b.Out(true, []byte("Traceback\nModuleNotFoundError: No module named 'strands'"))
		b.Exited(1)
	}
	_, err := h.launch(agentruntime.HTTP)
	wantCode(t, err, agentruntime.RuntimeClientError, "ended with exit code 1. Its last output: Traceback\nModuleNotFoundError: No module named 'strands'")
	h.wantNothingLeft()
	if len(h.lines) != 2 || h.lines[1] != "ModuleNotFoundError: No module named 'strands'" {
		t.Errorf("logged %q", h.lines)
	}
}

func TestStartsThatFailLeaveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *harness)
		code   fault.Code
		text   string
	}{
		"no sandbox": {func(h *harness) { h.Fail = errors.New("no memory") }, fault.Internal, "no memory"},
		"no program": {func(h *harness) { h.Refuse = &proto.Error{Code: proto.NotFound, Message: "/agent is not there"} }, agentruntime.RuntimeClientError, "/agent is not there"},
		"the guest":  {func(h *harness) { h.Refuse = errors.New("broken pipe") }, fault.Internal, "broken pipe"},
		"the sandbox dies": {func(h *harness) {
			h.Port = -1
			h.Main = func(b *agenttest.Sandbox) { b.Die(sandbox.OutOfMemory) }
		}, agentruntime.RuntimeClientError, "more memory than its limit"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
			c.change(h)
			_, err := h.launch(agentruntime.HTTP)
			wantCode(t, err, c.code, c.text)
			h.wantNothingLeft()
		})
	}
	t.Run("no image", func(t *testing.T) {
		h := newHarness(t, nil)
		h.o.Image = func(context.Context, agentruntime.Artifact) (string, func(), error) {
			return "", nil, fault.New(agentruntime.RuntimeClientError, "the image was removed")
		}
		_, err := h.launch(agentruntime.HTTP)
		wantCode(t, err, agentruntime.RuntimeClientError, "the image was removed")
	})
}

func TestACrashIsToldWithItsLastWords(t *testing.T) {
	h := newHarness(t, nil)
	h.Agent = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			return
		}
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		h.Sandboxes()[0].Out(true, []byte("out of tokens\n"))
		h.Sandboxes()[0].Exited(3)
	})
	i := h.mustLaunch(agentruntime.HTTP)
	text, err := send(t, i, "{}")
	wantCode(t, err, agentruntime.RuntimeClientError, "ended with exit code 3. Its last output: out of tokens")
	if text != "half" {
		t.Errorf("read %q", text)
	}
	<-i.Done()
	if !strings.Contains(i.Reason(), "exit code 3") {
		t.Error(i.Reason())
	}
}

// An agent's server is hostile: what it sends instead of HTTP must neither be passed on nor hold anything up.
func TestAnAgentThatSpeaksNoHTTP(t *testing.T) {
	for name, speak := range map[string]string{
		"garbage":               "\x00\x01garbage\r\n\r\n",
		"nothing":               "",
		"half a status":         "HTTP/1.1 20",
		"a length that is none": "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"endless headers":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 100) + "\r\n",
		"a broken chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
		"too short a body":      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ping" {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, speak)
				_ = conn.Close()
			})
			_, err := send(t, h.mustLaunch(agentruntime.HTTP), "{}")
			wantCode(t, err, agentruntime.RuntimeClientError, "closed the connection, or sent what is not HTTP")
		})
	}
}

// A redirect is the agent's word only: to follow it would have the host ask for whatever the agent likes.
func TestRedirectsAreNotFollowed(t *testing.T) {
	h := newHarness(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			return
		}
		w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	a, err := h.mustLaunch(agentruntime.HTTP).Send(t.Context(), agentruntime.Request{Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	if a.Status != http.StatusTemporaryRedirect {
		t.Errorf("status %d", a.Status)
	}
}

func TestPings(t *testing.T) {
	for text, want := range map[string]agentruntime.Health{
		`{"status":"Healthy","time_of_last_update":1700000000}`:       {Since: time.Unix(1700000000, 0).UTC()},
		`{"status":"HealthyBusy","time_of_last_update":1700000000.5}`: {Busy: true, Since: time.Unix(1700000000, 5e8).UTC()},
		`{"status":"healthy"}`:           {},
		`{"status":"HealthyBusy"}`:       {Busy: true},
		`{"time_of_last_update":1e300}`:  {},
		`{"time_of_last_update":"soon"}`: {},
		`{"time_of_last_update":-1}`:     {},
		``:                               {},
		`[]`:                             {},
		strings.Repeat("x", 1<<20):       {},
		`{"status":5,"time_of_last_update":true}`: {},
	} {
		h := newHarness(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
		got, err := h.mustLaunch(agentruntime.HTTP).Ping(t.Context())
		if err != nil || got != want {
			t.Errorf("%.60s: %+v %v, want %+v", text, got, err, want)
		}
	}
}

// A program that floods its output is held up by its log, and costs a bounded amount of memory.
func TestAFloodOfOutput(t *testing.T) {
	h := newHarness(t, func(http.ResponseWriter, *http.Request) {})
	i := h.mustLaunch(agentruntime.HTTP)
	out := h.Sandboxes()[0].Out
	piece := bytes.Repeat([]byte("x"), 100_000)
	for range 100 { // without a line's end
		out(false, piece)
	}
	out(true, []byte("a\r\nb\n\nc"))
	if err := i.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	total := 0
	for _, line := range h.lines {
		if len(line) > 64<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		total += strings.Count(line, "x")
	}
	if total != 10_000_000 {
		t.Errorf("%d bytes were logged", total)
	}
	if tail := strings.Join(h.lines[len(h.lines)-5:], "|"); !strings.HasPrefix(tail, "a|b||") && !strings.Contains(tail, "a|b||") {
		t.Errorf("the last lines are %.200q", tail)
	}
}

func TestAConnectionThatTheAgentClosedIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
		i, err := h.launch(agentruntime.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := send(t, i, "{}"); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Second) // as long as servers keep idle connections
		}
		if err := i.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func FuzzHealth(f *testing.F) {
	f.Add([]byte(`{"status":"HealthyBusy","time_of_last_update":1700000000.5}`))
	f.Add([]byte(`{"time_of_last_update":1e999}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		if h := container.ParseHealth(p); !h.Since.IsZero() && (h.Since.Year() < 1970 || h.Since.Year() > 40000) {
			t.Errorf("%q is %s", p, h.Since)
		}
	})
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\r\nb\n\xff"), 3)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		cut = max(0, min(cut, len(p)))
		bare := strings.NewReplacer("\r", "", "\n", "")
		lines := container.Split(p[:cut], p[cut:])
		if got := strings.Join(lines, ""); strings.Contains(got, "\n") || bare.Replace(got) != bare.Replace(string(p)) {
			t.Errorf("%q became %q", p, lines)
		}
	})
}
