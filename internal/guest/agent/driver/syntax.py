class Transformer:
    """Turns IPython's syntax (!command, %magic, %%magic, name?) into Python. Source that is Python already never comes here."""

    LONGEST = 10_000  # characters of a line in which an assignment or a question is looked for
    ASSIGN = r"^(\s*)([A-Za-z_][\w.\[\]'\", ]*?)\s*=\s*([!%])(?!=)(.*)$"
    HELP = r"^(\s*)(\?{1,2})?\s*([A-Za-z_][\w.]*)\s*(\?{1,2})?\s*$"

    def cell_magic(self, first):
        head, _, body = first.partition("\n")
        name, _, line = head[2:].partition(" ")
        return "get_ipython().run_cell_magic(%r, %r, %r)\n" % (name, line.strip(), body)

    def lines(self, source):
        out, state, skip = [], Scanner(), 0
        lines = self.dedented(source.split("\n"))
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

    def dedented(self, lines):
        """Takes the indentation of the first line off all lines that have it, as IPython does with pasted code."""
        first = next((line for line in lines if line.strip()), "")
        indent = first[: len(first) - len(first.lstrip())]
        return [line[len(indent) :] if line.startswith(indent) else line for line in lines] if indent else lines

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
        m = re.match(self.ASSIGN, line) if "=" in line and len(line) <= self.LONGEST else None
        if m:
            call = "getoutput" if m.group(3) == "!" else "magic"
            return "%s%s = get_ipython().%s(%r)" % (m.group(1), m.group(2), call, m.group(4).strip())
        m = re.match(self.HELP, line) if "?" in line and len(line) <= self.LONGEST else None
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
