class UsageError(Exception):
    """A magic was used wrongly; shown as one line."""


class Magics:
    """The % and %% commands of a shell: line_NAME and cell_NAME."""

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
        self.run_source("\n" + source, "<ipython-input-%d>" % self.execution_count)  # below the line of the magic, so that line numbers are true

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
        self.timed(self.execute, self.transform(line), "<timed exec>")

    def cell_time(self, line, cell):
        self.timed(self.run_nested, cell)

    def timed(self, run, *args):
        import time

        wall, cpu = time.perf_counter(), os.times()
        try:
            run(*args)
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
        silent = line.startswith("-q")
        target = self.expand(line[2 * silent :].strip().strip("'\"")) or self.home
        try:
            previous = os.getcwd()
        except OSError:  # it was removed
            previous = self.home
        if target == "-":
            target = self.user_ns.get("_oh_dir", previous)
        try:
            os.chdir(os.path.expanduser(target))
        except OSError as e:
            print("[Errno %d] %s: %r" % (e.errno, e.strerror, target))
            return
        self.user_ns["_oh_dir"] = previous
        if not silent:
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


def shell_alias(name):
    def run(self, line):
        self.system("%s %s" % (name, line))

    return run


for _name in ("ls", "ll", "cat", "cp", "mv", "rm", "mkdir", "rmdir", "less", "more", "man"):
    setattr(Magics, "line_" + _name, shell_alias({"ll": "ls -l", "less": "cat", "more": "cat"}.get(_name, _name)))


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


Shell.__bases__ = (Magics,)
