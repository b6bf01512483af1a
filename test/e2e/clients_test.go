//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// script is the path of a client program of this package.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBoto3(t *testing.T) {
	out, err := shared.run(t, t.TempDir(), filepath.Join(clients(t), "venv/bin/python"), script(t, "flow.py"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "ok   "); n < 30 {
		t.Errorf("only %d checks ran:\n%s", n, out)
	}
	t.Log("\n" + out)
}

func TestRolesAndPolicies(t *testing.T) {
	out, err := shared.run(t, t.TempDir(), filepath.Join(clients(t), "venv/bin/python"), script(t, "roles.py"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "ok   "); n < 24 {
		t.Errorf("only %d checks ran:\n%s", n, out)
	}
	t.Log("\n" + out)
}

func TestTheArticlesToolFunction(t *testing.T) {
	out, err := shared.run(t, t.TempDir(), filepath.Join(clients(t), "venv/bin/python"), script(t, "article.py"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "ok   "); n != 14 {
		t.Errorf("%d checks ran:\n%s", n, out)
	}
	t.Log("\n" + out)
}

func TestJavaScript(t *testing.T) {
	out, err := shared.run(t, clients(t), filepath.Join(clients(t), "venv/bin/node"), script(t, "flow.mjs"))
	if err != nil || out != "ok\n" {
		t.Fatal(err, out)
	}
}

func TestAWSCLI(t *testing.T) {
	aws := func(want string, args ...string) map[string]any {
		t.Helper()
		out, err := shared.run(t, t.TempDir(), filepath.Join(clients(t), "venv/bin/aws"), append(args, "--output", "json")...)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("aws %v: %v %s, want %s", args, err, out, want)
			}
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if out != "" {
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatal(err)
			}
		}
		return v
	}
	if v := aws("", "sts", "get-caller-identity"); v["Account"] != "000000000000" {
		t.Errorf("%v", v)
	}
	created := aws("", "bedrock-agentcore-control", "create-code-interpreter", "--name", "cli_made", "--network-configuration", "networkMode=PUBLIC", "--tags", "a=b")
	id, _ := created["codeInterpreterId"].(string)
	arn, _ := created["codeInterpreterArn"].(string)
	if v := aws("", "bedrock-agentcore-control", "get-code-interpreter", "--code-interpreter-id", id); v["status"] != "READY" {
		t.Errorf("%v", v)
	}
	if v := aws("", "bedrock-agentcore-control", "list-code-interpreters", "--type", "CUSTOM"); !strings.Contains(toJSON(t, v), id) {
		t.Errorf("%v", v)
	}
	aws("", "bedrock-agentcore-control", "tag-resource", "--resource-arn", arn, "--tags", "c=d")
	if v := aws("", "bedrock-agentcore-control", "list-tags-for-resource", "--resource-arn", arn); toJSON(t, v["tags"]) != `{"a":"b","c":"d"}` {
		t.Errorf("%v", v)
	}
	started := aws("", "bedrock-agentcore", "start-code-interpreter-session", "--code-interpreter-identifier", id, "--session-timeout-seconds", "60")
	session, _ := started["sessionId"].(string)
	if v := aws("", "bedrock-agentcore", "get-code-interpreter-session", "--code-interpreter-identifier", id, "--session-id", session); v["status"] != "READY" {
		t.Errorf("%v", v)
	}
	aws("ConflictException", "bedrock-agentcore-control", "delete-code-interpreter", "--code-interpreter-id", id)
	aws("", "bedrock-agentcore", "stop-code-interpreter-session", "--code-interpreter-identifier", id, "--session-id", session)
	if v := aws("", "bedrock-agentcore", "list-code-interpreter-sessions", "--code-interpreter-identifier", id, "--status", "TERMINATED"); !strings.Contains(toJSON(t, v), session) {
		t.Errorf("%v", v)
	}
	aws("", "bedrock-agentcore-control", "delete-code-interpreter", "--code-interpreter-id", id)
	aws("ResourceNotFoundException", "bedrock-agentcore-control", "get-code-interpreter", "--code-interpreter-id", id)
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
