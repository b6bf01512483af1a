package network

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

// witness is a host that must never hear the secret.
func witness(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if all := fmt.Sprint(r.Header, r.URL, r.Host, r.Trailer); strings.Contains(all, theSecret) {
			t.Errorf("it has heard the secret: %s", all)
		}
		fmt.Fprint(w, "heard ", r.Header["Authorization"])
	}
}

// bothProtocols runs a test against hosts that speak HTTP/2, and that do not.
func bothProtocols(t *testing.T, f func(t *testing.T, change ...func(*httptest.Server))) {
	t.Run("h2", func(t *testing.T) { f(t) })
	t.Run("http1", func(t *testing.T) { f(t, withoutHTTP2) })
}

func tokenLab(t *testing.T) *injectionLab {
	return newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
}

func TestAttackSecretOverPlainHTTP(t *testing.T) {
	for _, list := range []string{"*", ownHost} {
		l := tokenLab(t)
		names, err := egress.ParseNames(list)
		if err != nil {
			t.Fatal(err)
		}
		l.s.SetNames(names)
		plain := httptest.NewUnstartedServer(witness(t))
		plain.Listener.Close()
		plain.Listener = listen(t, ownAddr+":80")
		plain.Start()
		t.Cleanup(plain.Close)
		if status, text := body(t, l.client(ownAddr+":80"), request("GET", "http://"+ownHost+"/", nil, "Authorization", "x")); status != 200 || text != "heard [x]" {
			t.Errorf("%d %s", status, text)
		}
		plain.Close()
	}
}

func TestAttackSecretOnAnotherPort(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":8443", witness(t))
	if status, text := body(t, l.client(ownAddr+":8443"), request("GET", "https://"+ownHost+":8443/", nil)); status != 200 || text != "heard []" {
		t.Errorf("%d %s", status, text)
	}
}

// TestAttackHTTPWithinPort443 speaks plainly to the port that TLS is expected at.
func TestAttackHTTPWithinPort443(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", witness(t))
	conn, err := l.connect(ownAddr + ":443")
	if err != nil {
		t.Fatal(err)
	}
	if status, text, err := get(conn, ownHost); status != 400 || !strings.Contains(text, "HTTP request to an HTTPS server") || err != nil {
		t.Errorf("%d %s %v", status, text, err)
	}
}

func TestAttackLookalikeHosts(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token .example.test=token:X-Token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) { witness(t)(w, r) })
	for _, host := range []string{"api.example.test.evil.test", "evilexample.test", "example.test"} {
		if status, text := body(t, l.client(ownAddr+":443"), request("GET", "https://"+host+"/", nil)); status != 200 || text != "heard []" {
			t.Errorf("%s: %d %s", host, status, text)
		}
	}
}

// TestAttackHostDiffersFromTheName asks a front that serves many customers for another than the one in the TLS hello.
func TestAttackHostDiffersFromTheName(t *testing.T) {
	l := newInjectionLab(t, ".example.test=token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.Host) })
	for _, host := range []string{"elsewhere.test", "other.example.test", ownHost + ":80", ownHost + ".elsewhere.test", "127.7.1.1", "", " ",
		"user@" + ownHost, ownHost + "/x", ownHost + ":443:443"} {
		conn := l.raw(ownAddr+":443", ownHost)
		if status, text, err := get(conn, host); (status != 421 && status != 400) || strings.Contains(text, theSecret) || err != nil {
			t.Errorf("%q: %d %s %v", host, status, text, err)
		}
	}
	conn := l.raw(ownAddr+":443", ownHost)
	if status, _, err := get(conn, ownHost, "Host: elsewhere.test"); status != 400 || err != nil {
		t.Errorf("two hosts: %d %v", status, err)
	}
}

// TestAttackCoalescedConnection uses an HTTP/2 connection for another host, as clients do that believe the certificate to be good for both.
func TestAttackCoalescedConnection(t *testing.T) {
	l := newInjectionLab(t, ".example.test=token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	conn := l.raw(ownAddr+":443", ownHost, protocolHTTP2)
	if names := conn.ConnectionState().PeerCertificates[0].DNSNames; len(names) != 1 || names[0] != ownHost {
		t.Errorf("the certificate is for %v", names)
	}
	c, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{ownHost, "other.example.test"} { // the latter ends the connection
		want := map[string]int{ownHost: 200, "other.example.test": 421}[host]
		answer, err := c.RoundTrip(request("GET", "https://"+host+"/", nil))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d; want %d", host, answer.StatusCode, want)
		}
	}
}

// TestAttackAddressOfTheSessionsChoice names a host with a secret at an address that it has not resolved from it, such as an old server of the same owner that prints what it gets.
func TestAttackAddressOfTheSessionsChoice(t *testing.T) {
	l := tokenLab(t)
	l.host("127.7.1.2:443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it has heard %v", r.Header) })
	l.host("127.7.1.9:443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it has heard %v", r.Header) })
	for _, to := range []string{"127.7.1.2:443", "127.7.1.9:443"} { // of another name, and of none
		if status, text := body(t, l.client(to), request("GET", "https://"+ownHost+"/", nil)); status != 403 || !strings.Contains(text, "has not resolved the address") {
			t.Errorf("%s: %d %s", to, status, text)
		}
		l.last(func(c Connection) bool { return c.Verdict == Refused && c.Address.String() == to })
	}
}

// TestAttackIPLiteral names no host in TLS, and the one with the secret in the request.
func TestAttackIPLiteral(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", witness(t))
	conn, err := l.connect(ownAddr + ":443")
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if status, text, err := get(secure, ownHost); status != 200 || text != "heard []" || err != nil {
		t.Errorf("%d %s %v", status, text, err)
	}
}

// TestAttackConnectionHeader names the secret's header among those that end at the next hop, and others that would.
func TestAttackConnectionHeader(t *testing.T) {
	bothProtocols(t, func(t *testing.T, change ...func(*httptest.Server)) {
		l := tokenLab(t)
		l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header["Authorization"], r.Header["Keep-Alive"], r.Header["Proxy-Authorization"], r.Header["X-Drop"], r.Header["Te"])
		}, change...)
		status, text, err := get(l.raw(ownAddr+":443", ownHost), ownHost,
			"Connection: Authorization, X-Drop, close", "Authorization: mine", "X-Drop: 1", "Keep-Alive: 5", "Proxy-Authorization: Basic eA==", "TE: gzip")
		if status != 200 || strings.ReplaceAll(text, " ", "") != "[Bearer"+theSecret+"][][][][]" || err != nil {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
}

// TestAttackRequestSmuggling has requests whose end can be read in two ways. What the host hears has one end, and what follows is judged by its own Host.
func TestAttackRequestSmuggling(t *testing.T) {
	bothProtocols(t, func(t *testing.T, change ...func(*httptest.Server)) {
		l := tokenLab(t)
		var mu sync.Mutex
		var heard, paths []string
		l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprintf("%s %s%s %q", r.Method, r.Host, r.URL.Path, b))
		}, change...)
		const hidden = "GET /hidden HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n"
		for name, said := range map[string]string{
			"length and chunks":     "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
			"hidden chunks":         "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nContent-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
			"two codings":           "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
			"unknown coding":        "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + hidden,
			"two lengths":           "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nContent-Length: 0\r\nContent-Length: 46\r\n\r\n" + hidden,
			"signed length":         "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nContent-Length: +0\r\n\r\n" + hidden,
			"folded header":         "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n" + hidden,
			"bare carriage return":  "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n" + hidden,
			"chunk with extensions": "POST /a HTTP/1.1\r\nHost: " + ownHost + "\r\nTransfer-Encoding: chunked\r\n\r\n0;\n\r\n" + hidden,
			"body in a GET":         "GET /a HTTP/1.1\r\nHost: " + ownHost + "\r\nContent-Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
			"pipelined":             "GET /a HTTP/1.1\r\nHost: " + ownHost + "\r\n\r\n" + hidden,
		} {
			path := "/" + strings.ReplaceAll(name, " ", "-")
			conn := l.raw(ownAddr+":443", ownHost)
			_, _ = io.WriteString(conn, strings.Replace(said, "/a", path, 1)+hidden) // which is refused, and so ends the connection at last
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			mu.Lock()
			paths = append(paths, path)
			mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		for _, h := range heard {
			f := strings.Fields(h)
			if i := slices.Index(paths, strings.TrimPrefix(f[1], ownHost)); i < 0 {
				t.Errorf("the host has heard %s, once too often or not meant for it", h)
			} else {
				paths = slices.Delete(paths, i, i+1) // a broken one may be heard of late
			}
		}
	})
}

func TestAttackProxyRequests(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was asked", r.Method, r.RequestURI) })
	for _, line := range []string{"CONNECT " + ownHost + ":443", "CONNECT elsewhere.test:443", "GET https://" + ownHost + "/", "GET http://elsewhere.test/", "TRACE /", "trace /", "TRACK /"} {
		conn := l.raw(ownAddr+":443", ownHost)
		_, _ = io.WriteString(conn, line+" HTTP/1.1\r\nHost: "+ownHost+"\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %v %v", line, answer, err)
		}
	}
	conn := l.raw(ownAddr+":443", ownHost, protocolHTTP2)
	c, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	r := request("CONNECT", "https://"+ownHost+"/", nil)
	answer, err := c.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HTTP/2 CONNECT: %v %v", answer, err)
	}
}

// TestAttackUpgradeToRequestsThatNobodyJudges asks for HTTP/2 in the clear within the connection.
func TestAttackUpgradeToRequestsThatNobodyJudges(t *testing.T) {
	bothProtocols(t, func(t *testing.T, change ...func(*httptest.Server)) {
		l := tokenLab(t)
		l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header["Upgrade"], r.Header["Http2-Settings"] != nil, strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade"))
		}, change...)
		status, text, err := get(l.raw(ownAddr+":443", ownHost), ownHost, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
		if status != 200 || text != "[] false false" || err != nil {
			t.Errorf("%d %s %v", status, text, err)
		}
	})
}

// TestAttackPinnedCertificate: a program that trusts the host's own authority only sees that it does not speak to the host, and says nothing.
func TestAttackPinnedCertificate(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it has heard %v", r.Header) })
	c := l.client(ownAddr + ":443")
	only := x509.NewCertPool()
	only.AppendCertsFromPEM([]byte(l.world.Certificate()))
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = only
	_, err := c.Do(request("GET", "https://"+ownHost+"/", nil))
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		t.Errorf("%v", err)
	}
}
