package s3

import (
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// with returns a map that has the entries of both.
func with(a, b map[string][]string) map[string][]string {
	m := make(map[string][]string, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

// bucketOfARN returns the bucket in an ARN of S3.
func bucketOfARN(arn string) string {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(arn, arnPrefix), "/")
	return bucket
}

// conditionHeaders are the headers that are condition keys under their own name.
var conditionHeaders = []string{"x-amz-acl", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write",
	"x-amz-grant-write-acp", "x-amz-metadata-directive", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-storage-class",
	"x-amz-website-redirect-location", "x-amz-content-sha256"}

// conditionsOf returns the condition keys of a request. The keys of the principal are the authority's to add. Source: Service Authorization Reference, Amazon S3.
func conditionsOf(r *http.Request, id *sigv4.Identity, q url.Values, now time.Time) map[string][]string {
	c := map[string][]string{
		"aws:CurrentTime":     {now.UTC().Format(time.RFC3339)},
		"aws:EpochTime":       {strconv.FormatInt(now.Unix(), 10)},
		"aws:SecureTransport": {strconv.FormatBool(secure(r))},
	}
	set := func(key, value string) {
		if value != "" {
			c[key] = []string{value}
		}
	}
	if ip := peer(r); ip != nil {
		set("aws:SourceIp", ip.String())
	}
	set("aws:UserAgent", r.UserAgent())
	set("aws:Referer", r.Referer())
	for _, name := range []string{"prefix", "delimiter", "max-keys"} {
		if q.Has(name) { // an empty prefix is one
			c["s3:"+name] = []string{q.Get(name)}
		}
	}
	set("s3:VersionId", q.Get("versionId"))
	for _, name := range conditionHeaders {
		set("s3:"+name, r.Header.Get(name))
	}
	if tags, err := url.ParseQuery(r.Header.Get("x-amz-tagging")); err == nil {
		for k, v := range tags {
			set("s3:RequestObjectTag/"+k, v[0])
			c["s3:RequestObjectTagKeys"] = append(c["s3:RequestObjectTagKeys"], k)
		}
	}
	if id != nil {
		set("aws:RequestedRegion", id.Scope.Region)
		set("s3:signatureversion", "AWS4-HMAC-SHA256")
		set("s3:authType", "REST-HEADER")
		if id.Presigned {
			set("s3:authType", "REST-QUERY-STRING")
		}
		set("s3:signatureAge", strconv.FormatInt(max(0, now.Sub(id.Time).Milliseconds()), 10))
	}
	return c
}

// secure says whether a request came over TLS, or did not leave this machine. CDK's bootstrap bucket denies everything else.
func secure(r *http.Request) bool {
	ip := peer(r)
	return r.TLS != nil || ip == nil || ip.IsLoopback()
}

// peer is the client's address, nil if it came through something that has none, as a unix socket.
func peer(r *http.Request) net.IP {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.ParseIP(host)
}
