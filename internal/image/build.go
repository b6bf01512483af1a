package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Build makes the default interpreter image and names it [DefaultName]. It returns at once if the image of this recipe is there. Another process that builds
// it at the same time is waited for. It needs root ([ErrNeedsRoot]) and mmdebstrap, which it installs on Debian and Ubuntu ([ErrMissingTool] elsewhere).
func (s *Store) Build(ctx context.Context, progress func(Step)) (Image, error) {
	r := defaultRecipe()
	id := r.id()
	if !s.has(id) {
		if err := s.build(ctx, r, newReporter(progress, 5)); err != nil {
			return Image{}, fmt.Errorf("building the default image: %w", err)
		}
	}
	names, err := s.readNames()
	if err == nil && names[DefaultName] != id {
		err = s.editNames(ctx, func(names map[string]string) { names[DefaultName] = id })
	}
	if err != nil {
		return Image{}, err
	}
	return s.Resolve(id)
}

func (s *Store) build(ctx context.Context, r recipe, report *reporter) error {
	report.next("Preparing")
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: the files of an image belong to many users; run: sudo sunaba image build", ErrNeedsRoot)
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.clean(); err != nil {
		return err
	}
	st, err := s.stage(ctx, r.id(), func() { report.detail("waiting for another build") })
	if st == nil || err != nil {
		return err
	}
	defer st.abandon()
	if err := ensureBootstrap(ctx, r.Suite, report.detail); err != nil {
		return err
	}
	report.next("Debian packages")
	if err := s.installDebian(ctx, r, st.root, report.detail); err != nil {
		return err
	}
	report.next("Python packages")
	if err := installPython(ctx, r, st.root, report.detail); err != nil {
		return err
	}
	report.next("Setting up")
	if err := setUp(ctx, r, st.root, report.detail); err != nil {
		return err
	}
	report.next("Saving")
	img := r.image()
	img.Created = time.Now().UTC().Truncate(time.Second)
	return st.commit(img)
}

// bootstrapper makes Debian root file systems.
const bootstrapper = "mmdebstrap"

// debianKeyring is what the signatures of Debian are checked with. Debian has it from the start, Ubuntu has not.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// ensureBootstrap installs what makes Debian root file systems, on hosts that have apt.
func ensureBootstrap(ctx context.Context, suite string, detail func(string)) error {
	var missing []string
	if _, err := exec.LookPath(bootstrapper); err != nil {
		missing = append(missing, bootstrapper)
	}
	if _, err := os.Stat(debianKeyring); err != nil {
		missing = append(missing, "debian-archive-keyring")
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: %s, which makes a Debian %s root file system; install it, or bring an image of your own with: sunaba image import REFERENCE",
			ErrMissingTool, list, suite)
	}
	detail("installing " + list + " on this host with apt-get")
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return logged(ctx, cmd, func() error { return nil }, func(string) {})
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
	if err := run("update", "-qq"); err != nil {
		return fmt.Errorf("apt-get update: %w", err)
	}
	if err := run(install...); err != nil {
		return fmt.Errorf("%w: %s; installing it failed, try: apt-get install %s: %w", ErrMissingTool, list, list, err)
	}
	return nil
}

// installDebian unpacks Debian and the packages of the recipe into root.
func (s *Store) installDebian(ctx context.Context, r recipe, root string, detail func(string)) error {
	args := []string{
		"--mode=root", "--variant=minbase", "--format=directory", "--skip=check/empty",
		"--architectures=" + r.Architecture, "--include=" + strings.Join(r.Packages, ","),
		`--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Languages "none"`, `--aptopt=Acquire::Retries "3"`,
		"--dpkgopt=force-unsafe-io", // no fsync per file: the finished image is written out as a whole
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/info/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/lintian/*",
	}
	if dump, err := exec.CommandContext(ctx, "apt-config", "dump").Output(); err == nil {
		for _, option := range aptOptions(string(dump)) {
			args = append(args, "--aptopt="+option)
		}
	}
	args = append(args, r.Suite, root)
	if s.Mirror != "" {
		args = append(args, s.Mirror)
	}
	cmd := exec.CommandContext(ctx, bootstrapper, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMPDIR="+filepath.Dir(root)) // so that what a killed one leaves is cleaned up, too
	err := logged(ctx, cmd, func() error { return nil }, func(line string) {
		if text, ok := strings.CutPrefix(line, "I: "); ok {
			detail(text)
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", bootstrapper, err)
	}
	return nil
}

// installPython installs the recipe's Python packages from wheels: nothing is compiled, and no code of theirs runs.
func installPython(ctx context.Context, r recipe, root string, detail func(string)) error {
	home, _ := os.UserHomeDir() // without one there are no settings in it
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	host, err := pipSettings(os.LookupEnv, home, exists, os.ReadFile)
	if err != nil {
		return err
	}
	wheels, err := filepath.Glob(filepath.Join(root, "usr/share/python-wheels/pip-*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("the root file system has no pip to start with: %d wheels in /usr/share/python-wheels", len(wheels))
	}
	pip := "/usr/share/python-wheels/" + filepath.Base(wheels[0]) + "/pip" // a wheel is a zip file, and Python runs those
	const list = hostDir + "/requirements.txt"
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", pip, "install", "--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--no-cache-dir",
		"--break-system-packages", "--root-user-action=ignore", "--no-warn-script-location", "--disable-pip-version-check", "--progress-bar=off", "-r", list)
	chrootInto(cmd, root)
	cmd.Env = host.environ()
	var leftovers []string
	err = logged(ctx, cmd, func() error {
		if err := mountSystem(root); err != nil {
			return err
		}
		if leftovers, err = host.mount(root); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, list), []byte(r.Requirements), 0o644)
	}, func(line string) {
		if text, _, ok := strings.Cut(line, " (from -r"); ok || strings.HasPrefix(line, "Installing") {
			detail(clip(text, 100))
		}
	})
	for _, path := range leftovers {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return fmt.Errorf("pip: %w", err)
	}
	return nil
}

// setUp runs the recipe's script in root, without network.
func setUp(ctx context.Context, r recipe, root string, detail func(string)) error {
	cmd := exec.CommandContext(ctx, "/bin/bash", "-s")
	chrootInto(cmd, root)
	cmd.SysProcAttr.Cloneflags |= cloneNewNet
	cmd.Env = []string{"HOME=/root"}
	cmd.Stdin = strings.NewReader(r.Setup)
	err := logged(ctx, cmd, func() error { return mountSystem(root) }, func(line string) {
		if text, ok := strings.CutPrefix(line, "== "); ok {
			detail(text)
		}
	})
	if err != nil {
		return fmt.Errorf("the set-up script: %w", err)
	}
	return finish(root)
}

// logged runs an isolated command, hands out the lines it prints, and adds the last of them to its error.
func logged(ctx context.Context, cmd *exec.Cmd, prepare func() error, line func(string)) error {
	const keep = 15
	var tail []string
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(reader)
		lines.Split(scanLines)
		for lines.Scan() {
			text := strings.TrimRight(lines.Text(), " \t\r\n")
			if text == "" {
				continue
			}
			if tail = append(tail, text); len(tail) > keep {
				tail = slices.Delete(tail, 0, len(tail)-keep)
			}
			line(text)
		}
		_, _ = io.Copy(io.Discard, reader) // should a line ever be refused: the command must not block
	}()
	err := isolate(ctx, cmd, prepare)
	_ = writer.Close()
	<-read
	if err != nil && ctx.Err() == nil && len(tail) > 0 {
		return fmt.Errorf("%w; its last words:\n  %s", err, strings.Join(tail, "\n  "))
	}
	return err
}

// scanLines splits at line ends, and long lines into pieces.
func scanLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	const longest = 4096
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 && i <= longest {
		return i + 1, data[:i], nil
	}
	if len(data) > longest {
		return longest, data[:longest], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
