package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

const (
	bucket = "demo-bucket"
	region = "us-west-2"
	role   = "demo-execution-role"
)

// generator is the script that the session fetches from the bucket.
const generator = `import csv, random, sys

rows, columns = int(sys.argv[1]), int(sys.argv[2])
with open("generated_data.csv", "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(f"column_{c}" for c in range(columns))
    out.writerows([random.randint(0, 99) for _ in range(columns)] for _ in range(rows))
print(f"wrote {rows} rows of {columns} columns")
`

// article is the second act: a bucket, a role that may use just that bucket, an interpreter with the role, and in its session nothing but the aws CLI with nothing configured.
func (s *server) article(ctx context.Context, p *printer) error {
	p.title("The same with a bucket and an execution role")
	buckets := s3.New(s3.Options{BaseEndpoint: &s.endpoint, Region: region, Credentials: s.credentials, UsePathStyle: true})
	interpreterID, err := s.prepare(ctx, p, buckets)
	if err != nil {
		return err
	}
	x := &session{client: bedrockagentcore.New(bedrockagentcore.Options{BaseEndpoint: &s.endpoint, Region: region, Credentials: s.credentials}), p: p, interpreter: interpreterID}
	if err := x.start(ctx); err != nil {
		return err
	}
	for _, line := range []string{"aws s3 cp s3://" + bucket + "/generate_csv.py .", "python generate_csv.py 5 10", "aws s3 cp generated_data.csv s3://" + bucket + "/output_artifacts/"} {
		if err := x.show(ctx, "executeCommand", line, types.ToolNameExecuteCommand, types.ToolArguments{Command: &line}); err != nil {
			return errors.Join(err, x.stop(context.WithoutCancel(ctx)))
		}
	}
	if err := x.stop(ctx); err != nil {
		return err
	}
	began := time.Now()
	o, err := buckets.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("output_artifacts/generated_data.csv")})
	if err != nil {
		return err
	}
	defer func() { _ = o.Body.Close() }()
	csv, err := io.ReadAll(o.Body)
	if err != nil {
		return err
	}
	p.step("GetObject", "s3://"+bucket+"/output_artifacts/generated_data.csv", time.Since(began))
	p.output(string(csv))
	return nil
}

// prepare makes the bucket, the role and the interpreter.
func (s *server) prepare(ctx context.Context, p *printer, buckets *s3.Client) (interpreterID string, err error) {
	began := time.Now()
	if _, err := buckets.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(region)}}); err != nil {
		return "", err
	}
	if _, err := buckets.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("generate_csv.py"), Body: strings.NewReader(generator)}); err != nil {
		return "", err
	}
	p.step("CreateBucket, PutObject", "s3://"+bucket+"/generate_csv.py", time.Since(began))

	began = time.Now()
	roles := iam.New(iam.Options{BaseEndpoint: &s.endpoint, Region: region, Credentials: s.credentials})
	made, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(role), AssumeRolePolicyDocument: policy(map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"Service": "bedrock-agentcore.amazonaws.com"}, "Action": "sts:AssumeRole"})})
	if err != nil {
		return "", err
	}
	if _, err := roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(role), PolicyName: aws.String("bucket"), PolicyDocument: policy(map[string]any{
		"Effect": "Allow", "Action": []string{"s3:GetObject", "s3:PutObject", "s3:ListBucket"}, "Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}})}); err != nil {
		return "", err
	}
	p.step("CreateRole, PutRolePolicy", "may use this bucket and nothing else", time.Since(began))

	began = time.Now()
	control := bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{BaseEndpoint: &s.endpoint, Region: region, Credentials: s.credentials})
	ci, err := control.CreateCodeInterpreter(ctx, &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: aws.String("demo"), ExecutionRoleArn: made.Role.Arn,
		NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}})
	if err != nil {
		return "", err
	}
	p.step("CreateCodeInterpreter", "with that role", time.Since(began))
	return *ci.CodeInterpreterId, nil
}

func policy(statement map[string]any) *string {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{statement}})
	if err != nil {
		panic(fmt.Sprintf("a policy of strings cannot fail to encode: %v", err))
	}
	return aws.String(string(text))
}
