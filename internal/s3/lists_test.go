package s3

import (
	"net/url"
	"testing"
	"time"

	"github.com/versity/versitygw/backend"
)

func FuzzContinuationToken(f *testing.F) {
	f.Add("")
	f.Add("a key/ü\x01")
	f.Add(tokenOf("key"))
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := keyOfToken(tokenOf(s)); !ok || got != s {
			t.Errorf("the token of %q is for %q", s, got)
		}
		if key, ok := keyOfToken(s); ok && len(tokenOf(key)) > len(s) {
			t.Errorf("%q is taken for the token of %q", s, key)
		}
	})
}

func FuzzEncodedName(f *testing.F) {
	f.Add("a b+c/d%é\x01")
	f.Fuzz(func(t *testing.T, name string) {
		encoded := encodeName(name)
		if got, err := url.QueryUnescape(encoded); err != nil || got != name {
			t.Errorf("%q is encoded as %q: %q %v", name, encoded, got, err)
		}
		for i := range len(encoded) {
			if encoded[i] < 0x20 || encoded[i] > 0x7e {
				t.Errorf("%q is encoded as %q", name, encoded)
			}
		}
	})
}

// A file has a time in nanoseconds, clients know the second.
func TestTimesInConditionsAreSeconds(t *testing.T) {
	second := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, fraction := range []time.Duration{0, time.Nanosecond, time.Second - time.Nanosecond} {
		for _, c := range []struct {
			asked                time.Time
			modified, unmodified bool // whether the object is held for
		}{{second.Add(-time.Second), true, false}, {second, false, true}, {second.Add(time.Second), false, true}} {
			later, earlier := inSeconds(&c.asked, &c.asked)
			modified := backend.EvaluatePreconditions("", second.Add(fraction), backend.PreConditions{IfModSince: later}) == nil
			unmodified := backend.EvaluatePreconditions("", second.Add(fraction), backend.PreConditions{IfUnmodeSince: earlier}) == nil
			if modified != c.modified || unmodified != c.unmodified {
				t.Errorf("a file of %v, asked for %v: modified %v, unmodified %v", second.Add(fraction), c.asked, modified, unmodified)
			}
		}
	}
	if a, b := inSeconds(nil, nil); a != nil || b != nil {
		t.Error("conditions out of nothing")
	}
}
