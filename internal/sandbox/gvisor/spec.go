package gvisor

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

const (
	containerID = "s"         // every sandbox has a state folder of its own, so the one container in it needs no telling name
	ctlMount    = "/.sunaba"  // where the guest finds itself and its socket
	guestName   = "guest"     // in ctlMount
	socketName  = "ctl.sock"  // in ctlMount
	bootName    = "boot.json" // in ctlMount
	openFiles   = 1 << 16     // RLIMIT_NOFILE inside; each file open inside is one or more of the sandbox's kernel outside
)

// nullNetNS is the mount that runsc leaves in its shared state folder: an empty network namespace that all file proxies join.
const nullNetNS = "null-netns"

// guestCapabilities are what PID 1 needs: to become the session's user and act on its files and processes, and to put addresses on the loopback
// device of the sandbox's own network and rules into its tables (which takes a raw socket). That network leads nowhere, so they reach nothing outside. User processes get none
// of them, but for a container whose user is root: to that the guest passes on what acts on files, users and processes (CAP_SETPCAP is how it keeps back the rest, and
// CAP_FSETID and CAP_SETFCAP are there for nothing else). With CAP_SYS_RESOURCE the guest is not bound by the limit on processes, which binds root too in gVisor.
var guestCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_SETUID", "CAP_SYS_RESOURCE",
}

// spec is the OCI configuration of a sandbox with root as its root file system. cgroup is the path of its group, "" for none.
func spec(c sandbox.Config, root, ctl, cgroup string) *specs.Spec {
	host := c.Guest.Hostname
	if host == "" {
		host = "sandbox"
	}
	shm := []string{"nosuid", "nodev", "noexec", "mode=1777"}
	if c.Limits.Memory > 0 {
		shm = append(shm, "size="+strconv.FormatInt(c.Limits.Memory/2, 10)) // Linux's own default: half of the memory
	}
	oomScore := 500 // when the host runs out of memory, a sandbox goes before the server
	s := &specs.Spec{
		Version:  specs.Version,
		Hostname: host,
		Root:     &specs.Root{Path: root},
		Process: &specs.Process{
			Args: []string{ctlMount + "/" + guestName, "-socket", ctlMount + "/" + socketName, "-boot", ctlMount + "/" + bootName},
			Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Cwd:  "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: guestCapabilities, Effective: guestCapabilities, Permitted: guestCapabilities,
			},
			NoNewPrivileges: true,
			OOMScoreAdj:     &oomScore,
			Rlimits: []specs.POSIXRlimit{
				{Type: "RLIMIT_NOFILE", Soft: openFiles, Hard: openFiles},
				{Type: "RLIMIT_CORE"},
			},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts"},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: shm},
			{Destination: ctlMount, Type: "bind", Source: ctl, Options: []string{"bind", "ro", "nosuid", "nodev"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroup,
			Namespaces:  []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace}},
		},
	}
	if hasTmp(root) {
		// Over an empty /tmp gVisor mounts a tmpfs, whose files would count as memory and not as disk, unless the configuration mounts something
		// there. A mount of a type that gVisor does not know counts as that and mounts nothing, so /tmp stays where it is: on the root's overlay.
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp", Type: "overlay", Source: "root"})
	}
	return s
}

// hasTmp reports whether the image has a /tmp that is a folder.
func hasTmp(root string) bool {
	st, err := os.Lstat(filepath.Join(root, "tmp"))
	return err == nil && st.Mode()&fs.ModeType == fs.ModeDir
}

func writeSpec(bundle string, s *specs.Spec) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), b, 0o600)
}
