package gvisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// tree is an image made of files (content), and links ("-> target").
func tree(t *testing.T, files map[string]string) imageTree {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "-> "); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return imageTree{root}
}

// newTrustDriver is as much of a driver as layers need.
func newTrustDriver(t testing.TB) *Driver {
	t.Helper()
	return &Driver{opts: Options{DataDir: t.TempDir()}, trusted: map[trustKey]trustLayer{}}
}

func TestResolveStaysInTheImage(t *testing.T) {
	i := tree(t, map[string]string{"etc/ssl/certs/a": "x", "abs": "-> /etc/ssl", "up": "-> ../../../etc/ssl", "loop": "-> loop", "chain": "-> abs/certs", "etc/rel": "-> ../abs/./certs/../certs"})
	for path, want := range map[string]string{
		"etc/ssl/certs/a": "etc/ssl/certs/a", "abs/certs/a": "etc/ssl/certs/a", "up/certs": "etc/ssl/certs", "chain/a": "etc/ssl/certs/a", "etc/rel/a": "etc/ssl/certs/a",
		"../../etc/passwd": "etc/passwd", "abs/nothing/x": "etc/ssl/nothing/x", "": "", "/": "",
	} {
		if got, err := i.resolve(path); got != want || err != nil {
			t.Errorf("%s: %q %v, want %q", path, got, err, want)
		}
	}
	if _, err := i.resolve("loop/x"); err == nil {
		t.Error("a loop resolves")
	}
}

// TestTrustInImages makes layers for images as distributions have them, and attacks on the host's files as an image might have them.
func TestTrustInImages(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the host's"), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := proto.Trust{Certificate: "-----BEGIN CERTIFICATE-----\n", Hash: "0123abcd"}
	for name, row := range map[string]struct {
		files  map[string]string
		env    map[string]string
		lists  []string
		bundle string
	}{
		"Debian": {map[string]string{"etc/ssl/certs/ca-certificates.crt": "old", "usr/lib/ssl/cert.pem": "-> /etc/ssl/certs/ca-certificates.crt", "usr/lib/python3/dist-packages/certifi/cacert.pem": "-> /etc/ssl/certs/ca-certificates.crt"},
			nil, []string{"etc/ssl/certs/ca-certificates.crt"}, "/etc/ssl/certs/ca-certificates.crt"},
		"Fedora": {map[string]string{"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "old", "etc/pki/tls/certs/ca-bundle.crt": "-> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "etc/ssl/certs": "-> ../pki/tls/certs"},
			nil, []string{"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}, "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"},
		"a virtual environment": {map[string]string{"opt/venv/lib/python3.13/site-packages/certifi/cacert.pem": "old", "opt/venv/lib/python3.13/site-packages/pip/_vendor/certifi/cacert.pem": "old"},
			map[string]string{"PATH": "/opt/venv/bin:/bin"}, []string{"opt/venv/lib/python3.13/site-packages/certifi/cacert.pem", "opt/venv/lib/python3.13/site-packages/pip/_vendor/certifi/cacert.pem"},
			"/opt/venv/lib/python3.13/site-packages/certifi/cacert.pem"},
		"nothing":                 {nil, nil, nil, "/etc/ssl/certs/sunaba-all.pem"},
		"a link to the host":      {map[string]string{"etc/ssl/certs/ca-certificates.crt": "-> " + secret, "etc/ssl/cert.pem": "-> ../../../../../../../.." + secret}, nil, nil, "/etc/ssl/certs/sunaba-all.pem"},
		"a folder of that name":   {map[string]string{"etc/ssl/certs/ca-certificates.crt/x": "old"}, nil, nil, "/etc/ssl/certs/sunaba-all.pem"},
		"a path out of the image": {nil, map[string]string{"PATH": "/../../../../bin:../x/bin::/"}, nil, "/etc/ssl/certs/sunaba-all.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			i := tree(t, row.files)
			d := newTrustDriver(t)
			layer, err := d.trust(i.root, authority, row.env)
			if err != nil {
				t.Fatal(err)
			}
			if lists := i.lists(row.env); !slices.Equal(lists, row.lists) {
				t.Errorf("lists %q, want %q", lists, row.lists)
			}
			if layer.env["SSL_CERT_FILE"] != row.bundle {
				t.Errorf("the bundle is %s, want %s", layer.env["SSL_CERT_FILE"], row.bundle)
			}
			for _, list := range row.lists {
				b, err := os.ReadFile(filepath.Join(layer.dir, list))
				if err != nil || string(b) != "old\n"+authority.Certificate {
					t.Errorf("%s: %q %v", list, b, err)
				}
				if st, err := os.Stat(filepath.Join(layer.dir, list)); err != nil || st.Mode().Perm() != 0o640 {
					t.Errorf("%s: %v %v", list, st.Mode(), err)
				}
			}
			for _, path := range []string{layer.env["NODE_EXTRA_CA_CERTS"], filepath.Join(filepath.Dir(layer.env["NODE_EXTRA_CA_CERTS"]), "0123abcd.0"), row.bundle} {
				b, err := os.ReadFile(filepath.Join(layer.dir, path))
				if err != nil || !strings.HasSuffix(string(b), authority.Certificate) {
					t.Errorf("%s: %q %v", path, b, err)
				}
			}
			clear(d.trusted) // as for the next driver
			if again, err := d.trust(i.root, authority, row.env); err != nil || again.dir != layer.dir {
				t.Errorf("a second start: %s %v, want %s", again.dir, err, layer.dir)
			}
			other := proto.Trust{Certificate: "another", Hash: "0123abcd"}
			if again, err := d.trust(i.root, other, row.env); err != nil || again.dir == layer.dir {
				t.Errorf("another authority has the same layer: %v", err)
			}
		})
	}
	d := newTrustDriver(t)
	for _, hash := range []string{"", "../../..", "0123ABCD", "0123abcde"} {
		if _, err := d.trust(t.TempDir(), proto.Trust{Certificate: "x", Hash: hash}, nil); err == nil {
			t.Errorf("the hash %q passes", hash)
		}
	}
}

func BenchmarkTrust(b *testing.B) {
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	roots, err := filepath.Glob(filepath.Join(cache, "sunaba/images/*/rootfs"))
	if err != nil || len(roots) == 0 {
		b.Fatal("there is no image: ", err)
	}
	d := newTrustDriver(b)
	for b.Loop() {
		if _, err := d.trust(roots[0], proto.Trust{Certificate: "x", Hash: "0123abcd"}, map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}); err != nil {
			b.Fatal(err)
		}
	}
}
