package console

import (
	"context"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"\n\n":                         "",
		"a\n\n  b  c\r\n":              "a; b c",
		"\x1b[31mred\x1b[0m\x07":       "[31mred [0m",
		"\xff\xfebad":                  "bad",
		"right \u202eto left":          "right to left",
		strings.Repeat("x", MaxLine+1): "..." + strings.Repeat("x", MaxLine),
	} {
		if got := OneLine(in); got != want {
			t.Errorf("OneLine(%q) = %q; want %q", in, got, want)
		}
	}
}

// FuzzOneLine shows that whatever a sandbox prints, a log gets one short printable line.
func FuzzOneLine(f *testing.F) {
	f.Add("panic: x\n\ngoroutine 1 [running]:\n\x1b[2J\u202e\xff")
	f.Add(strings.Repeat("é", MaxLine))
	f.Fuzz(func(t *testing.T, s string) {
		got := OneLine(s)
		if len(got) > MaxLine+3 || !utf8.ValidString(got) {
			t.Errorf("%d bytes of %q", len(got), got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q has the unprintable %U", got, r)
			}
		}
	})
}

// TestTailIsBounded lets a sandbox print without end.
func TestTailIsBounded(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := c.w.WriteString(strings.Repeat("noise ", 100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.w.WriteString("\nlast words"); err != nil {
		t.Fatal(err)
	}
	c.Drain(context.Background())
	if got := c.Text(); !strings.HasSuffix(got, "last words") || len(c.buf) > Size {
		t.Errorf("kept %d bytes that end in %q", len(c.buf), got)
	}
}

// TestTailDrainGivesUp has a pipe whose writing end something else keeps open.
func TestTailDrainGivesUp(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := unix.Dup(int(c.w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Drain(ctx)
}
