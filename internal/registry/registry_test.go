package registry_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

func TestRepositories(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	r, err := in.Repository(ctx, agent)
	if err != nil || r.Mutability != registry.Mutable || r.Encryption.Type != "AES256" || r.ARN() != "arn:aws:ecr:us-west-2:111122223333:repository/team/agent" {
		t.Error(r, err)
	}
	_, err = in.Create(ctx, registry.Repository{ID: agent})
	wantCode(t, err, registry.RepositoryAlreadyExists)
	for _, name := range []string{"", "a", "A", "a//b", "../a", "a/../b", "a/", "/a", "a b", strings.Repeat("a", 257)} {
		_, err := in.Create(ctx, registry.Repository{ID: registry.ID{Scope: scope, Name: name}})
		wantCode(t, err, registry.InvalidParameter)
	}
	elsewhere := registry.ID{Scope: registry.Scope{Account: scope.Account, Region: "eu-west-1"}, Name: "other"}
	_, err = in.Repository(ctx, elsewhere)
	wantCode(t, err, registry.RepositoryNotFound)
	first, next, err := in.Repositories(ctx, scope, registry.Page{Limit: 1})
	if err != nil || len(first) != 1 || first[0].Name != "other" || next == "" {
		t.Error(first, next, err)
	}
	second, next, err := in.Repositories(ctx, scope, registry.Page{Limit: 1, Token: next})
	if err != nil || len(second) != 1 || second[0].Name != "team/agent" || next != "" {
		t.Error(second, next, err)
	}
	_, _, err = in.Repositories(ctx, scope, registry.Page{Limit: 1, Token: "!"})
	wantCode(t, err, registry.InvalidParameter)
	in.put(agent, "v1", "config")
	_, err = in.Delete(ctx, agent, false)
	wantCode(t, err, registry.RepositoryNotEmpty)
	if _, err := in.Delete(ctx, agent, true); err != nil {
		t.Error(err)
	}
	_, err = in.Delete(ctx, agent, true)
	wantCode(t, err, registry.RepositoryNotFound)
}

func TestRepositoryLimit(t *testing.T) {
	l := registry.DefaultLimits
	l.Repositories = 2
	in := open(t, l)
	_, err := in.Create(t.Context(), registry.Repository{ID: registry.ID{Scope: scope, Name: "third"}})
	wantCode(t, err, registry.LimitExceeded)
}

func TestTagsOfRepositories(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	if err := errors.Join(in.Tag(ctx, agent, map[string]string{"a": "1", "b": "2"}), in.Untag(ctx, agent, []string{"a", "none"})); err != nil {
		t.Fatal(err)
	}
	r, err := in.Repository(ctx, agent)
	if err != nil || len(r.Tags) != 1 || r.Tags["b"] != "2" || r.Conditions()["ecr:ResourceTag/b"][0] != "2" {
		t.Error(r.Tags, err)
	}
	many := map[string]string{}
	for i := range 51 {
		many[strings.Repeat("k", i+1)] = ""
	}
	wantCode(t, in.Tag(ctx, agent, many), registry.TooManyTags)
	wantCode(t, in.Tag(ctx, agent, map[string]string{"aws:x": ""}), registry.InvalidTagParameter)
	wantCode(t, in.Tag(ctx, registry.ID{Scope: scope, Name: "none"}, nil), registry.RepositoryNotFound)
}

func TestPoliciesAreKept(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	const policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}`
	_, err := in.Policy(ctx, agent)
	wantCode(t, err, registry.RepositoryPolicyNotFound)
	if r, err := in.SetPolicy(ctx, agent, policy, nil); err != nil || r.Policy != policy {
		t.Error(r, err)
	}
	r, err := in.Policy(ctx, agent)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.ResourcePolicy(); err != nil || string(p) != `{"Statement":[{"Action":"ecr:*","Effect":"Allow","Principal":"*","Resource":"*"}],"Version":"2012-10-17"}` {
		t.Errorf("%s %v", p, err)
	}
	for _, bad := range []string{``, `{`, `[]`, `{"Statement":1}`, `{"Statement":[null]}`, `{"Statement":[{"Resource":"*"}]}`, `{"Statement":[{"NotResource":"*"}]}`} {
		_, err := in.SetPolicy(ctx, agent, bad, nil)
		wantCode(t, err, registry.InvalidParameter)
	}
	if was, err := in.DeletePolicy(ctx, agent); err != nil || was.Policy != policy {
		t.Error(was, err)
	}
	_, err = in.DeletePolicy(ctx, agent)
	wantCode(t, err, registry.RepositoryPolicyNotFound)

	const lifecycle = `{"rules":[{"rulePriority":1,"selection":{},"action":{"type":"expire"}}]}`
	_, err = in.Lifecycle(ctx, agent)
	wantCode(t, err, registry.LifecyclePolicyNotFound)
	_, err = in.SetLifecycle(ctx, agent, `{"rules":[]}`)
	wantCode(t, err, registry.InvalidParameter)
	if r, err := in.SetLifecycle(ctx, agent, lifecycle); err != nil || r.Lifecycle != lifecycle {
		t.Error(r, err)
	}
	if was, err := in.DeleteLifecycle(ctx, agent); err != nil || was.Lifecycle != lifecycle {
		t.Error(was, err)
	}
}

func TestTagsThatMayNotMove(t *testing.T) {
	for _, c := range []struct {
		mutability registry.Mutability
		exclusions []string
		tag        string
		moves      bool
	}{
		{registry.Mutable, nil, "v1", true},
		{registry.Immutable, nil, "v1", false},
		{registry.ImmutableExcept, []string{"dev-*"}, "dev-1", true},
		{registry.ImmutableExcept, []string{"dev-*"}, "v1", false},
		{registry.MutableExcept, []string{"v*"}, "v1", false},
		{registry.MutableExcept, []string{"v*"}, "latest", true},
	} {
		in := open(t, registry.Limits{})
		if _, err := in.SetMutability(t.Context(), agent, c.mutability, c.exclusions); err != nil {
			t.Fatal(err)
		}
		first := in.put(agent, c.tag, "one")
		in.put(agent, c.tag, "one") // the same image again moves nothing
		second := in.add(agent, "two")
		_, err := in.Put(t.Context(), agent, registry.NewImage{Manifest: manifest(second), Tag: c.tag})
		if !c.moves {
			wantCode(t, err, registry.ImageTagAlreadyExists)
		} else if err != nil {
			t.Error(c, err)
		}
		now, err := in.Find(t.Context(), agent, registry.Ref{Tag: c.tag})
		if err != nil || (now.Digest == first.Digest) == c.moves {
			t.Error(c, now.Digest, err)
		}
	}
	in := open(t, registry.Limits{})
	_, err := in.SetMutability(t.Context(), agent, registry.ImmutableExcept, nil)
	wantCode(t, err, registry.InvalidParameter)
	_, err = in.SetMutability(t.Context(), agent, registry.Immutable, []string{"x"})
	wantCode(t, err, registry.InvalidParameter)
	_, err = in.SetMutability(t.Context(), agent, registry.ImmutableExcept, []string{"[a"})
	wantCode(t, err, registry.InvalidParameter)
}

func TestImages(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	i := in.put(agent, "v1", "config", "layer", "layer")
	in.put(agent, "v2", "config", "layer", "layer")
	untagged := in.put(agent, "", "config")
	got, err := in.Find(ctx, agent, registry.Ref{Digest: i.Digest, Tag: "v2"})
	if err != nil || !slices.Equal(got.Tags, []string{"v1", "v2"}) || got.Size != int64(len("config")+len("layer")) || string(got.Manifest) != string(i.Manifest) || !got.PulledAt.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	_, err = in.Find(ctx, agent, registry.Ref{Digest: untagged.Digest, Tag: "v1"})
	wantCode(t, err, registry.ImageNotFound)
	_, err = in.Find(ctx, agent, registry.Ref{})
	wantCode(t, err, registry.InvalidParameter)
	if _, err := in.Pull(ctx, agent, registry.Ref{Tag: "v1"}); err != nil {
		t.Error(err)
	}
	if got, err := in.Find(ctx, agent, registry.Ref{Tag: "v1"}); err != nil || got.PulledAt.IsZero() {
		t.Error(got, err)
	}
	_, err = in.Put(ctx, agent, registry.NewImage{Manifest: i.Manifest, Tag: "v1"})
	wantCode(t, err, registry.ImageAlreadyExists)
	_, err = in.Put(ctx, agent, registry.NewImage{Manifest: i.Manifest, Digest: untagged.Digest})
	wantCode(t, err, registry.ImageDigestDoesNotMatch)

	var pages []registry.Ref
	for token := ""; ; {
		found, next, err := in.Refs(ctx, agent, registry.Any, registry.Page{Limit: 1, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
		if token = next; next == "" {
			break
		}
	}
	want := []registry.Ref{{Digest: i.Digest, Tag: "v1"}, {Digest: i.Digest, Tag: "v2"}, {Digest: untagged.Digest}}
	slices.SortStableFunc(want, func(a, b registry.Ref) int { return strings.Compare(a.Digest, b.Digest) })
	if !slices.Equal(pages, want) {
		t.Error(pages, want)
	}
	for f, n := range map[registry.TagStatus]int{registry.Tagged: 1, registry.Untagged: 1, registry.Any: 2, "": 2} {
		if found, _, err := in.Images(ctx, agent, f, registry.Page{Limit: 10}); err != nil || len(found) != n || found[0].Manifest != nil || found[0].ManifestSize == 0 {
			t.Error(f, found, err)
		}
	}
	gone, err := in.Remove(ctx, agent, registry.Ref{Tag: "v1"}, true)
	if err != nil || !slices.Equal(gone, []registry.Ref{{Digest: i.Digest, Tag: "v1"}}) {
		t.Error(gone, err)
	}
	if _, err := in.Find(ctx, agent, registry.Ref{Digest: i.Digest}); err != nil {
		t.Error("an image with another tag must stay:", err)
	}
	if _, err := in.Remove(ctx, agent, registry.Ref{Tag: "v2"}, true); err != nil {
		t.Error(err)
	}
	_, err = in.Find(ctx, agent, registry.Ref{Digest: i.Digest})
	wantCode(t, err, registry.ImageNotFound)
}

func TestPasswordsEnd(t *testing.T) {
	in := open(t, registry.Limits{})
	password, expires, err := in.Password("AKIAX", scope, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	in.restart(registry.Limits{}) // the key is the same
	pass, err := in.Verify(password)
	if err != nil || pass.AccessKeyID != "AKIAX" || pass.Scope != scope || !pass.Expires.Equal(expires) {
		t.Error(pass, err)
	}
	over, _, err := in.Password("AKIAX", scope, time.Now().Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Verify(over); !errors.Is(err, registry.ErrExpired) {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		password, _, err := in.Password("AKIAX", scope, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(registry.PasswordLife - time.Second)
		if _, err := in.Verify(password); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := in.Verify(password); !errors.Is(err, registry.ErrExpired) {
			t.Error(err)
		}
	})
}

func TestAttackForgedPasswords(t *testing.T) {
	in := open(t, registry.Limits{})
	password, _, err := in.Password("AKIAX", scope, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	download, err := in.DownloadToken(agent, registry.Digest(nil))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := open(t, registry.Limits{}).Password("AKIAX", scope, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	text, mac, _ := strings.Cut(password, ".")
	for _, forged := range []string{"", ".", text, text + ".", "." + mac, text + "." + mac[1:], "A" + password, password + "A", password + "=", download, foreign, strings.Repeat("A", 1<<20)} {
		if _, err := in.Verify(forged); !errors.Is(err, registry.ErrForged) {
			t.Errorf("%.80s: %v", forged, err)
		}
	}
	if _, err := in.VerifyDownload(password); !errors.Is(err, registry.ErrForged) {
		t.Error("a password opens layers:", err)
	}
}

func TestImageToRun(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	const config = `{"os":"linux","architecture":"arm64","config":{"Cmd":["agent"]},"rootfs":{"type":"layers","diff_ids":["sha256:` + "0000000000000000000000000000000000000000000000000000000000000000" + `"]}}`
	arm := in.put(agent, "", config, "a layer")
	arm64, amd64 := v1.Platform{OS: "linux", Architecture: "arm64"}, v1.Platform{OS: "linux", Architecture: "amd64"}
	index := []byte(`{"schemaVersion":2,"mediaType":"` + registry.OCIIndex + `","manifests":[{"mediaType":"` + registry.OCIManifest + `","digest":"` + arm.Digest + `","size":` +
		itoa(len(arm.Manifest)) + `,"platform":{"os":"linux","architecture":"arm64"}}]}`)
	if _, err := in.Put(ctx, agent, registry.NewImage{Manifest: index, Tag: "multi"}); err != nil {
		t.Fatal(err)
	}
	image, err := in.Image(ctx, agent, registry.Ref{Tag: "multi"}, arm64)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := image.Digest(); err != nil || d.String() != arm.Digest {
		t.Error(d, err)
	}
	if c, err := image.ConfigFile(); err != nil || c.Config.Cmd[0] != "agent" {
		t.Error(c, err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	read := func() (string, error) {
		r, err := layers[0].Compressed()
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return string(b), err
	}
	if got, err := read(); err != nil || got != "a layer" {
		t.Error(got, err)
	}
	_, err = in.Image(ctx, agent, registry.Ref{Tag: "multi"}, amd64)
	wantCode(t, err, registry.ImageNotFound)
	if err == nil || !strings.Contains(err.Error(), "linux/arm64") {
		t.Error("the message must say what there is:", err)
	}
	_, err = in.Remove(ctx, agent, registry.Ref{Digest: arm.Digest}, true)
	wantCode(t, err, registry.ImageReferenced)

	// A disk that changed its mind is noticed.
	hex := strings.TrimPrefix(registry.Digest([]byte("a layer")), "sha256:")
	if err := os.WriteFile(filepath.Join(in.dir, "blobs", "sha256", hex[:2], hex), []byte("A layer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(got, err)
	}
	in.add(agent, "a layer") // pushing again mends it
	if got, err := read(); err != nil || got != "a layer" {
		t.Error(got, err)
	}
}
