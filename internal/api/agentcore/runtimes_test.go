package agentcore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	datatypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/oklog/ulid/v2"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/agentruntime/agenttest"
	"github.com/sunaba-dev/sunaba/internal/agentruntime/container"
	"github.com/sunaba-dev/sunaba/internal/api/agentcore"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const (
	account = "111122223333"
	region  = "us-west-2"
	role    = "arn:aws:iam::111122223333:role/agent"
	session = "a-session-of-thirty-three-letters-"
)

// harness is the API behind a real HTTP server, with the Go SDK's clients and agents of the test.
type harness struct {
	testing.TB
	control *control.Client
	data    *data.Client
	url     string
	driver  *agenttest.Driver
	service *agentruntime.Service
	pull    func(agentruntime.Pull) (agentruntime.Artifact, error)

	mu    sync.Mutex
	asked []string
	deny  string // action
}

func (h *harness) Pull(_ context.Context, p agentruntime.Pull) (agentruntime.Artifact, error) {
	if h.pull != nil {
		return h.pull(p)
	}
	return agentruntime.Artifact{ID: "image", Cmd: []string{"/agent"}, Env: map[string]string{"FROM_IMAGE": "1"}, User: "app", WorkingDir: "/app"}, nil
}

func newHarness(t testing.TB, agent http.Handler) *harness {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, driver: &agenttest.Driver{Agent: agent}}
	log := slog.New(slog.DiscardHandler)
	h.service, err = agentruntime.New(t.Context(), agentruntime.Options{Store: db, Images: h, Log: log, Launcher: container.New(container.Options{Driver: h.driver, Guest: h.driver.Guest,
		Image: func(context.Context, agentruntime.Artifact) (string, func(), error) { return "/image", func() {}, nil },
		NewID: func() string { return strings.ToLower(ulid.Make().String()) }, Log: log})})
	if err != nil {
		t.Fatal(err)
	}
	api := (&agentcore.API{Runtimes: h.service, Authorize: h.authorize}).Service()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ctx := wire.WithRequest(r.Context(), &wire.Request{ID: "request-id", Account: account, Region: region})
		_ = api.Handle(w, r.WithContext(ctx), body)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := errors.Join(h.service.Close(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
		if n := h.driver.Alive(); n > 0 {
			t.Errorf("%d sandboxes are left", n)
		}
	})
	h.url = server.URL
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIATESTTESTTESTTEST", SecretAccessKey: "secret"}, nil
	})
	h.control = control.New(control.Options{Region: region, BaseEndpoint: &server.URL, Credentials: credentials, Retryer: aws.NopRetryer{}})
	h.data = data.New(data.Options{Region: region, BaseEndpoint: &server.URL, Credentials: credentials, Retryer: aws.NopRetryer{}})
	return h
}

func (h *harness) authorize(_ context.Context, action string, t wire.Target) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, action+" "+t.Resource)
	if action == h.deny {
		return fault.New(fault.AccessDenied, "not allowed")
	}
	return nil
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) wantCode(err error, code string, status int) {
	h.Helper()
	wantCode(h.TB, err, code, status)
}

func wantCode(t testing.TB, err error, code string, status int) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != status {
		t.Errorf("error %v, want %s with status %d", err, code, status)
	}
}

func input(name string) *control.CreateAgentRuntimeInput {
	return &control.CreateAgentRuntimeInput{AgentRuntimeName: &name, RoleArn: aws.String(role), NetworkConfiguration: &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic},
		AgentRuntimeArtifact: artifact("111122223333.dkr.ecr.us-west-2.amazonaws.com/agent:1")}
}

func artifact(uri string) types.AgentRuntimeArtifact {
	return &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: &uri}}
}

// create makes a runtime and waits until it is no longer being made.
func (h *harness) create(in *control.CreateAgentRuntimeInput) *control.GetAgentRuntimeOutput {
	h.Helper()
	r, err := h.control.CreateAgentRuntime(h.Context(), in)
	h.must(err)
	if r.Status != types.AgentRuntimeStatusCreating {
		h.Errorf("the answer says %s, want CREATING", r.Status)
	}
	return h.settled(*r.AgentRuntimeId)
}

func (h *harness) settled(id string) *control.GetAgentRuntimeOutput {
	h.Helper()
	for {
		g, err := h.control.GetAgentRuntime(h.Context(), &control.GetAgentRuntimeInput{AgentRuntimeId: &id})
		h.must(err)
		if g.Status != types.AgentRuntimeStatusCreating && g.Status != types.AgentRuntimeStatusUpdating {
			return g
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func (h *harness) invoke(arn, id, payload string) (*data.InvokeAgentRuntimeOutput, string, error) {
	h.Helper()
	out, err := h.data.InvokeAgentRuntime(h.Context(), &data.InvokeAgentRuntimeInput{AgentRuntimeArn: &arn, RuntimeSessionId: &id, Payload: []byte(payload), ContentType: aws.String("application/json")})
	if err != nil {
		return nil, "", err
	}
	defer func() { h.must(out.Response.Close()) }()
	body, err := io.ReadAll(out.Response)
	return out, string(body), err
}

// echo is an agent that says what it got.
func echo() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"healthy"}`) })
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"headers": r.Header, "body": string(body), "host": r.Host})
	})
	return mux
}

func TestARuntimeFromItsCreationToItsEnd(t *testing.T) {
	h := newHarness(t, echo())
	in := input("agent")
	in.EnvironmentVariables = map[string]string{"MODEL": "m"}
	in.Tags = map[string]string{"team": "a"}
	r := h.create(in)
	arn := "arn:aws:bedrock-agentcore:us-west-2:111122223333:runtime/" + *r.AgentRuntimeId
	if r.Status != types.AgentRuntimeStatusReady || *r.AgentRuntimeArn != arn || *r.AgentRuntimeVersion != "1" || *r.LifecycleConfiguration.IdleRuntimeSessionTimeout != 900 ||
		*r.LifecycleConfiguration.MaxLifetime != 28800 || r.EnvironmentVariables["MODEL"] != "m" ||
		*r.WorkloadIdentityDetails.WorkloadIdentityArn != "arn:aws:bedrock-agentcore:us-west-2:111122223333:workload-identity-directory/default/workload-identity/"+*r.AgentRuntimeId {
		t.Errorf("runtime %+v", r)
	}
	out, body, err := h.invoke(arn, session, `{"prompt":"hi"}`)
	h.must(err)
	if *out.StatusCode != 200 || *out.RuntimeSessionId != session || *out.ContentType != "application/json" || !strings.Contains(body, `"body":"{\"prompt\":\"hi\"}"`) {
		t.Errorf("%+v %s", out, body)
	}
	b := h.driver.Sandboxes()[0]
	if b.Service.User != "app" || b.Service.Dir != "/app" || strings.Join(b.Service.Argv, " ") != "/agent" || b.Config.Image.Root != "/image" {
		t.Errorf("service %+v", b.Service)
	}
	for k, want := range map[string]string{"MODEL": "m", "FROM_IMAGE": "1", "AWS_REGION": region, "DOCKER_CONTAINER": "1", "PYTHONUNBUFFERED": "1"} {
		if got := b.Service.Env[k]; got != want {
			t.Errorf("%s is %q inside, want %q", k, got, want)
		}
	}
	if _, _, err = h.invoke(arn, session, `{}`); err != nil || len(h.driver.Sandboxes()) != 1 {
		t.Errorf("the second invocation: %v, %d sandboxes", err, len(h.driver.Sandboxes()))
	}
	stopped, err := h.data.StopRuntimeSession(t.Context(), &data.StopRuntimeSessionInput{AgentRuntimeArn: &arn, RuntimeSessionId: aws.String(session)})
	h.must(err)
	if *stopped.RuntimeSessionId != session || h.driver.Alive() != 0 {
		t.Errorf("stopped %+v, %d sandboxes", stopped, h.driver.Alive())
	}
	_, err = h.data.StopRuntimeSession(t.Context(), &data.StopRuntimeSessionInput{AgentRuntimeArn: &arn, RuntimeSessionId: aws.String(session)})
	h.wantCode(err, "ResourceNotFoundException", 404)
	d, err := h.control.DeleteAgentRuntime(t.Context(), &control.DeleteAgentRuntimeInput{AgentRuntimeId: r.AgentRuntimeId})
	h.must(err)
	if d.Status != types.AgentRuntimeStatusDeleting {
		t.Errorf("status %s", d.Status)
	}
	_, err = h.control.GetAgentRuntime(t.Context(), &control.GetAgentRuntimeInput{AgentRuntimeId: r.AgentRuntimeId})
	h.wantCode(err, "ResourceNotFoundException", 404)
	_, _, err = h.invoke(arn, session, `{}`)
	h.wantCode(err, "ResourceNotFoundException", 404)
}

func TestSSEComesEventByEvent(t *testing.T) {
	next, closed := make(chan string), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("GET /ping", echo())
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case text, ok := <-next:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(closed)
				return
			}
		}
	})
	h := newHarness(t, mux)
	r := h.create(input("agent"))
	out, err := h.data.InvokeAgentRuntime(t.Context(), func() *data.InvokeAgentRuntimeInput {
		go func() { next <- "data: 1\n\n" }()
		return &data.InvokeAgentRuntimeInput{AgentRuntimeArn: r.AgentRuntimeArn, Payload: []byte("{}"), Accept: aws.String("text/event-stream")}
	}())
	h.must(err)
	if *out.ContentType != "text/event-stream" || len(*out.RuntimeSessionId) < 33 {
		t.Errorf("%+v", out)
	}
	read := func(want string) {
		t.Helper()
		p := make([]byte, len(want))
		if _, err := io.ReadFull(out.Response, p); err != nil || string(p) != want {
			t.Fatalf("%q %v, want %q", p, err, want)
		}
	}
	read("data: 1\n\n")
	for i := range 3 { // each is sent only when the one before has arrived
		want := fmt.Sprintf("data: more %d\n\n", i)
		next <- want
		read(want)
	}
	h.must(out.Response.Close())
	<-closed // the agent sees that its caller has gone
}

func TestAnAgentThatDiesInItsAnswerBreaksTheConnection(t *testing.T) {
	var h *harness
	mux := http.NewServeMux()
	mux.Handle("GET /ping", echo())
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		h.driver.Sandboxes()[0].Exited(1)
	})
	h = newHarness(t, mux)
	r := h.create(input("agent"))
	_, body, err := h.invoke(*r.AgentRuntimeArn, session, "{}")
	if err == nil {
		t.Errorf("the answer %q passes for whole", body)
	}
}

func TestWhatTheContainerAnswersBecomesWhatTheCallerGets(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /ping", echo())
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var status int
		_, _ = fmt.Sscan(string(body), &status)
		w.Header().Set("Location", "http://127.0.0.1/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "said by the agent")
	})
	h := newHarness(t, mux)
	r := h.create(input("agent"))
	for _, status := range []int{200, 201, 202, 204} {
		out, _, err := h.invoke(*r.AgentRuntimeArn, session, fmt.Sprint(status))
		if err != nil || int(*out.StatusCode) != status {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, status := range []int{301, 400, 401, 404, 409, 422, 429, 500, 502, 503, 504} {
		_, _, err := h.invoke(*r.AgentRuntimeArn, session, fmt.Sprint(status))
		h.wantCode(err, "RuntimeClientError", 424)
		want := fmt.Sprintf("Received error (%d) from runtime. Please check your CloudWatch logs for more information", status)
		if e, ok := errors.AsType[*datatypes.RuntimeClientError](err); !ok || !strings.Contains(e.ErrorMessage(), want) || strings.Contains(e.ErrorMessage(), "said by the agent") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestHeadersBothWays(t *testing.T) {
	h := newHarness(t, echo())
	in := input("agent")
	in.RequestHeaderConfiguration = &types.RequestHeaderConfigurationMemberRequestHeaderAllowlist{Value: []string{"X-Tenant", "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Colour"}}
	r := h.create(in)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/runtimes/"+strings.NewReplacer(":", "%3A", "/", "%2F").Replace(*r.AgentRuntimeArn)+"/invocations?qualifier=DEFAULT", strings.NewReader("x"))
	h.must(err)
	for k, v := range map[string]string{"Content-Type": "text/x-odd", "Accept": "text/x-odder", "X-Tenant": "t", "x-amzn-bedrock-agentcore-runtime-custom-colour": "red", "X-Other": "no", "Cookie": "no",
		"Authorization": "secret", "X-Amz-Date": "20260102T030405Z", "X-Amz-Security-Token": "secret", "traceparent": "00-1", "baggage": "a=b", "X-Amzn-Trace-Id": "Root=1", "Mcp-Session-Id": "m",
		"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session, "X-Amzn-Bedrock-AgentCore-Runtime-User-Id": "eve", "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Other": "no"} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	h.must(err)
	defer func() { h.must(resp.Body.Close()) }()
	var got struct {
		Headers http.Header `json:"headers"`
		Body    string      `json:"body"`
	}
	h.must(json.NewDecoder(resp.Body).Decode(&got))
	want := map[string]string{"Content-Type": "text/x-odd", "Accept": "text/x-odder", "X-Tenant": "t", "X-Amzn-Bedrock-Agentcore-Runtime-Custom-Colour": "red", "Traceparent": "00-1", "Baggage": "a=b",
		"X-Amzn-Trace-Id": "Root=1", "Mcp-Session-Id": "m", "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id": session, "X-Amzn-Bedrock-Agentcore-Runtime-User-Id": "eve",
		"X-Amzn-Bedrock-Agentcore-Runtime-Request-Id": "request-id", "Content-Length": "1"}
	for k := range got.Headers {
		if got.Headers.Get(k) != want[k] {
			t.Errorf("the agent got %s: %q, want %q", k, got.Headers.Get(k), want[k])
		}
		delete(want, k)
	}
	if len(want) > 0 {
		t.Errorf("the agent did not get %v", want)
	}
	if got.Body != "x" || resp.Header.Get("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id") != session {
		t.Errorf("%+v %v", got, resp.Header)
	}
}

func TestActionsAndResources(t *testing.T) {
	h := newHarness(t, echo())
	r := h.create(input("agent"))
	h.asked = nil
	_, err := h.data.InvokeAgentRuntime(t.Context(), &data.InvokeAgentRuntimeInput{AgentRuntimeArn: r.AgentRuntimeArn, Payload: []byte("{}"), RuntimeUserId: aws.String("u"), Qualifier: aws.String("DEFAULT")})
	h.must(err)
	want := []string{"bedrock-agentcore:InvokeAgentRuntime " + *r.AgentRuntimeArn, "bedrock-agentcore:InvokeAgentRuntime " + *r.AgentRuntimeArn + "/runtime-endpoint/DEFAULT",
		"bedrock-agentcore:InvokeAgentRuntimeForUser " + *r.AgentRuntimeArn}
	if strings.Join(h.asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %v, want %v", h.asked, want)
	}
	h.deny = "bedrock-agentcore:InvokeAgentRuntimeForUser"
	_, err = h.data.InvokeAgentRuntime(t.Context(), &data.InvokeAgentRuntimeInput{AgentRuntimeArn: r.AgentRuntimeArn, Payload: []byte("{}"), RuntimeUserId: aws.String("u")})
	h.wantCode(err, "AccessDeniedException", 403)
	if _, _, err = h.invoke(*r.AgentRuntimeArn, session, "{}"); err != nil {
		t.Error(err)
	}
}

func TestAnInvocationByIDNeedsTheAccount(t *testing.T) {
	h := newHarness(t, echo())
	r := h.create(input("agent"))
	ask := func(runtime string, account *string) error {
		_, err := h.data.InvokeAgentRuntime(t.Context(), &data.InvokeAgentRuntimeInput{AgentRuntimeArn: &runtime, AccountId: account, Payload: []byte("{}")})
		return err
	}
	h.must(ask(*r.AgentRuntimeId, aws.String(account)))
	h.wantCode(ask(*r.AgentRuntimeId, nil), "ValidationException", 400)
	h.wantCode(ask(*r.AgentRuntimeId, aws.String("999988887777")), "AccessDeniedException", 403)
	h.wantCode(ask(strings.Replace(*r.AgentRuntimeArn, region, "eu-west-1", 1), nil), "ValidationException", 400)
	h.wantCode(ask(strings.Replace(*r.AgentRuntimeArn, account, "999988887777", 1), nil), "AccessDeniedException", 403)
	h.wantCode(ask("arn:aws:s3:::bucket", nil), "ValidationException", 400)
	h.wantCode(ask(*r.AgentRuntimeArn+"x", nil), "ResourceNotFoundException", 404)
}

func TestLargeBodiesPassUnchanged(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /ping", echo())
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.Copy(w, r.Body)
	})
	h := newHarness(t, mux)
	r := h.create(input("agent"))
	payload := bytes.Repeat([]byte{0, 1, 2, 0xFF, '\r', '\n'}, 1<<20)
	_, body, err := h.invoke(*r.AgentRuntimeArn, session, string(payload))
	h.must(err)
	if body != string(payload) {
		t.Errorf("%d bytes came back, not the %d that were sent", len(body), len(payload))
	}
}
