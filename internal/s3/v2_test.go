package s3_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// presignV2 is botocore's HmacV1QueryAuth.
func presignV2(method, path, id, token string, expires time.Time, parameters string) string {
	amz := ""
	if token != "" {
		amz = "x-amz-security-token:" + token + "\n"
	}
	resource := path
	if parameters != "" {
		resource += "?" + parameters
	}
	mac := hmac.New(sha1.New, []byte("secret-of-"+id))
	fmt.Fprintf(mac, "%s\n\n\n%d\n%s%s", method, expires.Unix(), amz, resource)
	q := url.Values{"AWSAccessKeyId": {id}, "Expires": {fmt.Sprint(expires.Unix())}, "Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	if token != "" {
		q.Set("x-amz-security-token", token)
	}
	u := path + "?" + q.Encode()
	if parameters != "" {
		u += "&" + parameters
	}
	return u
}

func TestPresignedWithSignatureVersion2(t *testing.T) {
	s, _ := limited(t)
	const id, token = "ASIALIMITED000000000", "session-token"
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		method, url string
		status      int
		contains    string
	}{
		"read":               {"GET", presignV2("GET", "/mine/own", id, token, later, ""), 200, "public knowledge"},
		"read with override": {"GET", presignV2("GET", "/mine/own", id, token, later, "response-content-type=a"), 200, "public knowledge"},
		"write":              {"PUT", presignV2("PUT", "/mine/new", id, token, later, ""), 200, ""},
		"another bucket":     {"GET", presignV2("GET", "/theirs/secret", id, token, later, ""), 403, "AccessDenied"},
		"another key":        {"GET", strings.Replace(presignV2("GET", "/mine/own", id, token, later, ""), "/own", "/new", 1), 403, "SignatureDoesNotMatch"},
		"another method":     {"DELETE", presignV2("GET", "/mine/own", id, token, later, ""), 403, "SignatureDoesNotMatch"},
		"expired":            {"GET", presignV2("GET", "/mine/own", id, token, time.Now().Add(-time.Minute), ""), 403, "expired"},
		"no token":           {"GET", presignV2("GET", "/mine/own", id, "", later, ""), 400, "InvalidToken"},
		"another token":      {"GET", presignV2("GET", "/mine/own", id, "x", later, ""), 400, "InvalidToken"},
		"unknown key":        {"GET", presignV2("GET", "/mine/own", "AKIANOBODY0000000000", "", later, ""), 403, "InvalidAccessKeyId"},
		"unsigned ACL query": {"GET", presignV2("GET", "/mine/own", id, token, later, "") + "&acl", 403, "SignatureDoesNotMatch"},
		"unsigned copy":      {"PUT", presignV2("PUT", "/mine/new", id, token, later, "") + "&x-amz-copy-source=mine/own", 400, "InvalidArgument"},
		"twice":              {"GET", presignV2("GET", "/mine/own", id, token, later, "") + "&Expires=9999999999", 400, "InvalidArgument"},
	} {
		if code, body := s.do(c.method, c.url, "", nil, nil); code != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

// TestAllMetadataThatS3Allows needs more than ext4 has room for in extended attributes.
func TestAllMetadataThatS3Allows(t *testing.T) {
	s := start(t)
	c := s.admin()
	s.bucket(c, "metadata")
	tags := url.Values{}
	for i := range 10 {
		tags.Set(fmt.Sprintf("%d-%s", i, strings.Repeat("k", 126)), strings.Repeat("v", 256))
	}
	for range 2 {
		_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("metadata"), Key: aws.String("k"), Body: strings.NewReader("x"), Tagging: aws.String(tags.Encode()),
			Metadata: map[string]string{"m": strings.Repeat("m", 2000)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.restart()
	c = s.admin()
	got, err := c.GetObjectTagging(t.Context(), &awss3.GetObjectTaggingInput{Bucket: aws.String("metadata"), Key: aws.String("k")})
	if err != nil || len(got.TagSet) != 10 || len(*got.TagSet[0].Value) != 256 {
		t.Fatalf("tags: %+v, %v", got, err)
	}
	head, err := c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("metadata"), Key: aws.String("k")})
	if err != nil || len(head.Metadata["m"]) != 2000 {
		t.Fatalf("metadata: %+v, %v", head, err)
	}
	if _, err := c.DeleteObjectTagging(t.Context(), &awss3.DeleteObjectTaggingInput{Bucket: aws.String("metadata"), Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
}
