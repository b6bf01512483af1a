package gvisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// systemBundles are where distributions keep what their TLS libraries trust. Several are links to one another.
var systemBundles = []string{
	"etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
	"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL, Amazon Linux
	"etc/pki/tls/certs/ca-bundle.crt",                  // older ones of these
	"etc/pki/tls/cert.pem",
	"etc/ssl/ca-bundle.pem",    // SUSE
	"etc/ssl/cert.pem",         // Alpine
	"usr/lib/ssl/cert.pem",     // OpenSSL's own default
	"usr/local/ssl/cert.pem",   // OpenSSL built from source
	"opt/conda/ssl/cacert.pem", // conda
}

// pythonBundles are the lists that Python packages bring along, below a folder of packages.
var pythonBundles = []string{"certifi/cacert.pem", "botocore/cacert.pem", "awscli/botocore/cacert.pem", "pip/_vendor/certifi/cacert.pem"}

const (
	certificates = "etc/ssl/certs"  // the folder in which OpenSSL and Go look, on every distribution that has one
	singleFile   = "sunaba-ca.pem"  // in it: the one certificate
	newBundle    = "sunaba-all.pem" // in it: the list of images that have none
	maxBundle    = 16 << 20         // bytes; the usual ones have 0.3 MB
	maxLayers    = 1000             // remembered
)

// trustLayer is a folder that, laid over an image, makes a certificate authority trusted there. It is made once for an image and an authority, and costs a start nothing;
// the guest would need 30 ms to append to the same files.
type trustLayer struct {
	dir string            // on the host
	env map[string]string // for programs that trust what a variable names, and not what the system trusts
}

// trustKey is what a layer depends on. An image does not change while a driver has started sandboxes from it: the folder is named after its content.
type trustKey struct {
	image     string
	authority proto.Trust
	path      string // PATH, beside whose folders Python's packages are
}

// trust returns the layer that makes t trusted in an image, from which sandboxes run with env.
func (d *Driver) trust(image string, t proto.Trust, env map[string]string) (trustLayer, error) {
	key := trustKey{image, t, env["PATH"]}
	d.mu.Lock()
	layer, ok := d.trusted[key]
	d.mu.Unlock()
	if ok {
		return layer, nil
	}
	layer, err := d.makeTrust(image, t, env)
	if err != nil {
		return trustLayer{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.trusted) >= maxLayers {
		clear(d.trusted) // the layers themselves are found again
	}
	d.trusted[key] = layer
	return layer, nil
}

// makeTrust makes a layer, unless an earlier driver has: its name holds all that it was made from.
func (d *Driver) makeTrust(image string, t proto.Trust, env map[string]string) (trustLayer, error) {
	if len(t.Hash) != 8 || strings.Trim(t.Hash, "0123456789abcdef") != "" {
		return trustLayer{}, fmt.Errorf("the hash %q of a certificate's subject is not eight hexadecimal digits", t.Hash)
	}
	i := imageTree{root: image}
	folder, err := i.resolve(certificates)
	if err != nil {
		return trustLayer{}, err
	}
	lists, stores := i.lists(env), i.javaTrust(env)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n%s\n", image, folder, t.Hash, t.Certificate)
	for _, path := range slices.Concat(lists, stores) {
		st, err := os.Lstat(filepath.Join(image, path))
		if err != nil {
			return trustLayer{}, err
		}
		fmt.Fprintf(sum, "%q %d %d\n", path, st.Size(), st.ModTime().UnixNano())
	}
	bundle := filepath.Join(folder, newBundle)
	if len(lists) > 0 {
		bundle = lists[0]
	}
	layer := trustLayer{dir: filepath.Join(d.trustRoot(), hex.EncodeToString(sum.Sum(nil)[:8])), env: trustVariables("/"+filepath.Join(folder, singleFile), "/"+bundle)}
	if _, err := os.Stat(layer.dir); err == nil {
		return layer, nil
	}
	if err := os.MkdirAll(d.trustRoot(), 0o700); err != nil {
		return trustLayer{}, err
	}
	tmp, err := os.MkdirTemp(d.trustRoot(), "new-")
	if err != nil {
		return trustLayer{}, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	err = i.lay(tmp, folder, lists, t)
	for _, path := range stores {
		err = errors.Join(err, i.layStore(tmp, path, t))
	}
	if err != nil {
		return trustLayer{}, fmt.Errorf("making a certificate authority trusted in image %s: %w", image, err)
	}
	if err := os.Rename(tmp, layer.dir); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) { // another start was faster
		return trustLayer{}, err
	}
	return layer, nil
}

func (d *Driver) trustRoot() string { return filepath.Join(d.opts.DataDir, "trust") }

// trustVariables name the certificate to programs that add it to what they trust, and the list to those that trust nothing else.
func trustVariables(single, bundle string) map[string]string {
	env := map[string]string{"NODE_EXTRA_CA_CERTS": single, "DENO_CERT": single}
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO"} {
		env[name] = bundle
	}
	return env
}

// withDefaults adds the variables that env lacks.
func withDefaults(env, defaults map[string]string) map[string]string {
	all := maps.Clone(defaults)
	maps.Copy(all, env)
	return all
}

// imageTree is an image's root, seen as a process that has it as its root would see it: no link leads out of it.
type imageTree struct{ root string }

// resolve follows the links of a path below the root. What the path names need not exist.
func (i imageTree) resolve(path string) (string, error) {
	const maxLinks = 40 // the kernel's limit
	rest, real := strings.Split(filepath.Clean("/" + path)[1:], "/"), ""
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if real = filepath.Dir(real); real == "." {
				real = ""
			}
			continue
		}
		next := filepath.Join(real, name)
		to, err := os.Readlink(filepath.Join(i.root, next))
		if err != nil { // no link, or not there
			real = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("too many links in %s", path)
		}
		if filepath.IsAbs(to) {
			real = ""
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return real, nil
}

// adder returns a function that adds a file's real path, once, if it is a regular one of a usual size.
func (i imageTree) adder(paths *[]string) func(path string) {
	return func(path string) {
		real, err := i.resolve(path)
		if err != nil || slices.Contains(*paths, real) {
			return
		}
		if st, err := os.Lstat(filepath.Join(i.root, real)); err == nil && st.Mode().IsRegular() && st.Size() <= maxBundle {
			*paths = append(*paths, real)
		}
	}
}

// lists finds the lists of trusted certificates that the image has, the system's first, by their real paths.
func (i imageTree) lists(env map[string]string) (paths []string) {
	add := i.adder(&paths)
	for _, path := range systemBundles {
		add(path)
	}
	// Python's are beside every folder of programs on the path, which is where virtual environments are too. There is no search beyond.
	libs := []string{"usr/lib", "usr/local/lib"}
	for dir := range strings.SplitSeq(env["PATH"], ":") {
		if prefix, ok := strings.CutSuffix(filepath.Clean(dir), "/bin"); ok {
			libs = append(libs, filepath.Join(prefix, "lib"))
		}
	}
	for _, lib := range libs {
		for _, python := range i.children(lib, "python3") {
			for _, packages := range []string{"site-packages", "dist-packages"} {
				for _, list := range pythonBundles {
					add(filepath.Join(python, packages, list))
				}
			}
		}
	}
	const awsCLI = "usr/local/aws-cli/v2" // its own installer's place
	for _, version := range i.children(awsCLI, "") {
		add(filepath.Join(version, "dist/awscli/botocore/cacert.pem"))
	}
	return paths
}

// children lists what is in a folder of the image and begins with a prefix.
func (i imageTree) children(dir, prefix string) (paths []string) {
	real, err := i.resolve(dir)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(i.root, real))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(real, e.Name()))
		}
	}
	return paths
}

// lay fills a layer: the lists with the certificate at their end, the certificate alone, and the name by which OpenSSL finds it in a folder.
func (i imageTree) lay(layer, folder string, lists []string, t proto.Trust) error {
	if err := i.parents(layer, folder); err != nil {
		return err
	}
	for _, path := range lists {
		old, err := readRegular(filepath.Join(i.root, path))
		if err != nil {
			return err
		}
		if err := i.put(layer, path, slices.Concat(old, []byte("\n"), []byte(t.Certificate))); err != nil {
			return err
		}
	}
	own := []string{singleFile}
	if len(lists) == 0 {
		own = append(own, newBundle)
	}
	for _, name := range own {
		path := filepath.Join(layer, folder, name)
		if err := errors.Join(os.WriteFile(path, []byte(t.Certificate), 0o600), os.Chmod(path, 0o644)); err != nil {
			return err
		}
	}
	const most = 10 // certificates whose subjects have one hash
	for n := range most {
		name := filepath.Join(folder, fmt.Sprintf("%s.%d", t.Hash, n))
		if _, err := os.Lstat(filepath.Join(i.root, name)); errors.Is(err, fs.ErrNotExist) {
			return os.Symlink(singleFile, filepath.Join(layer, name))
		}
	}
	return nil // that many of one hash are an accident that was arranged for; the lists hold without
}

// layStore fills a layer with a store of Java's. One that cannot be read stays as it is in the image: Java's programs alone do not trust the authority then.
func (i imageTree) layStore(layer, path string, t proto.Trust) error {
	old, err := readRegular(filepath.Join(i.root, path))
	if err != nil {
		return err
	}
	store, err := withAuthority(old, t.Certificate)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return i.put(layer, path, store)
}

// put makes a file of the layer in the likeness of the image's.
func (i imageTree) put(layer, path string, content []byte) error {
	if err := i.parents(layer, filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(layer, path), content, 0o600); err != nil {
		return err
	}
	return likeness(filepath.Join(layer, path), filepath.Join(i.root, path))
}

// parents makes a folder of the layer and those above it. In an overlay a folder has the properties of the uppermost layer's, so they are the image's.
func (i imageTree) parents(layer, dir string) error {
	if dir == "." || dir == "" {
		return os.Chmod(layer, 0o755)
	}
	if err := i.parents(layer, filepath.Dir(dir)); err != nil {
		return err
	}
	path := filepath.Join(layer, dir)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the process's umask is
		return err
	}
	if err := likeness(path, filepath.Join(i.root, dir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// likeness gives a file of the layer the owner, mode and time of the image's.
func likeness(path, of string) error {
	info, err := os.Lstat(of)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s has no owner", of)
	}
	if err := os.Lchown(path, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(path, st.Mode&0o7777); err != nil { // after the owner, whose change clears bits
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// readRegular reads a file that must be no link and nothing that blocks.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	b := make([]byte, st.Size())
	n, err := f.ReadAt(b, 0)
	if n < len(b) {
		return nil, err
	}
	return b, nil
}
