RULE = "-" * 75
CONTEXT = 2  # statements shown above and below the one that failed
LONGEST = 6  # lines shown of one of those statements
MAX_FRAMES = 60  # of a traceback
MAX_CHAIN = 20  # exceptions of a chain or of a group
MAX_PARSED = 200_000  # characters of a source file that is parsed for its statements
MAX_LINE = 2_000  # characters shown of one line
MAX_TEXT = 1 << 20  # characters shown of one exception's own text


def where(name):
    front, back = "<ipython-input-", ">"
    number = name[len(front) : -len(back)]
    return "Cell In[%s], line " % number if name.startswith(front) and name.endswith(back) and number.isdigit() else None


def arguments(frame):
    code = frame.f_code
    at = code.co_argcount + code.co_kwonlyargcount
    names = list(code.co_varnames[:at])
    if code.co_flags & 4:
        names.append("*" + code.co_varnames[at])
        at += 1
    if code.co_flags & 8:
        names.append("**" + code.co_varnames[at])
    return ", ".join(names)


def split(node, start, end):
    """Cuts the lines of a block into pieces, one per simple statement and one per head of a compound statement."""
    for _, body in ast.iter_fields(node):
        if not (isinstance(body, list) and body and hasattr(body[0], "lineno") and not isinstance(body[0], ast.expr)):
            if not (isinstance(body, list) and body and type(body[0]).__name__ == "match_case"):
                continue
        for child in body:
            if type(child).__name__ == "match_case":
                first, last = child.pattern.lineno, child.body[-1].end_lineno
            elif isinstance(child, (ast.stmt, ast.ExceptHandler)):
                first, last = child.lineno, child.end_lineno
            else:
                continue
            for decorator in getattr(child, "decorator_list", ()):
                first = min(first, decorator.lineno)
            first = max(first, start)
            for a, b in split(child, first, last + 1):
                if start < a:
                    yield start, a
                if a < b:
                    yield a, b
                start = max(start, b)
    if start < end:
        yield start, end


def scope_of(tree, code):
    """Finds the function that a code object was compiled from: its lines bound what is shown."""
    if code.co_name.startswith("<") and code.co_name != "<lambda>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == code.co_name:
            if code.co_firstlineno in [node.lineno] + [d.lineno for d in node.decorator_list]:
                return node
    return tree


def pieces(lines, code, line, context):
    """Returns ranges of lines to show around the failing one, and which range that one is in."""
    source = "".join(lines)
    try:
        if len(source) > MAX_PARSED:
            raise ValueError
        tree = compile(source, "<source>", "exec", ONLY_AST | AWAIT)
        scope = scope_of(tree, code)
        if scope is tree:
            start, end = 1, len(lines) + 1
        else:
            start, end = min([scope.lineno] + [d.lineno for d in scope.decorator_list]), scope.end_lineno + 1
        found = []
        for a, b in split(scope, start, end):
            while a < b and not lines[a - 1].strip():
                a += 1
            while a < b and not lines[b - 2].strip():
                b -= 1
            if a < b:
                found.append((a, b))
        at = [i for i, (a, b) in enumerate(found) if a <= line < b][0]
    except Exception:  # no Python, or none that this Python can parse
        found, at = [(n, n + 1) for n in range(max(1, line - context), min(len(lines), line + context) + 1)], min(context, line - 1)
    first = max(0, at - context)
    return found[first : at + context + 1], at - first


def format_lines(lines, code, line, context):
    shown, at = pieces(lines, code, line, context)
    numbers = []
    for i, (a, b) in enumerate(shown):
        piece = list(range(a, b))
        if i != at and len(piece) > LONGEST:
            piece = piece[:3] + [None] + piece[-2:]
        numbers += piece
    texts = [lines[n - 1].rstrip("\r\n").expandtabs() for n in numbers if n and lines[n - 1].strip()]
    indent = min([len(t) - len(t.lstrip()) for t in texts] or [0])
    out = []
    for n in numbers:
        if n is None:
            out.append("   (...)")
            continue
        number = str(n)
        mark = "-" * (5 - len(number)) + "> " if n == line else " " * (7 - len(number))
        out.append(("%s%s %s" % (mark, number, lines[n - 1].rstrip("\r\n").expandtabs()[indent:][:MAX_LINE])).rstrip())
    return out


def format_frame(tb, context):
    """One frame in IPython's layout: where it is, and the statements around the one that runs."""
    frame, line = tb.tb_frame, tb.tb_lineno or 1
    code = frame.f_code
    name = code.co_filename
    cell, function = where(name), code.co_name
    inside = "" if function == "<module>" else ", in %s(%s)" % (getattr(code, "co_qualname", function), arguments(frame))
    lines = sources.lines(name, frame.f_globals)
    out = [(cell + str(line) if cell else "File %s:%d" % (shortened(name), line)) + inside]
    return "\n".join(out + (format_lines(lines, code, line, context) if 0 < line <= len(lines) else []))


def shortened(path):
    home = os.environ.get("HOME", "")
    return "~" + path[len(home) :] if home and path.startswith(home + "/") else path


def format_frames(frames, context):
    """The frames of a traceback; of those that a recursion repeats, each is shown twice at its beginning and once at its end."""
    places = {}
    for i, tb in enumerate(frames):
        places.setdefault((tb.tb_frame.f_code, tb.tb_lineno), []).append(i)
    hidden = {i for same in places.values() if len(same) > 3 for i in same[2:-1]}
    out, run = [], {}
    for i, tb in enumerate(frames):
        if i in hidden:
            code = tb.tb_frame.f_code
            key = "%s at line %d" % (getattr(code, "co_qualname", code.co_name), tb.tb_lineno)
            run[key] = run.get(key, 0) + 1
            if i + 1 in hidden:
                continue
            described = ", ".join("%s (%d times)" % kn for kn in sorted(run.items(), key=lambda kn: -kn[1])[:10])
            out.append("    [... skipping similar frames: %s]" % described)
            run = {}
            continue
        out.append(format_frame(tb, context))
    if len(out) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        out[half:-half] = ["    [... skipping %d frames]" % (len(out) - 2 * half)]
    return out


def format_syntax_error(kind, value):
    cell = where(value.filename or "")
    out = ["  %s%s" % (cell, value.lineno) if cell else "  File %s:%s" % (shortened(str(value.filename)), value.lineno)]
    text = value.text
    if text is None and value.filename and value.lineno:
        text = linecache.getline(value.filename, value.lineno)
    if text:
        text = text.rstrip("\n")[:MAX_LINE]
        stripped = text.lstrip()
        out.append("    " + stripped)
        if value.offset is not None:
            out.append("    " + " " * max(0, min(value.offset - 1, len(text)) - (len(text) - len(stripped))) + "^")
    return out


def text_of(value):
    try:
        text = str(value)
    except Exception:
        return "<exception str() failed>"
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "... (%d characters)" % len(text)


def heading(name):
    return name + "Traceback (most recent call last)".rjust(75 - len(name))


def frames_of(tb):
    """The frames of the user's code, without the driver's own and without what called a cell magic that runs its cell."""
    frames, waiting = [], False
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename == __file__:
            waiting = code.co_name == "wait"
            if code.co_name == "evaluate":
                frames = []
        elif not (waiting and code.co_name == "run_until_complete"):
            frames.append(tb)
        tb = tb.tb_next
    return frames


def misuse(value):
    """Reports whether a magic was used wrongly. As long as nobody has used any, there is no such exception."""
    return magics.module is not None and isinstance(value, UsageError)


def format_one(value, tb, context):
    """One exception, without those that it came from."""
    if misuse(value):
        return "UsageError: %s" % value
    kind = type(value)
    frames = frames_of(tb)
    if isinstance(value, SyntaxError) and where(value.filename or "") and not [f for f in frames if where(f.tb_frame.f_code.co_filename)]:
        return "\n".join(format_syntax_error(kind, value) + ["%s: %s\n" % (kind.__name__, value.msg)])
    parts = [heading(kind.__name__), "\n\n".join(format_frames(frames, context)) + "\n" if frames else ""]
    if isinstance(value, SyntaxError):
        parts += format_syntax_error(kind, value) + ["%s: %s" % (kind.__name__, value.msg)]
    else:
        text = text_of(value)
        parts.append("%s: %s" % (kind.__name__, text))
    notes = getattr(value, "__notes__", None)
    if isinstance(notes, (list, tuple)):
        parts += [str(note) for note in notes]
    return "\n".join(parts)


def format_group(value, depth):
    """The members of an exception group, indented as the traceback module does it."""
    out = []
    for i, e in enumerate(value.exceptions[:MAX_CHAIN], 1):
        text = format_exception(e, e.__traceback__, depth + 1)
        out.append("  +---------------- %d ----------------\n%s" % (i, "\n".join("  | " + line if line else "  |" for line in text.split("\n"))))
    if len(value.exceptions) > MAX_CHAIN:
        out.append("  +---------------- and %d more" % (len(value.exceptions) - MAX_CHAIN))
    return "\n".join(out)


def format_exception(value, tb, depth=0):
    """An exception with those that it came from, the first one first."""
    chain, seen, how, context = [], set(), "", CONTEXT
    while value is not None and id(value) not in seen and len(chain) < MAX_CHAIN:
        seen.add(id(value))
        text = format_one(value, tb, context)
        if isinstance(getattr(value, "exceptions", None), tuple) and depth < 3:
            text += "\n" + format_group(value, depth)
        chain.append(text + how)
        if misuse(value):
            return chain[0]
        if value.__cause__ is not None:
            value, how = value.__cause__, "\n\nThe above exception was the direct cause of the following exception:\n"
        elif value.__context__ is not None and not value.__suppress_context__:
            value, how = value.__context__, "\n\nDuring handling of the above exception, another exception occurred:\n"
        else:
            break
        tb, context = value.__traceback__, 1
    if len(chain) == 1 and chain[0].startswith("  ") and not chain[0].startswith("  +"):
        return chain[0]  # a syntax error of the cell itself, which has no frames
    return "\n".join([RULE] + chain[::-1])
