// Package oci is the registry's HTTP face: the OCI distribution specification 1.1, as docker, podman, buildah, skopeo, crane and containerd speak it to ECR.
//
// Who asks is said by Basic authentication, user AWS and a password of GetAuthorizationToken; whether it may is decided for each request by the IAM action that ECR documents for it, on the
// repository's ARN. The host names the registry (ACCOUNT.dkr.ecr.REGION.amazonaws.com); under any other name, such as a loopback address, it is the one that the password was made for.
// Repositories are not made by pushing. Blobs are streamed in both directions and never in memory; uploads are resumable, across restarts of the server too.
package oci

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

// ErrNoCaller says that a password's access key stands for nobody any more: it is deleted, inactive, or its session is over.
var ErrNoCaller = errors.New("the access key stands for nobody")

// Authority knows who callers are and what they may do.
type Authority interface {
	// Caller returns the ARN of whom an access key stands for at this moment, and a context for Authorize that knows it and the request; ErrNoCaller if it is nobody.
	Caller(ctx context.Context, accessKeyID string, r *http.Request) (of context.Context, arn string, err error)
	// Authorize returns nil or fault.AccessDenied. The conditions are the repository's tags; policy is the repository's own, nil if it has none.
	Authorize(ctx context.Context, action, repositoryARN string, conditions map[string][]string, policy []byte) error
}

// Options configure a Handler.
type Options struct {
	Registry  *registry.Service
	Authority Authority
	Log       *slog.Logger
}

// Handler answers requests to /v2/.
type Handler struct{ o Options }

// New returns the HTTP face of a registry.
func New(o Options) *Handler { return &Handler{o} }

// Serves reports whether a request is for the registry: its path begins with /v2/, and it has no AWS signature, as requests to services with such paths have.
func Serves(r *http.Request) bool {
	if r.URL.Path != "/v2" && !strings.HasPrefix(r.URL.Path, "/v2/") {
		return false
	}
	return !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") && !r.URL.Query().Has("X-Amz-Algorithm")
}

// request is one request, with what is known of it.
type request struct {
	*Handler
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // of the caller
	scope registry.Scope
	arn   string // of the caller
	id    registry.ID
	arg   string // what stands behind the repository's name: a digest, a tag, an upload's id
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rec := &patient{ResponseWriter: w, control: http.NewResponseController(w)}
	q := &request{Handler: h, w: rec, r: r, ctx: r.Context()}
	rec.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	rec.Header().Set("X-Content-Type-Options", "nosniff")
	err := q.serve()
	if err != nil {
		q.fail(err)
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("service", "ecr"), slog.String("method", r.Method), slog.String("repository", q.id.Name), slog.Int("status", rec.status),
		slog.Duration("took", time.Since(began).Round(time.Microsecond)), slog.String("principal", q.arn)}
	switch {
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case q.arn == "":
		level = slog.LevelDebug // every login begins with a refusal, and whoever has no password must not fill the disk
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	h.o.Log.LogAttrs(r.Context(), level, "registry", attrs...)
}

// layers is where the URLs of GetDownloadUrlForLayer lead; no repository can have the name.
const layers = "_layers/"

// LayerPath is the path of the URL for a token of registry.DownloadToken; internal/api/ecr makes the same.
func LayerPath(token string) string { return "/v2/" + layers + token }

func (q *request) serve() error {
	path := strings.TrimPrefix(strings.TrimPrefix(q.r.URL.Path, "/v2"), "/")
	if token, ok := strings.CutPrefix(path, layers); ok {
		return q.download(token)
	}
	if err := q.login(); err != nil {
		return err
	}
	if path == "" {
		if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
			return errMethod
		}
		q.w.Header().Set("Content-Type", "application/json")
		_, err := q.w.Write([]byte("{}"))
		return ignoreGone(err)
	}
	handle, err := q.route(path)
	if err != nil {
		return err
	}
	if !registry.ValidName(q.id.Name) {
		return refuse(http.StatusBadRequest, nameInvalid, "invalid repository name")
	}
	return handle(q)
}

// login finds out who asks, and which registry.
func (q *request) login() error {
	user, password, ok := q.r.BasicAuth()
	if !ok {
		return refuse(http.StatusUnauthorized, unauthorized, "no basic auth credentials")
	}
	pass, err := q.o.Registry.Verify(password)
	switch {
	case errors.Is(err, registry.ErrExpired):
		return refuse(http.StatusForbidden, denied, "Your authorization token has expired. Reauthenticate and try again.")
	case err != nil || user != "AWS":
		return refuse(http.StatusUnauthorized, unauthorized, "Not Authorized")
	}
	host := q.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	scope, named := registry.ScopeOfHost(host)
	if !named {
		scope = pass.Scope
	}
	if scope.Region != pass.Scope.Region {
		return refuse(http.StatusUnauthorized, unauthorized, "The authorization token is for the region "+pass.Scope.Region+".")
	}
	ctx, arn, err := q.o.Authority.Caller(q.ctx, pass.AccessKeyID, q.r)
	if errors.Is(err, ErrNoCaller) {
		return refuse(http.StatusUnauthorized, unauthorized, "Not Authorized")
	}
	if err != nil {
		return err
	}
	q.ctx, q.arn, q.scope = ctx, arn, scope
	return nil
}

// route finds what a path asks for, from its end: a repository's name may hold the words that follow it.
func (q *request) route(path string) (func(*request) error, error) {
	s := strings.Split(path, "/")
	n := len(s)
	at := func(words int, what map[string]func(*request) error) (func(*request) error, error) {
		q.id = registry.ID{Scope: q.scope, Name: strings.Join(s[:n-words], "/")}
		if h := what[q.r.Method]; h != nil {
			return h, nil
		}
		return nil, errMethod
	}
	type methods = map[string]func(*request) error
	switch {
	case n >= 3 && s[n-2] == "tags" && s[n-1] == "list":
		return at(2, methods{"GET": (*request).tags})
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads" && s[n-1] != "":
		q.arg = s[n-1]
		return at(3, methods{"GET": (*request).uploadStatus, "PATCH": (*request).uploadPart, "PUT": (*request).uploadEnd, "DELETE": (*request).uploadCancel})
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads":
		return at(3, methods{"POST": (*request).uploadBegin})
	case n >= 3 && s[n-2] == "blobs" && s[n-1] == "uploads":
		return at(2, methods{"POST": (*request).uploadBegin})
	case n >= 3 && s[n-2] == "blobs":
		q.arg = s[n-1]
		return at(2, methods{"GET": (*request).blob, "HEAD": (*request).blob})
	case n >= 3 && s[n-2] == "manifests":
		q.arg = s[n-1]
		return at(2, methods{"GET": (*request).manifest, "HEAD": (*request).manifest, "PUT": (*request).putManifest, "DELETE": (*request).deleteManifest})
	case n >= 3 && s[n-2] == "referrers":
		q.arg = s[n-1]
		return at(2, methods{"GET": (*request).referrers})
	}
	return nil, refuse(http.StatusNotFound, unsupported, "the registry has nothing under this path")
}

// may asks whether the caller may do something to a repository; with several actions, whether it may do one of them. What does not exist has no tags and no policy: whether it exists
// is only told to who may ask.
func (q *request) may(id registry.ID, actions ...string) error {
	var conditions map[string][]string
	r, err := q.o.Registry.Repository(q.ctx, id)
	if err == nil {
		conditions = r.Conditions()
	} else if !isCode(err, registry.RepositoryNotFound) {
		return err
	}
	policy, err := r.ResourcePolicy()
	if err != nil {
		return err
	}
	var refused error
	for _, a := range actions {
		err := q.o.Authority.Authorize(q.ctx, "ecr:"+a, id.ARN(), conditions, policy)
		if err == nil {
			return nil
		}
		if refused == nil {
			refused = err
		}
	}
	return refused
}
