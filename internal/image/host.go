package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Where the host's settings are shown inside during a step that downloads. /run is memory then.
const (
	hostDir  = "/run/host"
	hostHome = hostDir + "/home"
)

// hostSettings is how this host reaches its package registries: proxies, certificates, indexes. A build uses them while it downloads; they never become part of an image.
type hostSettings struct {
	env   map[string]string // for the process
	binds map[string]string // path inside -> file or folder of the host
}

// Variables that are passed on. Those in pathVariables may name a file or folder of the host, which is then shown inside.
var (
	plainVariables = []string{
		"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
		"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
	}
	pathVariables = []string{
		"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "NETRC",
	}
)

// pipSettings collects what pip needs to reach its index from inside a new root file system. exists tells whether the host has a file or folder.
func pipSettings(lookup func(string) (string, bool), home string, exists func(string) bool, readFile func(string) ([]byte, error)) (hostSettings, error) {
	h := hostSettings{env: map[string]string{"HOME": hostHome}, binds: map[string]string{}}
	show := func(name, path string) {
		inside := hostDir + "/" + strings.ToLower(name)
		h.binds[inside] = path
		h.env[name] = inside
	}
	for _, name := range plainVariables {
		if v, ok := lookup(name); ok {
			h.env[name] = v
		}
	}
	for _, name := range pathVariables {
		v, ok := lookup(name)
		switch {
		case !ok:
		case filepath.IsAbs(v) && exists(v):
			show(name, v)
		case name == "PIP_FIND_LINKS": // may be addresses
			h.env[name] = v
		}
	}
	for _, file := range []string{"/etc/ssl/certs", "/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf"} {
		if exists(file) {
			h.binds[file] = file
		}
	}
	for _, file := range []string{".pip/pip.conf", ".config/pip/pip.conf", ".netrc"} {
		if home != "" && exists(filepath.Join(home, file)) {
			h.binds[hostHome+"/"+file] = filepath.Join(home, file)
		}
	}
	// A configuration file may name a certificate bundle anywhere on the host.
	if _, ok := h.env["PIP_CERT"]; !ok {
		for _, inside := range slices.Sorted(maps.Keys(h.binds)) {
			if filepath.Base(inside) != "pip.conf" && inside != hostDir+"/pip_config_file" {
				continue
			}
			b, err := readFile(h.binds[inside])
			if err != nil {
				return h, err
			}
			if cert := pipCert(b); cert != "" && exists(cert) {
				show("PIP_CERT", cert)
			}
		}
	}
	return h, nil
}

// pipCert returns the value of `cert` in a pip configuration file.
func pipCert(config []byte) string {
	for line := range bytes.Lines(config) {
		key, value, found := strings.Cut(string(line), "=")
		if found && strings.TrimSpace(key) == "cert" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mount shows the host's files inside root. It must run in a mount namespace of its own, after mountSystem. Places for files that root lacks are made
// where they vanish again, and returned as leftovers otherwise.
func (h hostSettings) mount(root string) (leftovers []string, err error) {
	if err := os.MkdirAll(filepath.Join(root, hostHome), 0o700); err != nil {
		return nil, err
	}
	for _, inside := range slices.Sorted(maps.Keys(h.binds)) {
		target := filepath.Join(root, inside)
		if _, err := os.Lstat(target); errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(inside, hostDir) {
			leftovers = append(leftovers, target)
		}
		if err := bind(h.binds[inside], root, inside); err != nil {
			return leftovers, err
		}
		if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return leftovers, fmt.Errorf("making %s read-only: %w", target, err)
		}
	}
	return leftovers, nil
}

// environ returns the variables as exec.Cmd wants them, over a plain base.
func (h hostSettings) environ() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TMPDIR=/tmp"}
	for _, name := range slices.Sorted(maps.Keys(h.env)) {
		env = append(env, name+"="+h.env[name])
	}
	return env
}

// aptOptions picks from the output of `apt-config dump` what decides how this host reaches Debian mirrors. mmdebstrap does not read the host's own settings.
func aptOptions(dump string) []string {
	var options []string
	for line := range strings.Lines(dump) {
		line = strings.TrimSpace(line)
		lower := strings.ToLower(line)
		for _, prefix := range []string{"acquire::http::", "acquire::https::", "acquire::check-valid-until ", "acquire::check-date ", "acquire::retries "} {
			if strings.HasPrefix(lower, prefix) && !strings.HasSuffix(line, `"";`) {
				options = append(options, line)
			}
		}
	}
	return options
}
