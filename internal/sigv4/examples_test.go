package sigv4

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// suiteKeys has the key of AWS's SigV4 test suite, which is not the one of the S3 documentation.
type suiteKeys struct{}

func (suiteKeys) Lookup(_ context.Context, id, _ string) (Key, error) {
	switch id {
	case "AKIDEXAMPLE":
		return Key{Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, nil
	case testID:
		return Key{Secret: testSecret}, nil
	}
	return Key{}, ErrUnknownKey
}

// TestAWSExamples has the requests and signatures of AWS's own documentation and of its SigV4 test suite.
func TestAWSExamples(t *testing.T) {
	const (
		suite = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
		iam   = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
		s3    = testID + "/20130524/us-east-1/s3/aws4_request"
		at    = "20150830T123600Z"
		may   = "20130524T000000Z"
	)
	empty := [2]string{"x-amz-content-sha256", emptyHash}
	form := [2]string{"Content-Type", "application/x-www-form-urlencoded"}
	tests := []struct {
		name, credential, date, method, host, target string
		headers                                      [][2]string
		body, signed, signature                      string
	}{
		{"get-vanilla", suite, at, "GET", "example.amazonaws.com", "/", nil, "", "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"normalize-path/get-relative", suite, at, "GET", "example.amazonaws.com", "/example/..", nil, "", "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"normalize-path/get-slash", suite, at, "GET", "example.amazonaws.com", "//", nil, "", "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"normalize-path/get-slashes", suite, at, "GET", "example.amazonaws.com", "//example//", nil, "", "host;x-amz-date",
			"9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
		{"get-vanilla-query-order-key-case", suite, at, "GET", "example.amazonaws.com", "/?Param2=value2&Param1=value1", nil, "", "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-header-value-trim", suite, at, "GET", "example.amazonaws.com", "/", [][2]string{{"My-Header1", " value1"}, {"My-Header2", ` "a   b   c"`}}, "",
			"host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla", suite, at, "POST", "example.amazonaws.com", "/", nil, "", "host;x-amz-date",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", suite, at, "POST", "example.amazonaws.com", "/", [][2]string{form}, "Param1=value1", "content-type;host;x-amz-date",
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"iam ListUsers", iam, at, "GET", "iam.amazonaws.com", "/?Action=ListUsers&Version=2010-05-08",
			[][2]string{{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}}, "", "content-type;host;x-amz-date",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		{"s3 get object", s3, may, "GET", "examplebucket.s3.amazonaws.com", "/test.txt", [][2]string{{"Range", "bytes=0-9"}, empty}, "",
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"s3 put object", s3, may, "PUT", "examplebucket.s3.amazonaws.com", "/test%24file.text",
			[][2]string{{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
				{"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}}, "Welcome to Amazon S3.",
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"s3 lifecycle", s3, may, "GET", "examplebucket.s3.amazonaws.com", "/?lifecycle", [][2]string{empty}, "", "host;x-amz-content-sha256;x-amz-date",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"s3 list", s3, may, "GET", "examplebucket.s3.amazonaws.com", "/?max-keys=2&prefix=J", [][2]string{empty}, "", "host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			now, _ := time.Parse(longDate, x.date)
			headers := append([][2]string{{"X-Amz-Date", x.date}, {"Authorization",
				algorithm + " Credential=" + x.credential + ", SignedHeaders=" + x.signed + ", Signature=" + x.signature}}, x.headers...)
			v := &Verifier{Keys: suiteKeys{}, Now: func() time.Time { return now }}
			_, body, err := verifyAll(v, wire(t, x.method, x.target, x.host, headers, []byte(x.body)))
			if err != nil || string(body) != x.body {
				t.Fatalf("payload %q, error %v", body, err)
			}
		})
	}
	t.Run("s3 presigned", func(t *testing.T) {
		target := "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
		now, _ := time.Parse(longDate, may)
		v := testVerifier(now.Add(86400 * time.Second))
		if _, err := v.Verify(wire(t, "GET", target, "examplebucket.s3.amazonaws.com", nil, nil)); err != nil {
			t.Fatal(err)
		}
		v = testVerifier(now.Add(86401 * time.Second))
		_, err := v.Verify(wire(t, "GET", target, "examplebucket.s3.amazonaws.com", nil, nil))
		wantRefusal(t, err, Expired, "AccessDenied")
	})
}

// docChunks are the chunks of AWS's documented upload of 65 KiB of the letter a, with the signatures given.
func docChunks(signatures [3]string, trailer string) []byte {
	var b bytes.Buffer
	for i, n := range []int{65536, 1024, 0} {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s", n, signatures[i], strings.Repeat("a", n))
		if n > 0 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString(trailer + "\r\n")
	return b.Bytes()
}

// chunkedExample is the request of AWS's documentation of chunked uploads; withTrailer is the one with a trailing checksum.
func chunkedExample(withTrailer bool) (headers [][2]string, body []byte) {
	headers = [][2]string{{"x-amz-date", "20130524T000000Z"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}, {"Content-Encoding", "aws-chunked"},
		{"x-amz-decoded-content-length", "66560"}}
	const start = algorithm + " Credential=" + testID + "/20130524/us-east-1/s3/aws4_request,SignedHeaders="
	if !withTrailer {
		body = docChunks([3]string{"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}, "")
		return append(headers, [2]string{"Content-Length", "66824"}, [2]string{"x-amz-content-sha256", string(SignedChunks)}, [2]string{"Authorization", start +
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
			"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"}), body
	}
	body = docChunks([3]string{"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n")
	return append(headers, [2]string{"x-amz-content-sha256", string(SignedTrailer)}, [2]string{"x-amz-trailer", "x-amz-checksum-crc32c"},
		[2]string{"Authorization", start + "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
			"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"}), body
}

func TestAWSChunkedExamples(t *testing.T) {
	now, _ := time.Parse(longDate, "20130524T000000Z")
	for _, withTrailer := range []bool{false, true} {
		t.Run(fmt.Sprintf("trailer=%v", withTrailer), func(t *testing.T) {
			headers, body := chunkedExample(withTrailer)
			id, payload, err := verifyAll(testVerifier(now), wire(t, "PUT", "/examplebucket/chunkObject.txt", "s3.amazonaws.com", headers, body))
			if err != nil {
				t.Fatal(err)
			}
			if string(payload) != strings.Repeat("a", 66560) || id.Body.Length() != 66560 {
				t.Errorf("payload of %d bytes, length %d", len(payload), id.Body.Length())
			}
		})
	}
}
