package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/registry/oci"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var scope = registry.Scope{Account: "111122223333", Region: "us-west-2"}

func repo(name string) registry.ID { return registry.ID{Scope: scope, Name: name} }

// authority lets everybody do everything that is not denied, and remembers what it was asked.
type authority struct {
	mu     sync.Mutex
	keys   map[string]string   // ARNs by access key
	denied map[string]bool     // "ACTION REPOSITORY"
	asked  []string            // "ACTION REPOSITORY"
	tags   map[string][]string // of the last question
	policy []byte              // of the last question
}

func (a *authority) Caller(ctx context.Context, key string, _ *http.Request) (context.Context, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	arn, ok := a.keys[key]
	if !ok {
		return nil, "", oci.ErrNoCaller
	}
	return ctx, arn, nil
}

func (a *authority) Authorize(_ context.Context, action, arn string, conditions map[string][]string, policy []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, name, _ := strings.Cut(arn, "repository/")
	question := strings.TrimPrefix(action, "ecr:") + " " + name
	a.asked, a.tags, a.policy = append(a.asked, question), conditions, policy
	if a.denied[question] {
		return fault.New(fault.AccessDenied, "User: x is not authorized to perform: %s on resource: %s", action, arn)
	}
	return nil
}

func (a *authority) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

type harness struct {
	t         *testing.T
	authority *authority
	registry  *registry.Service
	db        *store.DB
	dir       string
	limits    registry.Limits
	server    *httptest.Server
	host      string
}

func start(t *testing.T) *harness {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := &harness{t: t, db: db, dir: filepath.Join(dir, "registry"), limits: registry.DefaultLimits,
		authority: &authority{keys: map[string]string{"ANN": "arn:aws:iam::111122223333:user/ann", "BOB": "arn:aws:iam::111122223333:user/bob"}, denied: map[string]bool{}}}
	h.restart()
	t.Cleanup(func() { h.server.Close() })
	for _, name := range []string{"agent", "team/base"} {
		if _, err := h.registry.Create(t.Context(), registry.Repository{ID: repo(name)}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// restart serves what is on disk by a new service.
func (h *harness) restart() {
	h.t.Helper()
	if h.server != nil {
		h.server.Close()
	}
	var err error
	h.registry, err = registry.New(registry.Options{Store: h.db, Dir: h.dir, Limits: h.limits, CheckPolicy: func([]byte) error { return nil }, NewID: uuid.NewString})
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = httptest.NewServer(oci.New(oci.Options{Registry: h.registry, Authority: h.authority, Log: slog.New(slog.DiscardHandler)}))
	h.host = strings.TrimPrefix(h.server.URL, "http://")
}

func (h *harness) password(key string) string {
	h.t.Helper()
	p, _, err := h.registry.Password(key, scope, time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// remote are the options of a foreign client that is logged in.
func (h *harness) remote() []remote.Option {
	return []remote.Option{remote.WithAuth(&authn.Basic{Username: "AWS", Password: h.password("ANN")}), remote.WithContext(h.t.Context()), remote.WithJobs(2)}
}

func (h *harness) ref(s string) name.Reference {
	h.t.Helper()
	r, err := name.ParseReference(h.host+"/"+s, name.Insecure)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

type answer struct {
	*http.Response
	body string
}

// code is the first error's.
func (a answer) code() string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || len(e.Errors) != 1 {
		return ""
	}
	return e.Errors[0].Code
}

// do sends one request as the holder of a key; header has pairs.
func (h *harness) do(key, method, path, body string, header ...string) answer {
	h.t.Helper()
	return h.send(key, method, path, strings.NewReader(body), header...)
}

func (h *harness) send(key, method, path string, body io.Reader, header ...string) answer {
	h.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if key != "" {
		r.SetBasicAuth("AWS", h.password(key))
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (h *harness) want(a answer, status int, code string) {
	h.t.Helper()
	if a.StatusCode != status || (a.code() != code && a.Request.Method != http.MethodHead) {
		h.t.Errorf("%s %s: %d %s, want %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status, code)
	}
}

// begin begins an upload and returns its path.
func (h *harness) begin(key, repository string) string {
	h.t.Helper()
	a := h.do(key, "POST", repository+"/blobs/uploads/", "")
	h.want(a, http.StatusAccepted, "")
	return a.Header.Get("Location")
}

// add puts a blob into a repository.
func (h *harness) add(repository, content string) string {
	h.t.Helper()
	b, err := h.registry.Add(h.t.Context(), repo(repository), []byte(content))
	if err != nil {
		h.t.Fatal(err)
	}
	return b.Digest
}

// manifest is of an image without layers.
func manifest(config string, size int, more string) string {
	return `{"schemaVersion":2,"mediaType":"` + registry.OCIManifest + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + config + `","size":` + itoa(size) + `},"layers":[]` + more + `}`
}

// image puts an image of one blob.
func (h *harness) image(repository, tag, config, more string) registry.Image {
	h.t.Helper()
	d := h.add(repository, config)
	i, err := h.registry.Put(h.t.Context(), repo(repository), registry.NewImage{Manifest: []byte(manifest(d, len(config), more)), Tag: tag, Twice: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

func (a *authority) questions(f func()) []string {
	a.set(func() { a.asked = nil })
	f()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

var errGone = errors.New("the client went away")
