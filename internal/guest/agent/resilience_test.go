package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// What ends the interpreter ends one call only: it says why, and the next call has a new interpreter.
func TestInterpreterEndsAndIsBack(t *testing.T) {
	g := start(t)
	for _, row := range []struct {
		name, code, why string
		exit            int
	}{
		{"os._exit", "print('before')\nimport os; os._exit(7)", "ended with status 7", 7},
		{"kill -9", "print('before')\nimport os; os.kill(os.getpid(), 9)", "signal 9 (killed", 137},
		{"segmentation fault", "print('before')\nimport ctypes; ctypes.string_at(0)", "signal 11 (segmentation fault)", 139},
		{"abort", "print('before')\nimport os; os.abort()", "signal 6 (aborted)", 134},
		{"all descriptors closed", "print('before')\nimport os; os.closerange(3, 65536)", "started anew", -1},
		{"garbage to the reply pipe", "print('before')\nimport os, time\nfor n in os.listdir('/proc/self/fd'):\n    try: os.write(int(n), b'garbage\\n') if int(n) > 2 else None\n    except OSError: pass\ntime.sleep(100)", "was broken by the code", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			g.python(t, "kept = 1")
			o := g.python(t, row.code)
			if !strings.HasPrefix(o.stdout, "before\n") {
				t.Errorf("stdout %q", o.stdout)
			}
			if !strings.Contains(o.Restarted, row.why) || !strings.Contains(o.stderr, o.Restarted) {
				t.Errorf("restarted %q, stderr %q; want %q", o.Restarted, o.stderr, row.why)
			}
			if row.exit >= 0 && o.ExitCode != row.exit || o.ExitCode == 0 {
				t.Errorf("exit code %d, want %d", o.ExitCode, row.exit)
			}
			if o := g.python(t, "'kept' in globals()"); o.stdout != "False\n" || o.Restarted != "" {
				t.Errorf("the next call: %+v", o)
			}
		})
	}
}

func TestInterpreterThatDiesBetweenCallsIsBack(t *testing.T) {
	g := start(t)
	o := g.python(t, "import os, threading\nthreading.Timer(0.01, lambda: os._exit(3)).start()\nprint(os.getpid())")
	await(t, "the process is gone", func() bool { return !exists("/proc/" + strings.TrimSpace(o.stdout)) })
	check(t, "the next call", g.python(t, "1 + 1").stdout, "2\n")
}

// What code does to the interpreter's own means must not break the calls after it.
func TestLaterCallsSurvive(t *testing.T) {
	g := start(t)
	for name, code := range map[string]string{
		"sys.stdout = None":            "import sys; sys.stdout = None",
		"sys.stderr = None":            "import sys; sys.stderr = None",
		"sys.stdout is a number":       "import sys; sys.stdout = 3",
		"sys.stdout.close":             "import sys; sys.stdout.close()",
		"sys.stderr.close":             "import sys; sys.stderr.close()",
		"both closed and deleted":      "import sys; sys.stdout.close(); sys.stderr.close(); del sys.stdout, sys.stderr",
		"sys.__stdout__ too":           "import sys; sys.stdout.close(); sys.__stdout__ = None",
		"os.close(1)":                  "import os; os.close(1)",
		"os.close(0), (1), (2)":        "import os; os.close(0); os.close(1); os.close(2)",
		"descriptor 1 elsewhere":       "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1);",
		"builtins replaced":            "import builtins\nbuiltins.print = builtins.repr = builtins.len = builtins.isinstance = builtins.compile = None",
		"builtins emptied":             "import builtins\nfor n in list(vars(builtins)):\n    if n not in ('get_ipython', '__import__'): delattr(builtins, n)",
		"json replaced":                "import sys; sys.modules['json'] = None",
		"json.loads replaced":          "import json; json.loads = json.dumps = None",
		"os.write replaced":            "import os; os.write = os.getpid = os._exit = None",
		"signal.signal replaced":       "import signal; signal.signal = None",
		"a handler of its own":         "import signal; signal.signal(signal.SIGINT, lambda *a: None)",
		"In and Out deleted":           "del In, Out, _",
		"In is a number":               "In = Out = 3",
		"the namespace cleared":        "globals().clear()",
		"sys.modules cleared of main":  "import sys; del sys.modules['__main__']",
		"linecache replaced":           "import linecache; linecache.cache.clear()",
		"the recursion limit is small": "import sys; sys.setrecursionlimit(60)",
		"a trace function that fails":  "import sys\nsys.settrace(lambda *a: 1/0)",
		"sys.exit replaced":            "import sys; sys.exit = None; sys.excepthook = None; sys.displayhook = None",
		"a failing event loop":         "import asyncio; asyncio.set_event_loop(None)",
	} {
		t.Run(name, func(t *testing.T) {
			g.python(t, code)
			restored := "import sys, importlib, builtins\n1 + 1"
			if strings.HasPrefix(name, "builtins") {
				restored = "1 + 1"
			}
			check(t, "stdout of the next call", g.python(t, restored).stdout, "2\n")
			if o := g.python(t, "1/0"); !strings.HasSuffix(o.stderr, "ZeroDivisionError: division by zero\n") {
				t.Errorf("stderr of the call after: %q", o.stderr)
			}
			killInterpreter(t, g)
		})
	}
}

// killInterpreter ends the interpreter from outside, whatever has become of it.
func killInterpreter(t *testing.T, g *guest) {
	t.Helper()
	for _, pid := range childrenOf(g.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the interpreter is gone", func() bool { return len(childrenOf(g.cmd.Process.Pid)) == 0 })
}

func TestCancelInterruptsCodeAndKeepsState(t *testing.T) {
	g := start(t)
	g.python(t, "x = 5\nseen = False")
	for name, code := range map[string]string{
		"a sleep":       "open('began', 'w').close()\ntry:\n    import time; time.sleep(1000)\nexcept KeyboardInterrupt:\n    seen = True\n    raise",
		"a busy loop":   "open('began', 'w').close()\nwhile True: pass",
		"a command":     "open('began', 'w').close()\n!sleep 1000",
		"an await":      "import asyncio\nopen('began', 'w').close()\nawait asyncio.sleep(1000)",
		"endless print": "open('began', 'w').close()\nwhile True: print('x' * 1000)",
	} {
		t.Run(name, func(t *testing.T) {
			g.cancelOnceBegun(t, g.RunCode, client.Run{Language: "python", Text: code})
			check(t, "the state", g.python(t, "x").stdout, "5\n")
		})
	}
	check(t, "the handler", g.python(t, "seen").stdout, "True\n")
}

// cancelOnceBegun runs what makes the file `began` and cancels it then.
func (g *guest) cancelOnceBegun(t *testing.T, run func(context.Context, client.Run) (proto.Run, error), r client.Run) {
	t.Helper()
	began := filepath.Join(g.dir, "began")
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := run(ctx, r)
		ended <- err
	}()
	await(t, "it has begun", func() bool { return exists(began) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call: %v", err)
	}
	if err := os.Remove(began); err != nil {
		t.Fatal(err)
	}
}

func TestCodeThatIgnoresInterruptsIsKilled(t *testing.T) {
	g := start(t)
	g.python(t, "x = 5")
	g.cancelOnceBegun(t, g.RunCode, client.Run{Language: "python", Text: "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nopen('began', 'w').close()\nwhile True: pass"})
	check(t, "the state", g.python(t, "'x' in globals()").stdout, "False\n")
}

func TestQueuedCodeIsCancelledWithoutRunning(t *testing.T) {
	g := start(t)
	busy := make(chan error, 1)
	ctx, stop := context.WithCancel(within(t))
	go func() {
		_, err := g.RunCode(ctx, client.Run{Language: "python", Text: "open('began', 'w').close()\nimport time; time.sleep(1000)"})
		busy <- err
	}()
	await(t, "it has begun", func() bool { return exists(filepath.Join(g.dir, "began")) })
	queued, cancel := context.WithCancel(within(t))
	waiting := make(chan error, 1)
	go func() {
		_, err := g.RunCode(queued, client.Run{Language: "python", Text: "open('queued', 'w').close()"})
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("the queued call: %v", err)
	}
	stop()
	<-busy
	g.python(t, "")
	if exists(filepath.Join(g.dir, "queued")) {
		t.Error("the cancelled code has run")
	}
}

func TestOutputBetweenCallsGoesToTheNext(t *testing.T) {
	g := start(t)
	g.python(t, "import threading\ngo = threading.Event(); done = threading.Event()\ndef late():\n    go.wait(); print('late'); open('printed', 'w').close()\nthreading.Thread(target=late).start()\nthreading.Timer(0.01, go.set).start()")
	await(t, "the thread has printed", func() bool { return exists(filepath.Join(g.dir, "printed")) })
	check(t, "stdout", g.python(t, "print('now')").stdout, "late\nnow\n")
}

func TestClearContext(t *testing.T) {
	g := start(t)
	g.python(t, "import os, json\nx = 1\nos.makedirs('sub'); os.chdir('sub')")
	o, err := collect(within(t), g.RunCode, client.Run{Language: "python", ClearContext: true, Text: "import os\n('x' in globals(), 'json' in globals(), os.path.basename(os.getcwd()))"})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "after it", o.stdout, "(False, False, 'work')\n")
}

func TestCodeOutputIsElided(t *testing.T) {
	g := start(t)
	o, err := collect(within(t), g.RunCode, client.Run{Language: "python", OutputLimit: 10, Text: "print('abcdefgh' * 1000 + 'tail', end='')"})
	if err != nil {
		t.Fatal(err)
	}
	if o.stdout != "abcdehtail" || o.StdoutElided != 8004-10 {
		t.Errorf("%q, %d left out", o.stdout, o.StdoutElided)
	}
}

func TestUnknownLanguage(t *testing.T) {
	g := start(t)
	if _, err := g.RunCode(within(t), client.Run{Language: "cobol", Text: "1"}); err == nil {
		t.Error("no error")
	}
	if err := g.Prepare(within(t), "cobol"); err == nil {
		t.Error("no error")
	}
	if err := g.Prepare(within(t), "python"); err != nil {
		t.Error(err)
	}
}
