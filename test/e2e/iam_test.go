//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
)

const account = "000000000000"

// statement is one statement of a policy.
type statement map[string]any

// policyOf is a policy document.
func policyOf(statements ...statement) string {
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // maps of strings
	}
	return string(b)
}

func allow(resources any, actions ...string) statement {
	return statement{"Effect": "Allow", "Action": actions, "Resource": resources}
}

// The trust policies of the tests: an interpreter's role, as AWS's documentation writes it, and a role for principals of the account.
var (
	trustsAgentCore = policyOf(statement{"Effect": "Allow", "Principal": map[string]string{"Service": "bedrock-agentcore.amazonaws.com"}, "Action": "sts:AssumeRole",
		"Condition": map[string]any{"StringEquals": map[string]string{"aws:SourceAccount": account}, "ArnLike": map[string]string{"aws:SourceArn": "arn:aws:bedrock-agentcore:us-west-2:" + account + ":*"}}})
	trustsAccount = policyOf(statement{"Effect": "Allow", "Principal": map[string]string{"AWS": "arn:aws:iam::" + account + ":root"}, "Action": "sts:AssumeRole"})
)

// oneBucket are the rights to a bucket and to what is in it.
func oneBucket(bucket string) statement {
	return allow([]string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}, "s3:*")
}

// role makes a role with an inline policy and returns its ARN; both go with the test.
func (s *server) role(t *testing.T, name, trust string, statements ...statement) string {
	t.Helper()
	c := s.IAM()
	made, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.deleteRole(context.WithoutCancel(t.Context()), name); err != nil && code(err) != "NoSuchEntity" && !strings.Contains(err.Error(), "connection refused") {
			t.Error(err)
		}
	})
	s.allowRole(t, name, statements...)
	return *made.Role.Arn
}

// allowRole replaces a role's inline policy.
func (s *server) allowRole(t *testing.T, name string, statements ...statement) {
	t.Helper()
	if _, err := s.IAM().PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("inline"), PolicyDocument: aws.String(policyOf(statements...))}); err != nil {
		t.Fatal(err)
	}
}

func (s *server) deleteRole(ctx context.Context, name string) error {
	c := s.IAM()
	if _, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String("inline")}); err != nil {
		return err
	}
	_, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
	return err
}

// assume returns temporary credentials of a role.
func (s *server) assume(t *testing.T, roleARN, session string) *ststypes.Credentials {
	t.Helper()
	r, err := s.STS().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &roleARN, RoleSessionName: &session})
	if err != nil {
		t.Fatal(err)
	}
	return r.Credentials
}

func provider(c *ststypes.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// environment is what a foreign client runs with as a role.
func environment(c *ststypes.Credentials) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + *c.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + *c.SecretAccessKey, "AWS_SESSION_TOKEN=" + *c.SessionToken}
}

// as makes an S3 client use a role's credentials.
func as(c *ststypes.Credentials) func(*s3.Options) {
	return func(o *s3.Options) { o.Credentials = provider(c) }
}

// code is the code of an AWS error, "" if it is none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// interpreter makes an interpreter with an execution role, which goes with the test.
func (s *server) interpreter(t *testing.T, name, roleARN string) (id, arn string) {
	t.Helper()
	c := s.ControlPlane()
	made, err := c.CreateCodeInterpreter(t.Context(), &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: &name, ExecutionRoleArn: &roleARN,
		NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := c.DeleteCodeInterpreter(context.WithoutCancel(t.Context()), &bedrockagentcorecontrol.DeleteCodeInterpreterInput{CodeInterpreterId: made.CodeInterpreterId})
		if err != nil {
			t.Error(err)
		}
	})
	return *made.CodeInterpreterId, *made.CodeInterpreterArn
}

// sessionOf starts a session of an interpreter of one's own; it ends with the test.
func (s *server) sessionOf(t *testing.T, interpreter string) *session {
	t.Helper()
	x := &session{t: t, client: s.DataPlane(), interpreter: interpreter}
	r, err := x.client.StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: &interpreter})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	x.id = *r.SessionId
	t.Cleanup(x.stop)
	return x
}

func TestRolesThroughTheGoSDK(t *testing.T) {
	c := shared.IAM()
	arn := shared.role(t, "gosdk-execution", trustsAgentCore, oneBucket("gosdk-none"))
	got, err := c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("gosdk-execution")})
	if err != nil || *got.Role.Arn != arn || got.Role.AssumeRolePolicyDocument == nil {
		t.Errorf("%+v %v", got, err)
	}
	inline, err := c.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("gosdk-execution"), PolicyName: aws.String("inline")})
	if err != nil || !strings.Contains(*inline.PolicyDocument, "gosdk-none") {
		t.Errorf("%+v %v", inline, err)
	}
	id, _ := shared.interpreter(t, "gosdk_role", arn)
	made, err := shared.ControlPlane().GetCodeInterpreter(t.Context(), &bedrockagentcorecontrol.GetCodeInterpreterInput{CodeInterpreterId: &id})
	if err != nil || *made.ExecutionRoleArn != arn {
		t.Errorf("%+v %v", made, err)
	}
	elsewhere := shared.role(t, "gosdk-lambda", strings.ReplaceAll(trustsAgentCore, "bedrock-agentcore.amazonaws.com", "lambda.amazonaws.com"), oneBucket("gosdk-none"))
	for what, role := range map[string]string{"one that is not there": "arn:aws:iam::" + account + ":role/none", "one that trusts another service": elsewhere} {
		_, err := shared.ControlPlane().CreateCodeInterpreter(t.Context(), &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: aws.String("gosdk_bad"), ExecutionRoleArn: &role,
			NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}})
		if code(err) != "ValidationException" || !strings.Contains(err.Error(), "CodeInterpreter role validation failed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	agent := shared.role(t, "gosdk-agent", trustsAccount, allow("*", "sts:GetCallerIdentity"))
	o := sts.Options{BaseEndpoint: &shared.Endpoint, Region: "us-west-2", Credentials: provider(shared.assume(t, agent, "go"))}
	who, err := sts.New(o).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::"+account+":assumed-role/gosdk-agent/go" {
		t.Errorf("%+v %v", who, err)
	}
	_, err = shared.STS().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("go")})
	if code(err) != "AccessDenied" {
		t.Errorf("a role for the service alone: %v", err)
	}
}

// sessionActions are what an agent's tool does with a session, in its order.
var sessionActions = []string{"StartCodeInterpreterSession", "InvokeCodeInterpreter", "StopCodeInterpreterSession"}

func TestEachSessionActionIsNeededAtItsCallThroughTheGoSDK(t *testing.T) {
	execution := shared.role(t, "three-execution", trustsAgentCore, oneBucket("three-none"))
	id, arn := shared.interpreter(t, "three", execution)
	agent := shared.role(t, "three-agent", trustsAccount, allow(arn, "bedrock-agentcore:GetCodeInterpreter"))
	client := bedrockagentcore.New(bedrockagentcore.Options{BaseEndpoint: &shared.Endpoint, Region: "us-west-2", Credentials: provider(shared.assume(t, agent, "tool"))})
	// flow makes the three calls and returns how many went well, and the error of the next.
	flow := func() (done int, err error) {
		r, err := client.StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: &id})
		if err != nil {
			return 0, err
		}
		x := &session{t: t, client: client, interpreter: id, id: *r.SessionId}
		defer func() {
			if err != nil {
				y := &session{t: t, client: shared.DataPlane(), interpreter: id, id: x.id}
				y.stop()
			}
		}()
		got, err := x.invoke(types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("echo hello")})
		if err != nil {
			return 1, err
		}
		if stdout(t, got) != "hello\n" {
			t.Errorf("%+v", got)
		}
		_, err = client.StopCodeInterpreterSession(t.Context(), &bedrockagentcore.StopCodeInterpreterSessionInput{CodeInterpreterIdentifier: &id, SessionId: &x.id})
		if err != nil {
			return 2, err
		}
		return 3, nil
	}
	statements := func(leftOut int) []statement {
		var list []statement
		for i, a := range sessionActions {
			if i != leftOut {
				list = append(list, allow(arn, "bedrock-agentcore:"+a))
			}
		}
		return list
	}
	for i, name := range sessionActions {
		shared.allowRole(t, "three-agent", statements(i)...)
		done, err := flow()
		want := fmt.Sprintf("User: arn:aws:sts::%s:assumed-role/three-agent/tool is not authorized to perform: bedrock-agentcore:%s on resource: %s because no identity-based policy allows the bedrock-agentcore:%s action",
			account, name, arn, name)
		var denied smithy.APIError
		if done != i || !errors.As(err, &denied) || denied.ErrorCode() != "AccessDeniedException" || denied.ErrorMessage() != want {
			t.Errorf("without %s, after %d calls: %v", name, done, err)
		}
	}
	shared.allowRole(t, "three-agent", statements(-1)...)
	if done, err := flow(); done != 3 || err != nil {
		t.Errorf("with all three, after %d calls: %v", done, err)
	}
	// Exactly its interpreter: no other, and not the managed one.
	other, _ := shared.interpreter(t, "three_other", execution)
	for _, foreign := range []string{other, managed} {
		_, err := client.StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: &foreign})
		if code(err) != "AccessDeniedException" {
			t.Errorf("a session of %s: %v", foreign, err)
		}
	}
}

// malformedPolicy is a document of clients/malformed.json, which all three clients send.
type malformedPolicy struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // identity, trust, bucket
	Document string `json:"document"`
	Says     string `json:"says"` // the reason, or a part of it
}

// code is what AWS answers to the document.
func (m malformedPolicy) code() string {
	if m.Kind == "bucket" {
		return "MalformedPolicy"
	}
	return "MalformedPolicyDocument"
}

func malformedPolicies(t *testing.T) []malformedPolicy {
	t.Helper()
	b, err := os.ReadFile("clients/malformed.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []malformedPolicy
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"identity", "trust", "bucket"} {
		if !slices.ContainsFunc(list, func(m malformedPolicy) bool { return m.Kind == kind }) {
			t.Fatalf("clients/malformed.json has no %s policy", kind)
		}
	}
	return list
}

func TestMalformedPoliciesThroughTheGoSDK(t *testing.T) {
	shared.role(t, "malformed-go", trustsAccount, allow("*", "s3:ListBucket"))
	bucket := shared.bucket(t, "malformed-go")
	for _, m := range malformedPolicies(t) {
		t.Run(m.Kind+"/"+m.Name, func(t *testing.T) {
			var calls []error
			switch m.Kind {
			case "identity":
				_, err := shared.IAM().PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("malformed-go"), PolicyName: aws.String("bad"), PolicyDocument: &m.Document})
				_, err2 := shared.IAM().CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("malformed-go"), PolicyDocument: &m.Document})
				calls = []error{err, err2}
			case "trust":
				_, err := shared.IAM().CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("malformed-go-2"), AssumeRolePolicyDocument: &m.Document})
				_, err2 := shared.IAM().UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("malformed-go"), PolicyDocument: &m.Document})
				calls = []error{err, err2}
			case "bucket":
				_, err := shared.S3().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &m.Document})
				calls = []error{err}
			}
			for _, err := range calls {
				if code(err) != m.code() || !strings.Contains(err.Error(), m.Says) {
					t.Errorf("got %v, want %s with %q", err, m.code(), m.Says)
				}
			}
		})
	}
	kept, err := shared.IAM().ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: aws.String("malformed-go")})
	if err != nil || len(kept.PolicyNames) != 1 {
		t.Errorf("%+v %v", kept, err)
	}
	if _, err := shared.S3().GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket}); code(err) != "NoSuchBucketPolicy" {
		t.Errorf("the bucket has a policy: %v", err)
	}
}
