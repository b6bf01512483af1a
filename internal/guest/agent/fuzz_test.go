package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// recorded is a stream whose host has said all it will say.
type recorded struct {
	io.Reader
	bytes.Buffer
}

func (r *recorded) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (r *recorded) Close() error               { return nil }

func stream(t testing.TB, call proto.Call, payload ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := proto.NewWriter(&b)
	if err := w.WriteJSON(proto.FrameCall, call); err != nil {
		t.Fatal(err)
	}
	for _, p := range payload {
		if err := w.Write(proto.FrameData, []byte(p)); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(proto.FrameEnd, nil); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// FuzzCall gives the agent what no host would send. Calls that would run the fuzzer's inventions are left out.
func FuzzCall(f *testing.F) {
	f.Add(stream(f, proto.Call{Op: proto.OpPing}))
	f.Add(stream(f, proto.Call{Op: proto.OpWrite, Files: []proto.File{{Path: "a/b", Size: 3}, {Path: "c", Size: 1}}}, "abc", "d"))
	f.Add(stream(f, proto.Call{Op: proto.OpRead, Paths: []string{"a/b"}}))
	f.Add(stream(f, proto.Call{Op: proto.OpList}))
	f.Add(stream(f, proto.Call{Op: proto.OpRemove, Paths: []string{"a"}}))
	f.Add([]byte("c\x00\x00\x00\x01{"))
	config := configuration(f.TempDir() + "/folder")
	config.User = proto.User{Name: "root"}
	f.Fuzz(func(t *testing.T, b []byte) {
		if typ, p, err := proto.NewReader(bytes.NewReader(b)).Next(); err == nil && typ == proto.FrameCall {
			var c proto.Call
			if json.Unmarshal(p, &c) == nil {
				switch c.Op {
				case proto.OpCode, proto.OpCommand, proto.OpPrepare, proto.OpListen, proto.OpConfigure, proto.OpService, proto.OpConnect:
					return
				}
			}
		}
		a := &Agent{o: Options{Log: slog.New(slog.DiscardHandler)}, config: &config} // without the reaping of New
		s := &recorded{Reader: bytes.NewReader(b)}
		a.answer(t.Context(), s)
		r := proto.NewReader(bytes.NewReader(s.Bytes()))
		var last proto.FrameType
		for {
			typ, _, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("the answer is malformed: %v", err)
			}
			last = typ
		}
		if last != 0 && last != proto.FrameResult && last != proto.FrameError {
			t.Errorf("the answer ends with %q", byte(last))
		}
	})
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/../../b", "/folder/a", "/folder/../etc", "/folderx", "a//b/", "\x00", "\xff", "./..", "/folder"} {
		f.Add(s)
	}
	d := &folder{dir: "/folder"}
	f.Fuzz(func(t *testing.T, p string) {
		rel, err := d.clean(p)
		if err != nil {
			return
		}
		if path.IsAbs(rel) || rel == ".." || strings.HasPrefix(rel, "../") || strings.ContainsRune(rel, 0) || rel != path.Clean(rel) || len(rel) > maxPath {
			t.Errorf("%q becomes %q", p, rel)
		}
		if again, err := d.clean(rel); err != nil || again != rel {
			t.Errorf("%q becomes %q, and that %q (%v)", p, rel, again, err)
		}
	})
}
