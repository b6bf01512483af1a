package network

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func buckets(t testing.TB, list string) *Buckets {
	t.Helper()
	b, err := ParseBuckets(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuckets(t *testing.T) {
	b := buckets(t, "whole, part/in/2026, s3://part/out/ a.b.c")
	for _, c := range []struct {
		request string // METHOD PATH
		host    string // bucket in the host's name
		source  string // what is copied
		ok      bool
	}{
		{"GET /whole/any/key", "", "", true},
		{"GET /any/key", "whole", "", true},
		{"PUT /whole", "", "", true},
		{"GET /whole?policy", "", "", true},
		{"GET /a.b.c/k", "", "", true},
		{"GET /part/in/2026/k", "", "", true},
		{"PUT /in/2026/k", "part", "", true},
		{"GET /part/out/k", "", "", true},
		{"GET /part?list-type=2&prefix=in%2F2026%2F", "", "", true},
		{"GET /part/?prefix=out/x", "", "", true},
		{"GET /part?versions&prefix=out/", "", "", true},
		{"GET /part?location", "", "", true},
		{"HEAD /part", "", "", true},
		{"PUT /whole/k", "", "/part/in/2026/k", true},
		{"PUT /whole/k", "", "part/out/a%20b?versionId=1", true},

		{"GET /", "", "", false},
		{"GET //whole/k", "", "", false},
		{"GET /other/k", "", "", false},
		{"PUT /other", "", "", false},
		{"GET /k", "other", "", false},
		{"GET /whole/k", "other", "", false},
		{"GET /part/in/k", "", "", false},
		{"GET /part/in/2026", "", "", false},
		{"GET /part/in/20261/k", "", "", false},
		{"GET /part/in/2026/../../secret", "", "", false},
		{"GET /part/in/2026/%2e%2e/%2e%2e/secret", "", "", false},
		{"GET /part/in/2026//k", "", "", false},
		{"GET /part/in/2026/%5C..%5Csecret", "", "", false},
		{"GET /part/in/2026/a%00", "", "", false},
		{"GET /part", "", "", false},
		{"GET /part?prefix=", "", "", false},
		{"GET /part?prefix=in", "", "", false},
		{"GET /part?prefix=in/2026/&prefix=", "", "", false},
		{"GET /part?prefix=in/2026/&policy", "", "", false},
		{"GET /part?acl", "", "", false},
		{"PUT /part", "", "", false},
		{"DELETE /part", "", "", false},
		{"POST /part", "", "", false},
		{"PUT /whole/k", "", "/other/k", false},
		{"PUT /whole/k", "", "/part/in/k", false},
		{"PUT /whole/k", "", "/part/in/2026/%2e%2e/k", false},
		{"PUT /whole/k", "", "arn:aws:s3:us-west-2:000000000000:accesspoint/a/object/k", false},
		{"PUT /whole/k", "", "%zz", false},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, "http://s3.us-west-2.amazonaws.com"+path, nil)
		if c.source != "" {
			r.Header.Set("X-Amz-Copy-Source", c.source)
		}
		if why := b.judge(r, Host{Service: "s3", Bucket: c.host}); (why == "") != c.ok {
			t.Errorf("%s (%s, %s): %q", c.request, c.host, c.source, why)
		}
	}
	if NoBuckets().judge(httptest.NewRequestWithContext(t.Context(), "GET", "/whole/k", nil), Host{Service: "s3"}) == "" {
		t.Error("no buckets are some")
	}
}

func TestBucketsOfDeleteObjects(t *testing.T) {
	b := buckets(t, "part/in")
	for body, ok := range map[string]bool{
		"<Delete><Object><Key>in/a</Key></Object><Object><Key>in/b</Key><VersionId>1</VersionId></Object></Delete>":     true,
		`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>in/a</Key></Object></Delete>`:             true,
		"<Delete><Object><Key>in/a</Key></Object><Object><Key>out/b</Key></Object></Delete>":                            false,
		"<Delete><Object><Key>in/a</Key><Key>out/b</Key></Object></Delete>":                                             false,
		"<Delete><Object></Object></Delete>":                                                                            false,
		"<Delete><Object><Key>in/a</Key></Object>":                                                                      false,
		"<Delete><Object><Key>in/../b</Key></Object></Delete>":                                                          false,
		"<Delete>" + strings.Repeat("<Object><Key>in/"+strings.Repeat("k", 1000)+"</Key></Object>", 2500) + "</Delete>": false,
		"<Delete><Object><Key>in/&#46;&#46;/b</Key></Object></Delete>":                                                  false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/part?delete", strings.NewReader(body))
		why := b.judge(r, Host{Service: "s3"})
		if (why == "") != ok {
			t.Errorf("%.100s: %q", body, why)
		}
		if left, err := io.ReadAll(r.Body); ok && (string(left) != body || err != nil) {
			t.Errorf("the body is %q, %v", left, err)
		}
	}
}

func TestParseBucketsRefuses(t *testing.T) {
	for _, list := range []string{"", ", ,", "A", "ab", "-ab", "bucket/..", "bucket/a/../b", "bucket/a//b", "*", "bucket*", "arn:aws:s3:::bucket", strings.Repeat("bucket ", maxBuckets+1), "bucket/" + strings.Repeat("k", maxPrefix)} {
		if _, err := ParseBuckets(list); err == nil {
			t.Errorf("%.40q passes", list)
		}
	}
}

// TestAttackBucketOfAnotherAccount goes the whole way.
func TestAttackBucketOfAnotherAccount(t *testing.T) {
	p := sandboxed
	p.Buckets = buckets(t, "mine")
	l := newLab(t, p, sayHost)
	for host, want := range map[string]int{s3Host: 403, "theirs.s3.amazonaws.com": 403, "mine.s3.amazonaws.com": 200} { // the path is /k
		conn, err := l.secure(host)
		if err != nil {
			t.Fatal(err)
		}
		status, body, err := get(conn, host)
		if status != want || err != nil || (want == 403 && !strings.Contains(body, "<Code>AccessDenied</Code>")) {
			t.Errorf("%s: %d %s %v", host, status, body, err)
		}
		conn.Close()
	}
}

func FuzzBuckets(f *testing.F) {
	f.Add("GET", "/part/in/k", "part/in/k", "")
	f.Add("POST", "/part?delete", "", "<Delete><Object><Key>in/a</Key></Object></Delete>")
	b := buckets(f, "part/in")
	f.Fuzz(func(t *testing.T, method, path, source, body string) {
		r, err := http.NewRequestWithContext(context.Background(), method, "http://s3.amazonaws.com"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header["X-Amz-Copy-Source"] = []string{source}
		if b.judge(r, Host{Service: "s3"}) != "" {
			return
		}
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if bucket != "part" || (key != "" && (!strings.HasPrefix(key, "in/") || strings.Contains("/"+key+"/", "/../"))) {
			t.Errorf("%q passes", r.URL.Path)
		}
	})
}
