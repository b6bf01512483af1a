KEPT_SOURCES = 500  # cells whose source is kept for tracebacks


class Bare:
    """What Shell inherits from until magics.py takes its place."""


class Shell(Bare):
    """What get_ipython() returns, and the one that runs cells."""

    def __init__(self):
        self.home = os.getcwd()
        self.execution_count = 0
        self.module = type(sys)("__main__")
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

    def run_cell(self, source):
        """Runs a cell and returns its exit code."""
        self.execution_count += 1
        n = self.execution_count
        name = "<ipython-input-%d>" % n
        history = self.user_ns.get("In")
        if isinstance(history, list):
            history.extend([""] * (n - len(history)))
            history.append(source)
        try:
            sources.drop("<ipython-input-%d>" % (n - KEPT_SOURCES))
            self.run_source(source.replace("\r\n", "\n").replace("\r", "\n"), name)
            return 0
        except SystemExit as e:
            return self.exited(e)
        except BaseException:
            self.showtraceback()
            return 1

    def run_source(self, source, name):
        """Runs source under a name that tracebacks and inspect.getsource find it by."""
        sources.put(name, remembered(source, name))
        code = self.transform(source)
        if code != source:
            sources.put(name, remembered(code, name))
        self.execute(code, name)

    def transform(self, source):
        """Turns IPython's syntax into Python."""
        first = source.lstrip("\n")
        if first.startswith("%%"):
            return syntax.Transformer().cell_magic(first)
        try:
            compile(source, "<cell>", "exec", AWAIT | ONLY_AST)
            return source
        except (SyntaxError, ValueError):
            return syntax.Transformer().lines(source)

    def execute(self, code, name):
        tree = compile(code, name, "exec", ONLY_AST | AWAIT)
        last = None
        if tree.body and isinstance(tree.body[-1], _ast.Expr) and not quiet(code, tree.body[-1].value):
            last = _ast.Expression(tree.body.pop().value)
        if tree.body:
            self.evaluate(compile(tree, name, "exec", AWAIT))
        if last is not None:
            self.show(self.evaluate(compile(last, name, "eval", AWAIT)))

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
        task = self.loop.create_task(coroutine)
        try:
            return self.loop.run_until_complete(task)
        finally:
            if not task.done():  # interrupted: the next cell must not go on with it
                task.cancel()
                self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

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
        complain(str(code))
        return 1

    # Errors

    def showtraceback(self):
        _, value, tb = sys.exc_info()
        flush()
        try:
            text = tracebacks.format_exception(value, tb)
        except BaseException as e:  # an exception whose own methods fail
            text = "%s: <its text cannot be shown: %s>" % (type(value).__name__, type(e).__name__)
        complain(text)

    def __getattr__(self, name):
        """The commands of magics.py: they become part of the class when the first of them is asked for."""
        if magics.module is not None:
            raise AttributeError("%r object has no attribute %r" % (type(self).__name__, name))
        magics.load()
        return getattr(self, name)


class Exit:
    """exit and quit: end the cell, not the interpreter."""

    def __init__(self, name):
        self.name = name

    def __call__(self, code=None):
        raise SystemExit(code)

    def __repr__(self):
        return "Use %s() to end the cell." % self.name


def display(*objects, **_):
    """Shows values as text, as IPython.display.display does on a terminal."""
    for value in objects:
        print(value if isinstance(value, Exit) else repr(value))


def remembered(source, name):
    """An entry of linecache, which never looks for a file of this name."""
    return len(source), None, [line + "\n" for line in source.rstrip("\n").split("\n")], name


def complain(text):
    """Writes to standard error, also when the code has left none that works."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except BaseException:
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))


def quiet(code, expression):
    """Reports whether a semicolon after the last expression suppresses its echo."""
    lines = code.split("\n")
    end, column = getattr(expression, "end_lineno", len(lines)), getattr(expression, "end_col_offset", 0)
    rest = lines[end - 1].encode()[column:].decode("utf-8", "replace") + "\n" + "\n".join(lines[end:])
    return rest.lstrip(") \t\n").startswith(";")


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
