package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs f where a command's preparation runs.
func inNamespace(t *testing.T, f func() error) error {
	t.Helper()
	return isolate(t.Context(), exec.CommandContext(t.Context(), "true"), f)
}

func TestRecipe(t *testing.T) {
	r := defaultRecipe()
	if !idRule.MatchString(r.id()) || r.id() != defaultRecipe().id() {
		t.Errorf("id %q", r.id())
	}
	seen := map[string]bool{r.id(): true}
	for i, change := range []func(*recipe){
		func(r *recipe) { r.Format++ }, func(r *recipe) { r.Architecture = "m68k" }, func(r *recipe) { r.Suite = "trixie" }, func(r *recipe) { r.Packages = r.Packages[1:] },
		func(r *recipe) { r.Requirements += "\n" }, func(r *recipe) { r.Setup += "\n" }, func(r *recipe) { r.Env["X"] = "" },
	} {
		changed := defaultRecipe()
		change(&changed)
		if seen[changed.id()] {
			t.Errorf("change %d leaves the id as it is", i)
		}
		seen[changed.id()] = true
	}
	packages := slices.Clone(r.Packages)
	slices.Sort(packages)
	if len(packages) < 20 || len(slices.Compact(packages)) != len(r.Packages) || strings.ContainsAny(strings.Join(r.Packages, ""), " #,") {
		t.Errorf("packages %q", r.Packages)
	}
}

// Whatever is downloaded from an index is named with its version and digest.
func TestRequirementsArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9-]+==[0-9a-z.]+( --hash=sha256:[0-9a-f]{64}){1,2}$`)
	count := 0
	for line := range strings.Lines(strings.ReplaceAll(defaultRequirements, " \\\n   ", "")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		count++
		if !pinned.MatchString(line) {
			t.Errorf("not pinned: %q", line)
		}
	}
	if count < 30 {
		t.Errorf("only %d requirements found", count)
	}
}

func TestLogged(t *testing.T) {
	nothing := func() error { return nil }
	run := func(script string) (lines []string, err error) {
		err = logged(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", script), nothing, func(line string) { lines = append(lines, line) })
		return lines, err
	}
	lines, err := run(`printf 'one\r\ntwo\rthree  \n\nfour'; echo five >&2`)
	if err != nil || !slices.Equal(lines, []string{"one", "two", "three", "fourfive"}) {
		t.Errorf("%q, %v", lines, err)
	}
	lines, err = run(`head -c 1000000 /dev/zero | tr '\0' x`)
	if err != nil || len(strings.Join(lines, "")) != 1_000_000 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	_, err = run("for i in $(seq 100); do echo line $i; done; exit 3")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "line 100") || strings.Contains(err.Error(), "line 80\n") {
		t.Errorf("got %v", err)
	}
	failure := errors.New("no mount")
	if err := logged(t.Context(), exec.CommandContext(t.Context(), "true"), func() error { return failure }, func(string) {}); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// Cancelling a step ends everything that it started.
func TestCancelledStep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pidFile := filepath.Join(t.TempDir(), "pid")
	// The grandchild keeps the output open: the step only ends if it is killed, too.
	script := fmt.Sprintf("setsid sh -c 'echo started; exec sleep 1000' & echo ok >%s; wait", pidFile)
	err := logged(ctx, exec.CommandContext(ctx, "sh", "-c", script), func() error { return nil }, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A namespace that a step enters is never the process's own.
func TestNamespacesStayApart(t *testing.T) {
	own := func() string {
		ns, err := os.Readlink("/proc/self/ns/mnt")
		if err != nil {
			t.Error(err)
		}
		return ns
	}
	before := own()
	for range 20 {
		var inside string
		err := inNamespace(t, func() (err error) {
			inside, err = os.Readlink("/proc/thread-self/ns/mnt")
			return err
		})
		if err != nil || inside == before {
			t.Fatalf("not in a namespace: %v", err)
		}
		if got := own(); got != before {
			t.Fatalf("the process is in %s, was in %s", got, before)
		}
	}
}

// TestDefaultImage builds the default image in this user's cache, or finds it there, and uses it as a sandbox does: as the unprivileged user, with the image's environment.
func TestDefaultImage(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	s := New(filepath.Join(cache, "sunaba"))
	img, err := s.Build(t.Context(), func(step Step) { t.Logf("%d/%d %s: %s", step.Index, step.Count, step.Title, step.Detail) })
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.Use(img.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if !slices.Contains(img.Names, DefaultName) || img.Size < 500<<20 || img.Size > 3<<30 {
		t.Errorf("got %+v", img)
	}
	for folder, want := range map[string][]string{"tmp": {".sunaba"}, img.WorkingDir: nil, "opt/sunaba/matplotlib": {"fontlist"}} {
		got := entries(t, filepath.Join(img.Root, folder))
		if len(got) != len(want) || len(got) == 1 && !strings.HasPrefix(got[0], want[0]) {
			t.Errorf("/%s has %q, want %q", folder, got, want)
		}
	}
	const script = `
set -e
trap 'echo "failed: $(echo "$BASH_COMMAND" | head -1)"' ERR
cd "$HOME"
[ ! -s /etc/resolv.conf ] && [ -f /etc/resolv.conf ] && [ ! -e /etc/pip.conf ]
[ "$(id -u):$(id -g):$(id -un):$HOME" = 992:992:genesis1ptools:/opt/amazon/genesis1p-tools/var ]
for p in python python3 pip node npm npx deno aws git curl wget jq zip unzip xz timeout base64 find od nohup file less ps ip openssl make sqlite3; do
  command -v $p >/dev/null || { echo "no $p"; exit 1; }
done
[ -z "$(find / -xdev -type f -perm /6000 2>/dev/null)" ]
[ "$(cat /etc/ssl/certs/ca-certificates.crt | sha256sum)" = "$(cat /usr/share/ca-certificates/mozilla/*.crt | sha256sum)" ] || { echo "a certificate of the host"; exit 1; }
aws --version; node --version; npm --version; deno --version | head -1; pip --version; pip check
node -e 'console.log([1,2,3].map(x => x*x).join())' | grep -qx 1,4,9
python - <<'E'
import sys, warnings
warnings.simplefilter("error")
sys.dont_write_bytecode = True
import numpy, pandas, scipy.stats, scipy.optimize, requests, PIL.Image, openpyxl, boto3, seaborn, sklearn.linear_model, sympy, networkx, lxml.etree, bs4, yaml, tabulate, xlsxwriter
import numpy.testing, pandas.testing
import matplotlib, matplotlib.pyplot as plt, matplotlib.font_manager as fm
assert matplotlib.get_cachedir() == "/opt/sunaba/matplotlib", matplotlib.get_cachedir()
import pathlib, importlib.util
for m in "pandas", "numpy", "botocore.session", "http.client":
    assert pathlib.Path(importlib.util.find_spec(m).cached).exists(), m + " is not compiled"
plt.plot([1, 2]); plt.savefig("chart.png")
frame = pandas.DataFrame({"a": [1, 2, 3]}); frame.to_excel("x.xlsx"); assert pandas.read_excel("x.xlsx")["a"].sum() == 6
print(pandas.__version__, numpy.__version__)
E
rm chart.png x.xlsx
[ -z "$(ls -A)" ] || { echo "left at home: $(ls -A)"; exit 1; }
`
	cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", script)
	root := t.TempDir() // the image, read-only but for the places that a sandbox writes to
	chrootInto(cmd, root)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 992, Gid: 992}
	cmd.Env = []string{"HOME=" + img.WorkingDir}
	for name, value := range img.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	prepare := func() error {
		err := unix.Mount(img.Root, root, "", unix.MS_BIND, "")
		if err == nil {
			err = unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		for _, folder := range []string{"tmp", img.WorkingDir} {
			if err == nil {
				err = unix.Mount("tmpfs", filepath.Join(root, folder), "tmpfs", 0, "mode=1777")
			}
		}
		if err == nil { // matplotlib wants to be able to write to its folder, and has nothing to write
			const fonts = "opt/sunaba/matplotlib"
			err = unix.Mount(filepath.Join(img.Root, fonts), filepath.Join(root, fonts), "", unix.MS_BIND, "")
		}
		return errors.Join(err, mountSystem(root))
	}
	err = logged(t.Context(), cmd, prepare, func(line string) { t.Log(line) })
	if err != nil {
		t.Error(err)
	}
	again, err := s.Build(t.Context(), func(step Step) { t.Errorf("built again: %+v", step) })
	if err != nil || again.ID != img.ID {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}
