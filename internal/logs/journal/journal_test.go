package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/logs/journal"
)

// records opens a file and returns what is in it.
func records(t *testing.T, path string) (all []string, cut int64) {
	t.Helper()
	w, cut, err := journal.Open(path, func(r []byte) error { all = append(all, string(r)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return all, cut
}

func write(t *testing.T, path string, all ...string) int64 {
	t.Helper()
	w, _, err := journal.Open(path, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if err := w.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	size := w.Size()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return size
}

func TestRecordsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	big := string(bytes.Repeat([]byte("x"), journal.MaxRecord))
	size := write(t, path, "one", big)
	if got, cut := records(t, path); cut != 0 || !slices.Equal(got, []string{"one", big}) {
		t.Errorf("%d records, %d bytes cut", len(got), cut)
	}
	write(t, path, "three")
	data, err := journal.Read(path, size, size+8+5, nil)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range journal.Records(data) {
		if err != nil || string(r) != "three" {
			t.Errorf("%q, %v", r, err)
		}
	}
	if _, err := journal.Read(path, 0, 1<<30, nil); !errors.Is(err, journal.ErrTorn) {
		t.Errorf("read beyond the end: %v", err)
	}
	w, err := journal.Resume(path, size+13)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, make([]byte, journal.MaxRecord+1)} {
		if err := w.Append(bad); !errors.Is(err, journal.ErrTooLarge) {
			t.Errorf("append %d bytes: %v", len(bad), err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Resume(path, size); err == nil {
		t.Error("a file of another size is written on")
	}
}

// Wherever a file is cut off, the records before are there, and nothing else.
func TestEveryTornTail(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	first := write(t, path, "first")
	whole := write(t, path, "second")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := first; n < whole; n++ {
		torn := filepath.Join(dir, "torn")
		if err := os.WriteFile(torn, b[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, cut := records(t, torn); cut != n-first || !slices.Equal(got, []string{"first"}) {
			t.Errorf("cut at %d: %q, %d bytes cut", n, got, cut)
		}
		if got, cut := records(t, torn); cut != 0 || len(got) != 1 {
			t.Errorf("opened again: %q, %d bytes cut", got, cut)
		}
	}
}

// A damaged record does not hide those after it where its length is still good.
func TestDamageIsPassedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	write(t, path, "one", "two", "three")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[8+3+8] ^= 1
	var got []string
	for r, err := range journal.Records(b) {
		if err != nil {
			got = append(got, "torn")
			continue
		}
		got = append(got, string(r))
	}
	if !slices.Equal(got, []string{"one", "torn", "three"}) {
		t.Errorf("%q", got)
	}
}

func FuzzRecords(f *testing.F) {
	path := filepath.Join(f.TempDir(), "j")
	w, err := journal.Create(path)
	if err != nil {
		f.Fatal(err)
	}
	_ = w.Append([]byte("one"))
	_ = w.Append([]byte("two"))
	_ = w.Close()
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _ := records(t, path)
		n := 0
		for r, err := range journal.Records(data) {
			if err != nil {
				break
			}
			if n >= len(got) || got[n] != string(r) {
				t.Fatalf("record %d differs", n)
			}
			n++
		}
		if n != len(got) {
			t.Fatalf("%d records, then %d", len(got), n)
		}
		if again, cut := records(t, path); cut != 0 || !slices.Equal(again, got) {
			t.Fatal("a file that was repaired is not whole")
		}
	})
}
