package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// mount is one line of a mountinfo table.
type mount struct {
	at       string // mount point
	kind     string // of file system
	readOnly bool
	options  []string // of the file system
}

// mounts reads a mountinfo table; lines that make no sense are passed over.
func mounts(table string) []mount {
	var all []mount
	for line := range strings.Lines(table) {
		left, right, found := strings.Cut(line, " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !found || len(fields) < 6 || len(tail) < 1 {
			continue
		}
		m := mount{at: fields[4], kind: tail[0], readOnly: slices.Contains(strings.Split(fields[5], ","), "ro")}
		if len(tail) > 2 {
			m.options = strings.Split(tail[2], ",")
			m.readOnly = m.readOnly || slices.Contains(m.options, "ro")
		}
		all = append(all, m)
	}
	return all
}

// controllers are those that limit a sandbox.
var controllers = []string{"memory", "cpu", "pids"}

func controlGroups(_ context.Context, o Options) (Result, bool) {
	const name = "control groups"
	const mountFix = "mount -t cgroup2 cgroup2 /sys/fs/cgroup   # inside a container: start it with --privileged and --cgroupns=host"
	var unified, legacy []mount
	for _, m := range mounts(o.Host.read("proc/self/mountinfo")) {
		switch m.kind {
		case "cgroup2":
			unified = append(unified, m)
		case "cgroup":
			legacy = append(legacy, m)
		}
	}
	usable := map[string]bool{}
	readOnly := false
	for _, m := range legacy {
		readOnly = readOnly || m.readOnly
		for _, option := range m.options {
			usable[option] = usable[option] || !m.readOnly
		}
	}
	version := "v1"
	if len(legacy) == 0 {
		version = "v2"
		for _, m := range unified {
			readOnly = readOnly || m.readOnly
			for _, c := range strings.Fields(o.Host.read(strings.TrimPrefix(m.at, "/") + "/cgroup.controllers")) {
				usable[c] = usable[c] || !m.readOnly
			}
		}
	} else if len(unified) > 0 {
		version = "v1 and v2 (hybrid)"
	}
	if len(legacy)+len(unified) == 0 {
		return fail(name, "not mounted; without them nothing bounds a sandbox", mountFix), true
	}
	var have, missing []string
	for _, c := range controllers {
		if usable[c] {
			have = append(have, c)
		} else {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return ok(name, "%s, with %s", version, strings.Join(have, ", ")), true
	}
	detail, lacking := fmt.Sprintf("%s, without %s", version, strings.Join(missing, ", ")), strings.Join(missing, " ")
	fix := "inside a container: start it with --privileged and --cgroupns=host; elsewhere use a kernel that has them: cat /sys/fs/cgroup/cgroup.controllers"
	switch {
	case readOnly:
		detail += " (mounted read-only)"
		fix = "inside a container: start it with --privileged and --cgroupns=host"
	case version == "v2" && slices.Equal(missing, []string{"memory"}):
		fix = "add cgroup_enable=memory to the kernel's command line, then reboot"
	case version != "v2":
		fix = fmt.Sprintf("for c in %s; do mkdir -p /sys/fs/cgroup/$c && mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done", lacking)
	}
	return fail(name, detail, fix), true
}

// Bytes of memory and disk that a first session needs, and that make it comfortable.
const (
	memoryFail = 1 << 30
	memoryWarn = 2 << 30
	cacheFail  = 3 << 30 // the default image is 1.1 GiB, and as much again passes through while it is built
	dataFail   = 1 << 30
	dataWarn   = 10 << 30 // what one session may write
	filesFail  = 100_000  // the default image has 32,000 files
)

func memory(_ context.Context, o Options) (Result, bool) {
	const name = "memory"
	values := map[string]int64{}
	for line := range strings.Lines(o.Host.read("proc/meminfo")) {
		key, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				values[key] = kib << 10
			}
		}
	}
	free, known := values["MemAvailable"]
	detail := fmt.Sprintf("%s of %s available", humanize.IBytes(uint64(free)), humanize.IBytes(uint64(values["MemTotal"])))
	const fix = "ps -eo rss,pid,comm --sort=-rss | head   # end what is not needed, or use a larger machine"
	switch {
	case !known:
		return warn(name, "/proc/meminfo does not tell", "free -m"), true
	case free < memoryFail:
		return fail(name, detail+"; a session with pandas needs about 150 MiB, one at its limit up to 8 GiB", fix), true
	case free < memoryWarn:
		return warn(name, detail, fix), true
	}
	return ok(name, "%s", detail), true
}

func cacheSpace(ctx context.Context, o Options) (Result, bool) {
	need := int64(cacheFail)
	if o.Image != nil {
		if _, err := o.Image(ctx); err == nil {
			need = 0 // nothing is to be built
		}
	}
	return disk(o.Host, "cache folder", o.CacheDir, need, need, "--cache-dir")
}

func dataSpace(_ context.Context, o Options) (Result, bool) {
	return disk(o.Host, "data folder", o.DataDir, dataFail, dataWarn, "--data-dir")
}

func disk(h *Host, name, dir string, least, comfortable int64, flag string) (Result, bool) {
	if dir == "" {
		return Result{}, false
	}
	s, err := h.Space(dir)
	fix := "df -h " + dir + "   # make room, or choose another folder with " + flag
	if err != nil {
		return fail(name, err.Error(), "choose another folder with "+flag), true
	}
	detail := fmt.Sprintf("%s: %s free", dir, humanize.IBytes(uint64(s.Bytes)))
	switch {
	case s.Bytes < least:
		return fail(name, detail+", at least "+humanize.IBytes(uint64(least))+" needed", fix), true
	case s.Files > 0 && s.Files < filesFail && least > 0:
		return fail(name, fmt.Sprintf("%s: room for %d more files only", dir, s.Files), strings.Replace(fix, "df -h", "df -i", 1)), true
	case s.Bytes < comfortable:
		return warn(name, detail+"; one session may write "+humanize.IBytes(uint64(comfortable)), fix), true
	}
	return ok(name, "%s", detail), true
}

// bootstrap looks for what builds the default image.
func bootstrap(ctx context.Context, o Options) (Result, bool) {
	const name, program = "mmdebstrap", "mmdebstrap"
	if o.Host.LookPath(program) == nil {
		return ok(name, "installed"), true
	}
	if o.Image != nil {
		if _, err := o.Image(ctx); err == nil {
			return ok(name, "not installed, and not needed: the image is built"), true
		}
	}
	if o.Host.LookPath("apt-get") == nil {
		return warn(name, "not installed; building the image installs it", "apt-get install mmdebstrap"), true
	}
	return fail(name, "not installed, and there is no apt to install it with", "install mmdebstrap, or bring an image of your own: sunaba image import REFERENCE"), true
}

func defaultImage(ctx context.Context, o Options) (Result, bool) {
	const name = "image"
	if o.Image == nil {
		return Result{}, false
	}
	detail, err := o.Image(ctx)
	if err != nil {
		return fail(name, err.Error(), "sunaba image build"), true
	}
	return ok(name, "%s", detail), true
}

func listener(ctx context.Context, o Options) (Result, bool) {
	const name = "listen address"
	if o.Listen == "" {
		return Result{}, false
	}
	err := o.Host.Listen(ctx, o.Listen)
	_, port, _ := net.SplitHostPort(o.Listen)
	switch {
	case err == nil:
		return ok(name, "%s is free", o.Listen), true
	case errors.Is(err, unix.EADDRINUSE):
		return fail(name, o.Listen+" is taken", "ss -ltnp 'sport = :"+port+"'   # end that program, or: sunaba up --listen 127.0.0.1:0"), true
	case errors.Is(err, fs.ErrPermission):
		return fail(name, o.Listen+": "+err.Error(), "run as root, or choose a port above 1023: sunaba up --listen 127.0.0.1:4566"), true
	}
	return fail(name, o.Listen+": "+err.Error(), "choose another address: sunaba up --listen 127.0.0.1:4566"), true
}
