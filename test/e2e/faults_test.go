//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"crypto/sha256"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
)

func TestStoredThingsSurviveAKill(t *testing.T) {
	data := t.TempDir()
	first := start(t, data)
	made, err := first.ControlPlane().CreateCodeInterpreter(t.Context(), &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: aws.String("kept"),
		NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}, Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	session, err := first.DataPlane().StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: made.CodeInterpreterId})
	if err != nil {
		t.Fatal(err)
	}
	first.Kill()

	second := start(t, data)
	if second.AccessKeyID != first.AccessKeyID || second.SecretKey != first.SecretKey {
		t.Error("the key changed")
	}
	got, err := second.ControlPlane().GetCodeInterpreter(t.Context(), &bedrockagentcorecontrol.GetCodeInterpreterInput{CodeInterpreterId: made.CodeInterpreterId})
	if err != nil || *got.Name != "kept" {
		t.Errorf("%+v %v", got, err)
	}
	tags, err := second.ControlPlane().ListTagsForResource(t.Context(), &bedrockagentcorecontrol.ListTagsForResourceInput{ResourceArn: made.CodeInterpreterArn})
	if err != nil || tags.Tags["a"] != "b" {
		t.Errorf("%+v %v", tags, err)
	}
	s, err := second.DataPlane().GetCodeInterpreterSession(t.Context(), &bedrockagentcore.GetCodeInterpreterSessionInput{CodeInterpreterIdentifier: made.CodeInterpreterId, SessionId: session.SessionId})
	if err != nil || s.Status != types.CodeInterpreterSessionStatusTerminated {
		t.Errorf("%+v %v", s, err)
	}
	_, err = second.DataPlane().InvokeCodeInterpreter(t.Context(), &bedrockagentcore.InvokeCodeInterpreterInput{CodeInterpreterIdentifier: made.CodeInterpreterId, SessionId: session.SessionId, Name: types.ToolNameListFiles})
	if err == nil || !strings.Contains(err.Error(), "restarted") {
		t.Errorf("the answer about a lost session does not say why: %v", err)
	}
}

func TestASecondServerOnOneDataFolderIsRefused(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), binary, "up", "--listen", "127.0.0.1:0", "--data-dir", shared.Data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the data folder is in use") || !strings.Contains(string(out), shared.Endpoint) {
		t.Errorf("%v %s", err, out)
	}
	if strings.Contains(string(out), "ready ") {
		t.Errorf("it said that it is ready: %s", out)
	}
}

func TestSIGTERMEndsSessionsAndLeavesNothing(t *testing.T) {
	before, err := hostState()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "")
	x := s.session(t)
	x.command("nohup sleep 1000 >/dev/null 2>&1 &")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := before.compare(); err != nil {
		t.Error(err)
	}
}

func TestATimeoutEndsTheSession(t *testing.T) {
	c := shared.DataPlane()
	r, err := c.StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: aws.String(managed), SessionTimeoutSeconds: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	x := &session{t: t, client: c, id: *r.SessionId}
	_, err = x.invoke(types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("sleep 60")})
	if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
}

func TestADeadInterpreterIsReplaced(t *testing.T) {
	x := shared.session(t)
	r := x.python("x = 1\nimport os\nos._exit(7)")
	if !*r.IsError || *r.StructuredContent.ExitCode != 7 || !strings.Contains(*r.StructuredContent.Stderr, "variables are lost") {
		t.Errorf("%+v", r.StructuredContent)
	}
	if got := stdout(t, x.python("1 + 1")); got != "2" {
		t.Errorf("got %q", got)
	}
}

// The kernel chooses what dies when a sandbox reaches its limit: the process that took the memory, whose session goes on, or the sandbox, whose session ends. Either way the caller is told.
func TestTooMuchMemoryHurtsOneSessionAloneAndIsSaid(t *testing.T) {
	neighbour, x := shared.session(t), shared.session(t)
	neighbour.python("x = 41")
	r, err := x.invoke(types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: aws.String("a = [b'x' * (1 << 28) for _ in range(200)]")})
	switch {
	case err != nil && strings.Contains(err.Error(), "more memory than its limit"):
	case err == nil && *r.IsError && *r.StructuredContent.ExitCode == 137 && strings.Contains(text(t, r), "memory"):
		if got := stdout(t, x.python("6 * 7")); got != "42" {
			t.Errorf("the session does not go on: %q", got)
		}
	default:
		t.Errorf("got %+v %v", r, err)
	}
	if got := stdout(t, neighbour.python("x + 1")); got != "42" {
		t.Errorf("the neighbour: %q", got)
	}
}

func TestManyCallsRunInParallelInOneSession(t *testing.T) {
	x := shared.session(t)
	done := make(chan error)
	const calls = 8
	for range calls { // each waits for all the others
		go func() {
			r, err := x.client.InvokeCodeInterpreter(t.Context(), &bedrockagentcore.InvokeCodeInterpreterInput{CodeInterpreterIdentifier: aws.String(managed), SessionId: &x.id, Name: types.ToolNameExecuteCommand,
				Arguments: &types.ToolArguments{Command: aws.String(fmt.Sprintf("mkdir -p m && mktemp m/XXXX >/dev/null && until [ $(ls m | wc -l) -ge %d ]; do sleep 0.02; done", calls))}})
			if err == nil {
				for range r.GetStream().Events() {
				}
				err = r.GetStream().Err()
			}
			done <- err
		}()
	}
	for range calls {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// send signs and sends a raw request.
func (s *server) send(t *testing.T, method, path, body string, headers map[string]string) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	key, err := s.Credentials().Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), "bedrock-agentcore", "us-west-2", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func TestBadInputIsTheModelledException(t *testing.T) {
	const invoke = "/code-interpreters/aws.codeinterpreter.v1/tools/invoke"
	for _, c := range []struct {
		name, method, path, body string
		headers                  map[string]string
		status                   int
		code, says               string
	}{
		{"wrong type", "PUT", "/code-interpreters", `{"name":5,"networkConfiguration":{"networkMode":"SANDBOX"}}`, nil, 400, "ValidationException", "CannotParse"},
		{"missing members", "PUT", "/code-interpreters", `{}`, nil, 400, "ValidationException", "networkConfiguration"},
		{"bad JSON", "PUT", "/code-interpreters", `{"name":`, nil, 400, "ValidationException", "CannotParse"},
		{"deep JSON", "PUT", "/code-interpreters", strings.Repeat(`{"a":`, 100_000), nil, 400, "ValidationException", "CannotParse"},
		{"unknown id", "GET", "/code-interpreters/none-0123456789", ``, nil, 404, "ResourceNotFoundException", "none-0123456789"},
		{"malformed id", "GET", "/code-interpreters/x%2F..", ``, nil, 400, "ValidationException", "codeInterpreterId"},
		{"range, query", "POST", "/code-interpreters?maxResults=101", ``, nil, 400, "ValidationException", "maxResults"},
		{"range, body", "PUT", "/code-interpreters/aws.codeinterpreter.v1/sessions/start", `{"sessionTimeoutSeconds":28801}`, nil, 400, "ValidationException", "28800"},
		{"token", "PUT", "/code-interpreters/aws.codeinterpreter.v1/sessions/start", `{"clientToken":"short"}`, nil, 400, "ValidationException", "clientToken"},
		{"page token", "POST", "/code-interpreters?nextToken=zz!", ``, nil, 400, "ValidationException", "nextToken"},
		{"tool", "POST", invoke, `{"name":"rm"}`, nil, 400, "ValidationException", "startCommandExecution"},
		{"no session", "POST", invoke, `{"name":"listFiles"}`, nil, 400, "ValidationException", "session"},
		{"session id", "POST", invoke, `{"name":"listFiles"}`, map[string]string{"x-amzn-code-interpreter-session-id": "../x"}, 400, "ValidationException", "x-amzn-code-interpreter-session-id"},
		{"vpc without config", "PUT", "/code-interpreters", `{"name":"a","networkConfiguration":{"networkMode":"VPC"}}`, nil, 400, "ValidationException", "vpcConfig"},
		{"certificates", "PUT", "/code-interpreters", `{"name":"a","networkConfiguration":{"networkMode":"SANDBOX"},"certificates":[{"location":{}}]}`, nil, 400, "ValidationException", "certificates"},
		{"operation", "GET", "/nothing/here", ``, nil, 404, "UnknownOperationException", ""},
		{"method", "PATCH", "/code-interpreters", ``, nil, 404, "UnknownOperationException", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, body := shared.send(t, c.method, c.path, c.body, c.headers)
			if status != c.status || h.Get("X-Amzn-ErrorType") != c.code || !strings.Contains(string(body), c.says) || h.Get("X-Amzn-RequestId") == "" || !json.Valid(body) {
				t.Errorf("%d %v %s", status, h, body)
			}
		})
	}
}

func TestATruncatedBodyHangsNothing(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), "PUT", shared.Endpoint+"/code-interpreters", io.MultiReader(strings.NewReader(`{"name":"a"`), &endless{}))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 100
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-west-2/bedrock-agentcore/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != 403 && resp.StatusCode != 400 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

// endless is a body that breaks off.
type endless struct{}

func (endless) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestHundredMegabytesInCostLessThanThreeTimesThat(t *testing.T) {
	s := start(t, "")
	x := s.session(t)
	x.command("true")
	before, err := s.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("0123456789abcdef"), 100_000_000/16)
	r := x.must(types.ToolNameWriteFiles, types.ToolArguments{Content: []types.InputContentBlock{{Path: aws.String("big.bin"), Blob: payload}}})
	if *r.IsError {
		t.Fatalf("%+v", r)
	}
	after, err := s.PeakMemory()
	if err != nil {
		t.Fatal(err)
	}
	used := after - before
	t.Logf("the server's peak grew by %d MiB for %d MB", used>>20, len(payload)/1_000_000)
	if used >= 3*int64(len(payload)) {
		t.Errorf("the server's peak grew by %d bytes", used)
	}
	want := sha256.Sum256(payload)
	if got := stdout(t, x.command("sha256sum big.bin")); !strings.HasPrefix(got, hex.EncodeToString(want[:])) {
		t.Errorf("the file differs: %s", got)
	}
}

func TestDoctorAndVersion(t *testing.T) {
	for _, args := range [][]string{{"doctor", "--data-dir", t.TempDir()}, {"version"}, {"image", "ls"}} {
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestNoSecretAndNoCodeIsLogged(t *testing.T) {
	s := start(t, "", "--log-level", "debug")
	x := s.session(t)
	x.python("print('user' + 'code' + 'marker')")
	x.command("echo usercode" + "marker2")
	x.must(types.ToolNameWriteFiles, types.ToolArguments{Content: []types.InputContentBlock{{Path: aws.String("f"), Text: aws.String("filemarker")}}})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	log := s.Log()
	for _, secret := range []string{s.SecretKey, "usercodemarker", "'user'", "filemarker", "marker2"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if !strings.Contains(log, "InvokeCodeInterpreter") {
		t.Errorf("the log lacks the requests:\n%s", log)
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(shared.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}
