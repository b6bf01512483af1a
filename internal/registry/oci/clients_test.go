package oci_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

func itoa(n int) string { return strconv.Itoa(n) }

func randomImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	i, err := random.Image(100_000, layers)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// imageFor is a random image of a platform.
func imageFor(t *testing.T, architecture string) v1.Image {
	t.Helper()
	i := randomImage(t, 1)
	c, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", architecture
	if i, err = mutate.ConfigFile(i, c); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestPushAndPull(t *testing.T) {
	h := start(t)
	for _, docker := range []bool{true, false} {
		image := randomImage(t, 3)
		if !docker {
			image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
		}
		if err := remote.Write(h.ref("agent:v1"), image, h.remote()...); err != nil {
			t.Fatal(err)
		}
		h.restart()
		got, err := remote.Image(h.ref("agent:v1"), h.remote()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Error(err)
		}
		want, _ := image.Digest()
		head, err := remote.Head(h.ref("agent:v1"), h.remote()...)
		if err != nil || head.Digest != want {
			t.Error(head, err)
		}
		local, err := h.registry.Image(t.Context(), repo("agent"), registry.Ref{Tag: "v1"}, v1.Platform{})
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(local); err != nil {
			t.Error("read without HTTP:", err)
		}
	}
	tags, err := remote.List(h.ref("agent:v1").Context(), h.remote()...)
	if err != nil || len(tags) != 1 || tags[0] != "v1" {
		t.Error(tags, err)
	}
}

func TestIndexOfTwoArchitectures(t *testing.T) {
	h := start(t)
	amd, arm := imageFor(t, "amd64"), imageFor(t, "arm64")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	if err := remote.WriteIndex(h.ref("agent:multi"), index, h.remote()...); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(h.ref("agent:multi"), h.remote()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(got); err != nil {
		t.Error(err)
	}
	want, _ := arm.Digest()
	for name, pull := range map[string]func() (v1.Image, error){
		"HTTP": func() (v1.Image, error) {
			return remote.Image(h.ref("agent:multi"), append(h.remote(), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))...)
		},
		"process": func() (v1.Image, error) {
			return h.registry.Image(t.Context(), repo("agent"), registry.Ref{Tag: "multi"}, v1.Platform{OS: "linux", Architecture: "arm64"})
		},
	} {
		i, err := pull()
		if err != nil {
			t.Fatal(name, err)
		}
		if d, err := i.Digest(); err != nil || d != want {
			t.Error(name, d, err)
		}
	}
	h.want(h.do("ANN", "DELETE", "agent/manifests/"+want.String(), ""), http.StatusConflict, "DENIED")
	// An index whose images are not there is refused.
	err = remote.Put(h.ref("team/base:multi"), index, h.remote()...)
	if e, ok := errors.AsType[*transport.Error](err); !ok || e.Errors[0].Code != "MANIFEST_BLOB_UNKNOWN" {
		t.Error(err)
	}
}

// counting counts the bodies that are uploaded.
type counting struct{ patches atomic.Int64 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		c.patches.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestMountFromAnotherRepository(t *testing.T) {
	for _, mayRead := range []bool{true, false} {
		h := start(t)
		if err := remote.Write(h.ref("team/base:v1"), randomImage(t, 2), h.remote()...); err != nil {
			t.Fatal(err)
		}
		base, err := remote.Image(h.ref("team/base:v1"), h.remote()...)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := base.Layers()
		if err != nil {
			t.Fatal(err)
		}
		h.authority.set(func() { h.authority.denied["GetDownloadUrlForLayer team/base"] = !mayRead })
		d, err := layers[0].Digest()
		if err != nil {
			t.Fatal(err)
		}
		a := h.do("ANN", "POST", "agent/blobs/uploads/?mount="+d.String()+"&from=team/base", "")
		if mayRead {
			h.want(a, http.StatusCreated, "")
			h.want(h.do("ANN", "HEAD", "agent/blobs/"+d.String(), ""), http.StatusOK, "")
			h.authority.set(func() { h.authority.denied["GetDownloadUrlForLayer team/base"] = false })
			c := &counting{}
			if err := remote.Write(h.ref("agent:v1"), base, append(h.remote(), remote.WithTransport(c))...); err != nil {
				t.Error(err)
			}
			if c.patches.Load() > 1 { // the configuration; layers are mounted
				t.Error(c.patches.Load(), "uploads although the layers can be mounted")
			}
			continue
		}
		h.want(a, http.StatusAccepted, "") // upload it then
		h.want(h.do("ANN", "HEAD", "agent/blobs/"+d.String(), ""), http.StatusNotFound, "")
	}
}

func TestDelete(t *testing.T) {
	h := start(t)
	image := randomImage(t, 1)
	for _, ref := range []string{"agent:v1", "agent:v2"} {
		if err := remote.Write(h.ref(ref), image, h.remote()...); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := image.Digest()
	if err := remote.Delete(h.ref("agent:v1"), h.remote()...); err != nil {
		t.Error(err)
	}
	h.want(h.do("ANN", "GET", "agent/manifests/v1", ""), http.StatusNotFound, "MANIFEST_UNKNOWN")
	h.want(h.do("ANN", "GET", "agent/manifests/v2", ""), http.StatusOK, "")
	if err := remote.Delete(h.ref("agent@"+d.String()), h.remote()...); err != nil {
		t.Error(err)
	}
	h.want(h.do("ANN", "GET", "agent/manifests/v2", ""), http.StatusNotFound, "MANIFEST_UNKNOWN")
	h.want(h.do("ANN", "DELETE", "agent/manifests/v2", ""), http.StatusNotFound, "MANIFEST_UNKNOWN")
	h.want(h.do("ANN", "DELETE", "agent/blobs/"+d.String(), ""), http.StatusMethodNotAllowed, "UNSUPPORTED")
	if _, err := h.registry.Find(t.Context(), repo("agent"), registry.Ref{Digest: d.String()}); !fault.Is(err, registry.ImageNotFound) {
		t.Error(err)
	}
}

func TestCraneCopies(t *testing.T) {
	h := start(t)
	if err := remote.Write(h.ref("agent:v1"), randomImage(t, 2), h.remote()...); err != nil {
		t.Fatal(err)
	}
	options := []crane.Option{crane.Insecure, crane.WithAuth(&authn.Basic{Username: "AWS", Password: h.password("ANN")})}
	if err := crane.Copy(h.host+"/agent:v1", h.host+"/team/base:copy", options...); err != nil {
		t.Fatal(err)
	}
	a, err := crane.Digest(h.host+"/agent:v1", options...)
	b, err2 := crane.Digest(h.host+"/team/base:copy", options...)
	if err := errors.Join(err, err2); err != nil || a != b {
		t.Error(a, b, err)
	}
	if err := crane.Tag(h.host+"/team/base:copy", "again", options...); err != nil {
		t.Error(err)
	}
	i, err := crane.Pull(h.host+"/team/base:again", options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := crane.Export(i, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestReferrers(t *testing.T) {
	h := start(t)
	image := h.image("agent", "v1", "{}", "")
	about := `,"subject":{"mediaType":"` + registry.OCIManifest + `","digest":"` + image.Digest + `","size":` + itoa(len(image.Manifest)) + `}`
	config := h.add("agent", "{}")
	a := h.do("ANN", "PUT", "agent/manifests/signature", manifest(config, 2, about+`,"artifactType":"application/x.signature","annotations":{"by":"ann"}`), "Content-Type", registry.OCIManifest)
	h.want(a, http.StatusCreated, "")
	if a.Header.Get("OCI-Subject") != image.Digest {
		t.Error(a.Header)
	}
	h.image("agent", "sbom", "{}", about)
	d, err := remote.Referrers(h.ref("agent@"+image.Digest).Context().Digest(image.Digest), h.remote()...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.IndexManifest()
	if err != nil || len(m.Manifests) != 2 {
		t.Fatal(m, err)
	}
	filtered := h.do("ANN", "GET", "agent/referrers/"+image.Digest+"?artifactType=application/x.signature", "")
	if filtered.Header.Get("OCI-Filters-Applied") != "artifactType" || strings.Count(filtered.body, `"digest"`) != 1 || !strings.Contains(filtered.body, `"by":"ann"`) {
		t.Error(filtered.body)
	}
	if none := h.do("ANN", "GET", "agent/referrers/"+config, ""); !strings.Contains(none.body, `"manifests":[]`) {
		t.Error(none.body)
	}
}
