package agent

import (
	"strings"
	"testing"
)

const ruler = "---------------------------------------------------------------------------\n"

// head is the first line below the ruler of a traceback.
func head(name string) string {
	const label = "Traceback (most recent call last)"
	return name + strings.Repeat(" ", 75-len(name)-len(label)) + label + "\n"
}

// The layouts are those of IPython 8.12 with colour off, but for what is said of a row. Each cell runs in an interpreter of its own, as cell 1.
var tracebacks = []struct{ name, code, want string }{
	{"one line", "1/0", ruler + head("ZeroDivisionError") + "Cell In[1], line 1\n----> 1 1/0\n\nZeroDivisionError: division by zero\n"},
	{"nested functions", "def f(x):\n    y = 1\n    return g(x)\n\ndef g(z):\n    # c\n    for i in range(3):\n        if i:\n            pass\n\n        z / 0\n        i += 1\n    return 3\nf(1)",
		ruler + head("ZeroDivisionError") + `Cell In[1], line 14
     12         i += 1
     13     return 3
---> 14 f(1)

Cell In[1], line 3, in f(x)
      1 def f(x):
      2     y = 1
----> 3     return g(x)

Cell In[1], line 11, in g(z)
      8     if i:
      9         pass
---> 11     z / 0
     12     i += 1
     13 return 3

ZeroDivisionError: division by zero
`},
	{"raise from", "try:\n    1/0\nexcept Exception as e:\n    raise ValueError('x') from e", ruler + head("ZeroDivisionError") + `Cell In[1], line 2
      1 try:
----> 2     1/0
      3 except Exception as e:

ZeroDivisionError: division by zero

The above exception was the direct cause of the following exception:

` + head("ValueError") + `Cell In[1], line 4
      2     1/0
      3 except Exception as e:
----> 4     raise ValueError('x') from e

ValueError: x
`},
	{"during handling", "try:\n    1/0\nexcept Exception:\n    raise KeyError('x')", ruler + head("ZeroDivisionError") + `Cell In[1], line 2
      1 try:
----> 2     1/0
      3 except Exception:

ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

` + head("KeyError") + `Cell In[1], line 4
      2     1/0
      3 except Exception:
----> 4     raise KeyError('x')

KeyError: 'x'
`},
	{"from None", "try:\n    1/0\nexcept Exception:\n    raise KeyError('x') from None", ruler + head("KeyError") + "Cell In[1], line 4\n      2     1/0\n      3 except Exception:\n----> 4     raise KeyError('x') from None\n\nKeyError: 'x'\n"},
	{"syntax error", "x = = 1", "  Cell In[1], line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n\n"},
	{"indentation error", "if True:\nx=1", "  Cell In[1], line 2\n    x=1\n    ^\nIndentationError: expected an indented block after 'if' statement on line 1\n\n"},
	{"a method with every kind of argument", "class A:\n    def m(self, a, *b, k=1, **c):\n        return 1/0\nA().m(1)", ruler + head("ZeroDivisionError") + `Cell In[1], line 4
      2     def m(self, a, *b, k=1, **c):
      3         return 1/0
----> 4 A().m(1)

Cell In[1], line 3, in A.m(self, a, k, *b, **c)
      2 def m(self, a, *b, k=1, **c):
----> 3     return 1/0

ZeroDivisionError: division by zero
`},
	{"a statement over several lines", "a = 1\nb = [\n 1,\n 2/0,\n 3]\nc = 1", ruler + head("ZeroDivisionError") + "Cell In[1], line 4\n      1 a = 1\n      2 b = [\n      3  1,\n----> 4  2/0,\n      5  3]\n      6 c = 1\n\nZeroDivisionError: division by zero\n"},
	{"no text", "raise ValueError", ruler + head("ValueError") + "Cell In[1], line 1\n----> 1 raise ValueError\n\nValueError: \n"},
	// IPython shows an inner error here.
	{"a text that cannot be had", "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E()", ruler + head("E") + "Cell In[1], line 3\n      1 class E(Exception):\n      2     def __str__(self): raise RuntimeError\n----> 3 raise E()\n\nE: <exception str() failed>\n"},
	// IPython leaves notes out.
	{"a note", "e = ValueError('m'); e.add_note('a note'); raise e", ruler + head("ValueError") + "Cell In[1], line 1\n----> 1 e = ValueError('m'); e.add_note('a note'); raise e\n\nValueError: m\na note\n"},
	// IPython leaves the members out.
	{"an exception group", "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])", ruler + head("ExceptionGroup") + "Cell In[1], line 1\n----> 1 raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\n\nExceptionGroup: g (2 sub-exceptions)\n" +
		"  +---------------- 1 ----------------\n  | " + ruler + "  | " + head("ValueError") + "  |\n  | ValueError: 1\n" +
		"  +---------------- 2 ----------------\n  | " + ruler + "  | " + head("TypeError") + "  |\n  | TypeError: 2\n"},
	{"a coroutine", "async def z():\n    1/0\nawait z()", ruler + head("ZeroDivisionError") + "Cell In[1], line 3\n      1 async def z():\n      2     1/0\n----> 3 await z()\n\nCell In[1], line 2, in z()\n      1 async def z():\n----> 2     1/0\n\nZeroDivisionError: division by zero\n"},
	{"a library", "import json\njson.loads('{')", "/" + ruler + head("JSONDecodeError")[:20] + `(.*\n)+Cell In\[1\], line 2\n      1 import json\n----> 2 json\.loads\('\{'\)\n\nFile /.*/json/__init__\.py:\d+, in loads\(s, cls, (.*\n)+-+> \d+ (.*\n)+JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 \(char 1\)\n$/`},
	{"a recursion without end", "def r(n):\n    return r(n+1)\nr(0)", `/Cell In\[1\], line 3\n(.*\n){4}Cell In\[1\], line 2, in r\(n\)\n      1 def r\(n\):\n----> 2     return r\(n\+1\)\n\n(.*\n){4}    \[\.\.\. skipping similar frames: r at line 2 \(\d+ times\)\]\n\n(.*\n){4}RecursionError: maximum recursion depth exceeded.*\n$/`},
}

func TestTracebacksAreIPythons(t *testing.T) {
	g := start(t)
	for _, row := range tracebacks {
		t.Run(row.name, func(t *testing.T) {
			restart(t, g)
			o := g.python(t, row.code)
			match(t, "stderr", o.stderr, row.want)
			check(t, "stdout", o.stdout, "")
			if o.ExitCode != 1 {
				t.Errorf("exit code %d", o.ExitCode)
			}
		})
	}
}

// restart gives the guest a new interpreter.
func restart(t *testing.T, g *guest) {
	t.Helper()
	if o := g.python(t, "import os; os._exit(0)"); o.Restarted == "" {
		t.Fatal("the interpreter has not ended")
	}
}

func TestTracebackIsBounded(t *testing.T) {
	g := start(t)
	for name, code := range map[string]string{
		"a long chain":      "def f(n):\n    try:\n        raise ValueError(n)\n    except ValueError:\n        if n: f(n - 1)\n        raise KeyError(n)\nf(200)",
		"a wide group":      "raise ExceptionGroup('g', [ValueError(i) for i in range(100_000)])",
		"a deep group":      "e = ValueError(1)\nfor _ in range(500): e = ExceptionGroup('g', [e])\nraise e",
		"a long text":       "raise ValueError('x' * 50_000_000)",
		"a long line":       "x = '" + strings.Repeat("y", 900_000) + "'; 1/0",
		"many functions":    "src = ''.join('def f%d(): return f%d()\\n' % (i, i + 1) for i in range(500)) + 'def f500(): return 1/0\\n'\nexec(src)\nf0()",
		"a cycle of causes": "a, b = ValueError(1), ValueError(2)\na.__cause__, b.__cause__ = b, a\nraise a",
	} {
		t.Run(name, func(t *testing.T) {
			o := g.python(t, code)
			if size := len(o.stderr) + int(o.StderrElided); size > 4<<20 || size == 0 {
				t.Errorf("a traceback of %d bytes", size)
			}
			check(t, "the next cell", g.python(t, "1 + 1").stdout, "2\n")
		})
	}
}
