package network

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func TestAttackNearAddressesFromInside(t *testing.T) {
	admin := listen(t, "127.0.0.1:0") // as the server's own
	l := outsideLab(t, "*", nil)
	for _, to := range []string{admin.Addr().String(), "127.0.0.1:4566", "[::1]:4566", "[::ffff:127.0.0.1]:4566", "0.0.0.0:4566", "10.0.0.1:443", "169.254.169.254:80", "169.254.171.2:443", "[fd00:ec2::254]:80",
		"[64:ff9b::7f00:1]:80", "8.8.8.8:53", "8.8.8.8:853"} {
		l.refuses(to)
	}
	if n := len(l.s.Connections()); n != 12 {
		t.Errorf("%d attempts are known", n)
	}
	for _, c := range l.s.Connections() {
		if c.Verdict != Refused || c.Reason == "" || c.Sent+c.Received != 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestAttackOutsideOfASandboxedSession(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	conn := l.dial(listenOutside)
	_ = proto.WriteDestination(conn, netip.MustParseAddrPort("127.0.0.1:80")) // may be closed by now
	if b, err := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
	if l.s.Configure().Outside != "" {
		t.Error("the guest is told of an outside")
	}
	l.s.SetNames(egress.Names{}) // has no effect
	if l.s.Names().Allow("index.example") {
		t.Error("a session without an outside has names")
	}
}

func TestAttackRebindingName(t *testing.T) {
	z := zone{"evil.test": {"127.7.0.1", "10.0.0.1"}, "mixed.test": {"169.254.169.254", "127.7.0.2"}, "own.test": {"127.0.0.1"}, "mapped.test": {"::ffff:127.0.0.1"}}
	l := outsideLab(t, "*", z, "127.7.0.2")
	for _, name := range []string{"evil.test", "own.test", "mapped.test"} {
		if code, all := l.resolveA(name); code != dnsmessage.RCodeNameError || all != nil {
			t.Errorf("%s: %v %v", name, code, all)
		}
	}
	if _, all := l.resolveA("mixed.test"); fmt.Sprint(all) != "[127.7.0.2]" {
		t.Errorf("%v", all)
	}
	z["mixed.test"] = []string{"127.7.0.9"} // it moves, and the answer stays what it was
	if _, all := l.resolveA("mixed.test"); fmt.Sprint(all) != "[127.7.0.2]" {
		t.Errorf("%v", all)
	}
	l.refuses("127.7.0.9:80")
	l.last(func(c Connection) bool { return c.Name == "evil.test" && c.Verdict == Refused })
}

func TestAttackDNSTunnelThroughAList(t *testing.T) {
	asked := 0
	l := outsideLab(t, "index.example *.wheels.example", nil)
	l.n.o.Resolve = func(context.Context, string) ([]netip.Addr, error) {
		asked++
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	for _, name := range []string{"secret.tunnel.test", strings.Repeat("x", 63) + ".tunnel.test", "index.example.tunnel.test", "x.index.example", "0x7f.1", "example.amazonaws.com", "amazonaws.com"} {
		if code, all := l.resolveA(name); code != dnsmessage.RCodeNameError || all != nil {
			t.Errorf("%s: %v %v", name, code, all)
		}
	}
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeAAAA, dnsmessage.TypeMX, dnsmessage.TypePTR} {
		for _, name := range []string{"secret.tunnel.test.", "1.0.0.127.in-addr.arpa."} {
			if b, ok := l.s.resolve(question(t, name, kind)); !ok || bytes.Contains(b, []byte{8, 8, 8, 8}) {
				t.Errorf("%s %v: %x", name, kind, b)
			}
		}
	}
	if asked > 0 {
		t.Errorf("%d names left the host", asked)
	}
	if _, all := l.resolveA("files.wheels.example"); asked != 1 || len(all) != 1 {
		t.Errorf("%d %v", asked, all)
	}
}

func TestAttackFloodOfNames(t *testing.T) {
	asked := 0
	l := outsideLab(t, "*", nil)
	l.n.o.Resolve = func(context.Context, string) ([]netip.Addr, error) {
		asked++
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	l.s.outside.lookups.SetLimit(0)
	for n := range 2 * lookupBurst {
		l.resolveA(fmt.Sprintf("n%d.test", n))
	}
	if asked != lookupBurst {
		t.Errorf("%d names left the host", asked)
	}
	if code, _ := l.resolveA("n0.test"); code != dnsmessage.RCodeSuccess {
		t.Errorf("a name that is known: %v", code)
	}
}

// tlsServer says which name its clients ask for.

func tlsServer(t *testing.T, l *lab, address string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "reached ", r.Host) }))
	s.Listener.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = listen(t, address)
	s.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return l.n.o.CA.mint(h.ServerName) }}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func (l *lab) https(to, sni string) error {
	l.Helper()
	conn, err := l.connect(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	secure := tls.Client(conn, &tls.Config{ServerName: sni, RootCAs: l.roots, InsecureSkipVerify: sni == ""})
	if err := secure.HandshakeContext(l.Context()); err != nil {
		return err
	}
	status, body, err := get(secure, sni)
	if err == nil && (status != http.StatusOK || body != "reached "+sni) {
		err = fmt.Errorf("%d %s", status, body)
	}
	return err
}

func TestListOfNamesAndTLS(t *testing.T) {
	for _, port := range []string{"443", "0"} {
		l := outsideLab(t, "good.test *.sub.test", zone{"good.test": {"127.7.0.3"}, "x.sub.test": {"127.7.0.3"}}, "127.7.0.3", "127.7.0.4")
		to := tlsServer(t, l, "127.7.0.3:"+port)
		l.refuses(to) // an address that no name was resolved to
		l.resolveA("good.test")
		for _, sni := range []string{"good.test", "x.sub.test"} {
			if err := l.https(to, sni); err != nil {
				t.Errorf("%s: %v", sni, err)
			}
		}
		for _, sni := range []string{"evil.test", "good.test.evil.test", "sub.test"} {
			err := l.https(to, sni)
			if alert, ok := errors.AsType[*net.OpError](err); !ok || !strings.Contains(alert.Error(), "unrecognized name") {
				t.Errorf("%s: %v", sni, err)
			}
			l.last(func(c Connection) bool { return c.Name == sni && c.Verdict == Refused && c.Sent == 0 })
		}
		if err := l.https(to, ""); port == "443" && err == nil {
			t.Error("a hello without a name passes")
		}
		l.refuses("127.7.0.4" + to[len("127.7.0.3"):])
	}
}

func TestPlainTextToPort443UnderAList(t *testing.T) {
	l := outsideLab(t, "good.test", zone{"good.test": {"127.7.0.3"}}, "127.7.0.3")
	listen(t, "127.7.0.3:443")
	l.resolveA("good.test")
	conn, err := l.connect("127.7.0.3:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: good.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	l.last(func(c Connection) bool { return c.Verdict == Refused && c.Reason == errNoTLS.Error() && c.Sent == 0 })
}

func TestServerSpeaksFirst(t *testing.T) {
	ln := listen(t, "127.7.0.3:0")
	go func() {
		if conn, err := ln.Accept(); err == nil {
			defer conn.Close()
			_, _ = io.WriteString(conn, "220 hello\r\n")
			line, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, "250 "+line)
		}
	}()
	l := outsideLab(t, "good.test", zone{"good.test": {"127.7.0.3"}}, "127.7.0.3")
	l.resolveA("good.test")
	conn, err := l.connect(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "220 hello\r\n" {
		t.Fatal(line, err)
	}
	if _, err := io.WriteString(conn, "EHLO me\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); line != "250 EHLO me\n" {
		t.Fatal(line, err)
	}
}

func httpServer(t *testing.T, address string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to-private" {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "reached %s %s %q %s", r.Host, r.URL.Path, b, r.Header.Get("User-Agent"))
	}))
	s.Listener.Close()
	s.Listener = listen(t, address)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAttackHostElsewhere(t *testing.T) {
	to := httpServer(t, "127.7.0.3:80")
	l := outsideLab(t, "good.test", zone{"good.test": {"127.7.0.3"}}, "127.7.0.3")
	l.resolveA("good.test")
	conn, err := l.connect(to)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body, err := get(conn, "good.test"); status != 200 || body != `reached good.test /k "" ` || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
	if status, body, err := get(conn, "evil.test"); status != 403 { // the third request of a connection that began well
		t.Errorf("%d %q %v", status, body, err)
	}
	l.last(func(c Connection) bool { return c.Name == "evil.test" && c.Verdict == Refused })
}

func TestAttackCONNECTSmuggling(t *testing.T) {
	to := httpServer(t, "127.7.0.3:80")
	l := outsideLab(t, "good.test", zone{"good.test": {"127.7.0.3"}}, "127.7.0.3")
	l.resolveA("good.test")
	for name, request := range map[string]string{
		"CONNECT":          "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
		"a proxy's form":   "GET http://evil.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n",
		"two hosts":        "GET / HTTP/1.1\r\nHost: good.test\r\nHost: evil.test\r\n\r\n",
		"two lengths":      "POST / HTTP/1.1\r\nHost: good.test\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"both lengths":     "POST / HTTP/1.1\r\nHost: good.test\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"no host":          "GET / HTTP/1.0\r\n\r\n",
		"an address":       "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
		"bytes in between": "GET / HTTP/1.1\r\nHost: good.test\x00evil.test\r\n\r\n",
	} {
		conn, err := l.connect(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(conn)
		if strings.Contains(string(b), "evil.test") || strings.Contains(string(b), "smuggled") || (name != "two lengths" && name != "both lengths" && strings.Contains(string(b), "reached")) {
			t.Errorf("%s: %q", name, b)
		}
		conn.Close()
	}
}

func TestAttackRedirectToPrivate(t *testing.T) {
	to := httpServer(t, "127.7.0.3:0")
	l := outsideLab(t, "*", zone{"good.test": {"127.7.0.3"}}, "127.7.0.3")
	conn, err := l.connect(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /to-private HTTP/1.1\r\nHost: good.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.Location()
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	l.refuses(next.Host + ":80") // a client follows by itself, and is judged again
}

func TestAttackHalfOpenConnections(t *testing.T) {
	l := outsideLab(t, "*", nil)
	for range 2 * defaultConnections {
		l.dial(listenOutside) // and never says where to
	}
	conn, err := l.secure(s3Host)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := get(conn, s3Host); status != 200 {
		t.Errorf("%d %v", status, err)
	}
	other := l.n.Open(sandboxed)
	if _, ok := other.resolve(question(t, s3Host+".", dnsmessage.TypeA)); !ok {
		t.Error("another session resolves nothing")
	}
}
