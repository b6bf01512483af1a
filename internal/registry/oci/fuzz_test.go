package oci

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-9", "bytes 5-9/100", "bytes 0-0/*", "-1-2", "9-0", "0-9223372036854775807", "1--2", "+1-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, length, err := parseContentRange(s)
		if err == nil && s != "" && (first < 0 || length < 1 || first+length-1 < first) {
			t.Errorf("%q: %d %d", s, first, length)
		}
	})
}

// FuzzRoute checks that whatever a path says, the parts that it is taken for are its own, and handlers see repositories only that have a name.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"a/tags/list", "a/blobs/uploads/", "a/blobs/uploads", "a/blobs/uploads/x", "blobs/blobs/blobs", "a/manifests/v1", "manifests/manifests/manifests", "a/referrers/x", "/", "tags/list"} {
		f.Add(s, "GET")
		f.Add(s, "POST")
	}
	f.Fuzz(func(t *testing.T, path, method string) {
		q := &request{r: httptest.NewRequest(http.MethodGet, "/", nil)}
		q.r.Method, q.r.URL = method, &url.URL{Path: "/v2/" + path}
		handle, err := q.route(path)
		if err != nil {
			return
		}
		if handle == nil || !strings.HasPrefix(path, q.id.Name+"/") || !strings.HasSuffix(strings.TrimSuffix(path, "/"), q.arg) && q.arg != "" {
			t.Errorf("%q: %q %q", path, q.id.Name, q.arg)
		}
		if registry.ValidName(q.id.Name) && strings.Contains(q.id.Name, "..") {
			t.Errorf("%q climbs", q.id.Name)
		}
	})
}
