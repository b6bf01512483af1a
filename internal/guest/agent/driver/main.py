def reopened(fd):
    """A text stream on a descriptor that it does not own, as Python sets up its own."""
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, newline="\n", closefd=False)


class Streams:
    """The standard streams and descriptors: what code did to them is undone before the next cell."""

    def __init__(self, fcntl):
        self.fds = {1: fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 200), 2: fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 200)}
        self.ids = {fd: identity(kept) for fd, kept in self.fds.items()}
        for name in ("stdout", "stderr"):
            getattr(sys, name).reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)

    def restore(self):
        for fd, kept in self.fds.items():
            if identity(fd) != self.ids[fd]:
                dup2(kept, fd, True)
        if identity(0) is None:
            os.open(os.devnull, os.O_RDONLY)
        for name, fd in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name, None)
            if stream is None or getattr(stream, "closed", False) or not hasattr(stream, "write"):
                own = getattr(sys, "__%s__" % name, None)
                usable = own is not None and not getattr(own, "closed", True)
                setattr(sys, name, own if usable else reopened(fd))


def identity(fd):
    try:
        s = fstat(fd)
    except OSError:
        return None
    return s.st_dev, s.st_ino


# What the loop below needs is bound here, so that code which replaces a module's functions does not break it.
dup2, fstat, write, getpid, leave, set_signal, loads, dumps = os.dup2, os.fstat, os.write, os.getpid, os._exit, signal.signal, json.loads, json.dumps


def main():
    import fcntl
    import warnings

    # The control pipes go where the user's code does not stumble over them, and are closed in every program that it starts.
    requests = os.fdopen(fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, 200), "r", encoding="utf-8", newline="\n")
    replies = fcntl.fcntl(4, fcntl.F_DUPFD_CLOEXEC, 200)
    for fd in (3, 4, 5):
        os.close(fd)
    streams = Streams(fcntl)
    sys.argv = [""]
    sys.path[0] = ""
    me, shell = getpid(), Shell()
    builtins.get_ipython = shell.user_ns["get_ipython"]
    warnings.filterwarnings("ignore", message=".*non-interactive, and thus cannot be shown.*")
    set_signal(signal.SIGINT, signal.SIG_IGN)

    def reply(**what):
        write(replies, (dumps(what) + "\n").encode())

    try:
        reply(ready=True)
        for line in requests:
            request = loads(line)
            code = 1
            try:
                streams.restore()
                set_signal(signal.SIGINT, signal.default_int_handler)
                try:
                    if request["clear"]:
                        shell.clear()
                    code = shell.run_cell(request["code"])
                    flush()
                finally:
                    set_signal(signal.SIGINT, signal.SIG_IGN)
            except BaseException as e:  # it came between the lines above
                complain(type(e).__name__)
            if getpid() != me:  # a child that the code forked, and that came back here
                leave(code)
            reply(call=request["call"], exit=code)
    except OSError:  # the code has closed the control pipes
        leave(1)


main()
