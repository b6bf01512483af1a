package image

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPipSettings(t *testing.T) {
	tests := []struct {
		name  string
		vars  map[string]string
		files map[string]string // path -> content
		env   map[string]string
		binds map[string]string
	}{
		{"a plain host", nil, map[string]string{"/etc/ssl/certs": "", "/etc/resolv.conf": "", "/etc/hosts": ""}, map[string]string{"HOME": hostHome},
			map[string]string{"/etc/ssl/certs": "/etc/ssl/certs", "/etc/resolv.conf": "/etc/resolv.conf", "/etc/hosts": "/etc/hosts"}},
		{"a proxy", map[string]string{"https_proxy": "http://proxy:3128", "no_proxy": "localhost", "AWS_SECRET_ACCESS_KEY": "secret", "PIP_TARGET": "/x", "PYTHONPATH": "/x"}, nil,
			map[string]string{"HOME": hostHome, "https_proxy": "http://proxy:3128", "no_proxy": "localhost"}, map[string]string{}},
		{"certificates", map[string]string{"PIP_CERT": "/home/me/ca.pem", "SSL_CERT_FILE": "/missing.pem"}, map[string]string{"/home/me/ca.pem": ""},
			map[string]string{"HOME": hostHome, "PIP_CERT": "/run/host/pip_cert"}, map[string]string{"/run/host/pip_cert": "/home/me/ca.pem"}},
		{"an index", map[string]string{"PIP_INDEX_URL": "https://index.example.com/simple", "PIP_FIND_LINKS": "https://files.example.com"}, nil,
			map[string]string{"HOME": hostHome, "PIP_INDEX_URL": "https://index.example.com/simple", "PIP_FIND_LINKS": "https://files.example.com"}, map[string]string{}},
		{"a folder of wheels", map[string]string{"PIP_FIND_LINKS": "/opt/wheels", "PIP_NO_INDEX": "1"}, map[string]string{"/opt/wheels": ""},
			map[string]string{"HOME": hostHome, "PIP_FIND_LINKS": "/run/host/pip_find_links", "PIP_NO_INDEX": "1"}, map[string]string{"/run/host/pip_find_links": "/opt/wheels"}},
		{"files of the user", nil, map[string]string{"/home/me/.config/pip/pip.conf": "[global]\ncert = /srv/ca.pem\n", "/home/me/.netrc": "", "/srv/ca.pem": ""},
			map[string]string{"HOME": hostHome, "PIP_CERT": "/run/host/pip_cert"},
			map[string]string{hostHome + "/.config/pip/pip.conf": "/home/me/.config/pip/pip.conf", hostHome + "/.netrc": "/home/me/.netrc", "/run/host/pip_cert": "/srv/ca.pem"}},
		{"the variable wins", map[string]string{"PIP_CERT": "/a.pem"}, map[string]string{"/etc/pip.conf": "cert=/b.pem", "/a.pem": "", "/b.pem": ""},
			map[string]string{"HOME": hostHome, "PIP_CERT": "/run/host/pip_cert"}, map[string]string{"/etc/pip.conf": "/etc/pip.conf", "/run/host/pip_cert": "/a.pem"}},
		{"a named file", map[string]string{"PIP_CONFIG_FILE": "/srv/pip.conf"}, map[string]string{"/srv/pip.conf": "cert = /b.pem", "/b.pem": ""},
			map[string]string{"HOME": hostHome, "PIP_CONFIG_FILE": "/run/host/pip_config_file", "PIP_CERT": "/run/host/pip_cert"},
			map[string]string{"/run/host/pip_config_file": "/srv/pip.conf", "/run/host/pip_cert": "/b.pem"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lookup := func(name string) (string, bool) { v, ok := test.vars[name]; return v, ok }
			exists := func(path string) bool { _, ok := test.files[path]; return ok }
			read := func(path string) ([]byte, error) {
				if !exists(path) {
					return nil, fs.ErrNotExist
				}
				return []byte(test.files[path]), nil
			}
			got, err := pipSettings(lookup, "/home/me", exists, read)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got.env, test.env) || !maps.Equal(got.binds, test.binds) {
				t.Errorf("env %v\nwant %v\nbinds %v\nwant %v", got.env, test.env, got.binds, test.binds)
			}
		})
	}
}

func TestAptOptions(t *testing.T) {
	const dump = `APT "";
APT::Architecture "amd64";
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::http "";
Acquire::http::Proxy "http://proxy:3128";
Acquire::https::Proxy::deb.example.com "DIRECT";
Acquire::https::CaInfo "/etc/ca.pem";
Acquire::Languages "none";
DPkg::Post-Invoke:: "rm -rf /";
`
	want := []string{`Acquire::Check-Valid-Until "false";`, `Acquire::http::Proxy "http://proxy:3128";`, `Acquire::https::Proxy::deb.example.com "DIRECT";`, `Acquire::https::CaInfo "/etc/ca.pem";`}
	if got := aptOptions(dump); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// The host's files are visible during a step, read-only, and have left no trace when it is over.
func TestHostMounts(t *testing.T) {
	root, host := t.TempDir(), t.TempDir()
	for _, dir := range []string{"proc", "run", "dev", "etc"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ca := filepath.Join(host, "ca.pem")
	if err := os.WriteFile(ca, []byte("certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	settings := hostSettings{binds: map[string]string{hostDir + "/ca": ca, "/etc/pip.conf": ca, "/opt/certs": host}}
	before := mountTable(t)
	var leftovers []string
	err := inNamespace(t, func() error {
		if err := mountSystem(root); err != nil {
			return err
		}
		var err error
		if leftovers, err = settings.mount(root); err != nil {
			return err
		}
		for _, name := range []string{"run/host/ca", "etc/pip.conf", "opt/certs/ca.pem"} {
			if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != "certificate" {
				t.Errorf("%s: %q, %v", name, b, err)
			}
			if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err == nil {
				t.Errorf("%s can be written to", name)
			}
		}
		if _, err := os.Stat(filepath.Join(root, "proc/self/status")); err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := mountTable(t); after != before {
		t.Errorf("the host's mounts changed:\n%s\n%s", before, after)
	}
	want := []string{filepath.Join(root, "etc/pip.conf"), filepath.Join(root, "opt/certs")}
	if !slices.Equal(leftovers, want) {
		t.Errorf("leftovers %q, want %q", leftovers, want)
	}
	if got := tree(t, root); !slices.Equal(got, []string{"dev/", "etc/", "etc/pip.conf=", "opt/", "opt/certs/", "proc/", "run/"}) {
		t.Errorf("left in the image: %q", got)
	}
}

func mountTable(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var mine []string // other programs mount, too
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, os.TempDir()+"/Test") {
			mine = append(mine, line)
		}
	}
	return strings.Join(mine, "")
}
