package logs

import (
	"testing"
)

// What is in a file may be damage whose checksum is right: it is read without harm.
func FuzzBatch(f *testing.F) {
	f.Add(encodeBatch(1, 2, 3, []Entry{{4, "five"}, {6, "seven"}}))
	f.Fuzz(func(t *testing.T, record []byte) {
		b, err := decodeBatch(record)
		if err != nil {
			return
		}
		n := 0
		for at, message := range b.each() {
			if at.number != b.first+uint64(n) || len(message) > len(record) {
				t.Fatal("an event that cannot be")
			}
			n++
		}
		if n > b.events {
			t.Fatalf("%d events of %d", n, b.events)
		}
		seg := newSegment(1, 0)
		seg.count(b)
		if seg.Spans[b.stream].Bytes < 0 {
			t.Fatal("a negative size")
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add(position{maxTime, 1<<64 - 1}.String())
	f.Add(position{minTime - 1, 0}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parsePosition(text); ok && p.String() != text {
			t.Errorf("%q is %q", text, p)
		}
	})
}
