package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// upper answers framed datagrams in a form that tells them from the question. "close" ends the connection, "stall" gets no answer.
func upper(_ context.Context, listener string, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			return
		}
		answer := append([]byte(listener+":"), bytes.ToUpper(b)...)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
		if string(b) == "close" { // as a host does that has waited long enough
			return
		}
	}
}

func configured(listeners ...proto.Listener) func(*client.Options) {
	return func(o *client.Options) {
		o.Configure.Network = &proto.Network{Listeners: listeners}
		o.Relay = upper
	}
}

func askDatagram(t *testing.T, address, text string) (string, error) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	b := make([]byte, 2*proto.MaxDatagram)
	n, err := conn.Read(b)
	return string(b[:n]), err
}

func TestDatagramsAreRelayed(t *testing.T) {
	address := freeAddress(t)
	g := start(t, configured(proto.Listener{Name: "d", Address: address, Datagrams: true}))
	for n := range 3 * datagramWorkers {
		for _, text := range []string{fmt.Sprint("question ", n), "close"} { // the one after it needs a new connection
			if got, err := askDatagram(t, address, text); err != nil || got != "d:"+string(bytes.ToUpper([]byte(text))) {
				t.Fatalf("%q: %q, %v", text, got, err)
			}
		}
	}
	large, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	if _, err := large.Write(make([]byte, proto.MaxDatagram+1)); err != nil {
		t.Fatal(err)
	}
	check(t, "after one that is too large", first(askDatagram(t, address, "x")), "d:X")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g.serve(t, configured(proto.Listener{Name: "d", Address: address, Datagrams: true})) // a host that was restarted
	if _, err := g.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
	check(t, "after a restart of the host", first(askDatagram(t, address, "y")), "d:Y")
}

func first(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

func TestListenersFollowTheConfiguration(t *testing.T) {
	kept, gone := freeAddress(t), freeAddress(t)
	g := start(t, configured(proto.Listener{Name: "kept", Address: kept}, proto.Listener{Name: "gone", Address: gone}))
	for _, address := range []string{kept, gone} {
		if conn, err := net.Dial("tcp", address); err != nil {
			t.Fatal(err)
		} else {
			conn.Close()
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g.serve(t, configured(proto.Listener{Name: "kept", Address: kept}, proto.Listener{Name: "new", Address: kept, Datagrams: true}))
	if _, err := g.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", kept); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	if _, err := net.Dial("tcp", gone); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a listener that is not wanted any more: %v", err)
	}
	check(t, "a new one", first(askDatagram(t, kept, "x")), "new:X")
}

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func() error{
		"missing":          func() error { return nil },
		"a file":           func() error { return os.WriteFile(path, []byte("a longer text than the new one"), 0o600) },
		"a link":           func() error { return os.Symlink("victim", path) },
		"a link to naught": func() error { return os.Symlink("../run/nothing", path) },
	} {
		_ = os.Remove(path)
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if err := replaceFile(path, "new\n"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); string(b) != "new\n" || err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if b, err := os.ReadFile(victim); string(b) != "kept" || err != nil {
		t.Errorf("what a link pointed to: %q %v", b, err)
	}
}

func TestAddressMessage(t *testing.T) {
	for text, want := range map[string]int{"169.254.169.254/32": 24 + 2*8, "fd00:ec2::254/128": 24 + 2*20} {
		p := netip.MustParsePrefix(text)
		add, remove := addressMessage(p, 1, true), addressMessage(p, 1, false)
		if len(add) != want || int(binary.NativeEndian.Uint32(add)) != want || binary.NativeEndian.Uint16(add[4:]) != unix.RTM_NEWADDR || binary.NativeEndian.Uint16(remove[4:]) != unix.RTM_DELADDR {
			t.Errorf("%s: %x", text, add)
		}
		if !bytes.Contains(add, p.Addr().AsSlice()) {
			t.Errorf("%s: the address is not in %x", text, add)
		}
	}
}

func TestAcknowledgement(t *testing.T) {
	answer := func(kind uint16, code int32) []byte {
		b := make([]byte, unix.SizeofNlMsghdr)
		binary.NativeEndian.PutUint16(b[4:], kind)
		return binary.NativeEndian.AppendUint32(b, uint32(code))
	}
	if err := acknowledgement(answer(unix.NLMSG_ERROR, 0)); err != nil {
		t.Error(err)
	}
	if err := acknowledgement(answer(unix.NLMSG_ERROR, -int32(unix.EPERM))); !errors.Is(err, unix.EPERM) {
		t.Errorf("%v, want EPERM", err)
	}
	for _, b := range [][]byte{nil, make([]byte, 19), answer(unix.NLMSG_DONE, 0)} {
		if acknowledgement(b) == nil {
			t.Errorf("%x is an acknowledgement", b)
		}
	}
}
