package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzAddress(f *testing.F) {
	for _, seed := range [][2]string{{"s3.us-west-2.amazonaws.com", "/bucket/key"}, {"bucket.s3.amazonaws.com", "/a%20b"}, {"bucket.localhost:4566", "/"}, {"a.b.s3-us-west-2.amazonaws.com", "/%2e%2e/x"},
		{"[::1]:80", "/b/%00"}, {"s3.dualstack.eu-west-1.amazonaws.com", "/bucket//x"}, {"...amazonaws.com", "/"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		a, err := addressOf(host, path)
		if err != nil {
			return
		}
		if a.bucket != "" && !validBucketName(a.bucket) {
			t.Fatalf("bucket %q", a.bucket)
		}
		for segment := range strings.SplitSeq(a.key, "/") {
			if segment == ".." || segment == "." || strings.ContainsRune(segment, 0) {
				t.Fatalf("key %q", a.key)
			}
		}
		escaped, plain := a.path()
		back, err := url.PathUnescape(escaped)
		if err != nil || back != plain {
			t.Fatalf("%q is %q and comes back as %q, %v", plain, escaped, back, err)
		}
		again, err := addressOf("s3.amazonaws.com", escaped)
		if err != nil || again != a {
			t.Fatalf("%+v in path style is %+v, %v", a, again, err)
		}
	})
}

func FuzzCopySource(f *testing.F) {
	for _, seed := range []string{"bucket/key", "/bucket/a%20b?versionId=1", "bucket%2Fkey", "bucket/a%3FversionId=x", "bucket/../x/y", "?versionId=", "bucket/a+b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		a, version, err := copySource(header)
		if err != nil {
			return
		}
		// What versitygw makes of the canonical form must be what was authorised.
		decoded, err := url.QueryUnescape(copySourceHeader(a, version))
		if err != nil {
			t.Fatal(err)
		}
		source, v, _ := strings.Cut(decoded, "?versionId=")
		if source != a.bucket+"/"+a.key || v != version {
			t.Fatalf("%q: authorised %+v version %q, read %q version %q", header, a, version, source, v)
		}
	})
}

func FuzzPolicyIsPublic(f *testing.F) {
	f.Add(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Condition":{"StringEquals":{"aws:SourceArn":"x"}}}]}`)
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*"}}`)
	f.Fuzz(func(_ *testing.T, policy string) { isPublic(policy) })
}

func FuzzBucketLocation(f *testing.F) {
	f.Add([]byte(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>`), "us-west-2")
	f.Add([]byte(`<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>`), "us-east-1")
	f.Fuzz(func(t *testing.T, body []byte, signedFor string) {
		region, forward, err := bucketLocation(body, signedFor)
		if err == nil && region != signedFor && !validRegion(region) {
			t.Fatalf("region %q", region)
		}
		var doc createBucketDocument
		if err == nil && len(forward) > 0 && (xml.Unmarshal(forward, &doc) != nil || doc.LocationConstraint != "") {
			t.Fatalf("forwarded: %s", forward)
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("hello"), int64(5))
	f.Add(make([]byte, 3*chunkSize), int64(3*chunkSize))
	f.Fuzz(func(t *testing.T, body []byte, said int64) {
		if said < 0 || said > 1<<24 {
			return
		}
		c, err := newChunked(bytes.NewReader(body), said, "x-amz-checksum-crc32")
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := io.ReadAll(c)
		if (err == nil) != (said == int64(len(body))) {
			t.Fatalf("%d bytes, said %d: %v", len(body), said, err)
		}
		if err == nil && int64(len(encoded)) != c.encodedLength() {
			t.Fatalf("encoded %d bytes, announced %d", len(encoded), c.encodedLength())
		}
	})
}

func TestIsPublic(t *testing.T) {
	for policy, want := range map[string]bool{
		``:  false,
		`{`: true,
		`{"Statement":[{"Effect":"Allow","Principal":"*"}]}`:                                                                                true,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"}}}`:                                                                          true,
		`{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::1:root"}}}`:                                                     true,
		`{"Statement":{"Effect":"Deny","Principal":"*"}}`:                                                                                   false,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"}}}`:                                                        false,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"1"}}}}`:                        false,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:PrincipalArn":"*"}}}}`:                              true,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"1"}}}}`:                     true,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["0.0.0.0/0"]}}}}`:                         true,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24"]}}}}`:                      false,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:UserAgent":"x"}}}}`:                               true,
		`{"Statement":{"Effect":"Allow","Principal":"*","Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}}}`:                true,
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"}},{"Effect":"Deny","Principal":{"AWS":["*"]}}]}`: false,
	} {
		if got := isPublic(policy); got != want {
			t.Errorf("%s is public: %v", policy, got)
		}
	}
}

// TestAttackDribblingClient: a client that sends a byte now and then runs out of time; one that is slow but steady does not.
func TestAttackDribblingClient(t *testing.T) {
	began := time.Unix(0, 0)
	for name, c := range map[string]struct {
		after time.Duration
		total int64
		left  time.Duration
	}{
		"at first":             {0, 0, stallRead},
		"nothing for a while":  {30 * time.Second, 0, 30 * time.Second},
		"a byte a second":      {time.Minute, 60, 0},
		"hours, but steady":    {2 * time.Hour, 2 * 3600 * slowestRate, stallRead},
		"as fast as it can be": {time.Second, 5 << 30, stallRead},
	} {
		now := began.Add(c.after)
		if left := patience(began, now, c.total).Sub(now); left != c.left {
			t.Errorf("%s: %s are left, want %s", name, left, c.left)
		}
	}
}

func TestServes(t *testing.T) {
	for host, want := range map[string]string{
		"s3.us-west-2.amazonaws.com": "-", "s3.amazonaws.com:443": "-", "s3.dualstack.us-west-2.amazonaws.com": "-", "s3-us-west-2.amazonaws.com": "-", "S3.Amazonaws.com": "-",
		"b-1.s3.us-west-2.amazonaws.com": "b-1", "a.b.s3.amazonaws.com": "a.b", "bkt.s3.dualstack.eu-west-1.amazonaws.com": "bkt", "bkt.localhost:80": "bkt", "bkt.s3.localhost": "bkt", "s3.localhost": "-",
		"sts.amazonaws.com": "", "bedrock-agentcore.us-west-2.amazonaws.com": "", "localhost": "", "127.0.0.1:80": "", "evil.com": "", "s3.amazonaws.com.evil.com": "",
	} {
		if got := Serves(host); got != (want != "") {
			t.Errorf("%s is S3's: %v", host, got)
		}
		if bucket := bucketOfHost(host); bucket != strings.Trim(want, "-") {
			t.Errorf("%s names bucket %q", host, bucket)
		}
	}
}
