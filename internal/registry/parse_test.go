package registry_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

var someDigest = registry.Digest([]byte("x"))

func TestParseManifest(t *testing.T) {
	d := `{"mediaType":"a/b","digest":"` + someDigest + `","size":1}`
	good := `{"schemaVersion":2,"config":` + d + `,"layers":[` + d + `]}`
	for _, c := range []struct{ content, sentAs, want string }{
		{good, "", registry.OCIManifest},
		{good, registry.DockerManifest + "; charset=utf-8", registry.DockerManifest},
		{`{"schemaVersion":2,"manifests":[` + d + `]}`, "", registry.OCIIndex},
		{`{"schemaVersion":2,"manifests":[]}`, registry.DockerList, registry.DockerList},
		{`{"schemaVersion":2,"mediaType":"` + registry.OCIManifest + `","config":` + d + `,"layers":[]}`, registry.DockerManifest, ""},
		{`{"schemaVersion":1,"config":` + d + `}`, "", ""},
		{`{"schemaVersion":2,"config":` + d + `,"layers":[],"layers":[]}`, "", ""},
		{`{"schemaVersion":2,"config":` + d + `,"layers":[],"Layers":[]}`, "", ""},
		{`{"schemaVersion":2,"config":` + d + `,"manifests":[` + d + `]}`, "", ""},
		{`{"schemaVersion":2,"manifests":[],"layers":[]}`, registry.OCIIndex, ""},
		{`{"schemaVersion":2,"manifests":[]}`, "text/html", ""},
		{`{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}`, "", ""},
		{`{"schemaVersion":2,"manifests":[{"digest":"` + someDigest + `","size":-1}]}`, "", ""},
		{`{"schemaVersion":2,"manifests":[{"digest":"` + someDigest + `","size":1e99}]}`, "", ""},
		{`{"schemaVersion":2,"config":` + d + `,"layers":[` + strings.Repeat(d+",", 4200) + d + `]}`, "", ""},
		{good + good, "", ""},
		{``, "", ""},
		{`null`, "", ""},
		{strings.Repeat(" ", registry.MaxManifest+1), "", ""},
	} {
		_, got, err := registry.ParseManifest([]byte(c.content), c.sentAs)
		if (err == nil) != (c.want != "") || (err == nil && got != c.want) {
			t.Errorf("%.200s as %q: %s %v", c.content, c.sentAs, got, err)
		}
	}
}

func TestParseImage(t *testing.T) {
	const host = "111122223333.dkr.ecr.us-west-2.amazonaws.com"
	for _, c := range []struct {
		uri, name, tag, digest string
		ok                     bool
	}{
		{host + "/team/agent", "team/agent", "latest", "", true},
		{host + "/agent:v1", "agent", "v1", "", true},
		{host + "/agent@" + someDigest, "agent", "", someDigest, true},
		{host + "/agent:v1@" + someDigest, "agent", "v1", someDigest, true},
		{"127.0.0.1:4566/agent:v1", "agent", "v1", "", true},
		{"127.0.0.1:4567/agent:v1", "", "", "", false},
		{"registry.example/library/debian", "", "", "", false},
		{host, "", "", "", false},
		{host + "/", "", "", "", false},
		{host + "/../x", "", "", "", false},
		{host + "/agent:", "", "", "", false},
		{host + "/agent@sha256:1", "", "", "", false},
		{"evil." + host + "/agent", "", "", "", false},
		{host + ".evil.example/agent", "", "", "", false},
	} {
		id, ref, ok := registry.ParseImage(c.uri, scope, "127.0.0.1:4566")
		if ok != c.ok || (ok && (id.Name != c.name || ref.Tag != c.tag || ref.Digest != c.digest || id.Scope != scope)) {
			t.Error(c.uri, id, ref, ok)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"`+someDigest+`","size":1},"layers":[]}`), registry.OCIManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"`+someDigest+`","size":1,"platform":{"os":"linux"}}]}`), "")
	f.Add([]byte(`{"schemaVersion":2,"Manifests":[],"manifests":[]}`), ";")
	f.Fuzz(func(t *testing.T, content []byte, sentAs string) {
		m, mediaType, err := registry.ParseManifest(content, sentAs)
		if err != nil {
			return
		}
		if mediaType == "" || (m.Config == nil) != (mediaType == registry.OCIIndex || mediaType == registry.DockerList) {
			t.Errorf("%s: %+v", mediaType, m)
		}
		for _, d := range append(m.Layers, m.Manifests...) {
			if !registry.ValidDigest(d.Digest) || d.Size < 0 {
				t.Error(d)
			}
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"team/agent", "../x", "a..b", "a__b/c-d", "v1", someDigest, "111122223333.dkr.ecr.us-west-2.amazonaws.com/a/b:v1@" + someDigest,
		"arn:aws:ecr:us-west-2:111122223333:repository/a/b", "127.0.0.1:4566/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if registry.ValidName(s) && (filepath.Join("/", s) != "/"+s || strings.ContainsAny(s, "%?#\\: \x00")) {
			t.Errorf("%q climbs", s)
		}
		if id, ref, ok := registry.ParseImage(s, scope, "127.0.0.1:4566"); ok && (!registry.ValidName(id.Name) || ref == registry.Ref{} || !registry.ValidAccount(id.Account)) {
			t.Errorf("%q: %v %v", s, id, ref)
		}
		if id, ok := registry.IDOf(s); ok {
			if again, ok := registry.IDOf(id.ARN()); !ok || again != id {
				t.Errorf("%q: %v %v", s, id, again)
			}
		}
		if ref, ok := registry.RefOf(s); ok && ref.Digest+ref.Tag != s {
			t.Errorf("%q: %v", s, ref)
		}
	})
}
