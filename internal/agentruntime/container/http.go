package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

// dialect is what an agent of one protocol answers to. Source: runtime-service-contract.
type dialect struct {
	port   int
	path   string // of invocations, which are POSTed
	pinged bool   // answers GET /ping
}

var dialects = map[agentruntime.Protocol]dialect{
	agentruntime.HTTP: {8080, "/invocations", true},
	agentruntime.AGUI: {8080, "/invocations", true},
	agentruntime.MCP:  {8000, "/mcp", false},
	agentruntime.A2A:  {9000, "/", true},
}

const (
	agentCard      = "/.well-known/agent-card.json"
	maxHeader      = 64 << 10               // bytes of an answer's headers
	keepAlive      = 2 * time.Second        // of an idle connection: servers close theirs after five seconds, and one that is closed while a request is on its way loses it
	maxIdle        = 16                     // idle connections
	maxPing        = 64 << 10               // bytes of an answer to a ping that are read
	firstTry       = 2 * time.Millisecond   // after an agent does not listen yet, doubled
	lastTry        = 100 * time.Millisecond // to here
	pingTime       = 5 * time.Second        // for one ping while the agent starts
	connectTime    = 10 * time.Second
	hostHeader     = "localhost"
	statusFirstBad = http.StatusInternalServerError
)

// transport speaks HTTP with an agent, and with no one else: it follows neither proxies nor redirects.
func transport(g Guest, port int) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectTime)
			defer cancel()
			return g.Dial(ctx, port)
		},
		DisableCompression: true, MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: keepAlive, MaxResponseHeaderBytes: maxHeader,
	}
}

func (i *instance) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		content = bytes.NewReader(body)
	}
	return http.NewRequestWithContext(ctx, method, "http://"+hostHeader+path, content)
}

// Send implements agentruntime.Instance.
func (i *instance) Send(ctx context.Context, r agentruntime.Request) (agentruntime.Answer, error) {
	method, path, body := http.MethodPost, i.spoken.path, r.Body
	if r.Card {
		method, path, body = http.MethodGet, agentCard, nil
	}
	req, err := i.request(ctx, method, path, body)
	if err != nil {
		return agentruntime.Answer{}, fault.Wrap(err, "make a request")
	}
	for k, v := range r.Header {
		req.Header[k] = v
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = nil // none, instead of Go's
	}
	answer, err := i.http.RoundTrip(req) //nolint:bodyclose // whoever gets the answer closes it
	if err != nil {
		return agentruntime.Answer{}, i.failure(ctx, err)
	}
	return agentruntime.Answer{Status: answer.StatusCode, Header: answer.Header, Length: answer.ContentLength, Body: &reading{answer.Body, i, ctx}}, nil
}

// reading is the body of an answer, with its failures told as the agent's.
type reading struct {
	io.ReadCloser
	i   *instance
	ctx context.Context
}

// Read implements io.Reader.
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.i.failure(r.ctx, err)
	}
	return n, err
}

// failure is what is said about a request that failed: what has happened to the program, if it has ended.
func (i *instance) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	select {
	case <-i.done:
		return fault.New(agentruntime.RuntimeClientError, "%s", i.reason).With(err)
	case <-i.destroyed:
		return fault.New(agentruntime.RuntimeClientError, "The session ended.").With(err)
	case <-settle.C: // the program lives on
	}
	text := "The container closed the connection, or sent what is not HTTP."
	if errors.Is(err, syscall.ECONNREFUSED) {
		text = fmt.Sprintf("Nothing in the container listens on port %d any more.", i.spoken.port)
	}
	return fault.New(agentruntime.RuntimeClientError, "%s Please check your CloudWatch logs for more information.", text).With(err)
}

// settleTime is how long a broken connection waits for news of the program's end, which may be why it broke.
const settleTime = 200 * time.Millisecond

// awaitAnswer waits until the agent answers: to a ping, or where there is none to a connection.
func (i *instance) awaitAnswer(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, i.l.o.StartTime)
	defer cancel()
	for pause := firstTry; ; pause = min(2*pause, lastTry) {
		if i.answers(limited) {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
			continue
		case <-i.program.Done():
			t.Stop()
			return fault.New(agentruntime.RuntimeClientError, "%s", i.ending())
		case <-i.box.Done():
			t.Stop()
			return fault.New(agentruntime.RuntimeClientError, "The sandbox ended: %s.", describe(i.box.Exit()))
		case <-limited.Done():
			t.Stop()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(agentruntime.RuntimeClientError, "Runtime initialization time exceeded. Please make sure that initialization completes in %ds: the container has to answer on port %d.%s",
			int(i.l.o.StartTime/time.Second), i.spoken.port, i.lastWords())
	}
}

func (i *instance) lastWords() string {
	if last := i.output.tail(); last != "" {
		return " Its last output: " + last
	}
	return ""
}

// answers reports whether the agent answers by now. One that has no ping, although it should, answers by saying so.
func (i *instance) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if !i.spoken.pinged {
		conn, err := i.guest.Dial(ctx, i.spoken.port)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	status, _, err := i.ping(ctx)
	return err == nil && status < statusFirstBad
}

// ping asks an agent how it is, and returns the status and what is read of the body.
func (i *instance) ping(ctx context.Context) (status int, body []byte, err error) {
	req, err := i.request(ctx, http.MethodGet, "/ping", nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := i.http.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxPing))
	return answer.StatusCode, body, err
}

// Ping implements agentruntime.Instance.
func (i *instance) Ping(ctx context.Context) (agentruntime.Health, error) {
	if !i.spoken.pinged {
		return agentruntime.Health{}, nil
	}
	status, body, err := i.ping(ctx)
	if err != nil {
		return agentruntime.Health{}, err
	}
	if status != http.StatusOK {
		return agentruntime.Health{}, nil
	}
	return parseHealth(body), nil
}

// parseHealth reads an answer to a ping: {"status":"Healthy"|"HealthyBusy","time_of_last_update":<seconds since 1970>}. What cannot be read is an agent that is Healthy and says no more.
func parseHealth(body []byte) agentruntime.Health {
	var p struct {
		Status string      `json:"status"`
		Since  json.Number `json:"time_of_last_update"`
	}
	if json.Unmarshal(body, &p) != nil {
		return agentruntime.Health{}
	}
	h := agentruntime.Health{Busy: p.Status == "HealthyBusy"}
	const latest = 1 << 40 // seconds; far beyond all that is meant
	if at, err := p.Since.Float64(); err == nil && at > 0 && at < latest {
		h.Since = time.UnixMicro(int64(at * 1e6)).UTC()
	}
	return h
}
