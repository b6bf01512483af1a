package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/sunaba-dev/sunaba/test/harness"
)

const (
	benchBucket = "bench-bucket"
	objectSize  = 1 << 30
	copies      = 3 // of 1 GiB, each way
)

// storage measures `aws s3 cp` of 1 GiB in a sandbox beside the same command on the host, against the same server, in turns; what the server's memory does meanwhile; and what the first step of every
// client inside costs, the credentials from the metadata service.
func (b *bench) storage(ctx context.Context) (err error) {
	s, err := harness.Start(ctx, b.binary, "", "--log-level", "error")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(), os.RemoveAll(s.Data)) }()
	x, err := roleSession(ctx, s)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sunaba-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "object")
	if err := randomFile(file, objectSize); err != nil {
		return err
	}
	host := func(from, to string) error {
		cmd := exec.CommandContext(ctx, b.aws, "s3", "cp", "--only-show-errors", from, to)
		cmd.Env = append(s.Environment(), "PATH="+os.Getenv("PATH"), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("aws s3 cp on the host: %w: %s", err, out)
		}
		return nil
	}
	inside := func(from, to string) error {
		_, err := x.command(ctx, "aws s3 cp --only-show-errors "+from+" "+to)
		return err
	}
	object := "s3://" + benchBucket + "/object"
	if err := host(file, object); err != nil { // and the server has seen an upload of this size
		return err
	}
	before, err := s.PeakMemory()
	if err != nil {
		return err
	}
	var hostDown, hostUp, down, up series
	for range copies {
		for _, m := range []measurement{
			{&hostDown, func() error { return host(object, file+".copy") }},
			{&down, func() error { return inside(object, "copy") }},
			{&hostUp, func() error { return host(file, object+".host") }},
			{&up, func() error { return inside("copy", object+".inside") }},
		} {
			began := time.Now()
			if err := m.call(); err != nil {
				return err
			}
			m.into.add(time.Since(began))
		}
	}
	after, err := s.PeakMemory()
	if err != nil {
		return err
	}
	b.ratio("aws s3 cp of 1 GiB down, time in the sandbox / on the host", b.record("aws s3 cp of 1 GiB down, in a sandbox", down)/b.record("aws s3 cp of 1 GiB down, on the host", hostDown), 2)
	b.ratio("aws s3 cp of 1 GiB up, time in the sandbox / on the host", b.record("aws s3 cp of 1 GiB up, in a sandbox", up)/b.record("aws s3 cp of 1 GiB up, on the host", hostUp), 2)
	b.ratio("server memory for 12 GiB more, MiB", float64(after-before)/(1<<20), 64)
	return b.metadata(ctx, x)
}

// metadata measures a token and credentials from the metadata service, as Python inside sees it.
func (b *bench) metadata(ctx context.Context, x *roleSessionClient) error {
	out, err := x.code(ctx, `
import json, time, urllib.request
base = "http://169.254.169.254/latest/"
def credentials():
    token = urllib.request.urlopen(urllib.request.Request(base + "api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})).read().decode()
    return urllib.request.urlopen(urllib.request.Request(base + "meta-data/iam/security-credentials/execution_role", headers={"X-aws-ec2-metadata-token": token})).read()
assert json.loads(credentials())["Code"] == "Success"
times = []
for _ in range(100):
    began = time.perf_counter()
    credentials()
    times.append((time.perf_counter() - began) * 1000)
print(json.dumps(times))`)
	if err != nil {
		return err
	}
	var times series
	if err := json.Unmarshal([]byte(out), &times); err != nil {
		return fmt.Errorf("times of the metadata service: %w: %s", err, out)
	}
	b.ratio("credentials from the metadata service, milliseconds", b.record("token and credentials from the metadata service", times), 10)
	return nil
}

// roleSessionClient is a session whose role may use the bucket.
type roleSessionClient struct {
	client          *bedrockagentcore.Client
	interpreter, id string
}

func roleSession(ctx context.Context, s *harness.Server) (*roleSessionClient, error) {
	if _, err := s.S3().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(benchBucket),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(harness.Region)}}); err != nil {
		return nil, err
	}
	role, err := s.IAM().CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bench"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return nil, err
	}
	if _, err := s.IAM().PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("bench"), PolicyName: aws.String("bucket"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::` + benchBucket + `","arn:aws:s3:::` + benchBucket + `/*"]}]}`)}); err != nil {
		return nil, err
	}
	i, err := s.ControlPlane().CreateCodeInterpreter(ctx, &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: aws.String("bench"), ExecutionRoleArn: role.Role.Arn,
		NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}})
	if err != nil {
		return nil, err
	}
	x := &roleSessionClient{client: s.DataPlane(), interpreter: *i.CodeInterpreterId}
	r, err := x.client.StartCodeInterpreterSession(ctx, &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: &x.interpreter})
	if err != nil {
		return nil, err
	}
	x.id = *r.SessionId
	return x, nil
}

func (x *roleSessionClient) command(ctx context.Context, line string) (string, error) {
	return x.call(ctx, types.ToolNameExecuteCommand, types.ToolArguments{Command: &line})
}

func (x *roleSessionClient) code(ctx context.Context, text string) (string, error) {
	return x.call(ctx, types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: &text})
}

// call makes a call and returns what it printed.
func (x *roleSessionClient) call(ctx context.Context, tool types.ToolName, args types.ToolArguments) (out string, err error) {
	r, err := x.client.InvokeCodeInterpreter(ctx, &bedrockagentcore.InvokeCodeInterpreterInput{CodeInterpreterIdentifier: &x.interpreter, SessionId: &x.id, Name: tool, Arguments: &args})
	if err != nil {
		return "", err
	}
	stream := r.GetStream()
	defer func() { err = errors.Join(err, stream.Close()) }()
	for e := range stream.Events() {
		m, ok := e.(*types.CodeInterpreterStreamOutputMemberResult)
		if !ok {
			continue
		}
		if aws.ToBool(m.Value.IsError) {
			return "", fmt.Errorf("%s failed: %s", tool, aws.ToString(m.Value.StructuredContent.Stderr))
		}
		out = aws.ToString(m.Value.StructuredContent.Stdout)
	}
	return out, stream.Err()
}

// randomFile writes a file that no layer can compress.
func randomFile(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(block)) {
		if _, err := rand.Read(block); err != nil {
			return err
		}
		if _, err := io.Copy(f, bytes.NewReader(block)); err != nil {
			return err
		}
	}
	return nil
}

// authorisation measures signed requests of a user with ten policies beside requests of the root key, for which nothing is evaluated: the difference is the decision.
func (b *bench) authorisation(ctx context.Context) (err error) {
	s, err := harness.Start(ctx, b.binary, "", "--log-level", "error")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(), os.RemoveAll(s.Data)) }()
	root := s.IAM()
	if _, err := root.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bench")}); err != nil {
		return err
	}
	const attached = 10 // as many as AWS lets one have, of 5 KB each
	for n := range attached {
		p, err := root.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("m" + strconv.Itoa(n)), PolicyDocument: aws.String(manyStatements(n, 25))})
		if err != nil {
			return err
		}
		if _, err := root.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("bench"), PolicyArn: p.Policy.Arn}); err != nil {
			return err
		}
	}
	k, err := root.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("bench")})
	if err != nil {
		return err
	}
	user := iam.New(iam.Options{BaseEndpoint: &s.Endpoint, Region: harness.Region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: *k.AccessKey.AccessKeyId, SecretAccessKey: *k.AccessKey.SecretAccessKey}, nil
	})})
	var asUser, asRoot series
	get := func(c *iam.Client) error {
		_, err := c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("bench")})
		return err
	}
	for i := range 50*b.n + 1 {
		for _, m := range []measurement{{&asUser, func() error { return get(user) }}, {&asRoot, func() error { return get(root) }}} {
			began := time.Now()
			if err := m.call(); err != nil {
				return err
			}
			if i > 0 {
				m.into.add(time.Since(began))
			}
		}
	}
	with, without := b.record("GetUser by a user with 10 policies of 5 KB", asUser), b.record("GetUser by the root key", asRoot)
	b.ratio("authorisation, milliseconds", with-without, 1)
	return nil
}

// manyStatements is a policy with n statements, the last of which is the one that allows iam:GetUser.
func manyStatements(seed, n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"arn:aws:iam::000000000000:user/team-%d-%d/*","Condition":{"StringEquals":{"aws:PrincipalTag/t":"x"}}}`, seed, i))
	}
	all = append(all, `{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}`)
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`
}
