package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonicalPaths(t *testing.T) {
	tests := []struct {
		path string
		f    Family
		want []string
	}{
		{"/", JSON, []string{"/"}},
		{"/a%20b", JSON, []string{"/a%2520b"}},
		{"/a%2Fb", JSON, []string{"/a%252Fb"}},
		{"/a//b/./c/../d/", JSON, []string{"/a/b/d/", "/a//b/./c/../d/"}},
		{"/..", JSON, []string{"/", "/.."}},
		{"/%2e%2e/a", JSON, []string{"/%252e%252e/a"}},
		{"/a.b/..c", JSON, []string{"/a.b/..c"}},
		{"/a%20b", S3, []string{"/a%20b"}},
		{"/a//b/../c", S3, []string{"/a//b/../c"}},
		{"/a+b", S3, []string{"/a%2Bb", "/a+b"}},
		{"/a%2fb", S3, []string{"/a%2Fb", "/a%2fb"}},
		{"/%41%", S3, []string{"/A%25", "/%41%"}},
	}
	for _, x := range tests {
		if got := canonicalPaths(x.path, x.f); !slices.Equal(got, x.want) {
			t.Errorf("path %q of family %d: %q, want %q", x.path, x.f, got, x.want)
		}
	}
}

func TestCanonicalQueries(t *testing.T) {
	tests := []struct {
		raw       string
		presigned bool
		want      []string
	}{
		{"", false, []string{""}},
		{"b=2&a=1", false, []string{"a=1&b=2"}},
		{"a", false, []string{"a="}},
		{"k=a/b&k=a-b", false, []string{"k=a%2Fb&k=a-b", "k=a-b&k=a/b"}},
		{"k=a+b", false, []string{"k=a%20b", "k=a+b"}},
		{"&a=1&&", false, []string{"a=1", "=&=&=&a=1"}},
		{"a=1&X-Amz-Signature=2", true, []string{"a=1"}},
		{"a=1&X-Amz-%53ignature=2", true, []string{"a=1"}},
		{"a=1&X-Amz-Signature=2", false, []string{"X-Amz-Signature=2&a=1"}},
	}
	for _, x := range tests {
		if got := canonicalQueries(x.raw, x.presigned); !slices.Equal(got, x.want) {
			t.Errorf("query %q: %q, want %q", x.raw, got, x.want)
		}
	}
}

func TestSentPath(t *testing.T) {
	for target, want := range map[string]string{
		"/a%2fb?c=/d": "/a%2fb", "http://host:1/a/b?c": "/a/b", "http://host": "/", "http://host?a=/b": "/", "*": "*", "/?": "/", "//a": "//a",
	} {
		if got := sentPath(&http.Request{RequestURI: target}); got != want {
			t.Errorf("path of %q is %q, want %q", target, got, want)
		}
	}
}

func TestHeaderValues(t *testing.T) {
	headers := [][2]string{{"Transfer-Encoding", "chunked"}, {"Trailer", "B, A"}, {"X-Two", "1"}, {"X-Two", "2"}}
	r := wire(t, "POST", "/", "host:1", headers, []byte("x"))
	for name, want := range map[string][]string{
		"host": {"host:1"}, "transfer-encoding": {"chunked"}, "trailer": {"A,B"}, "x-two": {"1", "2"}, "content-length": nil, "x-none": nil,
	} {
		if got := headerValues(r, name); !slices.Equal(got, want) {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if got := headerValues(&http.Request{ContentLength: 5}, "content-length"); !slices.Equal(got, []string{"5"}) {
		t.Errorf("content-length is %q", got)
	}
}

func TestTrimmed(t *testing.T) {
	for v, want := range map[string]string{"": "", "  ": "", " a ": "a", "a   b  c": "a b c", "\ta\t": "a", `"a   b"`: `"a b"`} {
		if got := string(appendTrimmed(nil, v)); got != want {
			t.Errorf("%q is trimmed to %q, want %q", v, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{"short", strings.Repeat("砂", 100), strings.Repeat("a", 1000), strings.Repeat("\xff", 1000), "a\n\x00\xff"} {
		if got := clip(s); len(got) > 131 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00") {
			t.Errorf("%q is clipped to %q", s, got)
		}
	}
}
