package network

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// zone is a nameserver's content; a name that is not there does not exist.

type zone map[string][]string

func (z zone) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, a := range z[name] {
		all = append(all, netip.MustParseAddr(a))
	}
	if all == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return all, nil
}

// outsideLab is a lab whose session has an outside, which is addresses of this machine's loopback device that rules open.

func outsideLab(t *testing.T, names string, z zone, allow ...string) *lab {
	t.Helper()
	rules, err := egress.ParseRules(allow...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := egress.ParseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	p := sandboxed
	p.Services = []string{AnyService}
	p.Outside = &Outside{Policy: egress.Policy{Allow: rules, Own: HostAddresses()}, Names: list}
	l := newLab(t, p, sayHost)
	l.n.o.Resolve = z.resolve
	return l
}

// resolveA asks the session's resolver.

func (l *lab) resolveA(name string) (dnsmessage.RCode, []string) {
	l.Helper()
	b, ok := l.s.resolve(question(l, name+".", dnsmessage.TypeA))
	if !ok {
		l.Fatal("no answer")
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		l.Fatal(err)
	}
	var all []string
	for _, a := range m.Answers {
		all = append(all, netip.AddrFrom4(a.Body.(*dnsmessage.AResource).A).String())
	}
	return m.RCode, all
}

var errRefused = errors.New("refused")

// connect makes a connection to the outside as the guest relays it; errRefused is what becomes a reset inside.

func (l *lab) connect(to string) (net.Conn, error) {
	l.Helper()
	conn := l.dial(listenOutside)
	if err := proto.WriteDestination(conn, netip.MustParseAddrPort(to)); err != nil {
		l.Fatal(err)
	}
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); errors.Is(err, io.EOF) {
		return nil, errRefused
	} else if err != nil || b[0] != proto.Connected {
		l.Fatal(err, b)
	}
	return conn, nil
}

func (l *lab) refuses(to string) {
	l.Helper()
	if conn, err := l.connect(to); !errors.Is(err, errRefused) {
		l.Errorf("%s: %v", to, err)
		if conn != nil {
			conn.Close()
		}
	}
}

// last waits for the record of an attempt.

func (l *lab) last(match func(Connection) bool) Connection {
	l.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, c := range l.s.Connections() {
			if match(c) {
				return c
			}
		}
	}
	l.Fatalf("no such connection in %+v", l.s.Connections())
	return Connection{}
}

// listen opens a server on an address of the loopback device and returns its port.

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestConnectionsReachTheOutside(t *testing.T) {
	ln := listen(t, "127.7.0.1:0")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b, _ := io.ReadAll(conn)
				_, _ = conn.Write(bytes.ToUpper(b))
			}()
		}
	}()
	l := outsideLab(t, "*", zone{"server.test": {"127.7.0.1"}}, "127.7.0.1")
	if code, all := l.resolveA("server.test"); code != dnsmessage.RCodeSuccess || fmt.Sprint(all) != "[127.7.0.1]" {
		t.Fatal(code, all)
	}
	conn, err := l.connect(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil { // one half ends before the other
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); string(b) != "HELLO" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	conn.Close()
	c := l.last(func(c Connection) bool { return c.Verdict == Allowed })
	if c.Name != "server.test" || c.Session != "one" || c.Sent != 5 || c.Received != 5 || c.Address.String() != ln.Addr().String() || c.Reason != "" {
		t.Errorf("%+v", c)
	}
}

func TestNobodyAnswers(t *testing.T) {
	ln := listen(t, "127.7.0.1:0")
	ln.Close()
	l := outsideLab(t, "*", nil, "127.7.0.1")
	l.refuses(ln.Addr().String())
	if c := l.last(func(c Connection) bool { return c.Verdict == Failed }); c.Reason == "" {
		t.Errorf("%+v", c)
	}
}

func TestAWSNamesAreOurs(t *testing.T) {
	l := outsideLab(t, "*", nil)
	l.n.o.Resolve = func(_ context.Context, name string) ([]netip.Addr, error) {
		t.Errorf("%s is asked for outside", name)
		return nil, errors.New("no")
	}
	for _, name := range []string{"bedrock-agentcore.us-west-2.amazonaws.com", "sts.amazonaws.com", "iam.amazonaws.com", "s3.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com", "lambda.eu-west-1.api.aws"} {
		if _, all := l.resolveA(name); fmt.Sprint(all) != "[169.254.171.2]" {
			t.Errorf("%s: %v", name, all)
		}
	}
	for _, name := range []string{"checkip.amazonaws.com", "a.b.c.api.aws", "amazonaws.com"} {
		if code, _ := l.resolveA(name); code != dnsmessage.RCodeNameError {
			t.Errorf("%s: %v", name, code)
		}
	}
}

// TestServerSpeaksFirst has a list and a protocol in which the program waits for the other side.

func TestListChangesOnALiveSession(t *testing.T) {
	ln := listen(t, "127.7.0.3:0")
	l := outsideLab(t, "good.test", zone{"good.test": {"127.7.0.3"}, "other.test": {"127.7.0.3"}}, "127.7.0.3")
	l.resolveA("good.test")
	conn, err := l.connect(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := egress.ParseNames("other.test")
	if err != nil {
		t.Fatal(err)
	}
	l.n.Session("one").SetNames(other)
	if b, err := io.ReadAll(conn); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	l.last(func(c Connection) bool { return c.Reason == errChanged.Error() })
	if code, _ := l.resolveA("good.test"); code != dnsmessage.RCodeNameError {
		t.Errorf("%v", code)
	}
	l.refuses(ln.Addr().String())
	l.resolveA("other.test")
	again, err := l.connect(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.s.Close()
	if b, err := io.ReadAll(again); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	l.refuses(ln.Addr().String())
	if l.n.Session("one") != nil {
		t.Error("a session that has ended is there")
	}
}

func TestUpstreamProxy(t *testing.T) {
	target := listen(t, "127.7.0.3:0")
	go func() {
		for {
			conn, err := target.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "welcome")
			conn.Close()
		}
	}()
	var answer string
	asked := make(chan *http.Request, 10)
	ln := listen(t, "127.7.0.5:0")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				conn.Close()
				continue
			}
			asked <- r
			_, _ = io.WriteString(conn, answer)
			if up, err := net.Dial("tcp", r.RequestURI); err == nil {
				_, _ = io.Copy(conn, up)
				up.Close()
			}
			conn.Close()
		}
	}()
	proxy, err := egress.ParseProxy("http://user:pass@" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l := outsideLab(t, "*", nil, "127.7.0.3")
	l.s.outside.policy.Proxy = proxy
	answer = "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n"
	conn, err := l.connect(target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); string(b) != "welcome" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	r := <-asked
	if user, pass, ok := parseProxyAuth(r); !ok || user != "user" || pass != "pass" || r.Method != http.MethodConnect || r.RequestURI != target.Addr().String() {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"HTTP/1.1 403 No\r\n\r\n", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 4000), ""} {
		answer = bad
		l.refuses(target.Addr().String())
		<-asked
	}
	l.refuses("10.0.0.1:80") // the policy is asked before the proxy
	if len(asked) > 0 {
		t.Error("the proxy was asked for a private address")
	}
}

func parseProxyAuth(r *http.Request) (string, string, bool) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	return r.BasicAuth()
}

// TestAttackHalfOpenConnections fills a session with connections that hang, while others of it and of another session go on.

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var r ring
	for n := range kept + 10 {
		r.add(Connection{Sent: int64(n)})
	}
	all := r.list()
	if len(all) != kept || all[0].Sent != 10 || all[kept-1].Sent != kept+9 {
		t.Errorf("%d, from %d to %d", len(all), all[0].Sent, all[len(all)-1].Sent)
	}
	var known resolved
	for n := range maxAddresses + 10 {
		known.add(fmt.Sprint("n", n), []netip.Addr{netip.AddrFrom4([4]byte{1, 2, byte(n >> 8), byte(n)})}, time.Now())
	}
	if len(known.names) != maxAddresses || len(known.order) != maxAddresses || len(known.answers) > maxAnswers || known.of(netip.MustParseAddr("1.2.0.9")) != nil {
		t.Errorf("%d %d %d", len(known.names), len(known.order), len(known.answers))
	}
	for n := range 2 * maxNamesOf {
		known.add(fmt.Sprint("m", n), []netip.Addr{netip.MustParseAddr("9.9.9.9")}, time.Now())
	}
	if names := known.of(netip.MustParseAddr("9.9.9.9")); len(names) != maxNamesOf || names[maxNamesOf-1] != "m63" {
		t.Errorf("%v", names)
	}
}
