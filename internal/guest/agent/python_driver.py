"""The Python side of a session: runs cells one after the other in one namespace, the way IPython does.

Requests come as lines of JSON on descriptor 3, replies go out on descriptor 4; what the user's code prints goes to descriptors 1 and 2, which the guest reads.
Only the standard library of Python 3.8 or later is used, and as little of it as possible is imported ahead of its use: a session's memory is what it costs.
"""
import ast
import builtins
import json
import linecache
import os
import re
import signal
import sys
import types

RULE = "-" * 75
CONTEXT = 2  # lines of source above and below the one that failed


class UsageError(Exception):
    """A magic was used wrongly; shown as one line."""


class Transformer:
    """Turns IPython's syntax (!command, %magic, %%magic, name?) into Python. Source that is Python already is never touched."""

    ASSIGN = re.compile(r"^(\s*)([A-Za-z_][\w.\[\]'\", ]*?)\s*=\s*([!%])(?!=)(.*)$")
    HELP = re.compile(r"^(\s*)(\?{1,2})?\s*([A-Za-z_][\w.]*)\s*(\?{1,2})?\s*$")

    def __call__(self, source):
        first = source.lstrip("\n")
        if first.startswith("%%"):
            head, _, body = first.partition("\n")
            name, _, line = head[2:].partition(" ")
            return "get_ipython().run_cell_magic(%r, %r, %r)\n" % (name, line.strip(), body)
        try:
            compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
            return source
        except (SyntaxError, ValueError):
            return self.lines(source)

    def lines(self, source):
        out, state, skip = [], Scanner(), 0
        lines = source.split("\n")
        for n, line in enumerate(lines):
            if skip:
                skip -= 1
                out.append("")
                continue
            if state.fresh():
                joined = line
                while joined.endswith("\\") and self.special(joined) and n + skip + 1 < len(lines):
                    skip += 1
                    joined = joined[:-1] + lines[n + skip].lstrip()
                replaced = self.special(joined)
                if replaced is not None:
                    out.append(replaced)
                    continue
                skip = 0
            out.append(line)
            state.feed(line + "\n")
        return "\n".join(out)

    def special(self, line):
        """Returns the Python for one logical line of IPython's syntax, or None."""
        indent = line[: len(line) - len(line.lstrip())]
        text = line.strip()
        if text.startswith("!!"):
            return "%sget_ipython().getoutput(%r)" % (indent, text[2:])
        if text.startswith("!"):
            return "%sget_ipython().system(%r)" % (indent, text[1:])
        if text.startswith("%") and len(text) > 1 and (text[1].isalpha() or text[1] == "_"):
            return "%sget_ipython().magic(%r)" % (indent, text[1:])
        m = self.ASSIGN.match(line)
        if m:
            call = "getoutput" if m.group(3) == "!" else "magic"
            return "%s%s = get_ipython().%s(%r)" % (m.group(1), m.group(2), call, m.group(4).strip())
        m = self.HELP.match(line)
        if m and (m.group(2) or m.group(4)):
            detail = 2 if "??" in (m.group(2) or "", m.group(4) or "") else 1
            return "%sget_ipython().help(%r, %d)" % (m.group(1), m.group(3), detail)
        return None


class Scanner:
    """Follows strings, brackets and continuations through source, to know where a line begins a statement."""

    def __init__(self):
        self.depth, self.quote, self.joined = 0, "", False

    def fresh(self):
        return self.depth == 0 and not self.quote and not self.joined

    def feed(self, text):
        i, self.joined = 0, False
        while i < len(text):
            c = text[i]
            if self.quote:
                if c == "\\":
                    i += 2
                    continue
                if text.startswith(self.quote, i):
                    i += len(self.quote)
                    self.quote = ""
                    continue
                if c == "\n" and len(self.quote) == 1:
                    self.quote = ""  # a string that was not closed: the compiler will say so
            elif c in "'\"":
                self.quote = c * 3 if text.startswith(c * 3, i) else c
                i += len(self.quote)
                continue
            elif c in "([{":
                self.depth += 1
            elif c in ")]}":
                self.depth = max(0, self.depth - 1)
            elif c == "#":
                i = text.find("\n", i)
                if i < 0:
                    return
                continue
            elif c == "\\" and text[i + 1 : i + 2] == "\n":
                self.joined = True
                i += 1
            i += 1


class Shell:
    """What get_ipython() returns, and the one that runs cells."""

    def __init__(self):
        self.home = os.getcwd()
        self.execution_count = 0
        self.transform = Transformer()
        self.module = types.ModuleType("__main__")
        self.user_ns = self.module.__dict__
        self.loop = None
        self.first_cell = 1
        sys.modules["__main__"] = self.module
        self.reset()

    # The namespace

    def reset(self):
        self.user_ns.clear()
        self.user_ns.update(
            __name__="__main__", __doc__=None, __package__=None, __loader__=None, __spec__=None, __builtins__=builtins,
            In=[""], Out={}, _="", __="", ___="", get_ipython=lambda: self, exit=Exit("exit"), quit=Exit("quit"), display=display,
        )
        self.first_cell = self.execution_count + 1

    def clear(self):
        self.reset()
        try:
            os.chdir(self.home)
        except OSError:
            pass

    # Cells

    def run_cell(self, source, silent=False):
        """Runs a cell and returns its exit code."""
        self.execution_count += 1
        n = self.execution_count
        name = "<ipython-input-%d>" % n
        history = self.user_ns.get("In")
        if isinstance(history, list):
            history.extend([""] * (n - len(history)))
            history.append(source)
        try:
            code = self.transform(source)
            linecache.cache[name] = (len(code), None, [line + "\n" for line in code.split("\n")], name)
            if n > 500:
                linecache.cache.pop("<ipython-input-%d>" % (n - 500), None)
            self.execute(code, name)
            return 0
        except SystemExit as e:
            return self.exited(e)
        except BaseException:
            self.showtraceback()
            return 1

    def execute(self, code, name):
        tree = compile(code, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            expression = tree.body.pop().value
            if not quiet(code, expression):
                last = ast.Expression(expression)
            else:
                tree.body.append(ast.copy_location(ast.Expr(expression), expression))
        if tree.body:
            self.evaluate(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        if last is not None:
            self.show(self.evaluate(compile(last, name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)))

    def evaluate(self, code):
        value = eval(code, self.user_ns)
        if code.co_flags & 0x80:  # inspect.CO_COROUTINE: the cell awaits something
            return self.wait(value)
        return value

    def wait(self, coroutine):
        import asyncio

        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(coroutine)

    def show(self, value):
        """Echoes a cell's value and remembers it."""
        if value is None:
            return
        ns, n = self.user_ns, self.execution_count
        ns["___"], ns["__"], ns["_"] = ns.get("__"), ns.get("_"), value
        ns["_%d" % n] = value
        if isinstance(ns.get("Out"), dict):
            ns["Out"][n] = value
        display(value)

    def exited(self, e):
        code = e.code
        if code is None:
            return 0
        if isinstance(code, int):
            return code & 0xFF
        print(code, file=sys.stderr)
        return 1

    # Errors

    def showtraceback(self):
        kind, value, tb = sys.exc_info()
        sys.stdout.flush()
        try:
            text = format_exception(kind, value, tb)
        except BaseException as e:  # an exception whose own methods fail
            text = "%s: <its text cannot be shown: %s>" % (getattr(kind, "__name__", kind), type(e).__name__)
        print(text, file=sys.stderr)

    # Commands

    def expand(self, command):
        """Replaces {expression} and $name by values of the namespace; what cannot be evaluated is left for the shell."""

        def braces(m):
            try:
                return str(eval(m.group(1), self.user_ns))
            except Exception:
                return m.group(0)

        def dollar(m):
            name = m.group(1)
            return str(self.user_ns[name]) if name in self.user_ns else m.group(0)

        command = re.sub(r"(?<!\$)\{([^{}]+)\}", braces, command)
        return re.sub(r"\$([A-Za-z_]\w*)", dollar, command)

    def system(self, command):
        import subprocess

        flush()
        self.user_ns["_exit_code"] = subprocess.call(shell_argv(self.expand(command)))

    def getoutput(self, command):
        import subprocess

        done = subprocess.run(shell_argv(self.expand(command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.user_ns["_exit_code"] = done.returncode
        return SList(done.stdout.decode("utf-8", "replace").splitlines())

    # Magics

    def magic(self, text):
        name, _, line = text.partition(" ")
        return self.run_line_magic(name, line.strip())

    def run_line_magic(self, name, line):
        f = getattr(self, "line_" + name, None)
        if f is None:
            hint = " (But cell magic `%%%%%s` exists, did you mean that instead?)" % name if hasattr(self, "cell_" + name) else ""
            raise UsageError("Line magic function `%%%s` not found%s." % (name, hint))
        return f(line)

    def run_cell_magic(self, name, line, cell):
        f = getattr(self, "cell_" + name, None)
        if f is None:
            hint = " (But line magic `%%%s` exists, did you mean that instead?)" % name if hasattr(self, "line_" + name) else ""
            raise UsageError("Cell magic `%%%%%s` not found%s." % (name, hint))
        return f(line, cell)

    def run_nested(self, source):
        """Runs source as part of the running cell; what it raises goes on."""
        name = "<ipython-input-%d>" % self.execution_count
        code = self.transform(source)
        self.execute(code, name)

    def ev(self, expression):
        return eval(expression, self.user_ns)

    def ex(self, source):
        exec(source, self.user_ns)

    def line_pip(self, line):
        import subprocess

        flush()
        self.user_ns["_exit_code"] = subprocess.call("%s -m pip %s" % (quoted(sys.executable), self.expand(line)), shell=True)

    def line_conda(self, line):
        raise UsageError("conda is not part of this image; use %pip.")

    def line_time(self, line):
        self.cell_time("", line)

    def cell_time(self, line, cell):
        import time

        wall, cpu = time.perf_counter(), os.times()
        try:
            self.run_nested(cell)
        finally:
            flush()
            now, took = os.times(), time.perf_counter() - wall
            user, system = now[0] - cpu[0], now[1] - cpu[1]
            print("CPU times: user %s, sys: %s, total: %s\nWall time: %s" % (span(user), span(system), span(user + system), span(took)))

    def line_timeit(self, line):
        return self.cell_timeit(line, "")

    def cell_timeit(self, line, cell):
        import timeit

        loops, repeats, statement = 0, 7, line
        while True:
            m = re.match(r"-([nr])\s*(\d+)\s*", statement)
            if not m:
                break
            loops, repeats = (int(m.group(2)), repeats) if m.group(1) == "n" else (loops, int(m.group(2)))
            statement = statement[m.end() :]
        setup, body = (statement, cell) if cell.strip() else ("pass", statement)
        timer = timeit.Timer(self.transform(body).rstrip(), setup or "pass", globals=self.user_ns)
        if not loops:
            loops, _ = timer.autorange()
        runs = [t / loops for t in timer.repeat(repeats, loops)]
        mean = sum(runs) / len(runs)
        deviation = (sum((t - mean) ** 2 for t in runs) / len(runs)) ** 0.5
        print("%s ± %s per loop (mean ± std. dev. of %d runs, %s loops each)" % (span(mean), span(deviation), repeats, format(loops, ",")))

    def line_matplotlib(self, line):
        if "-l" in line or "--list" in line:
            print("Available matplotlib backends: ['agg', 'inline']")

    def line_env(self, line):
        if not line:
            return dict(os.environ)
        name, eq, value = line.partition("=") if "=" in line else line.partition(" ")
        if not eq:
            return os.environ.get(name)
        os.environ[name.strip()] = self.expand(value.strip())
        print("env: %s=%s" % (name.strip(), os.environ[name.strip()]))

    line_set_env = line_env

    def line_cd(self, line):
        target = self.expand(line.strip().strip("'\"")) or self.home
        previous = os.getcwd()
        if target == "-":
            target = self.user_ns.get("_oh_dir", previous)
        try:
            os.chdir(os.path.expanduser(target))
        except OSError as e:
            print("[Errno %d] %s: %r" % (e.errno, e.strerror, target))
            return
        self.user_ns["_oh_dir"] = previous
        print(os.getcwd())

    def line_pwd(self, line):
        return os.getcwd()

    def user_names(self):
        own = {"In", "Out", "get_ipython", "exit", "quit", "display", "_exit_code", "_oh_dir"}
        return sorted(n for n in self.user_ns if n not in own and not n.startswith("_"))

    def line_who(self, line):
        names = [n for n in self.user_names() if not line or type(self.user_ns[n]).__name__ in line.split()]
        print("\t ".join(names) if names else "Interactive namespace is empty.")

    def line_who_ls(self, line):
        return self.user_names()

    def line_whos(self, line):
        names = self.user_names()
        if not names:
            print("Interactive namespace is empty.")
            return
        rows = [(n, type(self.user_ns[n]).__name__, short(self.user_ns[n])) for n in names]
        widths = [max(len(h), *(len(r[i]) for r in rows)) for i, h in enumerate(("Variable", "Type"))]
        print("%s   %s   Data/Info" % ("Variable".ljust(widths[0]), "Type".ljust(widths[1])))
        print("-" * (widths[0] + widths[1] + 15))
        for name, kind, info in rows:
            print("%s   %s   %s" % (name.ljust(widths[0]), kind.ljust(widths[1]), info))

    def line_reset(self, line):
        self.reset()

    def line_reset_selective(self, line):
        pattern = re.compile(line.replace("-f", "").strip())
        for n in self.user_names():
            if pattern.search(n):
                del self.user_ns[n]

    def line_xdel(self, line):
        self.user_ns.pop(line.strip(), None)

    def line_run(self, line):
        import shlex

        argv = shlex.split(self.expand(line))
        while argv and argv[0].startswith("-"):
            argv.pop(0)
        if not argv:
            raise UsageError("%run needs the name of a file.")
        path = os.path.expanduser(argv[0])
        path = path if os.path.exists(path) or path.endswith(".py") else path + ".py"
        try:
            with open(path, encoding="utf-8") as f:
                source = f.read()
        except OSError:
            raise UsageError("File `%r` not found." % path) from None
        if path.endswith(".ipy"):
            source = self.transform(source)
        saved, sys.argv = sys.argv, argv
        self.user_ns["__file__"] = path
        try:
            exec(compile(source, path, "exec"), self.user_ns)
        except SystemExit as e:
            if e.code not in (None, 0):
                raise
        finally:
            sys.argv = saved
            self.user_ns.pop("__file__", None)

    def line_load_ext(self, line):
        pass

    line_reload_ext = line_unload_ext = line_autoreload = line_config = line_precision = line_pylab = line_colors = line_load_ext
    line_xmode = line_autosave = line_pdb = line_notebook = line_logstop = line_load_ext

    def line_history(self, line):
        for text in self.user_ns.get("In", [])[self.first_cell : -1]:
            print(text)

    line_hist = line_history

    def line_lsmagic(self, line):
        lines = sorted("%" + n[5:] for n in dir(self) if n.startswith("line_"))
        cells = sorted("%%" + n[5:] for n in dir(self) if n.startswith("cell_"))
        print("Available line magics:\n%s\n\nAvailable cell magics:\n%s" % ("  ".join(lines), "  ".join(cells)))

    def line_pinfo(self, line):
        self.help(line, 1)

    def line_pinfo2(self, line):
        self.help(line, 2)

    def line_sx(self, line):
        return self.getoutput(line)

    line_system = line_sx

    def line_debug(self, line):
        raise UsageError("There is no debugger: a session has no standard input.")

    def cell_bash(self, line, cell, shell="bash"):
        import subprocess

        flush()
        done = subprocess.run([shell] + line.split(), input=cell.encode())
        self.user_ns["_exit_code"] = done.returncode
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, shell, None, None)

    def cell_sh(self, line, cell):
        self.cell_bash(line, cell, "sh")

    def cell_script(self, line, cell):
        program, _, rest = line.partition(" ")
        self.cell_bash(rest, cell, program)

    def cell_python(self, line, cell):
        self.cell_bash(line, cell, sys.executable)

    cell_python3 = cell_python

    def cell_writefile(self, line, cell):
        append = line.startswith("-a ")
        path = os.path.expanduser(self.expand((line[3:] if append else line).strip().strip("'\"")))
        if not path:
            raise UsageError("%%writefile needs the name of a file.")
        print(("Appending to %s" if append else "Overwriting %s" if os.path.exists(path) else "Writing %s") % path)
        with open(path, "a" if append else "w", encoding="utf-8") as f:
            f.write(cell)

    cell_file = cell_writefile

    def cell_capture(self, line, cell):
        import io
        from contextlib import redirect_stderr, redirect_stdout

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            self.run_nested(cell)
        names = [w for w in line.split() if not w.startswith("-")]
        if names:
            self.user_ns[names[0]] = Captured(out.getvalue(), err.getvalue())

    def cell_html(self, line, cell):
        print(cell, end="")

    cell_HTML = cell_markdown = cell_latex = cell_javascript = cell_js = cell_svg = cell_SVG = cell_html

    # Help

    def help(self, name, detail):
        import inspect

        try:
            obj = eval(name, self.user_ns)
        except Exception:
            print("Object `%s` not found." % name)
            return
        if callable(obj):
            try:
                print("Signature: %s%s" % (name, inspect.signature(obj)))
            except (TypeError, ValueError):
                pass
        print("Type:      %s" % type(obj).__name__)
        if not callable(obj):
            print("String form: %s" % short(obj))
        if detail > 1:
            try:
                print("Source:\n%s" % inspect.getsource(obj).rstrip())
                return
            except (TypeError, OSError):
                pass
        print("Docstring: %s" % (inspect.getdoc(obj) or "<no docstring>"))


def shell_alias(name):
    def run(self, line):
        self.system("%s %s" % (name, line))

    return run


for _name in ("ls", "ll", "cat", "cp", "mv", "rm", "mkdir", "rmdir", "less", "more", "man"):
    setattr(Shell, "line_" + _name, shell_alias({"ll": "ls -l", "less": "cat", "more": "cat"}.get(_name, _name)))


class Exit:
    """exit and quit: end the cell, not the interpreter."""

    def __init__(self, name):
        self.name = name

    def __call__(self, code=None):
        raise SystemExit(code)

    def __repr__(self):
        return "Use %s() to end the cell." % self.name


class SList(list):
    """The lines of a command's output."""

    @property
    def n(self):
        return "\n".join(self)

    nlstr = n

    @property
    def s(self):
        return " ".join(self)

    spstr = s

    @property
    def l(self):
        return list(self)

    list = l


class Captured:
    """What %%capture keeps."""

    def __init__(self, stdout, stderr):
        self.stdout, self.stderr, self.outputs = stdout, stderr, []

    def show(self):
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)

    __call__ = show

    def __str__(self):
        return self.stdout


def display(*objects, **_):
    """Shows values as text, as IPython.display.display does on a terminal."""
    for value in objects:
        print(value if isinstance(value, Exit) else repr(value))


def quiet(code, expression):
    """Reports whether a semicolon after the last expression suppresses its echo."""
    lines = code.split("\n")
    end, column = getattr(expression, "end_lineno", len(lines)), getattr(expression, "end_col_offset", 0)
    rest = lines[end - 1].encode()[column:].decode("utf-8", "replace") + "\n" + "\n".join(lines[end:])
    return rest.lstrip(") \t").startswith(";")


def shell_argv(command):
    return ["/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh", "-c", command]


def quoted(word):
    import shlex

    return shlex.quote(word)


def span(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            return "%.3g %s" % (seconds / size, unit)


def short(value):
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else text[:77] + "..."


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def where(name):
    m = re.match(r"<ipython-input-(\d+)>$", name)
    return "Cell In[%s], line " % m.group(1) if m else None


def arguments(frame):
    code = frame.f_code
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    at = code.co_argcount + code.co_kwonlyargcount
    if code.co_flags & 4:
        names.insert(code.co_argcount, "*" + code.co_varnames[at])
        at += 1
    if code.co_flags & 8:
        names.append("**" + code.co_varnames[at])
    return ", ".join(names)


def format_frame(tb):
    """One frame in IPython's layout: where it is, and the lines around the one that runs."""
    frame, line = tb.tb_frame, tb.tb_lineno
    name = frame.f_code.co_filename
    cell, function = where(name), frame.f_code.co_name
    inside = "" if function == "<module>" else ", in %s(%s)" % (getattr(frame.f_code, "co_qualname", function), arguments(frame))
    out = [(cell + str(line) if cell else "File %s:%d" % (name, line)) + inside]
    lines = linecache.getlines(name, frame.f_globals)
    for n in range(max(1, line - CONTEXT), min(len(lines), line + CONTEXT) + 1):
        text = lines[n - 1].rstrip("\n")
        number = "%d" % n
        out.append("%s%s %s" % ("-" * (5 - len(number)) + "> " if n == line else " " * (7 - len(number)), number, text))
    return "\n".join(line.rstrip() for line in out)


def format_syntax_error(kind, value):
    cell = where(value.filename or "")
    place = "  %s%s" % (cell, value.lineno) if cell else "  File %s:%s" % (value.filename, value.lineno)
    out = [place]
    if value.text:
        text = value.text.rstrip("\n")
        stripped = text.lstrip()
        out.append("    " + stripped)
        if value.offset:
            out.append("    " + " " * max(0, value.offset - 1 - (len(text) - len(stripped))) + "^")
    return "\n".join(out + ["%s: %s" % (kind.__name__, value.msg)])


MAX_FRAMES = 40  # of a traceback; a runaway recursion has a thousand alike


def format_exception(kind, value, tb, seen=None):
    seen = seen or set()
    seen.add(id(value))
    parts = []
    cause, context = value.__cause__, value.__context__
    if cause is not None and id(cause) not in seen:
        parts += [format_exception(type(cause), cause, cause.__traceback__, seen), "\nThe above exception was the direct cause of the following exception:\n"]
    elif cause is None and context is not None and not value.__suppress_context__ and id(context) not in seen:
        parts += [format_exception(type(context), context, context.__traceback__, seen), "\nDuring handling of the above exception, another exception occurred:\n"]
    if isinstance(value, UsageError):
        return "\n".join(parts + ["UsageError: %s" % value])
    frames = []
    while tb is not None:
        if tb.tb_frame.f_code.co_filename != __file__:
            frames.append(tb)
        tb = tb.tb_next
    if isinstance(value, SyntaxError) and not frames:
        return "\n".join(parts + [format_syntax_error(kind, value)])
    name = kind.__name__
    parts += [RULE, name + "Traceback (most recent call last)".rjust(75 - len(name))]
    if len(frames) > MAX_FRAMES:
        skipped = len(frames) - MAX_FRAMES
        shown = [format_frame(f) for f in frames[: MAX_FRAMES // 2]]
        shown += ["    [... skipping %d frames]" % skipped] + [format_frame(f) for f in frames[-MAX_FRAMES // 2 :]]
    else:
        shown = [format_frame(f) for f in frames]
    parts.append("\n\n".join(shown))
    if isinstance(value, SyntaxError):
        parts.append("\n" + format_syntax_error(kind, value))
    else:
        try:
            text = str(value)
        except Exception:
            text = "<exception str() failed>"
        module = "" if kind.__module__ in ("builtins", "__main__") else ""
        parts.append("\n%s%s: %s" % (module, name, text) if text else "\n" + name + ": ")
    for note in getattr(value, "__notes__", ()):
        parts.append(str(note))
    if hasattr(builtins, "ExceptionGroup") and isinstance(value, builtins.BaseExceptionGroup):
        for i, e in enumerate(value.exceptions, 1):
            parts.append("  +-+ %d\n%s" % (i, "\n".join("    " + line for line in format_exception(type(e), e, e.__traceback__, seen).split("\n"))))
    return "\n".join(parts)


def main():
    import fcntl

    # The control pipes go where the user's code does not stumble over them, and are closed in every program that it starts.
    requests = os.fdopen(fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, 200), "r", encoding="utf-8", newline="\n")
    replies = fcntl.fcntl(4, fcntl.F_DUPFD_CLOEXEC, 200)
    for fd in (3, 4, 5):
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.argv = [""]
    sys.path[0] = ""
    os.environ.pop("SUNABA_DRIVER", None)
    me, shell = os.getpid(), Shell()
    builtins.get_ipython = shell.user_ns["get_ipython"]
    import warnings

    warnings.filterwarnings("ignore", message=".*non-interactive, and thus cannot be shown.*")
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def reply(**what):
        os.write(replies, (json.dumps(what) + "\n").encode())

    reply(ready=True)
    for line in requests:
        request = json.loads(line)
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                if request["clear"]:
                    shell.clear()
                code = shell.run_cell(request["code"])
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:  # it came between the lines above
            print("KeyboardInterrupt", file=sys.stderr)
        if os.getpid() != me:  # a child that the code forked, and that came back here
            flush()
            os._exit(code)
        flush()
        reply(call=request["call"], exit=code)


main()
