"""The Python side of a session: runs cells one after the other in one namespace, the way IPython does.

Requests come on descriptor 3, as a line of three words (the call's name, whether to clear, how many bytes of code follow) and the code; replies go out as lines on descriptor 4. What the user's
code prints goes to descriptors 1 and 2, which the guest reads. Only the standard library of Python 3.8 or later is used, and of that only what is part of the interpreter anyway is imported
ahead of its use: json, re, ast and linecache together would add half to the time that Python takes to start, and a session's memory is what it costs. For the same reason most of the driver itself
waits as text: compiling all of it takes longer than starting Python does. PARTS, which the guest writes, has the texts of syntax.py, magics.py and tracebacks.py.
"""
import _ast
import _signal
import builtins
import os
import sys

# What the user's code does to the builtins must not reach the functions below: they get a copy of their own.
__builtins__ = dict(vars(builtins))


class Lazy:
    """A module that is imported after the first cell, or when it is first used; then it stays, whatever code does to sys.modules."""

    def __init__(self, name):
        self.name, self.module = name, None

    def load(self):
        """Loads it under the circumstances that it expects: code may have changed the builtins, or the limit of recursion."""
        if self.module is not None:
            return
        found, limit = dict(vars(builtins)), sys.getrecursionlimit()
        vars(builtins).update(__builtins__)
        sys.setrecursionlimit(max(limit, 1000))
        try:
            self.module = self.found()
        finally:
            sys.setrecursionlimit(limit)
            vars(builtins).clear()
            vars(builtins).update(found)

    def found(self):
        return __import__(self.name)

    def __getattr__(self, attribute):
        self.load()
        return getattr(self.module, attribute)


class Part(Lazy):
    """A part of the driver that is compiled when it is first used. It shares the driver's names."""

    def found(self):
        exec(compile(PARTS[self.name], __file__, "exec"), globals())
        return DRIVER


DRIVER = sys.modules["__main__"]
ast, linecache, re, syntax, magics, tracebacks = LAZY = Lazy("ast"), Lazy("linecache"), Lazy("re"), Part("syntax"), Part("magics"), Part("tracebacks")
ONLY_AST, AWAIT = _ast.PyCF_ONLY_AST, _ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Sources:
    """The sources of cells, where tracebacks and inspect look for them: in linecache, as soon as somebody has imported that."""

    def __init__(self):
        self.kept = {}
        self.finders = sys.meta_path[:]
        sys.meta_path.insert(0, self)

    def put(self, name, entry):
        self.kept[name] = entry
        if "linecache" in sys.modules:
            sys.modules["linecache"].cache[name] = entry

    def drop(self, name):
        self.kept.pop(name, None)
        if "linecache" in sys.modules:
            sys.modules["linecache"].cache.pop(name, None)

    def find_spec(self, name, path=None, target=None):
        if name != "linecache":
            return None
        for finder in self.finders:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                load = spec.loader.exec_module

                def exec_module(module):
                    load(module)
                    module.cache.update(self.kept)

                spec.loader.exec_module = exec_module
                return spec
        return None

    def lines(self, name, namespace=None):
        """The lines of a cell, or of a file as far as it can be read."""
        if name in self.kept:
            return self.kept[name][2]
        try:
            return linecache.getlines(name, namespace)
        except Exception:
            return []


sources = Sources()
