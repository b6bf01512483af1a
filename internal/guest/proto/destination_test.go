package proto

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
)

func TestDestination(t *testing.T) {
	for _, text := range []string{"1.2.3.4:443", "[2001:db8::1]:80", "0.0.0.0:1", "255.255.255.255:65535"} {
		want := netip.MustParseAddrPort(text)
		var b bytes.Buffer
		if err := WriteDestination(&b, want); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadDestination(&b); got != want || err != nil {
			t.Errorf("%s comes out as %s, %v", want, got, err)
		}
	}
	if _, err := ReadDestination(bytes.NewReader(make([]byte, 18))); !errors.Is(err, ErrFrame) {
		t.Errorf("port 0: %v", err)
	}
	if _, err := ReadDestination(bytes.NewReader(make([]byte, 17))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short one: %v", err)
	}
}

func FuzzReadDestination(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04\x01\xbb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, err := ReadDestination(bytes.NewReader(b))
		if err == nil && (to.Port() == 0 || to.Addr().Is4In6() || to.Addr().Zone() != "") {
			t.Errorf("%x passes as %s", b, to)
		}
	})
}
