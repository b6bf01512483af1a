package network

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

// TestAttackImpostor has hosts that cannot prove to be who they say they are. They hear nothing.
func TestAttackImpostor(t *testing.T) {
	leaf := func(ca *CA, change func(*x509.Certificate)) *tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ownHost}, DNSNames: []string{ownHost},
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		change(template)
		parent, signer := template, any(key)
		if ca != nil {
			parent, signer = ca.cert, ca.key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	same := func(*x509.Certificate) {}
	for name, certificate := range map[string]func(l *injectionLab) *tls.Certificate{
		"of itself":                   func(*injectionLab) *tls.Certificate { return leaf(nil, same) },
		"of the sandboxes' authority": func(l *injectionLab) *tls.Certificate { return leaf(l.n.o.CA, same) },
		"for another name": func(l *injectionLab) *tls.Certificate {
			return leaf(l.world, func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.test"} })
		},
		"in the common name only": func(l *injectionLab) *tls.Certificate {
			return leaf(l.world, func(c *x509.Certificate) { c.DNSNames = nil })
		},
		"that has expired": func(l *injectionLab) *tls.Certificate {
			return leaf(l.world, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
		},
		"that is good for mail only": func(l *injectionLab) *tls.Certificate {
			return leaf(l.world, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := tokenLab(t)
			c := certificate(l)
			l.host(ownAddr+":443", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it has heard %v", r.Header) }, func(s *httptest.Server) {
				s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, nil }}
			})
			for range 2 { // on one connection
				status, text := body(t, l.client(ownAddr+":443"), request("POST", "https://"+ownHost+"/", strings.NewReader("x")))
				if status != 502 || !strings.Contains(text, "no certificate for its name") {
					t.Errorf("%d %s", status, text)
				}
			}
			l.last(func(c Connection) bool { return c.Verdict == Failed && strings.Contains(c.Reason, "certificate") })
		})
	}
}

// TestAttackEcho has a host that says its request's header again wherever it can but in the body.
func TestAttackEcho(t *testing.T) {
	for _, outside := range []string{protocolHTTP1, protocolHTTP2} {
		for _, inside := range []string{protocolHTTP1, protocolHTTP2} {
			t.Run(inside+" to "+outside, func(t *testing.T) {
				l := tokenLab(t)
				var change []func(*httptest.Server)
				if outside == protocolHTTP1 {
					change = append(change, withoutHTTP2)
				}
				l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
					echo := r.Header.Get("Authorization")
					h := w.Header()
					h.Set("Link", "<"+echo+">")
					h.Set("X-Early", "1")
					w.WriteHeader(http.StatusEarlyHints)
					h.Del("Link")
					h.Set("Trailer", "X-Late")
					h.Set("Www-Authenticate", "Bearer error=\""+echo+"\"")
					h.Add("X-Twice", "plain")
					h.Add("X-Twice", theSecret)
					h.Set("X-Plain", "plain")
					h.Set("Alt-Svc", `h3=":443"`)
					_, _ = io.WriteString(w, "body")
					h.Set("X-Late", echo)
					h.Set(http.TrailerPrefix+"X-Later", echo)
					h.Set(http.TrailerPrefix+"X-Fine", "fine")
				}, change...)
				c := l.client(ownAddr+":443", inside)
				answer, err := c.Do(request("GET", "https://"+ownHost+"/", nil))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				all := fmt.Sprint(answer.Header, answer.Trailer)
				if strings.Contains(all, theSecret) || answer.Header["Alt-Svc"] != nil || answer.Header.Get("X-Plain") != "plain" || string(b) != "body" || err != nil {
					t.Errorf("%s %q %v", all, b, err)
				}
				if answer.Trailer.Get("X-Fine") != "fine" {
					t.Errorf("trailers: %v %v %v", answer.Trailer, answer.Header, answer.TransferEncoding)
				}
			})
		}
	}
}

// TestAttackEchoInEarlyHints reads every byte of the answer.
func TestAttackEchoInEarlyHints(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+r.Header.Get("Authorization")+">")
		w.Header().Set("X-Early", "1")
		w.WriteHeader(http.StatusEarlyHints)
	})
	conn := l.raw(ownAddr+":443", ownHost)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+ownHost+"\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(conn)
	if !bytes.Contains(b, []byte("103 Early Hints\r\n")) || !bytes.Contains(b, []byte("X-Early: 1")) || bytes.Contains(b, []byte(theSecret)) || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

// TestAttackEchoInDamagedAnswers has a host whose answers are no HTTP, with the secret in the place that a message about it would quote. That message is in no log and no answer: the lab looks.
func TestAttackEchoInDamagedAnswers(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"status":     {"HTTP/1.1 " + theSecret + " OK\r\n\r\n", "The host does not answer."},
		"line":       {theSecret + "\r\n\r\n", "The host does not answer."},
		"version":    {"HTTP/" + theSecret + " 200 OK\r\n\r\n", "The host does not answer."},
		"header":     {"HTTP/1.1 200 OK\r\n" + theSecret + "\r\n\r\n", "The host does not answer."},
		"length":     {"HTTP/1.1 200 OK\r\nContent-Length: " + theSecret + "\r\n\r\n", "The host does not answer."},
		"coding":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + theSecret + "\r\n\r\n", "The host does not answer."},
		"reason":     {"HTTP/1.1 200 " + theSecret + "\r\nContent-Length: 2\r\n\r\nok", "ok"},
		"one more":   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 " + theSecret + "\r\n\r\n", "ok"},
		"leftovers":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + theSecret, "ok"},
		"no content": {"HTTP/1.1 204 No Content\r\n\r\n" + theSecret, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := tokenLab(t)
			l.host(ownAddr+":443", func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, c.answer)
				conn.Close()
			}, withoutHTTP2)
			conn := l.raw(ownAddr+":443", ownHost)
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+ownHost+"\r\nConnection: close\r\n\r\n")
			b, err := io.ReadAll(conn)
			if bytes.Contains(b, []byte(theSecret)) || !bytes.Contains(b, []byte(c.want)) || err != nil {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

// TestAttackRedirect has a host that sends its client elsewhere. The client goes there by itself, without the secret.
func TestAttackRedirect(t *testing.T) {
	l := tokenLab(t)
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscan(r.URL.Query().Get("status"), &status)
		http.Redirect(w, r, "https://elsewhere.test/next", status)
	})
	l.host("127.7.1.2:443", witness(t))
	for _, status := range []int{301, 302, 303, 307, 308} {
		answer, err := l.client(ownAddr + ":443").Do(request("GET", fmt.Sprintf("https://%s/?status=%d", ownHost, status), nil))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status || answer.Header.Get("Location") != "https://elsewhere.test/next" {
			t.Errorf("%d %v", answer.StatusCode, answer.Header)
		}
		if _, text := body(t, l.client("127.7.1.2:443"), request("GET", answer.Header.Get("Location"), nil)); text != "heard []" {
			t.Errorf("%s", text)
		}
	}
}

// TestAttackRequestsAfterTheEnd has a stream that goes on when its session ends, or when its host is taken off the list.
func TestAttackRequestsAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*injectionLab){
		"the session": func(l *injectionLab) { l.s.Close() },
		"the list":    func(l *injectionLab) { l.s.SetNames(egress.NoNames()) },
		"the sandbox": func(l *injectionLab) { l.end() },
		"the network": func(l *injectionLab) { _ = l.n.Close() },
	} {
		for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				l := tokenLab(t)
				ended := make(chan struct{})
				l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					close(ended)
				})
				answer, err := l.client(ownAddr+":443", protocol).Do(request("GET", "https://"+ownHost+"/", nil))
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				end(l)
				if _, err := io.ReadAll(answer.Body); err == nil {
					t.Error("the stream has come to a good end")
				}
				<-ended
			})
		}
	}
}

// TestAttackManyStreams has one connection with more requests than the session may have connections, to a host that needs one for each.
func TestAttackManyStreams(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	l.s.outside.slots = make(chan struct{}, 4)
	goOn := make(chan struct{})
	var busy, most atomic.Int64
	l.host(ownAddr+":443", func(http.ResponseWriter, *http.Request) {
		for n := busy.Add(1); ; {
			if have := most.Load(); n <= have || most.CompareAndSwap(have, n) {
				break
			}
		}
		<-goOn
		busy.Add(-1)
	}, withoutHTTP2)
	c, err := (&http2.Transport{}).NewClientConn(l.raw(ownAddr+":443", ownHost, protocolHTTP2))
	if err != nil {
		t.Fatal(err)
	}
	statuses := make(chan int)
	const streams = 50
	for range streams {
		go func() {
			answer, err := c.RoundTrip(request("GET", "https://"+ownHost+"/", nil))
			if err != nil {
				statuses <- 0
				return
			}
			answer.Body.Close()
			statuses <- answer.StatusCode
		}()
	}
	for range streams - 4 {
		if status := <-statuses; status == 200 {
			t.Error("a request was answered that cannot have been")
		}
	}
	close(goOn)
	for range 4 {
		<-statuses
	}
	if most.Load() > 4 {
		t.Errorf("%d connections at once", most.Load())
	}
	if len(l.s.outside.slots) > 4 {
		t.Errorf("%d places are taken", len(l.s.outside.slots))
	}
}

// TestAttackHostThatNeverSpeaksTLS holds the connection and says nothing, also when the session ends.
func TestAttackHostThatNeverSpeaksTLS(t *testing.T) {
	l := tokenLab(t)
	ln := listen(t, ownAddr+":443")
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, recordHead)); err != nil { // the hello of this server
			t.Error(err)
		}
		l.s.Close()
		_, _ = io.Copy(io.Discard, conn) // until it ends
	}()
	inside, err := l.connect(ownAddr + ":443")
	if err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(inside, &tls.Config{ServerName: ownHost, RootCAs: l.roots}).HandshakeContext(t.Context()); err == nil {
		t.Error("a handshake without a host")
	}
	<-heard
}

func TestHostThatDoesNotAnswer(t *testing.T) {
	l := tokenLab(t)
	l.refuses(ownAddr + ":443")
}
