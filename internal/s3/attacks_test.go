package s3_test

import (
	"crypto/md5"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// limited starts a server with two buckets of one account, and a role that may do everything in the bucket "mine" and nothing in "theirs".
func limited(t *testing.T) (s *server, role *awss3.Client) {
	s = start(t)
	admin := s.admin()
	s.bucket(admin, "mine")
	s.bucket(admin, "theirs")
	s.put(admin, "theirs", "secret", "classified")
	s.put(admin, "mine", "own", "public knowledge")
	s.authority.add("ASIALIMITED000000000", "session-token", account, "limited", "* arn:aws:s3:::mine", "* arn:aws:s3:::mine/*")
	return s, s.as("ASIALIMITED000000000")
}

// TestTrapAEvaluatorSeam is trap (a) of versitygw, whose decisions are numbers of a type that is not exported: allow must allow, and deny must deny.
func TestTrapAEvaluatorSeam(t *testing.T) {
	s, role := limited(t)
	s.want(role, "mine", "own", "public knowledge")
	_, err := s.get(role, "theirs", "secret")
	wantCode(t, err, "AccessDenied")
	out, err := role.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("theirs"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("secret")}}}})
	if err == nil && (len(out.Errors) != 1 || aws.ToString(out.Errors[0].Code) != "AccessDenied") {
		t.Fatalf("another bucket's object: %+v", out)
	}
	s.want(s.admin(), "theirs", "secret", "classified")
}

// TestTrapBOwnershipIsTheAccounts: a bucket belongs to the account, whichever key made it.
func TestTrapBOwnershipIsTheAccounts(t *testing.T) {
	s := start(t)
	s.authority.add("ASIAONE0000000000000", "t1", account, "one", "* *")
	s.authority.add("ASIATWO0000000000000", "t2", account, "two", "* *")
	s.authority.add("AKIAOTHER00000000000", "", "111111111111", "other", "* *")
	one, two, other := s.as("ASIAONE0000000000000"), s.as("ASIATWO0000000000000"), s.as("AKIAOTHER00000000000")
	s.bucket(one, "shared")
	if owner, err := s.gateway.Owns(t.Context(), "shared"); owner != account || err != nil {
		t.Fatalf("owner is %q, %v", owner, err)
	}
	for _, c := range []*awss3.Client{one, two} {
		if list, err := c.ListBuckets(t.Context(), &awss3.ListBucketsInput{}); err != nil || len(list.Buckets) != 1 || *list.Owner.ID != account {
			t.Fatalf("buckets: %+v, %v", list, err)
		}
	}
	s.put(two, "shared", "k", "v")
	s.want(one, "shared", "k", "v")
	if list, err := other.ListBuckets(t.Context(), &awss3.ListBucketsInput{}); err != nil || len(list.Buckets) != 0 {
		t.Fatalf("another account sees %+v, %v", list, err)
	}
	_, err := two.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("shared"), CreateBucketConfiguration: location(region)})
	wantCode(t, err, "BucketAlreadyOwnedByYou")
	_, err = other.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("shared"), CreateBucketConfiguration: location(region)})
	wantCode(t, err, "BucketAlreadyExists")
	if owner, _ := s.gateway.Owns(t.Context(), "shared"); owner != account {
		t.Fatalf("the owner is %q now", owner)
	}
}

// TestTrapCOwnersAccessListAllowsNothing: the role is of the account that owns both buckets, and versitygw would let the owner pass where policies say nothing.
func TestTrapCOwnersAccessListAllowsNothing(t *testing.T) {
	s, role := limited(t)
	ctx, theirs, secret := t.Context(), aws.String("theirs"), aws.String("secret")
	attempts := map[string]func() error{
		"list": func() error {
			_, err := role.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: theirs})
			return err
		},
		"read": func() error {
			_, err := role.GetObject(ctx, &awss3.GetObjectInput{Bucket: theirs, Key: secret})
			return err
		},
		"write": func() error {
			_, err := role.PutObject(ctx, &awss3.PutObjectInput{Bucket: theirs, Key: secret, Body: strings.NewReader("x")})
			return err
		},
		"delete": func() error {
			_, err := role.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: theirs, Key: secret})
			return err
		},
		"copy from": func() error {
			_, err := role.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: aws.String("mine"), Key: aws.String("stolen"), CopySource: aws.String("theirs/secret")})
			return err
		},
		"copy to": func() error {
			_, err := role.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: theirs, Key: secret, CopySource: aws.String("mine/own")})
			return err
		},
		"start an upload": func() error {
			_, err := role.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: theirs, Key: secret})
			return err
		},
		"list uploads": func() error {
			_, err := role.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: theirs})
			return err
		},
		"list versions": func() error {
			_, err := role.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: theirs})
			return err
		},
		"tag": func() error {
			_, err := role.PutObjectTagging(ctx, &awss3.PutObjectTaggingInput{Bucket: theirs, Key: secret, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: secret, Value: secret}}}})
			return err
		},
		"read the policy": func() error {
			_, err := role.GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: theirs})
			return err
		},
		"write the policy": func() error {
			_, err := role.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: theirs, Policy: aws.String(`{"Statement":[]}`)})
			return err
		},
		"open the bucket": func() error {
			_, err := role.DeletePublicAccessBlock(ctx, &awss3.DeletePublicAccessBlockInput{Bucket: theirs})
			return err
		},
		"delete the bucket": func() error {
			_, err := role.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: theirs})
			return err
		},
		"write the access list": func() error {
			_, err := role.PutBucketAcl(ctx, &awss3.PutBucketAclInput{Bucket: theirs, ACL: types.BucketCannedACLPublicRead})
			return err
		},
		"list all buckets": func() error { _, err := role.ListBuckets(ctx, &awss3.ListBucketsInput{}); return err },
		"make a bucket": func() error {
			_, err := role.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("another"), CreateBucketConfiguration: location(region)})
			return err
		},
	}
	for name, attempt := range attempts {
		t.Run(name, func(t *testing.T) { wantCode(t, attempt(), "AccessDenied") })
	}
	_, err := role.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: theirs, Key: secret})
	if err == nil {
		t.Error("HEAD is allowed")
	}
	s.want(s.admin(), "theirs", "secret", "classified")
	if _, err := s.gateway.Owns(ctx, "another"); err == nil {
		t.Error("a refused bucket has left its settings")
	}
}

// TestAttackPresignAnotherBucket: a presigned request has the rights of who signed it.
func TestAttackPresignAnotherBucket(t *testing.T) {
	_, role := limited(t)
	p := awss3.NewPresignClient(role)
	get, err := p.PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("theirs"), Key: aws.String("secret")})
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]string{"as signed": get.URL, "other bucket in the path": strings.Replace(get.URL, "/theirs/", "/mine/", 1)} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

// TestAttackCopySourceInDisguise: the source of a copy in other spellings is still the source.
func TestAttackCopySourceInDisguise(t *testing.T) {
	s, role := limited(t)
	sources := []string{"/theirs/secret", "theirs%2Fsecret", "%2Ftheirs%2fsecret", "theirs/secret?versionId=null", "theirs/%73ecret", "mine/../theirs/secret", "mine/%2e%2e/theirs/secret",
		"mine/own%3FversionId=../../theirs/secret", "theirs/./secret", "theirs//secret"}
	for _, source := range sources {
		_, err := role.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: aws.String("mine"), Key: aws.String("stolen"), CopySource: &source})
		if err == nil {
			t.Errorf("%s was copied", source)
		}
	}
	s.authority.add("AKIAONEKEY0000000000", "", account, "one-key", "* arn:aws:s3:::mine", "* arn:aws:s3:::mine/*", "s3:GetObject arn:aws:s3:::theirs/allowed")
	_, err := s.as("AKIAONEKEY0000000000").CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: aws.String("mine"), Key: aws.String("stolen"), CopySource: aws.String("theirs/secret?versionId=allowed")})
	wantCode(t, err, "AccessDenied")
}

// TestAttackPathTraversal: no spelling of a path leaves the bucket that was authorised.
func TestAttackPathTraversal(t *testing.T) {
	s, _ := limited(t)
	s.openPolicy("mine", `{"Statement":"everyone"}`) // anonymous clients may read mine
	for _, path := range []string{"/mine/../theirs/secret", "/mine/%2e%2e/theirs/secret", "/mine/..%2ftheirs%2fsecret", "/mine%2f..%2ftheirs%2fsecret", "/mine/own/../../theirs/secret",
		"/mine/.sgwtmp/x", "//theirs/secret", "/mine//../../theirs/secret", "/mine/%00", "/../settings/theirs.json", "/mine/%2e%2e/%2e%2e/settings/theirs.json"} {
		code, body := s.do("GET", path, "", nil, nil)
		if code < 400 || strings.Contains(body, "classified") || code >= 500 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := s.do("GET", "/mine/own", "", nil, nil); code != 200 || body != "public knowledge" {
		t.Fatalf("anonymous: %d %s", code, body)
	}
}

// openPolicy puts a policy for everyone.
func (s *server) openPolicy(bucket, policy string) {
	s.t.Helper()
	c := s.admin()
	if _, err := c.DeletePublicAccessBlock(s.t.Context(), &awss3.DeletePublicAccessBlockInput{Bucket: &bucket}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.PutBucketPolicy(s.t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		s.t.Fatal(err)
	}
}

// TestAttackAnonymous: without a signature there is only what a bucket policy gives to everyone.
func TestAttackAnonymous(t *testing.T) {
	s, _ := limited(t)
	for _, a := range []struct{ method, path string }{{"GET", "/"}, {"GET", "/theirs"}, {"GET", "/theirs/secret"}, {"PUT", "/theirs/x"}, {"PUT", "/newbucket"}, {"DELETE", "/theirs/secret"},
		{"DELETE", "/theirs"}, {"PUT", "/theirs?policy"}, {"GET", "/theirs?location"}, {"POST", "/theirs/x?uploads"}, {"PUT", "/theirs?acl"}} {
		if code, body := s.do(a.method, a.path, "", http.Header{"Content-Md5": {"qLWUv43Mplb7HrG2Y0SUCg=="}}, strings.NewReader("<x/>")); code != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
			t.Errorf("%s %s: %d %s", a.method, a.path, code, body)
		}
	}
	const batch = `<Delete><Object><Key>secret</Key></Object></Delete>`
	sum := md5.Sum([]byte(batch))
	_, body := s.do("POST", "/theirs?delete", "", http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}}, strings.NewReader(batch))
	if !strings.Contains(body, "<Code>AccessDenied</Code>") || strings.Contains(body, "<Deleted>") {
		t.Errorf("delete: %s", body)
	}
	s.want(s.admin(), "theirs", "secret", "classified")
	// A signature that is none must not count as anonymous.
	for _, h := range []http.Header{{"Authorization": {"AWS AKIA:x"}}, {"Authorization": {"Bearer x"}}, {"Authorization": {"AWS4-HMAC-SHA256 x"}}} {
		if code, body := s.do("GET", "/theirs/secret", "", h, nil); code < 400 || code >= 500 {
			t.Errorf("%v: %d %s", h, code, body)
		}
	}
}

// TestAttackPublicAccessBlock: a bucket that nobody opened cannot be made public by a policy.
func TestAttackPublicAccessBlock(t *testing.T) {
	s, _ := limited(t)
	c := s.admin()
	public := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::mine/*","Sid":"everyone"}]}`
	_, err := c.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: aws.String("mine"), Policy: &public})
	wantCode(t, err, "AccessDenied")
	s.openPolicy("mine", public)
	if code, _ := s.do("GET", "/mine/own", "", nil, nil); code != 200 {
		t.Fatalf("the public cannot read: %d", code)
	}
	_, err = c.PutPublicAccessBlock(t.Context(), &awss3.PutPublicAccessBlockInput{Bucket: aws.String("mine"), PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{RestrictPublicBuckets: aws.Bool(true)}})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := s.do("GET", "/mine/own", "", nil, nil); code != 403 {
		t.Fatalf("the public reads a restricted bucket: %d", code)
	}
}

// TestTrapDAdminAPI: versitygw's admin API answers nobody.
func TestTrapDAdminAPI(t *testing.T) {
	s, _ := limited(t)
	for _, path := range []string{"/create-user", "/delete-user", "/update-user", "/list-users", "/change-bucket-owner?bucket=theirs&owner=111111111111", "/list-buckets", "/theirs/create"} {
		if code, body := s.do("PATCH", path, "", nil, nil); code < 400 || code >= 500 {
			t.Errorf("%s: %d %s", path, code, body)
		}
		req := signedRequest(t, s, "AKIAADMIN00000000000", "PATCH", path)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s as administrator: %d %s", path, resp.StatusCode, body)
		}
	}
	if owner, _ := s.gateway.Owns(t.Context(), "theirs"); owner != account {
		t.Errorf("the owner is %s", owner)
	}
}

// TestTrapEConditions: the authority gets the conditions of the client's request, not those of the unix socket, and the bucket's owner.
func TestTrapEConditions(t *testing.T) {
	s := start(t)
	c := s.admin()
	s.bucket(c, "conditions")
	insecure := `{"Statement":"insecure"}` // as CDK's bootstrap bucket: denies what is not over TLS
	s.openPolicy("conditions", insecure)
	s.put(c, "conditions", "k", "v")
	if _, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("conditions"), Prefix: aws.String("a/")}); err != nil {
		t.Fatal(err)
	}
	q := s.authority.questions("s3:ListBucket")
	if len(q) == 0 {
		t.Fatal("nobody asked")
	}
	for key, want := range map[string]string{"aws:ResourceAccount": account, "s3:ResourceAccount": account, "aws:SourceIp": "127.0.0.1", "aws:SecureTransport": "true", "s3:prefix": "a/",
		"s3:authType": "REST-HEADER", "aws:RequestedRegion": region} {
		if got := q[0].conditions[key]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// TestAttackSocketWithoutGrant: who reaches versitygw's socket without a grant gets nothing.
func TestAttackSocketWithoutGrant(t *testing.T) {
	s, _ := limited(t)
	client := socketClient(t, s.runDir)
	for _, path := range []string{"/theirs/secret", "/theirs", "/", "/theirs?policy"} {
		for _, h := range []http.Header{nil, signedRequest(t, s, "AKIAADMIN00000000000", "GET", path).Header} {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://versitygw"+path, nil)
			if h != nil {
				r.Header = h
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("%s: %d %s", path, resp.StatusCode, body)
			}
		}
	}
	info, err := os.Stat(filepath.Join(s.runDir, "s3.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
}

func TestExpiredAndUnknownKeys(t *testing.T) {
	s, role := limited(t)
	_, err := s.get(s.as("AKIANOBODY0000000000"), "mine", "own")
	wantCode(t, err, "InvalidAccessKeyId")
	s.authority.mu.Lock()
	s.authority.expired["ASIALIMITED000000000"] = true
	s.authority.mu.Unlock()
	_, err = s.get(role, "mine", "own")
	wantCode(t, err, "ExpiredToken")
	s.authority.tokens["AKIAADMIN00000000000"] = "x"
	c := s.admin()
	s.authority.tokens["AKIAADMIN00000000000"] = ""
	_, err = s.get(c, "mine", "own")
	wantCode(t, err, "InvalidToken")
}

func TestAuthorityFails(t *testing.T) {
	s, role := limited(t)
	s.authority.mu.Lock()
	s.authority.broken = io.ErrUnexpectedEOF
	s.authority.mu.Unlock()
	_, err := s.get(role, "mine", "own")
	wantCode(t, err, "InternalError")
}
