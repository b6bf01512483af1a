package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
)

func TestCommands(t *testing.T) {
	g := start(t)
	for _, row := range []struct {
		name, line, stdout, stderr string
		exit                       int
	}{
		{"true", "true", "", "", 0},
		{"an exit code", "exit 3", "", "", 3},
		{"a missing program", "nosuchprogram", "", "/nosuchprogram: command not found\n$/", 127},
		{"a signal", "kill -TERM $$", "", "", 143},
		{"a syntax error", "if", "", "/syntax error/", 2},
		{"an empty line", "", "", "", 0},
		{"streams apart", "echo out; echo err >&2", "out\n", "err\n", 0},
		{"output of a failure", "echo out; exit 9", "out\n", "", 9},
		{"LF stays LF and CRLF stays CRLF", `printf 'a\nb\r\n'`, "a\nb\r\n", "", 0},
		{"binary output", `printf '\000\377\001'`, "\x00\xff\x01", "", 0},
		{"no standard input", "cat; read x || echo none", "none\n", "", 0},
		{"several lines", "x=1\nfor i in 1 2; do\n  echo $x$i\ndone", "11\n12\n", "", 0},
		{"a here document", "cat <<X\nhi $USER\nX", "hi sandboxed\n", "", 0},
		{"the environment", "echo $HOME $PWD $USER $LOGNAME $GREETING", g.dir + " " + g.dir + " sandboxed sandboxed hello\n", "", 0},
		{"the working folder", "pwd; cd /; export A=b", g.dir + "\n", "", 0},
		{"nothing of the last command is left", "pwd; echo [$A]", g.dir + "\n[]\n", "", 0},
		{"a line of 300 KB", "echo " + strings.Repeat("x", 300_000) + " | wc -c", "300001\n", "", 0},
		{"a long line's exit code", ": " + strings.Repeat("x", 300_000) + "; exit 5", "", "", 5},
		{"unicode", "echo 砂場 🏖", "砂場 🏖\n", "", 0},
		{"no process limit but inside a sandbox", "[ \"$(ulimit -u)\" != 77 ] && echo none", "none\n", "", 0},
		{"no descriptor of the guest", "ls /proc/self/fd | wc -l", "4\n", "", 0}, // 0, 1, 2 and the folder that ls reads
	} {
		t.Run(row.name, func(t *testing.T) {
			o := g.sh(t, row.line)
			match(t, "stdout", o.stdout, row.stdout)
			match(t, "stderr", o.stderr, row.stderr)
			if o.ExitCode != row.exit {
				t.Errorf("exit code %d, want %d", o.ExitCode, row.exit)
			}
		})
	}
}

func TestUserHasNoPrivileges(t *testing.T) {
	g := start(t)
	want := fmt.Sprintf("%d %d %d\n", userID, userID, userID)
	if os.Geteuid() != 0 { // only root can become somebody else
		want = fmt.Sprintf("%d %d", os.Getuid(), os.Getgid())
	}
	if o := g.sh(t, "echo $(id -u) $(id -g) $(id -G)"); !strings.HasPrefix(o.stdout, want) {
		t.Errorf("a command runs as %q, want %q", o.stdout, want)
	}
	if o := g.python(t, "import os\nprint(os.getuid(), os.getgid(), *os.getgroups() or [os.getgid()])"); !strings.HasPrefix(o.stdout, want) {
		t.Errorf("code runs as %q, want %q", o.stdout, want)
	}
	check(t, "effective capabilities", g.sh(t, "grep CapEff /proc/self/status").stdout, "CapEff:\t0000000000000000\n")
	if o := g.sh(t, fmt.Sprintf("kill -9 %d; cat /proc/%d/environ", g.cmd.Process.Pid, g.cmd.Process.Pid)); os.Geteuid() == 0 && o.ExitCode == 0 {
		t.Errorf("the guest's environment could be read: %q", o.stdout)
	}
}

// alive reports whether the process that wrote its id to a file of the working folder lives.
func (g *guest) alive(name string) bool {
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return false
	}
	_, _, dead := stat(atoi(strings.TrimSpace(string(b))))
	return !dead
}

func TestWhatACommandLeftRunningIsKilled(t *testing.T) {
	g := start(t)
	for name, line := range map[string]string{
		"a job":                 "sleep 1000 & echo $! > pid",
		"nohup":                 "nohup sleep 1000 >/dev/null 2>&1 & echo $! > pid",
		"setsid":                "setsid sh -c 'echo $$ > pid; exec sleep 1000' & while [ ! -s pid ]; do :; done",
		"a double fork":         "(setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec sleep 1000\" &' &); while [ ! -s pid ]; do :; done",
		"one that still prints": "yes & echo $! > pid",
		"one that ignores TERM": "(trap '' TERM HUP INT; echo $BASHPID > pid; while :; do sleep 1; done) & while [ ! -s pid ]; do :; done",
	} {
		t.Run(name, func(t *testing.T) {
			if o := g.sh(t, line); o.ExitCode != 0 {
				t.Fatalf("%+v", o)
			}
			await(t, "it is dead", func() bool { return !g.alive("pid") })
			g.sh(t, "rm pid")
		})
	}
}

func TestCancelKillsTheCommand(t *testing.T) {
	g := start(t)
	for name, line := range map[string]string{
		"a sleep":             "echo $$ > pid; touch began; sleep 1000",
		"endless output":      "echo $$ > pid; touch began; yes",
		"output of a process": "echo $$ > pid; touch began; yes | cat",
		"a deaf process":      "trap '' TERM INT HUP; echo $$ > pid; touch began; while :; do :; done",
		"a setsid child":      "setsid sh -c 'echo $$ > pid; touch began; exec sleep 1000' & wait",
	} {
		t.Run(name, func(t *testing.T) {
			g.cancelOnceBegun(t, g.RunCommand, client.Run{Text: line})
			await(t, "it is dead", func() bool { return !g.alive("pid") })
		})
	}
}

func TestHostThatTakesNoOutputStopsNobodyElse(t *testing.T) {
	g := start(t)
	ctx, cancel := context.WithCancel(within(t))
	stuck, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		first := true
		_, err := g.RunCommand(ctx, client.Run{Text: "yes", Output: func(bool, []byte) {
			if first {
				first = false
				close(stuck)
				<-release
			}
		}})
		ended <- err
	}()
	<-stuck
	check(t, "another command", g.sh(t, "echo ok").stdout, "ok\n")
	check(t, "code", g.python(t, "1 + 1").stdout, "2\n")
	cancel()
	close(release)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestElision(t *testing.T) {
	g := start(t)
	for _, row := range []struct {
		limit  int64
		line   string
		stdout string
		elided int64
	}{
		{10, "printf 0123456789", "0123456789", 0},
		{10, "printf 0123456789a", "012346789a", 1},
		{11, "printf 0123456789a", "0123456789a", 0},
		{11, "printf 0123456789ab", "01234" + "6789ab", 1},
		{1, "printf abc", "c", 2},
		{4, "seq 1 100000", "1\n0\n", 588895 - 4},
	} {
		o, err := collect(within(t), g.RunCommand, client.Run{Text: row.line + "; " + row.line + " >&2", OutputLimit: row.limit})
		if err != nil {
			t.Fatal(err)
		}
		if o.stdout != row.stdout || o.stderr != row.stdout || o.StdoutElided != row.elided || o.StderrElided != row.elided {
			t.Errorf("%s within %d: %q (%d left out) and %q (%d), want %q (%d)", row.line, row.limit, o.stdout, o.StdoutElided, o.stderr, o.StderrElided, row.stdout, row.elided)
		}
	}
}

// Each of the commands waits for all others: they end only if all run at once.
func TestCommandsRunAtOnce(t *testing.T) {
	g := start(t)
	const n = 8
	results := make(chan outcome, n)
	for i := range n {
		go func() {
			o, err := collect(within(t), g.RunCommand, client.Run{Text: fmt.Sprintf("touch at.%d; while [ $(ls at.* | wc -l) -lt %d ]; do sleep 0.02; done; echo %d", i, n, i)})
			if err != nil {
				o.stderr = err.Error()
			}
			results <- o
		}()
	}
	for range n {
		if o := <-results; o.ExitCode != 0 || o.stdout == "" || o.stderr != "" {
			t.Errorf("%+v", o)
		}
	}
}

func TestWorkingFolderThatWasRemovedIsMadeAgain(t *testing.T) {
	g := start(t)
	for name, use := range map[string]func() error{
		"a command": func() error { _, err := g.RunCommand(within(t), client.Run{Text: "touch here"}); return err },
		"a listing": func() error { _, err := g.ListFiles(within(t), ""); return err },
		"code": func() error {
			_, err := g.RunCode(within(t), client.Run{Language: "python", Text: "1"})
			return err
		},
		"a file": func() error {
			return g.WriteFiles(within(t), []client.File{{Path: "x", Size: 1, Content: strings.NewReader("x")}})
		},
	} {
		if err := os.RemoveAll(g.dir); err != nil {
			t.Fatal(err)
		}
		if err := use(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
