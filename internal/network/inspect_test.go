package network

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// hello is what a TLS client says first.
func hello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	c.InsecureSkipVerify = true
	go func() {
		_ = tls.Client(there, c).HandshakeContext(t.Context())
		there.Close()
	}()
	b := make([]byte, 1<<14)
	n, err := here.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// inRecords cuts a hello into records of a size.
func inRecords(b []byte, size int) (all []byte) {
	for chunk := range slices.Chunk(b[recordHead:], size) {
		all = append(append(all, recordHandshake, 3, 1, byte(len(chunk)>>8), byte(len(chunk))), chunk...)
	}
	return all
}

func TestServerName(t *testing.T) {
	for _, c := range []*tls.Config{{ServerName: "good.test"}, {ServerName: "good.test", MaxVersion: tls.VersionTLS12}, {ServerName: "good.test", NextProtos: []string{"h2", strings.Repeat("x", 200)}}} {
		b := hello(t, c)
		for _, size := range []int{len(b), 1, 7, 100} {
			cut := inRecords(b, size)
			for n := range cut {
				if name, isTLS, more := serverName(cut[:n]); !more || name != "" || isTLS != (n > 0) {
					t.Fatalf("%d of %d bytes: %q %v %v", n, len(cut), name, isTLS, more)
				}
			}
			if name, isTLS, more := serverName(append(cut, "more"...)); name != "good.test" || !isTLS || more {
				t.Errorf("in records of %d: %q %v %v", size, name, isTLS, more)
			}
		}
	}
	if name, isTLS, more := serverName(hello(t, &tls.Config{})); name != "" || !isTLS || more {
		t.Errorf("without a name: %q %v %v", name, isTLS, more)
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n", "SSH-2.0-x", "\x16\x02\x00\x00\x00", "\x80\x2e\x01"} {
		if name, isTLS, more := serverName([]byte(text)); name != "" || isTLS || more {
			t.Errorf("%q: %q %v %v", text, name, isTLS, more)
		}
	}
	for _, text := range []string{"\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x16\x03\x01\x00\x04\x01\x00\x00\x00"} {
		if name, isTLS, more := serverName([]byte(text)); name != "" || !isTLS || more {
			t.Errorf("%q: %q %v %v", text, name, isTLS, more)
		}
	}
}

// TestAttackTwoNames has a hello with two names, of which two readers might each take another.
func TestAttackTwoNames(t *testing.T) {
	b := hello(t, &tls.Config{ServerName: "good.test"})
	extension := []byte("\x00\x00\x00\x0e\x00\x0c\x00\x00\x09good.test")
	at := bytes.Index(b, extension)
	if at < 0 {
		t.Fatal("the hello has no name")
	}
	twice := slices.Insert(slices.Clone(b), at, extension...)
	grow := func(at, size int) { // adds the extension's length to a number
		n := len(extension)
		for i := at + size - 1; i >= at && n > 0; i-- {
			n += int(twice[i])
			twice[i] = byte(n)
			n >>= 8
		}
	}
	grow(3, 2) // the record
	grow(6, 3) // the hello
	session := recordHead + 4 + 2 + 32
	suites := session + 1 + int(b[session])
	methods := suites + 2 + int(b[suites])<<8 + int(b[suites+1])
	grow(methods+1+int(b[methods]), 2) // the extensions
	if name, _, more := serverName(twice); name != "" || more {
		t.Errorf("%q %v", name, more)
	}
}

func FuzzServerName(f *testing.F) {
	f.Add(hello(f, &tls.Config{ServerName: "good.test"}), 3)
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		name, isTLS, more := serverName(b)
		if (more && name != "") || (name != "" && !isTLS) {
			t.Errorf("%q %v %v", name, isTLS, more)
		}
		if cut >= 0 && cut < len(b) && !more {
			if early, _, wait := serverName(b[:cut]); !wait && early != name {
				t.Errorf("%q of %d bytes, %q of all", early, cut, name)
			}
		}
		if name == "" {
			return
		}
		// What is found here is what a TLS server finds, if it takes the hello at all.
		here, there := net.Pipe()
		go func() {
			_, _ = there.Write(b)
			_ = there.Close()
		}()
		found := errors.New("found")
		server := tls.Server(here, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if h.ServerName != "" && h.ServerName != strings.TrimSuffix(name, ".") {
				t.Errorf("%q, and a server finds %q", name, h.ServerName)
			}
			return nil, found
		}})
		go func() { _, _ = io.Copy(io.Discard, there) }()
		_ = server.HandshakeContext(t.Context())
		_ = here.Close()
	})
}
