package oci_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/registry/oci"
)

const ecrHost = "111122223333.dkr.ecr.us-west-2.amazonaws.com"

func TestLogin(t *testing.T) {
	h := start(t)
	a := h.do("", "GET", "/v2/", "")
	h.want(a, http.StatusUnauthorized, "UNAUTHORIZED")
	if got := a.Header.Get("WWW-Authenticate"); got != `Basic realm="https://`+h.host+`/",service="ecr.amazonaws.com"` {
		t.Error(got)
	}
	h.want(h.do("ANN", "GET", "/v2/", ""), http.StatusOK, "")
	h.want(h.do("ANN", "GET", "/v2", ""), http.StatusOK, "")
	h.want(h.do("ANN", "GET", "/v2/", "", "Host", ecrHost), http.StatusOK, "")
	h.want(h.do("ANN", "GET", "/v2/", "", "Host", strings.Replace(ecrHost, "us-west-2", "eu-west-1", 1)), http.StatusUnauthorized, "UNAUTHORIZED")
	h.want(h.do("ANN", "POST", "/v2/", ""), http.StatusMethodNotAllowed, "UNSUPPORTED")
	over, _, err := h.registry.Password("ANN", scope, time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		status         int
		code           string
	}{
		{"AWS", over, http.StatusForbidden, "DENIED"},
		{"AWS", "wrong", http.StatusUnauthorized, "UNAUTHORIZED"},
		{"AWS", "", http.StatusUnauthorized, "UNAUTHORIZED"},
		{"ann", h.password("ANN"), http.StatusUnauthorized, "UNAUTHORIZED"},
		{"AWS", h.password("NOBODY"), http.StatusUnauthorized, "UNAUTHORIZED"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", nil)
		r.SetBasicAuth(c.user, c.password)
		a := h.do("", "GET", "/v2/", "", "Authorization", r.Header.Get("Authorization"))
		h.want(a, c.status, c.code)
	}
}

func TestAttackTokenOfADeletedKey(t *testing.T) {
	h := start(t)
	h.image("agent", "v1", "{}", "")
	h.want(h.do("BOB", "GET", "agent/manifests/v1", ""), http.StatusOK, "")
	h.authority.set(func() { delete(h.authority.keys, "BOB") })
	h.want(h.do("BOB", "GET", "agent/manifests/v1", ""), http.StatusUnauthorized, "UNAUTHORIZED")
	h.want(h.do("BOB", "GET", "/v2/", ""), http.StatusUnauthorized, "UNAUTHORIZED")
}

// Each request asks for the action that ECR documents, on the repository's ARN; without it, it is denied, and whether the repository exists is not told.
func TestEachRequestIsAuthorized(t *testing.T) {
	h := start(t)
	i := h.image("agent", "v1", "{}", "")
	blob := h.add("agent", "{}")
	upload := h.begin("ANN", "agent")
	content := manifest(blob, 2, "")
	if err := h.registry.Tag(t.Context(), repo("agent"), map[string]string{"team": "red"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		asks               []string
	}{
		{"GET", "agent/manifests/v1", "", []string{"BatchGetImage"}},
		{"HEAD", "agent/manifests/v1", "", []string{"BatchGetImage"}},
		{"GET", "agent/blobs/" + blob, "", []string{"GetDownloadUrlForLayer"}},
		{"HEAD", "agent/blobs/" + blob, "", []string{"BatchCheckLayerAvailability"}},
		{"GET", "agent/tags/list", "", []string{"ListImages"}},
		{"GET", "agent/referrers/" + i.Digest, "", []string{"BatchGetImage"}},
		{"POST", "agent/blobs/uploads/", "", []string{"InitiateLayerUpload"}},
		{"POST", "agent/blobs/uploads/?digest=" + registry.Digest([]byte("x")), "x", []string{"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"}},
		{"GET", upload, "", []string{"UploadLayerPart"}},
		{"PATCH", upload, "x", []string{"UploadLayerPart"}},
		{"PUT", upload + "?digest=" + registry.Digest([]byte("xy")), "y", []string{"CompleteLayerUpload", "UploadLayerPart"}},
		{"DELETE", upload, "", []string{"UploadLayerPart"}},
		{"PUT", "agent/manifests/v1", content, []string{"PutImage"}},
		{"DELETE", "agent/manifests/v1", "", []string{"BatchDeleteImage"}},
	} {
		for _, action := range c.asks {
			question := action + " agent"
			h.authority.set(func() {
				h.authority.denied[question] = true
				h.authority.denied["GetDownloadUrlForLayer agent"] = action == "GetDownloadUrlForLayer" || action == "BatchCheckLayerAvailability" // the one that HEAD is content with
			})
			h.want(h.do("ANN", c.method, c.path, c.body), http.StatusForbidden, "DENIED")
			h.authority.set(func() {
				delete(h.authority.denied, question)
				delete(h.authority.denied, "GetDownloadUrlForLayer agent")
			})
		}
		var a answer
		got := h.authority.questions(func() { a = h.do("ANN", c.method, c.path, c.body) })
		var want []string
		for _, action := range c.asks {
			want = append(want, action+" agent")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %s asked %v, want %v", c.method, c.path, got, want)
		}
		if a.StatusCode >= 400 && c.method != "DELETE" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
		}
	}
	if v := h.authority.tags["ecr:ResourceTag/team"]; len(v) != 1 || v[0] != "red" {
		t.Error(h.authority.tags)
	}
	h.authority.set(func() { h.authority.denied["BatchGetImage none"] = true })
	h.want(h.do("ANN", "GET", "none/manifests/v1", ""), http.StatusForbidden, "DENIED")
}

func TestTheRepositorysPolicyCounts(t *testing.T) {
	h := start(t)
	if _, err := h.registry.SetPolicy(t.Context(), repo("agent"), `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`, nil); err != nil {
		t.Fatal(err)
	}
	h.do("ANN", "GET", "agent/tags/list", "")
	if !strings.Contains(string(h.authority.policy), `"Deny"`) {
		t.Errorf("%s", h.authority.policy)
	}
}

func TestUnknownRepository(t *testing.T) {
	h := start(t)
	const message = "The repository with name 'none' does not exist in the registry with id '111122223333'"
	for _, c := range [][2]string{{"POST", "none/blobs/uploads/"}, {"GET", "none/manifests/v1"}, {"GET", "none/tags/list"}, {"GET", "none/blobs/" + registry.Digest(nil)}, {"PUT", "none/manifests/v1"}} {
		a := h.do("ANN", c[0], c[1], `{"schemaVersion":2,"manifests":[]}`)
		h.want(a, http.StatusNotFound, "NAME_UNKNOWN")
		if !strings.Contains(a.body, message) {
			t.Error(a.body)
		}
	}
	// The host names another account's registry.
	a := h.do("ANN", "GET", "agent/tags/list", "", "Host", strings.Replace(ecrHost, "111122223333", "999999999999", 1))
	if !strings.Contains(a.body, "999999999999") {
		t.Error(a.body)
	}
}

func TestAttackPathsThatClimb(t *testing.T) {
	h := start(t)
	for _, path := range []string{"/v2/../../etc/passwd/manifests/v1", "/v2/..%2f..%2fetc/manifests/v1", "/v2/a/../b/tags/list", "/v2/%2e%2e/x/blobs/" + registry.Digest(nil), "/v2/agent%00/tags/list", "/v2//tags/list", "/v2/AGENT/tags/list",
		"/v2/agent%20x/tags/list"} {
		if a := h.do("ANN", "GET", path, ""); a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusNotFound {
			t.Error(path, a.StatusCode, a.body)
		}
	}
	for _, digest := range []string{"sha256:..%2f..%2f..%2fstore.db", "sha256:" + strings.Repeat(".", 64), "..", "sha512:" + strings.Repeat("a", 128)} {
		if a := h.do("ANN", "GET", "agent/blobs/"+digest, ""); a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusNotFound {
			t.Error(digest, a.StatusCode, a.body)
		}
	}
	for _, upload := range []string{"..", "..%2ftoken.key", "x"} {
		if a := h.do("ANN", "PATCH", "agent/blobs/uploads/"+upload, "x"); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Error(upload, a.StatusCode, a.body)
		}
	}
}

func TestAttackDigestMismatch(t *testing.T) {
	h := start(t)
	upload := h.begin("ANN", "agent")
	h.want(h.do("ANN", "PUT", upload+"?digest="+registry.Digest([]byte("good")), "evil"), http.StatusBadRequest, "DIGEST_INVALID")
	h.want(h.do("ANN", "HEAD", "agent/blobs/"+registry.Digest([]byte("good")), ""), http.StatusNotFound, "")
	h.want(h.do("ANN", "POST", "agent/blobs/uploads/?digest="+registry.Digest([]byte("good")), "evil"), http.StatusBadRequest, "DIGEST_INVALID")
	h.want(h.do("ANN", "POST", "agent/blobs/uploads/?digest=md5:x", "evil"), http.StatusBadRequest, "DIGEST_INVALID")
	d := h.add("agent", "{}")
	h.want(h.do("ANN", "PUT", "agent/manifests/"+d, manifest(d, 2, "")), http.StatusBadRequest, "DIGEST_INVALID")
	if files, err := os.ReadDir(filepath.Join(h.dir, "uploads")); err != nil || len(files) != 0 {
		t.Error("uploads stay:", files, err)
	}
}

func TestAttackManifestThatNamesBlobsOfAnotherRepository(t *testing.T) {
	h := start(t)
	h.image("team/base", "v1", "secret", "")
	d := registry.Digest([]byte("secret"))
	h.want(h.do("ANN", "GET", "agent/blobs/"+d, ""), http.StatusNotFound, "BLOB_UNKNOWN")
	h.want(h.do("ANN", "PUT", "agent/manifests/v1", manifest(d, 6, "")), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
	h.want(h.do("ANN", "GET", "agent/manifests/v1", ""), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAttackHugeManifest(t *testing.T) {
	h := start(t)
	a := h.send("ANN", "PUT", "agent/manifests/v1", io.LimitReader(endless{}, registry.MaxManifest+1))
	h.want(a, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID")
	h.want(h.do("ANN", "PUT", "agent/manifests/v1", "{"), http.StatusBadRequest, "MANIFEST_INVALID")
	h.want(h.do("ANN", "PUT", "agent/manifests/.hidden", "{}"), http.StatusBadRequest, "TAG_INVALID")
}

func TestAttackUploadByAnotherPrincipal(t *testing.T) {
	h := start(t)
	upload := h.begin("ANN", "agent")
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		h.want(h.do("BOB", method, upload+"?digest="+registry.Digest(nil), ""), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	}
	h.want(h.do("ANN", "PATCH", strings.Replace(upload, "/agent/", "/team/base/", 1), "x"), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	h.want(h.do("ANN", "DELETE", upload, ""), http.StatusNoContent, "")
	h.want(h.do("ANN", "GET", upload, ""), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func TestUploadInChunksOverARestart(t *testing.T) {
	h := start(t)
	upload := h.begin("ANN", "agent")
	a := h.do("ANN", "PATCH", upload, "0123456789", "Content-Range", "0-9")
	h.want(a, http.StatusAccepted, "")
	if a.Header.Get("Range") != "0-9" || a.Header.Get("Location") != upload {
		t.Error(a.Header)
	}
	h.restart()
	a = h.do("ANN", "GET", upload, "")
	h.want(a, http.StatusNoContent, "")
	if a.Header.Get("Range") != "0-9" {
		t.Error(a.Header)
	}
	a = h.do("ANN", "PATCH", upload, "xx", "Content-Range", "12-13")
	h.want(a, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
	if a.Header.Get("Range") != "0-9" || a.Header.Get("Location") != upload {
		t.Error("a refused chunk must say where to go on:", a.Header)
	}
	h.want(h.do("ANN", "PATCH", upload, "xx", "Content-Range", "10-15"), http.StatusBadRequest, "SIZE_INVALID")
	h.want(h.do("ANN", "PATCH", upload, "xx", "Content-Range", "10"), http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
	h.want(h.send("ANN", "PATCH", upload, io.MultiReader(strings.NewReader("chunked "), strings.NewReader("body"))), http.StatusAccepted, "") // no length
	d := registry.Digest([]byte("0123456789chunked body!"))
	a = h.do("ANN", "PUT", upload+"?digest="+d, "!", "Content-Range", "22-22")
	h.want(a, http.StatusCreated, "")
	if a.Header.Get("Docker-Content-Digest") != d || a.Header.Get("Location") != "/v2/agent/blobs/"+d {
		t.Error(a.Header)
	}
	if got := h.do("ANN", "GET", "agent/blobs/"+d, ""); got.body != "0123456789chunked body!" {
		t.Error(got.body)
	}
}

// dying is a body whose client goes away.
type dying struct{ sent bool }

func (d *dying) Read(p []byte) (int, error) {
	if d.sent {
		return 0, errGone
	}
	d.sent = true
	return copy(p, "some bytes"), nil
}

func TestAClientThatGoesAwayGoesOnLater(t *testing.T) {
	h := start(t)
	upload := h.begin("ANN", "agent")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, h.server.URL+upload, &dying{})
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("AWS", h.password("ANN"))
	if res, err := http.DefaultClient.Do(r); err == nil {
		res.Body.Close()
		t.Fatal(res.Status)
	}
	h.restart() // closes the server, which waits for the request that was cut off
	a := h.do("ANN", "GET", upload, "")
	h.want(a, http.StatusNoContent, "")
	if rest := map[string]string{"0-9": "", "0-0": "some bytes"}[a.Header.Get("Range")]; true {
		d := registry.Digest([]byte("some bytes"))
		h.want(h.do("ANN", "PUT", upload+"?digest="+d, rest), http.StatusCreated, "")
	}
}

func TestRangesOfABlob(t *testing.T) {
	h := start(t)
	d := h.add("agent", "0123456789")
	for _, c := range []struct {
		header, body string
		status       int
	}{
		{"", "0123456789", 200},
		{"bytes=2-4", "234", 206},
		{"bytes=7-", "789", 206},
		{"bytes=-3", "789", 206},
		{"bytes=10-", "", 416},
		{"bytes=x", "", 416},
		{"bytes=" + strings.Repeat("0-,", 3000) + "0-", "0123456789", 200}, // more than the whole: the whole
	} {
		a := h.do("ANN", "GET", "agent/blobs/"+d, "", "Range", c.header)
		if a.StatusCode != c.status || (c.status != 416 && a.body != c.body) {
			t.Errorf("%.30s: %d %.100s", c.header, a.StatusCode, a.body)
		}
	}
	a := h.do("ANN", "HEAD", "agent/blobs/"+d, "")
	if a.ContentLength != 10 || a.Header.Get("Docker-Content-Digest") != d {
		t.Error(a.Header)
	}
	h.want(h.do("ANN", "GET", "agent/blobs/"+d, "", "If-None-Match", `"`+d+`"`), http.StatusNotModified, "")
}

func TestURLsOfLayers(t *testing.T) {
	h := start(t)
	d := h.add("agent", "a layer")
	token, err := h.registry.DownloadToken(repo("agent"), d)
	if err != nil {
		t.Fatal(err)
	}
	if a := h.do("", "GET", oci.LayerPath(token), "", "Range", "bytes=2-"); a.StatusCode != http.StatusPartialContent || a.body != "layer" {
		t.Error(a.StatusCode, a.body)
	}
	h.want(h.do("", "GET", oci.LayerPath(token+"x"), ""), http.StatusForbidden, "DENIED")
	h.want(h.do("", "GET", oci.LayerPath(h.password("ANN")), ""), http.StatusForbidden, "DENIED")
	h.want(h.do("", "PUT", oci.LayerPath(token), "x"), http.StatusMethodNotAllowed, "UNSUPPORTED")
}

func TestPagesOfTags(t *testing.T) {
	h := start(t)
	for _, tag := range []string{"c", "a", "b"} {
		h.image("agent", tag, "{}", "")
	}
	a := h.do("ANN", "GET", "agent/tags/list?n=2", "")
	if a.body != `{"name":"agent","tags":["a","b"]}` || a.Header.Get("Link") != `</v2/agent/tags/list?n=2&last=b>; rel="next"` {
		t.Error(a.body, a.Header)
	}
	a = h.do("ANN", "GET", "agent/tags/list?n=2&last=b", "")
	if a.body != `{"name":"agent","tags":["c"]}` || a.Header.Get("Link") != "" {
		t.Error(a.body, a.Header)
	}
	if a := h.do("ANN", "GET", "agent/tags/list?n=0", ""); a.body != `{"name":"agent","tags":[]}` {
		t.Error(a.body)
	}
	h.want(h.do("ANN", "GET", "agent/tags/list?n=-1", ""), http.StatusBadRequest, "UNSUPPORTED")
}

func TestTagsThatMayNotMove(t *testing.T) {
	h := start(t)
	if _, err := h.registry.SetMutability(t.Context(), repo("agent"), registry.Immutable, nil); err != nil {
		t.Fatal(err)
	}
	i := h.image("agent", "v1", "{}", "")
	d := h.add("agent", "[]")
	a := h.do("ANN", "PUT", "agent/manifests/v1", manifest(d, 2, ""))
	h.want(a, http.StatusBadRequest, "TAG_INVALID")
	if !strings.Contains(a.body, "The image tag 'v1' already exists in the 'agent' repository and cannot be overwritten because the tag is immutable.") {
		t.Error(a.body)
	}
	h.want(h.do("ANN", "PUT", "agent/manifests/v1", string(i.Manifest)), http.StatusCreated, "")
}

func TestWhatIsNotThere(t *testing.T) {
	h := start(t)
	for _, c := range [][2]string{{"GET", "_catalog"}, {"GET", "agent"}, {"GET", "agent/manifests"}, {"GET", "agent/blobs/x/y"}} {
		if a := h.do("ANN", c[0], c[1], ""); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest {
			t.Error(c, a.StatusCode, a.body)
		}
	}
	h.want(h.do("ANN", "GET", "agent/manifests/a:b", ""), http.StatusNotFound, "MANIFEST_UNKNOWN")
	h.want(h.do("ANN", "PATCH", "agent/manifests/v1", ""), http.StatusMethodNotAllowed, "UNSUPPORTED")
}

func TestServes(t *testing.T) {
	for _, c := range []struct {
		path, authorization string
		want                bool
	}{
		{"/v2/", "", true}, {"/v2", "", true}, {"/v2/agent/tags/list", "Basic x", true},
		{"/v2x", "", false}, {"/", "", false}, {"/v2/apis", "AWS4-HMAC-SHA256 Credential=x", false}, {"/v2/apis?X-Amz-Algorithm=AWS4-HMAC-SHA256", "", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		r.Header.Set("Authorization", c.authorization)
		if oci.Serves(r) != c.want {
			t.Error(c)
		}
	}
}
