//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A session that has credentials gets S3's error with them; one that asks for some, as every refresh does, hears that the role cannot be assumed. Both go on.
func TestARoleDeletedWhileSessionsLive(t *testing.T) {
	bucket := shared.bucket(t, "role-deleted")
	shared.put(t, bucket, "a.txt", []byte("still there"))
	role := shared.role(t, "role-deleted", trustsAgentCore, oneBucket(bucket))
	id, _ := shared.interpreter(t, "role_deleted", role)
	user, fresh := shared.sessionOf(t, id), shared.sessionOf(t, id)
	read := fmt.Sprintf("print(s3.get_object(Bucket=%q, Key='a.txt')['Body'].read().decode())", bucket)
	if got := user.python("import boto3\ns3 = boto3.client('s3')\n" + read); stdout(t, got) != "still there" {
		t.Fatalf("%+v", got.StructuredContent)
	}
	if err := shared.deleteRole(t.Context(), "role-deleted"); err != nil {
		t.Fatal(err)
	}
	got := user.python(read)
	if !*got.IsError || !strings.Contains(*got.StructuredContent.Stderr, "ClientError") || !strings.Contains(*got.StructuredContent.Stderr, "when calling the GetObject operation") {
		t.Errorf("with the credentials from before: %q", *got.StructuredContent.Stderr)
	}
	t.Logf("with the credentials from before: %s", lastLine(*got.StructuredContent.Stderr))
	got = user.command("aws s3 ls s3://" + bucket)
	if *got.StructuredContent.ExitCode == 0 || !strings.Contains(*got.StructuredContent.Stderr, "when calling the ListObjectsV2 operation") {
		t.Errorf("aws s3 ls with the credentials from before: %q", *got.StructuredContent.Stderr)
	}
	got = fresh.command(`token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
curl -sS -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/iam/security-credentials/execution_role`)
	if out := stdout(t, got); !strings.Contains(out, `"AssumeRoleUnauthorizedAccess"`) || strings.Contains(out, "SecretAccessKey") {
		t.Errorf("the metadata service: %s", out)
	}
	got = fresh.command("aws s3 ls s3://" + bucket)
	if *got.StructuredContent.ExitCode == 0 || !strings.Contains(strings.ToLower(*got.StructuredContent.Stderr), "credentials") {
		t.Errorf("aws s3 ls without credentials: %q", *got.StructuredContent.Stderr)
	}
	for _, x := range []*session{user, fresh} {
		if got := stdout(t, x.python("6 * 7")); got != "42" {
			t.Errorf("the session does not go on: %q", got)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// task waits for a background command of a session and returns its result.
func (x *session) task(id *string) *types.CodeInterpreterResult {
	x.t.Helper()
	for {
		r := x.must(types.ToolNameGetTask, types.ToolArguments{TaskId: id})
		if s := r.StructuredContent.TaskStatus; s != types.TaskStatusSubmitted && s != types.TaskStatusWorking {
			return r
		}
	}
}

// slowCopies makes `aws s3 cp` of a session slow enough to be seen in the middle.
const slowCopies = "aws configure set default.s3.max_bandwidth 6MB/s && aws configure set default.s3.max_concurrent_requests 2"

const copied = 96 << 20 // bytes: 12 ranges or parts of the aws CLI

func TestTheBucketIsDeletedUnderARunningDownload(t *testing.T) {
	bucket := shared.bucket(t, "deleted-download")
	shared.put(t, bucket, "big", random(copied))
	role := shared.role(t, "deleted-download", trustsAgentCore, oneBucket(bucket))
	id, _ := shared.interpreter(t, "deleted_download", role)
	x := shared.sessionOf(t, id)
	x.command(slowCopies)
	started := x.must(types.ToolNameStartCommandExecution, types.ToolArguments{Command: aws.String("aws s3 cp --no-progress s3://" + bucket + "/big got")})
	for stdout(t, x.command("find . -name 'got*' -size +1000k | wc -l")) != "1\n" { // the CLI writes into got.RANDOM
		if s := x.must(types.ToolNameGetTask, types.ToolArguments{TaskId: started.StructuredContent.TaskId}).StructuredContent; s.TaskStatus != types.TaskStatusWorking && s.TaskStatus != types.TaskStatusSubmitted {
			t.Fatalf("the copy ended before the bucket did: %s %s", *s.Stdout, *s.Stderr)
		}
	}
	if err := shared.dropBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	r := x.task(started.StructuredContent.TaskId)
	c := r.StructuredContent
	if c.TaskStatus != types.TaskStatusFailed || *c.ExitCode == 0 || !strings.Contains(*c.Stderr, "download failed") || !strings.Contains(*c.Stderr, "NoSuch") && !strings.Contains(*c.Stderr, "404") {
		t.Errorf("the copy: %v %d %q %q", c.TaskStatus, *c.ExitCode, *c.Stdout, *c.Stderr)
	}
	t.Logf("the copy said: %s", *c.Stderr)
	if got := stdout(t, x.command("ls | wc -l; aws s3 ls s3://"+bucket+" 2>&1 | tail -1")); !strings.HasPrefix(got, "0\n") || !strings.Contains(got, "NoSuchBucket") {
		t.Errorf("afterwards: %q", got)
	}
	if got := stdout(t, x.python("6 * 7")); got != "42" {
		t.Errorf("the session does not go on: %q", got)
	}
}

func TestTheBucketIsEmptiedAndDeletedUnderARunningUpload(t *testing.T) {
	bucket := shared.bucket(t, "deleted-upload")
	role := shared.role(t, "deleted-upload", trustsAgentCore, oneBucket(bucket))
	id, _ := shared.interpreter(t, "deleted_upload", role)
	x := shared.sessionOf(t, id)
	x.command(slowCopies + fmt.Sprintf(" && head -c %d /dev/urandom >big", copied))
	started := x.must(types.ToolNameStartCommandExecution, types.ToolArguments{Command: aws.String("aws s3 cp --no-progress big s3://" + bucket + "/big")})
	c := shared.S3()
	for parts := 0; parts == 0; {
		uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uploads.Uploads {
			r, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
			if err != nil {
				t.Fatal(err)
			}
			parts = len(r.Parts)
		}
		if s := x.must(types.ToolNameGetTask, types.ToolArguments{TaskId: started.StructuredContent.TaskId}).StructuredContent; s.TaskStatus != types.TaskStatusWorking && s.TaskStatus != types.TaskStatusSubmitted {
			t.Fatalf("the copy ended before the bucket did: %s %s", *s.Stdout, *s.Stderr)
		}
	}
	if err := shared.dropBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	r := x.task(started.StructuredContent.TaskId)
	s := r.StructuredContent
	if s.TaskStatus != types.TaskStatusFailed || *s.ExitCode == 0 || !strings.Contains(*s.Stderr, "upload failed") || !strings.Contains(*s.Stderr, "NoSuch") {
		t.Errorf("the copy: %v %d %q %q", s.TaskStatus, *s.ExitCode, *s.Stdout, *s.Stderr)
	}
	t.Logf("the copy said: %s", *s.Stderr)
	if got := stdout(t, x.python("6 * 7")); got != "42" {
		t.Errorf("the session does not go on: %q", got)
	}
	if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &bucket}); code(err) != "NotFound" {
		t.Errorf("the bucket came back: %v", err)
	}
	// What the upload left on the disk is not in the way of a new bucket of the same name.
	shared.bucket(t, bucket)
	if list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil || len(list.Contents) != 0 {
		t.Errorf("a new bucket of the name: %+v %v", list, err)
	}
}

// stuckBody is a body that gives some bytes and then waits until it is let go.
type stuckBody struct {
	first   *bytes.Reader
	reached chan struct{} // closed when the first bytes are taken
	letGo   chan struct{}
}

// Read implements io.Reader.
func (b *stuckBody) Read(p []byte) (int, error) {
	if b.first.Len() > 0 {
		return b.first.Read(p)
	}
	close(b.reached)
	<-b.letGo
	return 0, io.ErrUnexpectedEOF
}

func TestTheServerIsKilledInTheMiddleOfAMultipartUpload(t *testing.T) {
	data := t.TempDir()
	first := start(t, data)
	bucket, key := "killed", "big"
	first.makeBucket(t, bucket)
	body := random(3*minPart + 777)
	up := first.beginUpload(t, bucket, key)
	up.part(1, body[:minPart])
	up.part(2, body[minPart:2*minPart])
	// The third part is on its way when the server dies.
	p := s3.NewPresignClient(first.S3())
	third, err := p.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: &up.id, PartNumber: aws.Int32(3)})
	if err != nil {
		t.Fatal(err)
	}
	stuck := &stuckBody{bytes.NewReader(body[2*minPart : 2*minPart+1<<20]), make(chan struct{}), make(chan struct{})}
	sent := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, third.URL, stuck)
		if err != nil {
			sent <- err
			return
		}
		r.ContentLength = minPart
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = resp.Body.Close()
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		sent <- err
	}()
	<-stuck.reached
	first.Kill()
	close(stuck.letGo)
	if err := <-sent; err == nil || strings.HasPrefix(err.Error(), "status 2") {
		t.Errorf("the part that was on its way: %v", err)
	}

	up.s = start(t, data)
	if got := up.list(); !slices.Equal(got, up.etags) {
		t.Errorf("after the restart ListParts has %v, want the acknowledged ones %v", got, up.etags)
	}
	if _, err := get(t.Context(), up.s.S3(), bucket, key, ""); code(err) != "NoSuchKey" {
		t.Errorf("an object before the upload is complete: %v", err)
	}
	up.part(3, body[2*minPart:3*minPart])
	up.part(4, body[3*minPart:])
	up.complete()
	if got, err := get(t.Context(), up.s.S3(), bucket, key, ""); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(body), err)
	}
	list, err := up.s.S3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil || len(list.Contents) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	if err := up.s.dropBucket(t.Context(), bucket); err != nil {
		t.Error(err)
	}
}

// fill takes all the space that is left in a folder's file system, with a file whose name it returns.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if closed := f.Close(); closed != nil && !errors.Is(closed, syscall.ENOSPC) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err, closed)
	}
	return path
}

func TestTheDataFoldersDiskIsFull(t *testing.T) {
	data := t.TempDir()
	if err := syscall.Mount("sunaba-test", data, "tmpfs", 0, "size=96m,mode=0700"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, 0); err != nil {
			t.Error(err)
		}
	})
	s := start(t, data)
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 } // a full disk is not a passing trouble, and the SDK tries 5xx again
	c, bucket := s.S3(once), "full"
	s.makeBucket(t, bucket)
	old := random(8 << 20)
	s.put(t, bucket, "old", old)
	up := s.beginUpload(t, bucket, "parts")
	up.part(1, old[:minPart])
	role := s.role(t, "full", trustsAccount, oneBucket(bucket))

	room, err := freeBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	// A body that does not fit any more: there was room when it began.
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("huge"), Body: bytes.NewReader(random(120 << 20))})
	isFull(t, "an object larger than the disk", err)
	ballast := fill(t, data)
	for what, call := range map[string]func() error{
		"a new object": func() error {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("new"), Body: bytes.NewReader(random(1 << 20))})
			return err
		},
		"a new version of an object": func() error {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("old"), Body: bytes.NewReader(random(9 << 20))})
			return err
		},
		"a part": func() error {
			_, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("parts"), UploadId: &up.id, PartNumber: aws.Int32(2), Body: bytes.NewReader(random(minPart))})
			return err
		},
		"a copy": func() error {
			_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/old")})
			return err
		},
		"a bucket policy": func() error {
			_, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(policyOf(statement{"Effect": "Allow", "Principal": map[string]string{"AWS": role}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + bucket + "/*"}))})
			return err
		},
	} {
		isFull(t, what, call())
	}
	// The records: refused with an error of the server, and readable.
	_, err = iam.New(iam.Options{BaseEndpoint: &s.Endpoint, Region: "us-west-2", Credentials: s.Credentials(), RetryMaxAttempts: 1}).PutRolePolicy(t.Context(),
		&iam.PutRolePolicyInput{RoleName: aws.String("full"), PolicyName: aws.String("more"), PolicyDocument: aws.String(policyOf(allow("*", strings.Split(strings.Repeat("s3:GetObject,", 300)+"s3:GetObject", ",")...)))})
	t.Logf("PutRolePolicy on the full disk: %v", err)
	if err != nil && status(err) < 500 {
		t.Errorf("PutRolePolicy on the full disk: %v", err)
	}
	if r, err := s.IAM().GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("full")}); err != nil || *r.Role.Arn != role {
		t.Errorf("GetRole on the full disk: %v", err)
	}
	// Nothing is corrupted, nothing is half there.
	unchanged := func(when string) {
		t.Helper()
		if got, err := get(t.Context(), c, bucket, "old", ""); err != nil || !bytes.Equal(got, old) {
			t.Errorf("%s, the old object: %d bytes, %v", when, len(got), err)
		}
		list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
		if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "old" || *list.Contents[0].Size != int64(len(old)) {
			t.Errorf("%s, the list: %+v %v", when, list, err)
		}
		if got := up.list(); !slices.Equal(got, up.etags) {
			t.Errorf("%s, the parts: %v, want %v", when, got, up.etags)
		}
		if _, err := c.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket}); code(err) != "NoSuchBucketPolicy" {
			t.Errorf("%s, the bucket's policy: %v", when, err)
		}
	}
	unchanged("with the disk full")
	free, err := freeBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("free with the ballast: %d bytes", free)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if free, err = freeBytes(data); err != nil || free < room-4<<20 { // the records' own log may grow
		t.Errorf("what failed has left files behind: %d MiB are free, and were %d, %v\n%s", free>>20, room>>20, err, largeFiles(data))
	}
	unchanged("with space again")
	s.put(t, bucket, "new", []byte("fits"))
	up.part(2, old[minPart:])
	up.complete()
	s.allowRole(t, "full", oneBucket("another"))
	made, err := s.ControlPlane().CreateCodeInterpreter(t.Context(), &bedrockagentcorecontrol.CreateCodeInterpreterInput{Name: aws.String("after"),
		NetworkConfiguration: &controltypes.CodeInterpreterNetworkConfiguration{NetworkMode: controltypes.CodeInterpreterNetworkModeSandbox}})
	if err != nil {
		t.Fatal(err)
	}
	// The folder is what a new run of the server takes over, after a crash too.
	s.Kill()
	s = start(t, data)
	if got, err := get(t.Context(), s.S3(), bucket, "parts", ""); err != nil || !bytes.Equal(got, old) {
		t.Errorf("after a restart: %d bytes, %v", len(got), err)
	}
	if _, err := s.ControlPlane().GetCodeInterpreter(t.Context(), &bedrockagentcorecontrol.GetCodeInterpreterInput{CodeInterpreterId: made.CodeInterpreterId}); err != nil {
		t.Error(err)
	}
	if r, err := s.IAM().GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("full"), PolicyName: aws.String("inline")}); err != nil || !strings.Contains(*r.PolicyDocument, "another") {
		t.Errorf("%+v %v", r, err)
	}
	if err := s.dropBucket(context.WithoutCancel(t.Context()), bucket); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// isFull checks the answer of a server whose disk is full.
func isFull(t *testing.T, what string, err error) {
	t.Helper()
	if code(err) != "InsufficientStorage" || status(err) != http.StatusInsufficientStorage {
		t.Errorf("%s on a full disk: %v", what, err)
	}
}

// status is the HTTP status of an AWS error, 0 if there was none.
func status(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// largeFiles lists the files of a folder that are larger than 1 MiB.
func largeFiles(dir string) string {
	var list strings.Builder
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > 1<<20 {
			fmt.Fprintf(&list, "%d %s\n", info.Size(), path)
		}
		return nil
	})
	return list.String()
}

func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	return int64(s.Bavail) * s.Bsize, err
}
