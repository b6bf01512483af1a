//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestARoleOfOneBucketReachesNoOtherThroughTheGoSDK(t *testing.T) {
	mine, other := shared.bucket(t, "gosdk-mine"), shared.bucket(t, "gosdk-other")
	shared.put(t, other, "secret", []byte("not yours"))
	role := shared.role(t, "gosdk-one-bucket", trustsAccount, oneBucket(mine))
	c := shared.S3(as(shared.assume(t, role, "one")))
	key := aws.String("secret")
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &mine, Key: key, Body: strings.NewReader("mine")}); err != nil {
		t.Errorf("its own bucket: %v", err)
	}
	if got, err := get(t.Context(), c, mine, "secret", ""); err != nil || string(got) != "mine" {
		t.Errorf("its own bucket: %q %v", got, err)
	}
	own, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &mine, Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"list": func() error { _, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &other}); return err },
		"list versions": func() error {
			_, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &other})
			return err
		},
		"list uploads": func() error {
			_, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &other})
			return err
		},
		"list buckets":           func() error { _, err := c.ListBuckets(ctx, &s3.ListBucketsInput{}); return err },
		"read":                   func() error { _, err := get(ctx, c, other, *key, ""); return err },
		"read what is not there": func() error { _, err := get(ctx, c, other, "none", ""); return err },
		"read tags": func() error {
			_, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &other, Key: key})
			return err
		},
		"read policy": func() error { _, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &other}); return err },
		"write": func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &other, Key: key, Body: strings.NewReader("x")})
			return err
		},
		"write in parts": func() error {
			_, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &other, Key: key})
			return err
		},
		"write a policy": func() error {
			_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &other, Policy: aws.String(policyOf(statement{"Effect": "Allow", "Principal": map[string]string{"AWS": role}, "Action": "s3:*", "Resource": "arn:aws:s3:::" + other + "/*"}))})
			return err
		},
		"delete": func() error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &other, Key: key})
			return err
		},
		"delete the bucket": func() error { _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &other}); return err },
		"copy from": func() error {
			_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &mine, Key: aws.String("stolen"), CopySource: aws.String(other + "/secret")})
			return err
		},
		"copy a part from": func() error {
			_, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &mine, Key: aws.String("parts"), UploadId: own.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String(other + "/secret")})
			return err
		},
		"copy to": func() error {
			_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &other, Key: aws.String("planted"), CopySource: aws.String(mine + "/secret")})
			return err
		},
	} {
		if err := call(); code(err) != "AccessDenied" {
			t.Errorf("%s: %v", what, err)
		}
	}
	// DeleteObjects answers for each key.
	gone, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &other, Delete: &s3types.Delete{Objects: []s3types.ObjectIdentifier{{Key: key}}}})
	if code(err) != "AccessDenied" && (err != nil || len(gone.Errors) != 1 || *gone.Errors[0].Code != "AccessDenied") {
		t.Errorf("delete several: %+v %v", gone, err)
	}
	// What a role presigns can do no more than the role.
	p := s3.NewPresignClient(c)
	read, err := p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &other, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	write, err := p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &other, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for what, u := range map[string]string{"GET": read.URL, "PUT": write.URL} {
		if status, _, body := fetch(t, http.DefaultClient, what, u, nil, []byte("x")); status != 403 || !strings.Contains(string(body), "<Code>AccessDenied</Code>") || strings.Contains(string(body), "not yours") {
			t.Errorf("presigned %s: %d %s", what, status, body)
		}
	}
	if got, err := get(ctx, shared.S3(), other, "secret", ""); err != nil || string(got) != "not yours" {
		t.Errorf("the other bucket was changed: %q %v", got, err)
	}
}

// dialing is an HTTP client whose every connection goes to the server, whatever name it asks for: what a resolver does for those who use real names.
func (s *server) dialing() *http.Client {
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, strings.TrimPrefix(s.Endpoint, "http://"))
	}}
	return &http.Client{Transport: transport}
}

func TestVirtualHostStyleFromTheHost(t *testing.T) {
	bucket := shared.bucket(t, "virtual.host-style")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(shared.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"s3.us-west-2.amazonaws.com", "s3.amazonaws.com", "s3.dualstack.us-west-2.amazonaws.com", "s3.localhost:" + port, "s3.us-west-2.amazonaws.com:" + port} {
		t.Run(host, func(t *testing.T) {
			c := shared.S3(func(o *s3.Options) {
				o.BaseEndpoint, o.UsePathStyle, o.HTTPClient = aws.String("http://"+host), false, shared.dialing()
			})
			key := "a b/é+%?.txt"
			if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(host)}); err != nil {
				t.Fatal(err)
			}
			if got, err := get(t.Context(), shared.S3(), bucket, key, ""); err != nil || string(got) != host { // in path style it is the same object
				t.Errorf("%q %v", got, err)
			}
			list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
			if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != key {
				t.Errorf("%+v %v", list, err)
			}
			p, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(p.URL)
			if err != nil {
				t.Fatal(err)
			}
			if u.Host != bucket+"."+host {
				t.Errorf("the SDK asked for the host %s", u.Host)
			}
			if status, _, body := fetch(t, shared.dialing(), "GET", p.URL, nil, nil); status != 200 || string(body) != host {
				t.Errorf("presigned: %d %s", status, body)
			}
			// The host is signed: the same signature is of no use for another bucket.
			u.Host = "another-bucket." + host
			if status, _, body := fetch(t, shared.dialing(), "GET", u.String(), nil, nil); status != 403 || !strings.Contains(string(body), "SignatureDoesNotMatch") {
				t.Errorf("presigned, another host: %d %s", status, body)
			}
			u.Host, u.RawQuery = bucket+"."+host, ""
			if status, _, body := fetch(t, shared.dialing(), "GET", u.String(), nil, nil); status != 403 || !strings.Contains(string(body), "<Code>AccessDenied</Code>") {
				t.Errorf("unsigned: %d %s", status, body)
			}
		})
	}
}
