def reopened(fd):
    """A text stream on a descriptor that it does not own, as Python sets up its own."""
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, newline="\n", closefd=False)


class Streams:
    """The standard streams and descriptors: what code did to them is undone before the next cell."""

    def __init__(self):
        self.fds = {1: aside(1, 202), 2: aside(2, 203)}
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


def aside(fd, number):
    """Copies a descriptor to where the user's code does not stumble over it; it is closed in every program that the code starts."""
    os.dup2(fd, number, inheritable=False)
    return number


def identity(fd):
    try:
        s = fstat(fd)
    except OSError:
        return None
    return s.st_dev, s.st_ino


# What the loop below needs is bound here, so that code which replaces a module's functions does not break it.
dup2, fstat, write, getpid, leave, set_signal = os.dup2, os.fstat, os.write, os.getpid, os._exit, _signal.signal


def main():
    requests, replies = open(aside(3, 200), "rb"), aside(4, 201)
    for fd in (3, 4, 5):
        os.close(fd)
    streams = Streams()
    sys.argv = [""]
    sys.path[0] = ""
    me, shell = getpid(), Shell()
    builtins.get_ipython = shell.user_ns["get_ipython"]
    set_signal(_signal.SIGINT, _signal.SIG_IGN)
    try:
        write(replies, b"ready\n")
        for line in requests:
            call, clear, length = line.split()
            source = requests.read(int(length))
            code = 1
            try:
                streams.restore()
                set_signal(_signal.SIGINT, _signal.default_int_handler)
                try:
                    if clear == b"clear":
                        shell.clear()
                    code = shell.run_cell(source.decode("utf-8", "surrogatepass"))
                    flush()
                finally:
                    set_signal(_signal.SIGINT, _signal.SIG_IGN)
            except BaseException as e:  # it came between the lines above
                complain(type(e).__name__)
            if getpid() != me:  # a child that the code forked, and that came back here
                leave(code)
            write(replies, b"done %s %d\n" % (call, code))
            for module in LAZY:  # while nobody waits
                module.load()
    except OSError:  # the code has closed the control pipes
        leave(1)


main()
