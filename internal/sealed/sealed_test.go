package sealed_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/sealed"
)

func newKey(t testing.TB, fill byte) *sealed.Key {
	t.Helper()
	k, err := sealed.NewKey(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsSealedOpens(t *testing.T) {
	k := newKey(t, 1)
	for _, plain := range [][]byte{nil, {0}, []byte("hunter2"), bytes.Repeat([]byte("long"), 1<<16)} {
		box := k.Seal(plain, "secret", "v1")
		if len(plain) > 3 && bytes.Contains(box, plain) {
			t.Error("the box holds the plain value")
		}
		got, err := k.Open(box, "secret", "v1")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d, %v", len(plain), len(got), err)
		}
	}
	if a, b := k.Seal([]byte("same"), "n"), k.Seal([]byte("same"), "n"); bytes.Equal(a, b) {
		t.Error("two boxes of one value are equal: nonces repeat")
	}
}

func TestAttackBoxMovedToAnotherName(t *testing.T) {
	k := newKey(t, 1)
	box := k.Seal([]byte("hunter2"), "ab", "c")
	for _, binding := range [][]string{nil, {"ab"}, {"a", "bc"}, {"abc"}, {"ab", "c", ""}, {"ab", "d"}, {"c", "ab"}} {
		if plain, err := k.Open(box, binding...); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("bound to %q it opened: %q, %v", binding, plain, err)
		}
	}
}

func TestAttackBoxChanged(t *testing.T) {
	k := newKey(t, 1)
	box := k.Seal([]byte("hunter2"), "n")
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 0x10
		if plain, err := k.Open(changed, "n"); err == nil {
			t.Errorf("byte %d changed, and it opened: %q", i, plain)
		}
	}
	for n := range box {
		if _, err := k.Open(box[:n], "n"); err == nil {
			t.Errorf("cut to %d bytes it opened", n)
		}
	}
	if _, err := newKey(t, 2).Open(box, "n"); !errors.Is(err, sealed.ErrOtherKey) {
		t.Errorf("with another key: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	first, err := sealed.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := sealed.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(first.Seal([]byte("x"), "n"), "n"); err != nil || string(plain) != "x" {
		t.Errorf("after a restart: %q, %v", plain, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestTwoServersMakeOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	keys := make([]*sealed.Key, 16)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { keys[i], _ = sealed.LoadKey(path) })
	}
	all.Wait()
	for _, k := range keys {
		if k == nil {
			t.Fatal("a start failed")
		}
		if _, err := keys[0].Open(k.Seal([]byte("x"))); err != nil {
			t.Error(err)
		}
	}
}

func TestAttackKeyFileThatOthersCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.LoadKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}

func TestFilesThatHoldNoKeyAreKept(t *testing.T) {
	for _, content := range []string{"", "short", base64.StdEncoding.EncodeToString(make([]byte, 31)), "%%%"} {
		path := filepath.Join(t.TempDir(), "sealing.key")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.LoadKey(path); err == nil {
			t.Errorf("%q was taken for a key", content)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q became %q, %v", content, got, err)
		}
	}
	if _, err := sealed.LoadKey(filepath.Join(t.TempDir(), "none", "sealing.key")); err == nil {
		t.Error("a folder that is not there")
	}
	if _, err := sealed.NewKey(make([]byte, 16)); err == nil {
		t.Error("16 bytes are not AES-256")
	}
}

func FuzzOpen(f *testing.F) {
	k := newKey(f, 1)
	f.Add(k.Seal([]byte("hunter2"), "n"), "n")
	f.Add([]byte{1}, "")
	f.Fuzz(func(t *testing.T, box []byte, name string) {
		plain, err := k.Open(box, name)
		if err == nil && string(plain) != "hunter2" {
			t.Errorf("a box nobody sealed opened: %q", plain)
		}
	})
}
