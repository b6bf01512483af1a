package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// read returns a small file without the white space around it, "" if it cannot be read.
func (h *Host) read(name string) string {
	b, err := fs.ReadFile(h.Files, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func platform(_ context.Context, o Options) (Result, bool) {
	const name = "platform"
	h := o.Host
	if h.OS != "linux" || h.Arch != "amd64" && h.Arch != "arm64" {
		return fail(name, h.OS+"/"+h.Arch+": gVisor runs on linux/amd64 and linux/arm64", "use a Linux machine or virtual machine with one of these processors"), true
	}
	system := "Linux"
	for line := range strings.Lines(h.read("etc/os-release")) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); found {
			system = strings.Trim(v, `"`)
		}
	}
	return ok(name, "%s, %s", system, h.Arch), true
}

func kernel(_ context.Context, o Options) (Result, bool) {
	const name = "kernel"
	release := o.Host.read("proc/sys/kernel/osrelease")
	major, minor, parsed := kernelVersion(release)
	switch {
	case release == "":
		return fail(name, "/proc/sys/kernel/osrelease cannot be read", "mount -t proc proc /proc"), true
	case !parsed:
		return warn(name, "cannot tell the version from "+strconv.Quote(release), "Sunaba needs Linux 5.4 or later; compare with: uname -r"), true
	case major < 5 || major == 5 && minor < 4:
		return fail(name, release+" is older than 5.4", "upgrade the kernel (Debian, Ubuntu: apt-get dist-upgrade), then reboot"), true
	}
	return ok(name, "%s", release), true
}

// kernelVersion reads "6.1.0-18-amd64".
func kernelVersion(release string) (major, minor int, ok bool) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	digits := func(s string) string {
		if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
			return s[:i]
		}
		return s
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(digits(parts[1]))
	return major, minor, err1 == nil && err2 == nil
}

func privileges(_ context.Context, o Options) (Result, bool) {
	const name = "privileges"
	if o.Host.UID != 0 {
		return fail(name, fmt.Sprintf("running as user %d; limits, snapshots and images need root", o.Host.UID), "sudo sunaba doctor"), true
	}
	return ok(name, "root"), true
}

// chroot looks for a root folder that is no mount point: the kernel refuses new user namespaces there.
func chroot(_ context.Context, o Options) (Result, bool) {
	const name = "root folder"
	table := o.Host.read("proc/self/mountinfo")
	if table == "" {
		return fail(name, "/proc/self/mountinfo cannot be read", "mount -t proc proc /proc"), true
	}
	for _, m := range mounts(table) {
		if m.at == "/" {
			return ok(name, "a mount of its own (%s)", m.kind), true
		}
	}
	return fail(name, "this is a chroot, where gVisor cannot start", "enter the root folder with pivot_root in a mount namespace instead, for instance: systemd-nspawn -D FOLDER"), true
}

func userNamespaces(ctx context.Context, o Options) (Result, bool) {
	const name = "user namespaces"
	if o.Host.read("proc/sys/user/max_user_namespaces") == "0" {
		return fail(name, "switched off", "sysctl -w user.max_user_namespaces=15000"), true
	}
	if err := o.Host.NewNamespace(ctx); err != nil {
		fix := "inside a container: start it with --privileged; in a chroot: leave it"
		if o.Host.UID != 0 {
			fix = "run as root: sudo sunaba doctor"
		}
		return fail(name, "the kernel refuses a new one: "+err.Error(), fix), true
	}
	return ok(name, "a process in a new one starts"), true
}

func apparmor(_ context.Context, o Options) (Result, bool) {
	const name = "AppArmor"
	if o.Host.read("proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1" {
		return Result{}, false
	}
	if o.Host.UID == 0 {
		return ok(name, "restricts user namespaces of unprivileged users, which does not concern root"), true
	}
	return warn(name, "restricts user namespaces of unprivileged users", "run as root, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"), true
}

func seccomp(_ context.Context, o Options) (Result, bool) {
	const name = "seccomp"
	actions := strings.Fields(o.Host.read("proc/sys/kernel/seccomp/actions_avail"))
	if !slices.Contains(actions, "trap") {
		return fail(name, "the kernel has no seccomp filters, by which gVisor catches system calls", "use a kernel with CONFIG_SECCOMP_FILTER, as all distributions ship"), true
	}
	return ok(name, "filters can trap system calls"), true
}

func ptrace(_ context.Context, o Options) (Result, bool) {
	const name = "ptrace"
	switch scope := o.Host.read("proc/sys/kernel/yama/ptrace_scope"); {
	case scope == "3":
		return fail(name, "switched off until the next boot (kernel.yama.ptrace_scope = 3); gVisor sets up its processes with it",
			"grep -rl ptrace_scope /etc/sysctl.d /etc/sysctl.conf   # set it to 1 there, then reboot"), true
	case scope == "2" && o.Host.UID != 0:
		return fail(name, "only for root (kernel.yama.ptrace_scope = 2)", "sudo sysctl -w kernel.yama.ptrace_scope=1"), true
	case scope == "":
		return ok(name, "not restricted"), true
	default:
		return ok(name, "allowed (kernel.yama.ptrace_scope = %s)", scope), true
	}
}

// built is a date before this program was made: a clock that shows less is wrong.
var built = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func clock(_ context.Context, o Options) (Result, bool) {
	const name = "clock"
	now := o.Host.Now().UTC()
	if now.Before(built) || now.Year() > 2100 {
		return fail(name, "shows "+now.Format(time.RFC3339)+"; signatures of requests and certificates depend on it", "timedatectl set-ntp true"), true
	}
	return ok(name, "%s", now.Format(time.RFC3339)), true
}
