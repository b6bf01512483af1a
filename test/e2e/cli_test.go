//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
)

// cli is the aws CLI in a folder, as the root user unless it has other variables.
type cli struct {
	t   *testing.T
	dir string
	env []string
}

// aws runs a command that must go well, and returns what it printed.
func (c cli) aws(args ...string) string {
	c.t.Helper()
	out, err := shared.runWith(c.t, c.dir, c.env, filepath.Join(clients(c.t), "venv/bin/aws"), args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// value runs a command that must go well and returns one value of its answer, by a JMESPath expression.
func (c cli) value(query string, args ...string) string {
	c.t.Helper()
	return strings.TrimSpace(c.aws(append(args, "--output", "text", "--query", query)...))
}

// refused runs a command that must fail with a message that contains all of want.
func (c cli) refused(want []string, args ...string) {
	c.t.Helper()
	out, err := shared.runWith(c.t, c.dir, c.env, filepath.Join(clients(c.t), "venv/bin/aws"), args...)
	if err == nil {
		c.t.Errorf("aws %s went well: %s", strings.Join(args, " "), out)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			c.t.Errorf("aws %s: %v, want %q", strings.Join(args, " "), err, w)
		}
	}
}

// as is the CLI with a role's credentials.
func (c cli) as(role, session string) cli {
	c.t.Helper()
	var answer struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	if err := json.Unmarshal([]byte(c.aws("sts", "assume-role", "--role-arn", role, "--role-session-name", session, "--output", "json")), &answer); err != nil {
		c.t.Fatal(err)
	}
	k := answer.Credentials
	c.env = []string{"AWS_ACCESS_KEY_ID=" + k.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + k.SecretAccessKey, "AWS_SESSION_TOKEN=" + k.SessionToken}
	return c
}

// write puts a file into the CLI's folder.
func (c cli) write(name string, content []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// holds checks a file of the CLI's folder.
func (c cli) holds(name string, want []byte) {
	c.t.Helper()
	if got, err := os.ReadFile(filepath.Join(c.dir, name)); err != nil || !bytes.Equal(got, want) {
		c.t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
	}
}

func TestS3ThroughTheCLI(t *testing.T) {
	c, bucket := cli{t: t, dir: t.TempDir()}, "cli-s3"
	c.aws("s3", "mb", "s3://"+bucket)
	t.Cleanup(func() { _ = shared.dropBucket(context.WithoutCancel(t.Context()), bucket) }) // gone already if all goes well
	small, big := []byte("small\n"), random(20<<20)                                         // the CLI uploads and downloads in parts from 8 MiB
	c.write("small.txt", small)
	c.write("big.bin", big)
	c.aws("s3", "cp", "--no-progress", "small.txt", "s3://"+bucket+"/in a folder/small ü.txt")
	c.aws("s3", "cp", "--no-progress", "big.bin", "s3://"+bucket+"/big.bin")
	if etag := c.value("ETag", "s3api", "head-object", "--bucket", bucket, "--key", "big.bin"); !strings.HasSuffix(etag, `-3"`) {
		t.Errorf("the big file was not uploaded in three parts: %s", etag)
	}
	c.aws("s3", "cp", "--no-progress", "s3://"+bucket+"/in a folder/small ü.txt", "small.back")
	c.aws("s3", "cp", "--no-progress", "s3://"+bucket+"/big.bin", "big.back")
	c.holds("small.back", small)
	c.holds("big.back", big)
	c.aws("s3", "cp", "--no-progress", "s3://"+bucket+"/big.bin", "s3://"+bucket+"/copied/big.bin") // copied in parts too
	c.aws("s3", "sync", "--no-progress", "s3://"+bucket, "synced")
	c.holds("synced/copied/big.bin", big)
	c.holds("synced/in a folder/small ü.txt", small)
	if out := c.aws("s3", "sync", "--no-progress", "s3://"+bucket, "synced"); out != "" {
		t.Errorf("a second sync copied again: %s", out)
	}
	if out := c.aws("s3", "ls", "s3://"+bucket); !strings.Contains(out, "PRE in a folder/") || !strings.Contains(out, "20971520 big.bin") {
		t.Errorf("ls: %s", out)
	}
	if out := c.aws("s3", "ls"); !strings.Contains(out, bucket) {
		t.Errorf("ls: %s", out)
	}
	address := strings.TrimSpace(c.aws("s3", "presign", "s3://"+bucket+"/in a folder/small ü.txt"))
	if status, _, body := fetch(t, http.DefaultClient, "GET", address, nil, nil); status != 200 || !bytes.Equal(body, small) {
		t.Errorf("presigned: %d %s", status, body)
	}
	// Parts one by one.
	id := c.value("UploadId", "s3api", "create-multipart-upload", "--bucket", bucket, "--key", "parts")
	c.write("part", big[:minPart])
	first := c.value("ETag", "s3api", "upload-part", "--bucket", bucket, "--key", "parts", "--upload-id", id, "--part-number", "1", "--body", "part")
	second := c.value("ETag", "s3api", "upload-part", "--bucket", bucket, "--key", "parts", "--upload-id", id, "--part-number", "2", "--body", "small.txt")
	if got := c.value("Parts[].ETag", "s3api", "list-parts", "--bucket", bucket, "--key", "parts", "--upload-id", id); got != first+"\t"+second {
		t.Errorf("list-parts: %q", got)
	}
	c.write("parts.json", []byte(`{"Parts":[{"PartNumber":1,"ETag":`+quoted(first)+`},{"PartNumber":2,"ETag":`+quoted(second)+`}]}`))
	c.aws("s3api", "complete-multipart-upload", "--bucket", bucket, "--key", "parts", "--upload-id", id, "--multipart-upload", "file://parts.json")
	c.aws("s3", "cp", "--no-progress", "s3://"+bucket+"/parts", "parts.back")
	c.holds("parts.back", append(big[:minPart:minPart], small...))
	c.aws("s3", "rm", "--recursive", "--only-show-errors", "s3://"+bucket)
	c.aws("s3", "rb", "s3://"+bucket)
	c.refused([]string{"NoSuchBucket"}, "s3", "ls", "s3://"+bucket)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(b)
}

func TestVersionsTagsAndBucketPoliciesThroughTheCLI(t *testing.T) {
	c, bucket := cli{t: t, dir: t.TempDir()}, shared.bucket(t, "cli-settings")
	c.write("one", []byte("one"))
	c.write("two", []byte("two"))
	c.aws("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
	if got := c.value("Status", "s3api", "get-bucket-versioning", "--bucket", bucket); got != "Enabled" {
		t.Errorf("versioning: %s", got)
	}
	first := c.value("VersionId", "s3api", "put-object", "--bucket", bucket, "--key", "v", "--body", "one", "--tagging", "a=b")
	c.aws("s3api", "put-object", "--bucket", bucket, "--key", "v", "--body", "two")
	c.aws("s3", "rm", "s3://"+bucket+"/v")
	if got := c.value("[length(Versions), length(DeleteMarkers)]", "s3api", "list-object-versions", "--bucket", bucket); got != "2\t1" {
		t.Errorf("versions and delete markers: %s", got)
	}
	c.aws("s3api", "get-object", "--bucket", bucket, "--key", "v", "--version-id", first, "got")
	c.holds("got", []byte("one"))
	if got := c.value("TagSet[].[Key, Value]", "s3api", "get-object-tagging", "--bucket", bucket, "--key", "v", "--version-id", first); got != "a\tb" {
		t.Errorf("tags: %q", got)
	}
	c.aws("s3api", "put-object-tagging", "--bucket", bucket, "--key", "v", "--version-id", first, "--tagging", "TagSet=[{Key=c,Value=d}]")
	if got := c.value("TagSet[].[Key, Value]", "s3api", "get-object-tagging", "--bucket", bucket, "--key", "v", "--version-id", first); got != "c\td" {
		t.Errorf("tags: %q", got)
	}
	policy := policyOf(statement{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectVersion", "Resource": "arn:aws:s3:::" + bucket + "/*"})
	c.aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", policy)
	if got := c.value("Policy", "s3api", "get-bucket-policy", "--bucket", bucket); got != policy {
		t.Errorf("policy: %s", got)
	}
	c.refused([]string{"AccessDenied", "explicit deny"}, "s3api", "get-object", "--bucket", bucket, "--key", "v", "--version-id", first, "got")
	c.aws("s3api", "delete-bucket-policy", "--bucket", bucket)
	c.refused([]string{"NoSuchBucketPolicy"}, "s3api", "get-bucket-policy", "--bucket", bucket)
}

func TestRolesThroughTheCLI(t *testing.T) {
	c, bucket := cli{t: t, dir: t.TempDir()}, shared.bucket(t, "cli-roles")
	other := shared.bucket(t, "cli-roles-other")
	shared.put(t, other, "secret", []byte("not yours"))
	execution := c.value("Role.Arn", "iam", "create-role", "--role-name", "cli-execution", "--assume-role-policy-document", trustsAgentCore)
	c.aws("iam", "put-role-policy", "--role-name", "cli-execution", "--policy-name", "inline", "--policy-document", policyOf(oneBucket(bucket)))
	agent := c.value("Role.Arn", "iam", "create-role", "--role-name", "cli-agent", "--assume-role-policy-document", trustsAccount)
	t.Cleanup(func() {
		for _, name := range []string{"cli-execution", "cli-agent"} {
			if err := shared.deleteRole(context.WithoutCancel(t.Context()), name); err != nil {
				t.Errorf("role %s: %v", name, err)
			}
		}
	})
	create := []string{"bedrock-agentcore-control", "create-code-interpreter", "--network-configuration", "networkMode=SANDBOX", "--name"}
	id := c.value("codeInterpreterId", append(create, "cli_role", "--execution-role-arn", execution)...)
	t.Cleanup(func() {
		_, err := shared.ControlPlane().DeleteCodeInterpreter(context.WithoutCancel(t.Context()), &bedrockagentcorecontrol.DeleteCodeInterpreterInput{CodeInterpreterId: &id})
		if err != nil {
			t.Error(err)
		}
	})
	arn := c.value("codeInterpreterArn", "bedrock-agentcore-control", "get-code-interpreter", "--code-interpreter-id", id)
	c.refused([]string{"ValidationException", "CodeInterpreter role validation failed"}, append(create, "cli_bad", "--execution-role-arn", agent)...)

	// The two of the three session actions that the CLI has commands for; InvokeCodeInterpreter answers with an event stream, which it cannot read.
	set := func(actions ...string) cli {
		c.aws("iam", "put-role-policy", "--role-name", "cli-agent", "--policy-name", "inline", "--policy-document", policyOf(allow(arn, actions...)))
		return c.as(agent, "cli")
	}
	denied := func(action string) []string {
		return []string{"AccessDeniedException", "User: arn:aws:sts::" + account + ":assumed-role/cli-agent/cli is not authorized to perform: bedrock-agentcore:" + action + " on resource: " + arn +
			" because no identity-based policy allows the bedrock-agentcore:" + action + " action"}
	}
	role := set("bedrock-agentcore:InvokeCodeInterpreter", "bedrock-agentcore:StopCodeInterpreterSession")
	if got := role.value("Arn", "sts", "get-caller-identity"); got != "arn:aws:sts::"+account+":assumed-role/cli-agent/cli" {
		t.Errorf("who: %s", got)
	}
	start, stop := []string{"bedrock-agentcore", "start-code-interpreter-session", "--code-interpreter-identifier", id}, []string{"bedrock-agentcore", "stop-code-interpreter-session", "--code-interpreter-identifier", id, "--session-id"}
	role.refused(denied("StartCodeInterpreterSession"), start...)
	role = set("bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:InvokeCodeInterpreter")
	session := role.value("sessionId", start...)
	role.refused(denied("StopCodeInterpreterSession"), append(stop, session)...)
	set("bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:StopCodeInterpreterSession").aws(append(stop, session)...)

	// One bucket.
	c.aws("iam", "put-role-policy", "--role-name", "cli-agent", "--policy-name", "inline", "--policy-document", policyOf(oneBucket(bucket)))
	one := c.as(agent, "one")
	one.write("mine", []byte("mine"))
	one.aws("s3", "cp", "--no-progress", "mine", "s3://"+bucket+"/mine")
	one.aws("s3", "ls", "s3://"+bucket)
	no := []string{"AccessDenied"}
	one.refused(no, "s3", "ls", "s3://"+other)
	one.refused(no, "s3", "ls")
	one.refused([]string{"403"}, "s3", "cp", "s3://"+other+"/secret", "stolen") // HeadObject, whose answer has no body to name a code
	one.refused(no, "s3api", "get-object", "--bucket", other, "--key", "secret", "stolen")
	one.refused(no, "s3", "cp", "mine", "s3://"+other+"/planted")
	one.refused([]string{"403"}, "s3", "cp", "s3://"+other+"/secret", "s3://"+bucket+"/stolen")
	one.refused(no, "s3api", "copy-object", "--copy-source", other+"/secret", "--bucket", bucket, "--key", "stolen")
	one.refused(no, "s3", "cp", "s3://"+bucket+"/mine", "s3://"+other+"/planted")
	one.refused(no, "s3", "rm", "s3://"+other+"/secret")
	address := strings.TrimSpace(one.aws("s3", "presign", "s3://"+other+"/secret"))
	if status, _, body := fetch(t, http.DefaultClient, "GET", address, nil, nil); status != 403 || !strings.Contains(string(body), "<Code>AccessDenied</Code>") {
		t.Errorf("presigned: %d %s", status, body)
	}
}

func TestMalformedPoliciesThroughTheCLI(t *testing.T) {
	c, bucket := cli{t: t, dir: t.TempDir()}, shared.bucket(t, "malformed-cli")
	shared.role(t, "malformed-cli", trustsAccount, allow("*", "s3:ListBucket"))
	for _, m := range malformedPolicies(t) {
		c.write("policy.json", []byte(m.Document))
		want := []string{"(" + m.code() + ")", m.Says}
		switch m.Kind {
		case "identity":
			c.refused(want, "iam", "put-role-policy", "--role-name", "malformed-cli", "--policy-name", "bad", "--policy-document", "file://policy.json")
		case "trust":
			c.refused(want, "iam", "create-role", "--role-name", "malformed-cli-2", "--assume-role-policy-document", "file://policy.json")
		case "bucket":
			c.refused(want, "s3api", "put-bucket-policy", "--bucket", bucket, "--policy", "file://policy.json")
		}
	}
}
