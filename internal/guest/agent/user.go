package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// account is who a container's program runs as.
type account struct {
	name     string // "" for a number that /etc/passwd does not know
	home     string
	uid, gid uint32
	groups   []uint32
}

// maxAccounts bounds what is read of /etc/passwd and /etc/group, in bytes: the files come with the image.
const maxAccounts = 4 << 20

// findAccount looks up the user of an image's configuration in the sandbox's own files.
func findAccount(spec string) (account, error) {
	passwd, err := accountFile("/etc/passwd")
	if err != nil {
		return account{}, err
	}
	group, err := accountFile("/etc/group")
	if err != nil {
		return account{}, err
	}
	return parseAccount(spec, passwd, group)
}

func accountFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // images with nothing but one program exist
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is no file", path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts))
	return string(b), err
}

// parseAccount resolves "user", "uid", "user:group" and "uid:gid" as container engines do: a name wins over a number that is spelled alike, a number need not be in the files, and a
// group that is named replaces all those that the user is a member of. "" is root.
func parseAccount(spec, passwd, group string) (account, error) {
	user, groupSpec, explicit := strings.Cut(spec, ":")
	if user == "" {
		user = "0"
	}
	a := account{home: "/"}
	number, isNumber := id(user)
	found := false
	for f := range entries(passwd, 4) {
		uid, ok := id(f[2])
		gid, fine := id(f[3])
		if !ok || !fine || (f[0] != user && (!isNumber || uid != number)) {
			continue
		}
		if !found || f[0] == user {
			a = account{name: f[0], uid: uid, gid: gid, home: "/"}
			if len(f) > 5 && strings.HasPrefix(f[5], "/") {
				a.home = f[5]
			}
			found = true
		}
		if f[0] == user {
			break
		}
	}
	switch {
	case found:
	case isNumber:
		a.uid = number
	default:
		return account{}, bad(proto.NotFound, "/etc/passwd", "the image's user %q is not in its /etc/passwd", user)
	}
	if explicit && groupSpec != "" {
		gid, err := findGroup(groupSpec, group)
		a.gid = gid
		return a, err
	}
	for f := range entries(group, 4) {
		gid, ok := id(f[2])
		if ok && a.name != "" && slices.Contains(strings.Split(f[3], ","), a.name) && len(a.groups) < maxGroups {
			a.groups = append(a.groups, gid)
		}
	}
	return a, nil
}

// maxGroups is how many groups a process is put into; Linux allows 65,536.
const maxGroups = 1024

func findGroup(spec, group string) (uint32, error) {
	number, isNumber := id(spec)
	for f := range entries(group, 3) {
		if gid, ok := id(f[2]); ok && f[0] == spec {
			return gid, nil
		}
	}
	if isNumber {
		return number, nil
	}
	return 0, bad(proto.NotFound, "/etc/group", "the image's group %q is not in its /etc/group", spec)
}

// entries yields the lines of a file of fields that have at least so many.
func entries(text string, least int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		lines := bufio.NewScanner(strings.NewReader(text))
		for lines.Scan() {
			if f := strings.Split(strings.TrimSpace(lines.Text()), ":"); len(f) >= least && f[0] != "" && !strings.HasPrefix(f[0], "#") && !yield(f) {
				return
			}
		}
	}
}

// id reads a user's or group's number. The largest one means "no change" to the kernel, and is none.
func id(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil && n < math.MaxInt32
}
