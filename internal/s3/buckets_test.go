package s3_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func inRegion(name string) func(*awss3.Options) {
	return func(o *awss3.Options) { o.Region = name }
}

// virtual makes a client that puts the bucket into the host name, whatever that resolves to.
func (s *server) virtual(endpoint string) func(*awss3.Options) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.http.Listener.Addr().String())
	}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return func(o *awss3.Options) {
		o.UsePathStyle, o.BaseEndpoint, o.HTTPClient = false, &endpoint, &http.Client{Transport: transport}
	}
}

func TestVirtualHosts(t *testing.T) {
	s := start(t)
	s.bucket(s.admin(), "virtual")
	s.bucket(s.admin(), "dots.in.name")
	for _, endpoint := range []string{"http://s3.us-west-2.amazonaws.com", "http://s3.amazonaws.com", "http://s3.dualstack.us-west-2.amazonaws.com", "http://localhost:4566", "http://s3.localhost:4566"} {
		c := s.admin(s.virtual(endpoint))
		for _, bucket := range []string{"virtual", "dots.in.name"} {
			key := "dir/a b+" + endpoint[7:]
			s.put(c, bucket, key, endpoint)
			s.want(s.admin(), bucket, key, endpoint)
			s.want(c, bucket, key, endpoint)
		}
		list, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("virtual")})
		if err != nil || len(list.Contents) == 0 {
			t.Fatalf("%s: %+v, %v", endpoint, list, err)
		}
		if b, err := c.ListBuckets(t.Context(), &awss3.ListBucketsInput{}); err != nil || len(b.Buckets) != 2 {
			t.Fatalf("%s: %+v, %v", endpoint, b, err)
		}
	}
}

func TestRegions(t *testing.T) {
	s := start(t)
	ctx := t.Context()
	for _, r := range []string{"us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2"} {
		c := s.admin(inRegion(r))
		name := "in-" + r
		s.bucket(c, name)
		for _, reader := range []*awss3.Client{c, s.admin(inRegion("us-east-1"))} {
			loc, err := reader.GetBucketLocation(ctx, &awss3.GetBucketLocationInput{Bucket: &name})
			want := r
			if r == "us-east-1" {
				want = ""
			}
			if err != nil || string(loc.LocationConstraint) != want {
				t.Fatalf("location of %s: %+v, %v", name, loc, err)
			}
			head, err := reader.HeadBucket(ctx, &awss3.HeadBucketInput{Bucket: &name})
			if err != nil || aws.ToString(head.BucketRegion) != r {
				t.Fatalf("region of %s: %+v, %v", name, head, err)
			}
		}
	}
	list, err := s.admin().ListBuckets(ctx, &awss3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, b := range list.Buckets {
		if "in-"+aws.ToString(b.BucketRegion) != *b.Name || b.CreationDate.IsZero() {
			t.Errorf("listed: %s in %s of %s", *b.Name, aws.ToString(b.BucketRegion), b.CreationDate)
		}
	}
	one, err := s.admin().ListBuckets(ctx, &awss3.ListBucketsInput{MaxBuckets: aws.Int32(3)})
	if err != nil || len(one.Buckets) != 3 || one.ContinuationToken == nil {
		t.Fatalf("first page: %+v, %v", one, err)
	}
	two, err := s.admin().ListBuckets(ctx, &awss3.ListBucketsInput{MaxBuckets: aws.Int32(3), ContinuationToken: one.ContinuationToken})
	if err != nil || len(two.Buckets) != 1 || two.ContinuationToken != nil {
		t.Fatalf("second page: %+v, %v", two, err)
	}
	for name, c := range map[string]struct {
		signed, constraint, code string
	}{
		"none in a region":        {"us-west-2", "", "IllegalLocationConstraintException"},
		"another region's":        {"us-west-2", "eu-west-1", "IllegalLocationConstraintException"},
		"us-east-1 spelled out":   {"us-east-1", "us-east-1", "InvalidLocationConstraint"},
		"no region's name at all": {"us-east-1", "moon", "InvalidLocationConstraint"},
	} {
		in := &awss3.CreateBucketInput{Bucket: aws.String("refused")}
		if c.constraint != "" {
			in.CreateBucketConfiguration = location(c.constraint)
		}
		_, err := s.admin(inRegion(c.signed)).CreateBucket(ctx, in)
		t.Log(name)
		wantCode(t, err, c.code)
	}
	_, err = s.admin(inRegion("us-west-2")).CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("tagged"), CreateBucketConfiguration: &types.CreateBucketConfiguration{
		LocationConstraint: "us-west-2", Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v: w/x@y")}}}})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := s.admin().GetBucketTagging(ctx, &awss3.GetBucketTaggingInput{Bucket: aws.String("tagged")})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "v: w/x@y" {
		t.Fatalf("tags: %+v, %v", tags, err)
	}
}

func TestBucketSettings(t *testing.T) {
	s := start(t)
	c, ctx, b := s.admin(), t.Context(), aws.String("settings")
	s.bucket(c, *b)

	enc, err := c.GetBucketEncryption(ctx, &awss3.GetBucketEncryptionInput{Bucket: b})
	if err != nil || enc.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		t.Fatalf("default encryption: %+v, %v", enc, err)
	}
	rule := func(a types.ServerSideEncryption) *types.ServerSideEncryptionConfiguration {
		return &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{BucketKeyEnabled: aws.Bool(true),
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: a}}}}
	}
	if _, err := c.PutBucketEncryption(ctx, &awss3.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: rule(types.ServerSideEncryptionAes256)}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutBucketEncryption(ctx, &awss3.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: rule(types.ServerSideEncryptionAwsKms)})
	wantCode(t, err, "NotImplemented")
	_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: b, ServerSideEncryption: types.ServerSideEncryptionAwsKms, Body: strings.NewReader("")})
	wantCode(t, err, "NotImplemented")

	block, err := c.GetPublicAccessBlock(ctx, &awss3.GetPublicAccessBlockInput{Bucket: b})
	if err != nil || !*block.PublicAccessBlockConfiguration.BlockPublicAcls || !*block.PublicAccessBlockConfiguration.RestrictPublicBuckets {
		t.Fatalf("block: %+v, %v", block, err)
	}
	_, err = c.PutPublicAccessBlock(ctx, &awss3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{IgnorePublicAcls: aws.Bool(true)}})
	if err != nil {
		t.Fatal(err)
	}

	_, err = c.GetBucketLifecycleConfiguration(ctx, &awss3.GetBucketLifecycleConfigurationInput{Bucket: b})
	wantCode(t, err, "NoSuchLifecycleConfiguration")
	rules := &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(30)}, AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)}}}}
	if _, err := c.PutBucketLifecycleConfiguration(ctx, &awss3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: rules}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutBucketLifecycleConfiguration(ctx, &awss3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{{Status: "Sometimes", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")}}}}})
	wantCode(t, err, "MalformedXML")

	_, err = c.GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: b})
	wantCode(t, err, "NoSuchBucketPolicy")
	_, err = c.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: b, Policy: aws.String(`{}`)})
	wantCode(t, err, "MalformedPolicy")
	policy := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::settings/*","Sid":"insecure"}]}`
	if _, err := c.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: b, Policy: &policy}); err != nil {
		t.Fatal(err)
	}

	s.restart() // everything must come back
	c = s.admin()
	if enc, err = c.GetBucketEncryption(ctx, &awss3.GetBucketEncryptionInput{Bucket: b}); err != nil || !*enc.ServerSideEncryptionConfiguration.Rules[0].BucketKeyEnabled {
		t.Fatalf("encryption: %+v, %v", enc, err)
	}
	if block, err = c.GetPublicAccessBlock(ctx, &awss3.GetPublicAccessBlockInput{Bucket: b}); err != nil || *block.PublicAccessBlockConfiguration.BlockPublicPolicy || !*block.PublicAccessBlockConfiguration.IgnorePublicAcls {
		t.Fatalf("block: %+v, %v", block, err)
	}
	life, err := c.GetBucketLifecycleConfiguration(ctx, &awss3.GetBucketLifecycleConfigurationInput{Bucket: b})
	if err != nil || len(life.Rules) != 1 || *life.Rules[0].NoncurrentVersionExpiration.NoncurrentDays != 30 {
		t.Fatalf("lifecycle: %+v, %v", life, err)
	}
	if p, err := c.GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: b}); err != nil || *p.Policy != policy {
		t.Fatalf("policy: %+v, %v", p, err)
	}
	if p, err := s.gateway.Policy(*b); err != nil || string(p) != policy {
		t.Fatalf("policy: %s, %v", p, err)
	}
	status, err := c.GetBucketPolicyStatus(ctx, &awss3.GetBucketPolicyStatusInput{Bucket: b})
	if err != nil || *status.PolicyStatus.IsPublic {
		t.Fatalf("a policy that only denies is public: %+v, %v", status, err)
	}

	for name, call := range map[string]func() error{
		"notification": func() error {
			_, err := c.GetBucketNotificationConfiguration(ctx, &awss3.GetBucketNotificationConfigurationInput{Bucket: b})
			return err
		},
		"no notification": func() error {
			_, err := c.PutBucketNotificationConfiguration(ctx, &awss3.PutBucketNotificationConfigurationInput{Bucket: b, NotificationConfiguration: &types.NotificationConfiguration{}})
			return err
		},
		"logging": func() error { _, err := c.GetBucketLogging(ctx, &awss3.GetBucketLoggingInput{Bucket: b}); return err },
		"accelerate": func() error {
			_, err := c.GetBucketAccelerateConfiguration(ctx, &awss3.GetBucketAccelerateConfigurationInput{Bucket: b})
			return err
		},
		"payment": func() error {
			_, err := c.GetBucketRequestPayment(ctx, &awss3.GetBucketRequestPaymentInput{Bucket: b})
			return err
		},
		"ownership": func() error {
			_, err := c.GetBucketOwnershipControls(ctx, &awss3.GetBucketOwnershipControlsInput{Bucket: b})
			return err
		},
		"versioning": func() error {
			_, err := c.GetBucketVersioning(ctx, &awss3.GetBucketVersioningInput{Bucket: b})
			return err
		},
		"access list": func() error { _, err := c.GetBucketAcl(ctx, &awss3.GetBucketAclInput{Bucket: b}); return err },
		"no policy": func() error {
			_, err := c.DeleteBucketPolicy(ctx, &awss3.DeleteBucketPolicyInput{Bucket: b})
			return err
		},
		"no lifecycle": func() error {
			_, err := c.DeleteBucketLifecycle(ctx, &awss3.DeleteBucketLifecycleInput{Bucket: b})
			return err
		},
		"no encryption": func() error {
			_, err := c.DeleteBucketEncryption(ctx, &awss3.DeleteBucketEncryptionInput{Bucket: b})
			return err
		},
		"no block": func() error {
			_, err := c.DeletePublicAccessBlock(ctx, &awss3.DeletePublicAccessBlockInput{Bucket: b})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.GetPublicAccessBlock(ctx, &awss3.GetPublicAccessBlockInput{Bucket: b})
	wantCode(t, err, "NoSuchPublicAccessBlockConfiguration")

	// A bucket of the same name is a new bucket.
	if _, err := c.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: b, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteBucketPolicy(ctx, &awss3.DeleteBucketPolicyInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	s.bucket(c, *b)
	if block, err = c.GetPublicAccessBlock(ctx, &awss3.GetPublicAccessBlockInput{Bucket: b}); err != nil || !*block.PublicAccessBlockConfiguration.BlockPublicPolicy {
		t.Fatalf("block of the new bucket: %+v, %v", block, err)
	}
}
