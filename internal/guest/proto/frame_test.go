package proto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func frame(t proto.FrameType, length uint32, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{byte(t)}, length), payload...)
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	var b bytes.Buffer
	w := proto.NewWriter(&b)
	sent := []struct {
		t proto.FrameType
		p string
	}{{proto.FrameCall, "{}"}, {proto.FrameData, ""}, {proto.FrameStdout, strings.Repeat("x", proto.MaxData)}, {proto.FrameResult, strings.Repeat("y", proto.MaxJSON)}, {proto.FrameEnd, ""}}
	for _, f := range sent {
		if err := w.Write(f.t, []byte(f.p)); err != nil {
			t.Fatal(err)
		}
	}
	r := proto.NewReader(&b)
	for _, f := range sent {
		if typ, p, err := r.Next(); typ != f.t || string(p) != f.p || err != nil {
			t.Errorf("%q with %d bytes, %v; want %q with %d", typ, len(p), err, f.t, len(f.p))
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		b    []byte
		want error
	}{
		"an unknown type":          {frame('?', 0, ""), proto.ErrFrame},
		"data above the limit":     {frame(proto.FrameData, proto.MaxData+1, ""), proto.ErrFrame},
		"JSON above the limit":     {frame(proto.FrameCall, proto.MaxJSON+1, ""), proto.ErrFrame},
		"the largest length":       {frame(proto.FrameStdout, 1<<32-1, ""), proto.ErrFrame},
		"an end that has a length": {frame(proto.FrameEnd, 1, "x"), proto.ErrFrame},
		"half a head":              {[]byte{'d', 0}, io.ErrUnexpectedEOF},
		"half a payload":           {frame(proto.FrameData, 3, "ab"), io.ErrUnexpectedEOF},
		"no payload":               {frame(proto.FrameData, 3, ""), io.ErrUnexpectedEOF},
	} {
		if _, _, err := proto.NewReader(bytes.NewReader(row.b)).Next(); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if err := proto.NewWriter(io.Discard).Write(proto.FrameData, make([]byte, proto.MaxData+1)); !errors.Is(err, proto.ErrFrame) {
		t.Errorf("write: %v", err)
	}
}

func TestPayload(t *testing.T) {
	whole := append(append(frame(proto.FrameData, 2, "ab"), frame(proto.FrameData, 0, "")...), frame(proto.FrameData, 1, "c")...)
	for name, row := range map[string]struct {
		after []byte
		want  error
	}{
		"complete":      {frame(proto.FrameEnd, 0, ""), nil},
		"cut off":       {nil, io.ErrUnexpectedEOF},
		"another frame": {frame(proto.FrameStdout, 0, ""), proto.ErrFrame},
		"a bad error":   {frame(proto.FrameError, 1, "{"), proto.ErrFrame},
	} {
		b, err := io.ReadAll(proto.NewPayload(proto.NewReader(bytes.NewReader(append(bytes.Clone(whole), row.after...)))))
		if string(b) != "abc" || !errors.Is(err, row.want) {
			t.Errorf("%s: %q, %v; want %v", name, b, err, row.want)
		}
	}
	_, err := io.ReadAll(proto.NewPayload(proto.NewReader(bytes.NewReader(frame(proto.FrameError, 17, `{"code":"Denied"}`)))))
	if e, ok := errors.AsType[*proto.Error](err); !ok || e.Code != proto.Denied {
		t.Errorf("the sender's error: %v", err)
	}
}

func TestPreface(t *testing.T) {
	for _, kind := range []byte{proto.KindControl, proto.KindRelay} {
		var b bytes.Buffer
		if err := proto.WritePreface(&b, kind); err != nil {
			t.Fatal(err)
		}
		if got, err := proto.ReadPreface(&b); got != kind || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, s := range []string{"", "SUNABA", proto.Magic, proto.Magic + "X", "GET / HTTP/1.1\r\n"} {
		if _, err := proto.ReadPreface(strings.NewReader(s)); err == nil {
			t.Errorf("%q passes", s)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(frame(proto.FrameData, 3, "abc"))
	f.Add(append(frame(proto.FrameResult, 2, "{}"), frame(proto.FrameEnd, 0, "")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := proto.NewReader(bytes.NewReader(b))
		total := 0
		for {
			_, p, err := r.Next()
			if err != nil {
				break
			}
			total += len(p) + 5
		}
		if total > len(b) {
			t.Errorf("%d bytes out of %d", total, len(b))
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add(append(frame(proto.FrameData, 3, "abc"), frame(proto.FrameEnd, 0, "")...))
	f.Add(frame(proto.FrameError, 2, "{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _ := io.ReadAll(proto.NewPayload(proto.NewReader(bytes.NewReader(b))))
		if len(out) > len(b) {
			t.Errorf("%d bytes out of %d", len(out), len(b))
		}
	})
}

func FuzzReadPreface(f *testing.F) {
	f.Add([]byte(proto.Magic + "C"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, err := proto.ReadPreface(bytes.NewReader(b))
		if err == nil && kind != proto.KindControl && kind != proto.KindRelay {
			t.Errorf("kind %q", kind)
		}
	})
}
