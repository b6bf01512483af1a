package doctor

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rootMount = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
	v2Mount   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mounts  = "31 23 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"32 23 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n" +
		"33 23 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
)

// healthyFiles is what a plain Debian 12 shows.
func healthyFiles() map[string]string {
	return map[string]string{
		"etc/os-release":                        "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"proc/sys/kernel/osrelease":             "6.1.0-18-amd64\n",
		"proc/sys/user/max_user_namespaces":     "96364\n",
		"proc/sys/kernel/seccomp/actions_avail": "kill_process kill_thread trap errno user_notif trace log allow\n",
		"proc/sys/kernel/yama/ptrace_scope":     "1\n",
		"proc/self/mountinfo":                   rootMount + v2Mount,
		"sys/fs/cgroup/cgroup.controllers":      "cpuset cpu io memory hugetlb pids rdma misc\n",
		"proc/meminfo":                          "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n",
	}
}

func fakeHost(files map[string]string) *Host {
	root := fstest.MapFS{}
	for name, content := range files {
		root[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return &Host{
		Files: root, OS: "linux", Arch: "amd64", UID: 0,
		Now:          func() time.Time { return time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC) },
		LookPath:     func(string) error { return nil },
		Space:        func(string) (Space, error) { return Space{Bytes: 100 << 30, Files: 1 << 20}, nil },
		Listen:       func(context.Context, string) error { return nil },
		NewNamespace: func(context.Context) error { return nil },
	}
}

func healthyOptions() Options {
	return Options{
		CacheDir: "/cache", DataDir: "/data", Listen: "127.0.0.1:4566", Host: fakeHost(healthyFiles()),
		Image:    func(context.Context) (string, error) { return "default, 1.1 GiB", nil },
		TryStart: func(context.Context) error { return nil },
	}
}

func TestHealthyHost(t *testing.T) {
	results := Check(t.Context(), healthyOptions())
	if !Healthy(results) {
		t.Errorf("not healthy: %+v", results)
	}
	for _, r := range results {
		if r.Status != OK || r.Name == "" || r.Detail == "" || r.Fix != "" {
			t.Errorf("unexpected result %+v", r)
		}
	}
}

// Every way in which a host can be unfit, what is said about it, and the command that mends it.
func TestFindings(t *testing.T) {
	file := func(name, content string) func(*Options) {
		return func(o *Options) {
			files := maps.Clone(healthyFiles())
			files[name] = content
			old := o.Host
			o.Host = fakeHost(files)
			o.Host.UID = old.UID
		}
	}
	host := func(change func(*Host)) func(*Options) { return func(o *Options) { change(o.Host) } }
	noImage := func(o *Options) {
		o.Image = func(context.Context) (string, error) { return "", errors.New("no such image") }
	}
	tests := []struct {
		name   string
		change []func(*Options)
		check  string
		status Status
		detail string
		fix    string
	}{
		{"another system", []func(*Options){host(func(h *Host) { h.OS = "darwin" })}, "platform", Fail, "darwin/amd64", "Linux"},
		{"another processor", []func(*Options){host(func(h *Host) { h.Arch = "riscv64" })}, "platform", Fail, "riscv64", "processors"},
		{"old kernel", []func(*Options){file("proc/sys/kernel/osrelease", "4.19.0-5-amd64")}, "kernel", Fail, "older than 5.4", "dist-upgrade"},
		{"old 5 kernel", []func(*Options){file("proc/sys/kernel/osrelease", "5.3.18")}, "kernel", Fail, "5.3.18", "dist-upgrade"},
		{"release candidate", []func(*Options){file("proc/sys/kernel/osrelease", "7.0-rc1+")}, "kernel", OK, "7.0-rc1+", ""},
		{"odd kernel", []func(*Options){file("proc/sys/kernel/osrelease", "custom")}, "kernel", Warn, `"custom"`, "uname -r"},
		{"no proc", []func(*Options){file("proc/sys/kernel/osrelease", "")}, "kernel", Fail, "cannot be read", "mount -t proc"},
		{"not root", []func(*Options){host(func(h *Host) { h.UID = 1000 })}, "privileges", Fail, "user 1000", "sudo"},
		{"chroot", []func(*Options){file("proc/self/mountinfo", v2Mount)}, "root folder", Fail, "chroot", "pivot_root"},
		{"no mountinfo", []func(*Options){file("proc/self/mountinfo", "")}, "root folder", Fail, "mountinfo", "mount -t proc"},
		{"user namespaces off", []func(*Options){file("proc/sys/user/max_user_namespaces", "0")}, "user namespaces", Fail, "off", "sysctl -w user.max_user_namespaces"},
		{"user namespaces refused", []func(*Options){host(func(h *Host) { h.NewNamespace = func(context.Context) error { return unix.EPERM } })},
			"user namespaces", Fail, "not permitted", "--privileged"},
		{"AppArmor, root", []func(*Options){file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")}, "AppArmor", OK, "root", ""},
		{"AppArmor, user", []func(*Options){host(func(h *Host) { h.UID = 1000 }), file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")},
			"AppArmor", Warn, "unprivileged", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"no seccomp", []func(*Options){file("proc/sys/kernel/seccomp/actions_avail", "kill")}, "seccomp", Fail, "seccomp", "CONFIG_SECCOMP_FILTER"},
		{"ptrace off", []func(*Options){file("proc/sys/kernel/yama/ptrace_scope", "3")}, "ptrace", Fail, "next boot", "sysctl.d"},
		{"ptrace for root", []func(*Options){file("proc/sys/kernel/yama/ptrace_scope", "2")}, "ptrace", OK, "= 2", ""},
		{"hybrid", []func(*Options){file("proc/self/mountinfo", rootMount+v1Mounts+v2Mount)}, "control groups", OK, "hybrid", ""},
		{"v1", []func(*Options){file("proc/self/mountinfo", rootMount+v1Mounts)}, "control groups", OK, "v1, with memory, cpu, pids", ""},
		{"v1 without pids", []func(*Options){file("proc/self/mountinfo", rootMount+v1Mounts[:strings.LastIndex(v1Mounts, "33 ")])},
			"control groups", Fail, "without pids", "mount -t cgroup"},
		{"v2 without memory", []func(*Options){file("sys/fs/cgroup/cgroup.controllers", "cpu pids")}, "control groups", Fail, "without memory", "cgroup_enable=memory"},
		{"v2 read-only", []func(*Options){file("proc/self/mountinfo", rootMount+strings.Replace(v2Mount, "rw,nosuid", "ro,nosuid", 1))},
			"control groups", Fail, "read-only", "--privileged"},
		{"no control groups", []func(*Options){file("proc/self/mountinfo", rootMount)}, "control groups", Fail, "not mounted", "mount -t cgroup2"},
		{"little memory", []func(*Options){file("proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1500000 kB")}, "memory", Warn, "1.4 GiB", "ps "},
		{"hardly any memory", []func(*Options){file("proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 100000 kB")}, "memory", Fail, "98 MiB", "ps "},
		{"unknown memory", []func(*Options){file("proc/meminfo", "MemAvailable: lots")}, "memory", Warn, "meminfo", "free"},
		{"small cache", []func(*Options){noImage, host(func(h *Host) { h.Space = spaceOf(Space{Bytes: 1 << 30}) })}, "cache folder", Fail, "3.0 GiB needed", "--cache-dir"},
		{"small cache, image built", []func(*Options){host(func(h *Host) { h.Space = spaceOf(Space{Bytes: 1 << 20}) })}, "cache folder", OK, "1.0 MiB", ""},
		{"few inodes", []func(*Options){noImage, host(func(h *Host) { h.Space = spaceOf(Space{Bytes: 1 << 40, Files: 9}) })}, "cache folder", Fail, "9 more files", "df -i"},
		{"small disk", []func(*Options){host(func(h *Host) { h.Space = spaceOf(Space{Bytes: 5 << 30}) })}, "data folder", Warn, "5.0 GiB free", "--data-dir"},
		{"full disk", []func(*Options){host(func(h *Host) { h.Space = spaceOf(Space{Bytes: 5 << 20}) })}, "data folder", Fail, "5.0 MiB", "df -h /data"},
		{"no disk", []func(*Options){host(func(h *Host) { h.Space = func(string) (Space, error) { return Space{}, fs.ErrPermission } })}, "data folder", Fail, "permission", "--data-dir"},
		{"clock in the past", []func(*Options){host(func(h *Host) { h.Now = func() time.Time { return time.Unix(0, 0) } })}, "clock", Fail, "1970-01-01", "timedatectl"},
		{"no mmdebstrap, image built", []func(*Options){host(func(h *Host) { h.LookPath = without("mmdebstrap") })}, "mmdebstrap", OK, "not needed", ""},
		{"no mmdebstrap", []func(*Options){noImage, host(func(h *Host) { h.LookPath = without("mmdebstrap") })}, "mmdebstrap", Warn, "not installed", "apt-get install mmdebstrap"},
		{"no apt", []func(*Options){noImage, host(func(h *Host) { h.LookPath = without("mmdebstrap", "apt-get") })}, "mmdebstrap", Fail, "no apt", "image import"},
		{"no image", []func(*Options){noImage}, "image", Fail, "no such image", "sunaba image build"},
		{"port taken", []func(*Options){host(func(h *Host) { h.Listen = refuse(unix.EADDRINUSE) })}, "listen address", Fail, "taken", "sport = :4566"},
		{"port refused", []func(*Options){host(func(h *Host) { h.Listen = refuse(unix.EACCES) })}, "listen address", Fail, "permission", "1023"},
		{"address of another host", []func(*Options){host(func(h *Host) { h.Listen = refuse(unix.EADDRNOTAVAIL) })}, "listen address", Fail, "cannot assign", "another address"},
		{"start fails", []func(*Options){func(o *Options) { o.TryStart = func(context.Context) error { return errors.New("boot: EOF") } }}, "sandbox", Fail, "boot: EOF", "--log-level debug"},
		{"start not tried", []func(*Options){noImage}, "sandbox", Warn, "not tried", "sunaba doctor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := healthyOptions()
			for _, change := range test.change {
				change(&o)
			}
			results := Check(t.Context(), o)
			for _, r := range results {
				if r.Status != OK && r.Fix == "" {
					t.Errorf("%s: no way to mend it: %+v", r.Name, r)
				}
				if r.Name != test.check {
					continue
				}
				if r.Status != test.status || !strings.Contains(r.Detail, test.detail) || !strings.Contains(r.Fix, test.fix) || (test.fix == "") != (r.Fix == "") {
					t.Errorf("got %+v, want %s, %q, %q", r, test.status, test.detail, test.fix)
				}
				if Healthy(results) && test.status == Fail {
					t.Error("the host counts as healthy")
				}
				return
			}
			t.Errorf("no result %q in %+v", test.check, results)
		})
	}
}

func spaceOf(s Space) func(string) (Space, error) {
	return func(string) (Space, error) { return s, nil }
}

func without(missing ...string) func(string) error {
	return func(program string) error {
		for _, m := range missing {
			if m == program {
				return errors.New("not found")
			}
		}
		return nil
	}
}

func refuse(err error) func(context.Context, string) error {
	return func(context.Context, string) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", err)}
	}
}

func TestNothingToCheckIsLeftOut(t *testing.T) {
	for _, r := range Check(t.Context(), Options{Host: fakeHost(healthyFiles())}) {
		switch r.Name {
		case "image", "sandbox", "listen address", "cache folder", "data folder", "AppArmor":
			t.Errorf("checked without being asked: %+v", r)
		}
	}
}

func TestAStartThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := healthyOptions()
		o.TryStart = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		results := Check(t.Context(), o)
		if last := results[len(results)-1]; last.Name != "sandbox" || last.Status != Fail {
			t.Errorf("got %+v", last)
		}
	})
}

func TestACancelledCheckEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Check(ctx, healthyOptions()); len(got) != 0 {
		t.Errorf("went on: %+v", got)
	}
}

func TestThisHost(t *testing.T) {
	h := ThisHost()
	dir := t.TempDir()
	a, err := h.Space(dir)
	if err != nil || a.Bytes == 0 {
		t.Errorf("space: %+v, %v", a, err)
	}
	if _, err := h.Space(filepath.Join(dir, "not", "made", "yet")); err != nil {
		t.Errorf("space of a folder to be made: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := h.Listen(t.Context(), l.Addr().String()); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a taken port: %v", err)
	}
	if err := h.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Errorf("a free port: %v", err)
	}
	if h.read("proc/sys/kernel/osrelease") == "" {
		t.Error("the files of this host are not read")
	}
	if os.Geteuid() == 0 {
		if err := h.NewNamespace(t.Context()); err != nil {
			t.Errorf("a new user namespace as root: %v", err)
		}
	}
}

func FuzzTables(f *testing.F) {
	for name, content := range healthyFiles() {
		f.Add(name, content)
	}
	f.Add("proc/self/mountinfo", rootMount+v1Mounts+v2Mount)
	f.Fuzz(func(t *testing.T, name, content string) {
		if !fs.ValidPath(name) || name == "." {
			return
		}
		files := healthyFiles()
		for other := range files {
			if strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
				return
			}
		}
		files[name] = content
		o := healthyOptions()
		o.Host = fakeHost(files)
		for _, r := range Check(t.Context(), o) {
			if r.Status != OK && r.Fix == "" {
				t.Errorf("no way to mend %+v", r)
			}
		}
	})
}
