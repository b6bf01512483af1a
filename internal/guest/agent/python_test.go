package agent

import (
	"regexp"
	"strings"
	"testing"
)

// behaviour is one row: cells that run one after the other in a fresh namespace, and what the last one does. A text between slashes is a regular expression.
type behaviour struct {
	name           string
	cells          []string
	stdout, stderr string
	exit           int
}

func cell(code ...string) []string { return code }

var semantics = []behaviour{
	{name: "the last expression is echoed", cells: cell("x = 2\nx * 3"), stdout: "6\n"},
	{name: "only the last expression is echoed", cells: cell("1\n2"), stdout: "2\n"},
	{name: "a semicolon suppresses the echo", cells: cell("1+1;")},
	{name: "a semicolon and a comment suppress it too", cells: cell("1+1; # quiet")},
	{name: "a semicolon after brackets", cells: cell("(1,\n 2\n);")},
	{name: "a semicolon between statements", cells: cell("a = 1; b = 2; a + b"), stdout: "3\n"},
	{name: "a semicolon in a string", cells: cell("'a;'"), stdout: "'a;'\n"},
	{name: "None is not echoed", cells: cell("None")},
	{name: "an assignment is not echoed", cells: cell("x = 1")},
	{name: "display", cells: cell("for i in (1, 'a'):\n    display(i)"), stdout: "1\n'a'\n"},
	{name: "an empty cell", cells: cell("")},
	{name: "a blank cell", cells: cell("\n  \n\n")},
	{name: "comments only", cells: cell("# one\n# two")},
	{name: "a decorator", cells: cell("def twice(f):\n    return lambda: 2 * f()\n@twice\ndef g():\n    return 4\ng()"), stdout: "8\n"},
	{name: "a walrus", cells: cell("if (n := 5) > 3: print(n)"), stdout: "5\n"},
	{name: "a class body", cells: cell("class A:\n    x = 1\n    def y(self): return self.x\nA().y()"), stdout: "1\n"},
	{name: "global", cells: cell("def f():\n    global z\n    z = 7\nf()\nz"), stdout: "7\n"},
	{name: "a star import", cells: cell("from math import *\nfloor(pi)"), stdout: "3\n"},
	{name: "del", cells: cell("x = 1", "del x", "'x' in globals()"), stdout: "False\n"},
	{name: "an encoding cookie", cells: cell("# -*- coding: latin-1 -*-\nprint('é')"), stdout: "é\n"},
	{name: "CRLF line ends", cells: cell("x = 1\r\nif x:\r\n    print('''a\r\nb''')\r\n"), stdout: "a\nb\n"},
	{name: "tabs", cells: cell("if True:\n\tprint('tab')"), stdout: "tab\n"},
	{name: "an indented cell", cells: cell("   x = 1\n   print(x)"), stdout: "1\n"},
	{name: "unicode", cells: cell("ä = 'ö'\nprint(ä, '砂場', '🏖')"), stdout: "ö 砂場 🏖\n"},
	{name: "a surrogate", cells: cell(`print('\ud800x')`), stdout: "\\ud800x\n"},
	{name: "bytes that are no UTF-8", cells: cell(`import os; os.write(1, b'\xff\xfea\n');`), stdout: "\xff\xfea\n"},
	{name: "state is kept", cells: cell("x = 41", "x + 1"), stdout: "42\n"},
	{name: "a function keeps its globals", cells: cell("def f(): return k", "k = 3", "f()"), stdout: "3\n"},
	{name: "chdir persists", cells: cell("import os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')", "os.path.basename(os.getcwd())"), stdout: "'sub'\n"},
	{name: "In and Out", cells: cell("40 + 2", "print(Out[len(In) - 2], In[-2], _)"), stdout: "42 40 + 2 42\n"},
	{name: "two underscores", cells: cell("1", "2", "(_, __)"), stdout: "(2, 1)\n"},
	{name: "a numbered result", cells: cell("7", "globals()['_%d' % (len(In) - 2)]"), stdout: "7\n"},
	{name: "the source of a function", cells: cell("def f(x):\n    # why\n    return x", "import inspect\nprint(inspect.getsource(f))"), stdout: "def f(x):\n    # why\n    return x\n\n"},
	{name: "pickle of a class of a cell", cells: cell("class P:\n    def __init__(self): self.v = 5", "import pickle\npickle.loads(pickle.dumps(P())).v"), stdout: "5\n"},
	{name: "dataclasses and typing look up the module", cells: cell("from dataclasses import dataclass\nimport typing\n@dataclass\nclass D:\n    n: 'int' = 3\ntyping.get_type_hints(D)['n'], D()"), stdout: "(<class 'int'>, D(n=3))\n"},
	{name: "a pool of processes", cells: cell("def sq(x): return x * x", "import multiprocessing as mp\nwith mp.get_context('fork').Pool(2) as p: print(p.map(sq, [1, 2, 3]))"), stdout: "[1, 4, 9]\n"},
	{name: "threads", cells: cell("import threading\nts = [threading.Thread(target=lambda: print('t')) for _ in range(3)]\n[t.start() for t in ts]; [t.join() for t in ts];"), stdout: "t\nt\nt\n"},
	{name: "top-level await", cells: cell("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nawait f()"), stdout: "5\n"},
	{name: "await in a statement", cells: cell("import asyncio\nasync def f(): return 5\nx = await f()\nfor _ in range(1):\n    x += await f()\nprint(x)"), stdout: "10\n"},
	{name: "asyncio.run", cells: cell("import asyncio\nasync def f(): return 6\nasyncio.run(f())"), stdout: "6\n"},
	{name: "await after asyncio.run", cells: cell("import asyncio\nasync def f(): return 6\nasyncio.run(f());", "await f()"), stdout: "6\n"},
	{name: "a task goes on in the next cell", cells: cell("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 8\nt = asyncio.get_event_loop_policy and None", "await asyncio.wait_for(f(), 10)"), stdout: "8\n"},
	{name: "print order", cells: cell("import sys, os\nprint('a')\nsys.stdout.write('b')\nsys.stdout.flush()\nos.write(1, b'c\\n')\nprint('d', end='')"), stdout: "a\nbc\nd"},
	{name: "an unflushed write", cells: cell("import sys\nn = sys.stdout.write('no newline')"), stdout: "no newline"},
	{name: "stderr is apart", cells: cell("import sys\nprint('o')\nprint('e', file=sys.stderr)"), stdout: "o\n", stderr: "e\n"},
	{name: "output of a subprocess", cells: cell("import subprocess\nsubprocess.run('echo o; echo e >&2', shell=True);"), stdout: "o\n", stderr: "e\n"},
	{name: "ten thousand prints", cells: cell("for i in range(10000): print(i % 10, end='\\n' if i % 100 == 99 else '')"), stdout: strings.Repeat(strings.Repeat("0123456789", 10)+"\n", 100)},
	{name: "large output", cells: cell("print('x' * 3_000_000)"), stdout: strings.Repeat("x", 3_000_000) + "\n"},
	{name: "a cell of 1 MB", cells: cell("x = [\n" + strings.Repeat("1,\n", 350_000) + "]\nlen(x)"), stdout: "350000\n"},
	{name: "a cell of 1 MB with a magic", cells: cell("!echo hi\nx = '''" + strings.Repeat("a line of text\n", 70_000) + "'''\nlen(x)"), stdout: "hi\n1050000\n"},
	{name: "no module of the driver is in the way", cells: cell("import sys\n'Shell' in globals(), __name__, sys.argv, sys.path[0]"), stdout: "(False, '__main__', [''], '')\n"},
	{name: "a module of the working folder", cells: cell("open('mymod.py', 'w').write('v = 9');", "import mymod\nmymod.v"), stdout: "9\n"},
	{name: "exit", cells: cell("print(1)\nexit()\nprint(2)"), stdout: "1\n"},
	{name: "quit", cells: cell("quit()")},
	{name: "sys.exit with a number", cells: cell("import sys\nsys.exit(3)"), exit: 3},
	{name: "sys.exit with a text", cells: cell("import sys\nsys.exit('bye')"), stderr: "bye\n", exit: 1},
	{name: "the interpreter outlives exit", cells: cell("x = 1\nexit()", "x"), stdout: "1\n"},
	{name: "input", cells: cell("input('? ')"), stdout: "? ", stderr: `/EOFError: EOF when reading a line\n$/`, exit: 1},
	{name: "a fork that falls out of the cell", cells: cell("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('p' if pid else 'c')"), stdout: "c\np\n"},
	{name: "warnings go to stderr", cells: cell("import warnings\nwarnings.warn('careful')"), stderr: `/UserWarning: careful/`},
	{name: "logging goes to stderr", cells: cell("import logging\nlogging.error('oh')"), stderr: "ERROR:root:oh\n"},
}

var magics = []behaviour{
	{name: "a command", cells: cell("!echo one; echo two >&2"), stdout: "one\n", stderr: "two\n"},
	{name: "a command with {expression} and $name", cells: cell("n = 3\n!echo {n + 1} $n $NOSUCH $GREETING"), stdout: "4 3 hello\n"},
	{name: "a command that is assigned", cells: cell("x = !printf 'a\\nb\\n'\nx, x.n"), stdout: "(['a', 'b'], 'a\\nb')\n"},
	{name: "an assigned command with a name", cells: cell("w = 'hi'\nx = !echo $w\nprint(x[0])"), stdout: "hi\n"},
	{name: "output comes in order", cells: cell("print('a')\n!echo b\nprint('c')"), stdout: "a\nb\nc\n"},
	{name: "a command over two lines", cells: cell("!echo a \\\n  b"), stdout: "a b\n"},
	// A pip of the test's own: the host need not have one.
	{name: "%pip", cells: cell("open('pip.py', 'w').write('import sys; print(sys.argv[1:])');", "%pip install 'a b' -q"), stdout: "['install', 'a b', '-q']\n"},
	{name: "%time", cells: cell("%time x = sum(range(10))\nx"), stdout: `/^CPU times: user .*, sys: .*, total: .*\nWall time: .*\n45\n$/`},
	{name: "%time shows a value", cells: cell("%time 1 + 1"), stdout: `/2\n/`},
	{name: "%timeit", cells: cell("%timeit -n 10 -r 2 1 + 1"), stdout: `/^[\d.]+ [nµm]?s ± [\d.]+ [nµm]?s per loop \(mean ± std. dev. of 2 runs, 10 loops each\)\n$/`},
	{name: "%env of a name", cells: cell("%env GREETING"), stdout: "'hello'\n"},
	{name: "%env sets", cells: cell("%env A=b c\nimport os\nos.environ['A']"), stdout: "env: A=b c\n'b c'\n"},
	{name: "%cd", cells: cell("%cd /usr\nimport os\nos.getcwd()"), stdout: "/usr\n'/usr'\n"},
	{name: "%pwd", cells: cell("%cd /usr", "%pwd"), stdout: "'/usr'\n"},
	{name: "%ls", cells: cell("%cd /usr", "%ls -d bin"), stdout: "bin\n"},
	{name: "%who", cells: cell("alpha = 1\nbeta = 'b'", "%who"), stdout: "alpha\t beta\n"},
	{name: "%who of a type", cells: cell("alpha = 1\nbeta = 'b'", "%who str"), stdout: "beta\n"},
	{name: "%who of nothing", cells: cell("%who"), stdout: "Interactive namespace is empty.\n"},
	{name: "%whos", cells: cell("alpha = 1\nbeta = 'b'", "%whos"), stdout: "Variable   Type   Data/Info\n---------------------------\nalpha      int    1\nbeta       str    'b'\n"},
	{name: "%reset", cells: cell("x = 1", "%reset -f", "'x' in globals()"), stdout: "False\n"},
	{name: "%run", cells: cell("%%writefile run_me.py\nimport sys\nprint(__name__, sys.argv[1:])\ny = 5", "%run run_me.py a b\ny"), stdout: "__main__ ['a', 'b']\n5\n"},
	{name: "%run of what is missing", cells: cell("%run nothing.py"), stderr: "UsageError: File `'nothing.py'` not found.\n", exit: 1},
	{name: "%%bash", cells: cell("%%bash\nx=3\necho $x {a}"), stdout: "3 {a}\n"},
	{name: "%%bash that fails", cells: cell("%%bash\nexit 4"), stderr: `/CalledProcessError: Command 'bash' returned non-zero exit status 4\.\n$/`, exit: 1},
	{name: "%%sh", cells: cell("%%sh\necho sh"), stdout: "sh\n"},
	{name: "%%time", cells: cell("%%time\nx = 1\nprint(x)\nx + 1"), stdout: `/^1\n2\nCPU times: .*\nWall time: .*\n$/`},
	{name: "%%timeit", cells: cell("%%timeit -n 5 -r 2\nx = 1\ny = x"), stdout: `/ per loop /`},
	{name: "%%writefile", cells: cell("%%writefile w.txt\nline 1\n  line 2\n", "print(open('w.txt').read(), end='')"), stdout: "line 1\n  line 2\n"},
	{name: "%%writefile says what it does", cells: cell("import os\nif os.path.exists('w2.txt'): os.remove('w2.txt')", "%%writefile w2.txt\nx"), stdout: "Writing w2.txt\n"},
	{name: "%%writefile appends", cells: cell("open('w3', 'w').write('a\\n');", "%%writefile -a w3\nb\n", "print(open('w3').read(), end='')"), stdout: "a\nb\n"},
	{name: "%%capture", cells: cell("%%capture got\nprint('hidden')", "got.stdout"), stdout: "'hidden\\n'\n"},
	{name: "%matplotlib", cells: cell("%matplotlib inline\nprint('ok')"), stdout: "ok\n"},
	{name: "%load_ext", cells: cell("%load_ext autoreload\n%autoreload 2")},
	{name: "an unknown magic", cells: cell("%nope 1"), stderr: "UsageError: Line magic function `%nope` not found.\n", exit: 1},
	{name: "an unknown cell magic", cells: cell("%%nope\nx"), stderr: "UsageError: Cell magic `%%nope` not found.\n", exit: 1},
	{name: "a line magic that is a cell magic", cells: cell("%bash x"), stderr: "UsageError: Line magic function `%bash` not found (But cell magic `%%bash` exists, did you mean that instead?).\n", exit: 1},
	{name: "no magic in a string", cells: cell("s = '''\n%nope\n!nope\n'''\n!echo done\nlen(s)"), stdout: "done\n13\n"},
	{name: "no magic in an expression", cells: cell("x = (7\n% 4)\n!echo {x}"), stdout: "3\n"},
	{name: "no magic after a backslash", cells: cell("x = 7 \\\n% 4\n!echo $x"), stdout: "3\n"},
	{name: "no magic in an f-string", cells: cell("n = 2\nprint(f'''{n}\n%who\n!x''')\n!echo e"), stdout: "2\n%who\n!x\ne\n"},
	{name: "no magic in a comment", cells: cell("# it's a \"quote\n!echo q"), stdout: "q\n"},
	{name: "!= is no command", cells: cell("a = 1\na != 2"), stdout: "True\n"},
	{name: "a magic in a loop", cells: cell("for i in range(2):\n    !echo $i\n    %cd -q /usr\nelse:\n    x = !echo z\n    print(x)"), stdout: `/^0\n[^1]*1\n[^z]*\['z'\]\n$/`},
	{name: "a magic in a condition", cells: cell("if True:\n    %pwd\n    print('in')"), stdout: "in\n"},
	{name: "a magic's value", cells: cell("%cd /usr", "d = %pwd\nd"), stdout: "'/usr'\n"},
	{name: "help", cells: cell("def f(a, b=1):\n    'Adds.'\n    return a + b", "f?"), stdout: `/^Signature: +f\(a, b=1\)\n(.*\n)*Docstring: +Adds\.\n/`},
	{name: "help with the source", cells: cell("def f(a):\n    return a", "f??"), stdout: `/Source:\s+def f\(a\):\n    return a\n/`},
	{name: "help on nothing", cells: cell("nothing?"), stdout: "Object `nothing` not found.\n"},
	{name: "%history", cells: cell("a = 1", "%history"), stdout: `/a = 1\n/`},
	{name: "line numbers below a magic are true", cells: cell("!true\n\nx = 1\n1/0"), stderr: `/line 4\n(.*\n)*----> 4 1/0\n/`, exit: 1},
}

func TestPythonIsIPython(t *testing.T)   { runBehaviours(t, semantics) }
func TestMagicsAreIPythons(t *testing.T) { runBehaviours(t, magics) }

func runBehaviours(t *testing.T, rows []behaviour) {
	g := start(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g.clear(t)
			var o outcome
			for _, code := range row.cells {
				o = g.python(t, code)
			}
			if o.Restarted != "" {
				t.Fatalf("the interpreter ended: %s", o.Restarted)
			}
			match(t, "stdout", o.stdout, row.stdout)
			match(t, "stderr", o.stderr, row.stderr)
			if o.ExitCode != row.exit {
				t.Errorf("exit code %d, want %d", o.ExitCode, row.exit)
			}
		})
	}
}

func match(t *testing.T, what, got, want string) {
	t.Helper()
	if len(want) > 1 && want[0] == '/' && want[len(want)-1] == '/' {
		if !regexp.MustCompile(want[1 : len(want)-1]).MatchString(got) {
			t.Errorf("%s: %q does not match %s", what, abridged(got), want)
		}
		return
	}
	check(t, what, got, want)
}
