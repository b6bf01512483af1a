// Package installation is one installation of Sunaba on a host: its data folder, who may use it, and what other processes may know of a running server.
package installation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"crypto/sha256"
	"encoding/hex"
)

// Account is the account of a fresh installation.
const Account = "000000000000"

// RootARN is the principal of the first key.
const RootARN = "arn:aws:iam::" + Account + ":root"

// Dir is a data folder.
type Dir struct {
	path  string
	owner *owner
}

// owner is the user who called sudo: the files that `sunaba env` reads belong to that user, so that it needs no sudo.
type owner struct{ uid, gid int }

// DefaultData is the data folder when none is named: $XDG_DATA_HOME/sunaba, or .local/share/sunaba in the home of the user (with sudo, of the user who called it).
func DefaultData() (string, error) { return userFolder("XDG_DATA_HOME", ".local/share") }

// DefaultCache is the cache folder when none is named: $XDG_CACHE_HOME/sunaba, or .cache/sunaba in the same home.
func DefaultCache() (string, error) { return userFolder("XDG_CACHE_HOME", ".cache") }

func userFolder(variable, below string) (string, error) {
	if dir := os.Getenv(variable); dir != "" {
		return filepath.Join(dir, "sunaba"), nil
	}
	home, err := os.UserHomeDir()
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" && os.Geteuid() == 0 {
		var u *user.User
		if u, err = user.Lookup(name); err == nil {
			home = u.HomeDir
		}
	}
	if err != nil {
		return "", fmt.Errorf("find the home folder (set %s or HOME): %w", variable, err)
	}
	return filepath.Join(home, below, "sunaba"), nil
}

// Open opens a data folder and makes it (mode 0700) if it is missing.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: abs, owner: sudoOwner()}
	if err := d.mkdir(abs); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := unix.Access(abs, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("the data folder %s belongs to another user: run this as that user, or with sudo: %w", abs, err)
	}
	return d, nil
}

// mkdir makes a folder and its parents; those that it makes belong to the owner.
func (d *Dir) mkdir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := d.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.give(path)
}

func sudoOwner() *owner {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, uerr := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, gerr := strconv.Atoi(os.Getenv("SUDO_GID"))
	if uerr != nil || gerr != nil {
		return nil
	}
	return &owner{uid, gid}
}

func (d *Dir) give(path string) error {
	if d.owner == nil {
		return nil
	}
	return os.Lchown(path, d.owner.uid, d.owner.gid)
}

// Path is the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// StorePath is where the store is.
func (d *Dir) StorePath() string { return filepath.Join(d.path, "sunaba.db") }

// SandboxDir is where sandboxes keep what they write.
func (d *Dir) SandboxDir() string { return filepath.Join(d.path, "sandboxes") }

// S3Dir is where buckets and their objects are.
func (d *Dir) S3Dir() string { return filepath.Join(d.path, "s3") }

// RunDir is where sockets and the runtime's state are: a short path, as unix sockets need, of this installation's own, gone after a reboot.
func (d *Dir) RunDir() string {
	sum := sha256.Sum256([]byte(d.path))
	base := "/run/sunaba"
	if os.Geteuid() != 0 {
		base = filepath.Join(orElse(os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()), "sunaba")
	}
	return filepath.Join(base, hex.EncodeToString(sum[:6]))
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Server is what a running server tells other processes of the same host.
type Server struct {
	PID      int    `json:"pid"`
	Endpoint string `json:"endpoint"`
}

// ErrInUse says that a server runs on the data folder.
var ErrInUse = errors.New("the data folder is in use")

// Lock claims the folder for one server; the lock ends with the process.
func (d *Dir) Lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if s, ok := d.Server(); ok {
			return nil, fmt.Errorf("%w: sunaba (pid %d) serves %s at %s; stop it, or choose another folder with --data-dir", ErrInUse, s.PID, d.path, s.Endpoint)
		}
		return nil, fmt.Errorf("%w: another sunaba serves %s; stop it, or choose another folder with --data-dir", ErrInUse, d.path)
	}
	return func() { _ = f.Close() }, nil
}

// SetServer records the running server; nil says that there is none.
func (d *Dir) SetServer(s *Server) error {
	path := filepath.Join(d.path, "server.json")
	if s == nil {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return d.write(path, append(b, '\n'))
}

// Server returns what SetServer recorded, if that process is still there.
func (d *Dir) Server() (Server, bool) {
	var s Server
	b, err := os.ReadFile(filepath.Join(d.path, "server.json"))
	if err != nil || json.Unmarshal(b, &s) != nil || s.PID <= 0 {
		return Server{}, false
	}
	if err := unix.Kill(s.PID, 0); errors.Is(err, unix.ESRCH) {
		return Server{}, false
	}
	return s, true
}

// write replaces a file (mode 0600) in one step.
func (d *Dir) write(path string, content []byte) error {
	tmp, err := os.CreateTemp(d.path, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close(), d.give(tmp.Name())); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Key is an access key.
type Key struct{ ID, Secret string }

// CredentialsPath is the root key in the format of the AWS tools' shared credentials file.
func (d *Dir) CredentialsPath() string { return filepath.Join(d.path, "credentials") }

// WriteKey writes the root key for people and tools of this host, readable for the owner only.
func (d *Dir) WriteKey(k Key) error {
	return d.write(d.CredentialsPath(), fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k.ID, k.Secret))
}

// Key reads what WriteKey wrote; found is false when no server has been started on the folder.
func (d *Dir) Key() (k Key, found bool, err error) {
	f, err := os.Open(d.CredentialsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, false, nil
	}
	if err != nil {
		return Key{}, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			k.ID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			k.Secret = strings.TrimSpace(value)
		}
	}
	return k, k.ID != "" && k.Secret != "", lines.Err()
}
