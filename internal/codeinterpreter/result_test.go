package codeinterpreter

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func same(s string) string { return s }

func TestResultOfARun(t *testing.T) {
	for _, c := range []struct {
		name, stdout, stderr string
		exit                 int
		text                 string
	}{
		{"success", "out\n", "", 0, "out\n"},
		{"warnings are not the output", "out\n", "warn\n", 0, "out\n"},
		{"only warnings", "", "warn\n", 0, "warn\n"},
		{"failure keeps stdout", "out\n", "err\n", 3, "out\nerr\n"},
		{"failure, no final newline", "out", "err", 3, "out\nerr"},
		{"silent", "", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := finished(&output{bytes: []byte(c.stdout), limit: 100}, &output{bytes: []byte(c.stderr), limit: 100}, c.exit, time.Second, same)
			if r.Content[0].Text != c.text || r.Structured.Stdout != c.stdout || r.Structured.Stderr != c.stderr || *r.Structured.ExitCode != c.exit || r.IsError != (c.exit != 0) {
				t.Errorf("%+v %+v", r, r.Structured)
			}
		})
	}
}

func TestOutputLeftOutByTheGuestIsSaidWhereItIsMissing(t *testing.T) {
	o := output{bytes: []byte("AAAAzzzz"), limit: 8, elided: 1000}
	if got := o.text(8); !strings.HasPrefix(got, "AAAA\n[... 1000 bytes") || !strings.HasSuffix(got, "...]\nzzzz") {
		t.Errorf("%q", got)
	}
	if got := o.text(4); !strings.HasPrefix(got, "AA\n[... 1004 bytes") || !strings.HasSuffix(got, "...]\nzz") {
		t.Errorf("%q", got)
	}
}

func TestAnAnswerStaysBelowTheEventLimitWhateverIsPrinted(t *testing.T) {
	for name, piece := range map[string]string{"plain": "x", "quotes": `"`, "control": "\x01", "invalid": "\xff", "wide": "語", "newlines": "\n"} {
		t.Run(name, func(t *testing.T) {
			big := bytes.Repeat([]byte(piece), outputLimit/len(piece))
			r := finished(&output{bytes: big, limit: outputLimit}, &output{bytes: bytes.Clone(big), limit: outputLimit}, 1, time.Second, same)
			doc, err := json.Marshal(map[string]string{"a": r.Content[0].Text, "b": r.Structured.Stdout, "c": r.Structured.Stderr})
			if err != nil || len(r.Structured.Stdout) == 0 {
				t.Fatal(err)
			}
			// encoding/json escapes more than the wire does ("<" and friends), so only the estimate is held against the limit for those.
			if n := encodedLen(r.Content[0].Text) + encodedLen(r.Structured.Stdout) + encodedLen(r.Structured.Stderr); n > MaxAnswer {
				t.Errorf("%d bytes are estimated, %d are allowed, %d it is", n, MaxAnswer, len(doc))
			}
		})
	}
}

func TestResourceBlocks(t *testing.T) {
	for _, c := range []struct {
		name string
		data string
		mime string
		blob bool
	}{
		{"data.csv", "a,b\n", "text/csv", false},
		{"stats.py", "x", "text/x-python", false},
		{"chart.png", "\x89PNG\x00", "image/png", true},
		{"a.csv", "\xff\xfe", "text/csv", true},
		{"zeros.txt", "a\x00b", "text/plain", true},
		{"noext", "text", "text/plain", false},
		{"noext", "\xff", "application/octet-stream", true},
		{"empty", "", "text/plain", false},
	} {
		b := resource(c.name, []byte(c.data))
		if b.MIMEType != c.mime || (b.Blob != nil) != c.blob || b.URI != "file:///"+c.name {
			t.Errorf("%s: %+v", c.name, b)
		}
	}
}

func FuzzEncodedLenIsNeverTooSmall(f *testing.F) {
	f.Add("plain \"quoted\" \\ \n\t\x00 語 \xff \u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		doc := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\ufffd`, "\ufffd").Replace(strings.TrimSuffix(b.String(), "\n"))
		if got := encodedLen(s); got < len(doc) {
			t.Errorf("%d, and it takes %d: %s", got, len(doc), doc)
		}
	})
}
