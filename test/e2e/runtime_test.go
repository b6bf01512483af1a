//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	agenttypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// agentImage is an image of the test's agent: a static program and nothing else.
func agentImage(t *testing.T) v1.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "agent", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Entrypoint: []string{"/agent"}, User: "1000:1000", Env: []string{"MODE=image"}}})
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.AppendLayers(image, l)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// push pushes an image to a repository of the server's registry and returns its URI.
func (s *server) push(t *testing.T, repository string, image v1.Image) string {
	t.Helper()
	cli := func(args ...string) string {
		t.Helper()
		out, err := s.run(t, t.TempDir(), clients(t)+"/venv/bin/aws", append(args, "--output", "text")...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	uri := cli("ecr", "create-repository", "--repository-name", repository, "--query", "repository.repositoryUri")
	token, err := base64.StdEncoding.DecodeString(cli("ecr", "get-authorization-token", "--query", "authorizationData[0].authorizationToken"))
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(token), ":")
	tag, err := name.NewTag(uri+":v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		t.Fatal(err)
	}
	return uri + ":v1"
}

// An agent in a container is pushed, deployed with a role, invoked in sessions, updated and removed, through aws-sdk-go-v2.
func TestAgentRuntimeThroughTheGoSDK(t *testing.T) {
	ctx := t.Context()
	s := shared
	uri := s.push(t, "agents/runtime", agentImage(t))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	role, err := s.IAM().CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("agent-runtime"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	control, data := s.ControlPlane(), s.DataPlane()
	create := func(name string) *bedrockagentcorecontrol.GetAgentRuntimeOutput {
		t.Helper()
		made, err := control.CreateAgentRuntime(ctx, &bedrockagentcorecontrol.CreateAgentRuntimeInput{AgentRuntimeName: &name, RoleArn: role.Role.Arn, EnvironmentVariables: map[string]string{"MODE": "runtime"},
			AgentRuntimeArtifact: &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: &uri}},
			NetworkConfiguration: &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic}})
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			got, err := control.GetAgentRuntime(ctx, &bedrockagentcorecontrol.GetAgentRuntimeInput{AgentRuntimeId: made.AgentRuntimeId})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != types.AgentRuntimeStatusCreating || time.Now().After(deadline) {
				return got
			}
		}
	}
	if got := create("without_permission"); got.Status != types.AgentRuntimeStatusCreateFailed || !strings.Contains(aws.ToString(got.FailureReason), "ecr:BatchGetImage") {
		t.Errorf("a role that may not pull: %s, %q", got.Status, aws.ToString(got.FailureReason))
	}
	pull := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:us-west-2:000000000000:repository/agents/runtime"}]}`
	if _, err := s.IAM().PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("agent-runtime"), PolicyName: aws.String("pull"), PolicyDocument: &pull}); err != nil {
		t.Fatal(err)
	}
	agent := create("counting")
	if agent.Status != types.AgentRuntimeStatusReady {
		t.Fatalf("%s: %q", agent.Status, aws.ToString(agent.FailureReason))
	}
	invoke := func(session, prompt string) (string, string, error) {
		r, err := data.InvokeAgentRuntime(ctx, &bedrockagentcore.InvokeAgentRuntimeInput{AgentRuntimeArn: agent.AgentRuntimeArn, RuntimeSessionId: &session,
			ContentType: aws.String("application/json"), Accept: aws.String("application/json, text/event-stream"), Payload: []byte(`{"prompt":"` + prompt + `"}`)})
		if err != nil {
			return "", "", err
		}
		defer func() { _ = r.Response.Close() }()
		b, err := io.ReadAll(r.Response)
		return string(b), aws.ToString(r.ContentType), err
	}
	const one, two = "session-one-0123456789-0123456789-0123456789", "session-two-0123456789-0123456789-0123456789"
	for _, c := range []struct {
		session string
		count   int
	}{{one, 1}, {one, 2}, {two, 1}} {
		out, kind, err := invoke(c.session, "hello")
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Count, UID            int
			Prompt, Session, Mode string
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Count != c.count || got.Session != c.session || got.Mode != "runtime" || got.UID != 1000 || kind != "application/json" {
			t.Errorf("%s: %s (%s)", c.session, out, kind)
		}
	}
	if out, kind, err := invoke(one, "stream"); err != nil || out != "data: 0\n\ndata: 1\n\ndata: 2\n\n" || !strings.HasPrefix(kind, "text/event-stream") {
		t.Errorf("a stream: %q, %s, %v", out, kind, err)
	}
	if out, _, err := invoke(one, "role"); err != nil || !strings.Contains(out, "execution_role") {
		t.Errorf("credentials inside: %q, %v", out, err)
	}
	for _, prompt := range []string{"fail", "die"} {
		if _, _, err := invoke(one, prompt); !isClientError(err) {
			t.Errorf("%s: %v", prompt, err)
		}
	}
	out, _, err := invoke(one, "hello")
	for deadline := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) { // while the dead one is taken away
		if _, coming := errors.AsType[*agenttypes.RetryableConflictException](err); !coming {
			break
		}
		out, _, err = invoke(one, "hello")
	}
	if err != nil || !strings.Contains(out, `"count":1`) {
		t.Errorf("a session whose agent has died starts anew: %q, %v", out, err)
	}
	logged, err := s.run(t, t.TempDir(), clients(t)+"/venv/bin/aws", "logs", "filter-log-events", "--log-group-name", "/aws/bedrock-agentcore/runtimes/"+*agent.AgentRuntimeId+"-DEFAULT", "--query", "events[].message", "--output", "text")
	if err != nil || !strings.Contains(logged, "prompt: hello") || !strings.Contains(logged, "last words") {
		t.Errorf("the log: %q, %v", logged, err)
	}
	for _, session := range []string{one, two} {
		if _, err := data.StopRuntimeSession(ctx, &bedrockagentcore.StopRuntimeSessionInput{AgentRuntimeArn: agent.AgentRuntimeArn, RuntimeSessionId: aws.String(session)}); err != nil {
			t.Error(err)
		}
	}
	runtimes, err := control.ListAgentRuntimes(ctx, &bedrockagentcorecontrol.ListAgentRuntimesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runtimes.AgentRuntimes {
		if _, err := control.DeleteAgentRuntime(ctx, &bedrockagentcorecontrol.DeleteAgentRuntimeInput{AgentRuntimeId: r.AgentRuntimeId}); err != nil {
			t.Error(err)
		}
	}
	if len(runtimes.AgentRuntimes) != 2 {
		t.Errorf("%d runtimes, want 2", len(runtimes.AgentRuntimes))
	}
}

func isClientError(err error) bool {
	_, ok := errors.AsType[*agenttypes.RuntimeClientError](err)
	return ok
}
