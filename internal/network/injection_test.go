package network

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

func TestRequestsGetTheSecret(t *testing.T) {
	for _, inside := range []string{protocolHTTP1, protocolHTTP2} {
		for _, outside := range []string{protocolHTTP1, protocolHTTP2} {
			t.Run(inside+" to "+outside, func(t *testing.T) {
				l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret + "\n"})
				var change []func(*httptest.Server)
				if outside == protocolHTTP1 {
					change = append(change, withoutHTTP2)
				}
				l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
					b, err := io.ReadAll(r.Body)
					fmt.Fprintf(w, "%s %s %s %q %q %q %d %v", r.Host, r.Method, r.URL.RequestURI(), r.Header["Authorization"], r.Header["X-Mine"], r.Header["User-Agent"], len(b), err)
					if want := map[string]int{protocolHTTP1: 1, protocolHTTP2: 2}[outside]; r.ProtoMajor != want {
						t.Errorf("%s", r.Proto)
					}
				}, change...)
				c := l.client(ownAddr+":443", inside)
				for range 3 {
					r := request("POST", "https://"+ownHost+"/v1%2Fx?a=1;b=%zz&c", strings.NewReader(strings.Repeat("x", 100_000)),
						"authorization", "Bearer placeholder", "Authorization", "another", "X-Mine", "1", "User-Agent", "me")
					status, text := body(t, c, r)
					want := fmt.Sprintf("%s POST /v1%%2Fx?a=1;b=%%zz&c %q %q %q 100000 <nil>", ownHost, []string{"Bearer " + theSecret}, []string{"1"}, []string{"me"})
					if status != 200 || text != want {
						t.Errorf("%d %s\nwant %s", status, text, want)
					}
				}
				c.CloseIdleConnections()
				if got := l.last(func(c Connection) bool { return c.Verdict == Allowed }); got.Name != ownHost || got.Sent < 300_000 || got.Received == 0 || got.Reason != "" {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

func TestHeadersOfAHost(t *testing.T) {
	list := ".example.test=wide " + ownHost + "=key:X-Api-Key " + ownHost + "=app:x-app " + ownHost + "=basic:Authorization"
	l := newInjectionLab(t, list, entries{"wide": "w", "key": "k", "app": "a", "basic": "Basic dXNlcg=="})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["Authorization"], r.Header["X-Api-Key"], r.Header["X-App"])
	})
	for host, want := range map[string]string{ownHost: "[Basic dXNlcg==][k][a]", "other.example.test": "[Bearer w][][]", "example.test": "[][][]"} {
		if status, text := body(t, l.client(ownAddr+":443"), request("GET", "https://"+host+"/", nil)); status != 200 || strings.ReplaceAll(text, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: %d %s; want %s", host, status, text, want)
		}
	}
}

// TestAnswersAreStreamed has a host that goes on only when what it has said so far has arrived.
func TestAnswersAreStreamed(t *testing.T) {
	for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
		t.Run(protocol, func(t *testing.T) {
			l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
			arrived := make(chan struct{})
			l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("Trailer", "X-End")
				for n := range 3 {
					fmt.Fprintf(w, "data: %d\n\n", n)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-arrived:
					case <-r.Context().Done():
						return
					}
				}
				w.Header().Set("X-End", "done")
			})
			answer, err := l.client(ownAddr+":443", protocol).Do(request("GET", "https://"+ownHost+"/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			lines := bufio.NewReader(answer.Body)
			for n := range 3 {
				for _, want := range []string{fmt.Sprintf("data: %d\n", n), "\n"} {
					if line, err := lines.ReadString('\n'); line != want || err != nil {
						t.Fatalf("%q %v", line, err)
					}
				}
				arrived <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil || answer.Trailer.Get("X-End") != "done" {
				t.Errorf("%q %v %v", rest, err, answer.Trailer)
			}
		})
	}
}

// TestBothWaysAreStreamed has both sides answer what the other has just said.
func TestBothWaysAreStreamed(t *testing.T) {
	for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
		t.Run(protocol, func(t *testing.T) {
			l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
			l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				_ = c.EnableFullDuplex()
				w.WriteHeader(http.StatusOK)
				_ = c.Flush()
				b := make([]byte, 1)
				for {
					if _, err := io.ReadFull(r.Body, b); err != nil {
						return
					}
					_, _ = w.Write(bytes.ToUpper(b))
					_ = c.Flush()
				}
			})
			out, in := io.Pipe()
			answer, err := l.client(ownAddr+":443", protocol).Do(request("POST", "https://"+ownHost+"/", out))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			b := make([]byte, 1)
			for _, c := range "hello" {
				if _, err := in.Write([]byte{byte(c)}); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(answer.Body, b); err != nil || string(b) != strings.ToUpper(string(c)) {
					t.Fatalf("%q %v", b, err)
				}
			}
			in.Close()
			if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err != nil {
				t.Errorf("%q %v", rest, err)
			}
		})
	}
}

// TestBodiesThatWait come when the host says that it wants them.
func TestBodiesThatWait(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "no", http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
		c := l.client(ownAddr+":443", protocol)
		c.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
		if status, text := body(t, c, request("POST", "https://"+ownHost+"/", strings.NewReader("waited"), "Expect", "100-continue")); status != 200 || text != "waited" {
			t.Errorf("%s: %d %s", protocol, status, text)
		}
		if status, _ := body(t, c, request("POST", "https://"+ownHost+"/no", strings.NewReader("waited"), "Expect", "100-continue")); status != 417 {
			t.Errorf("%s: %d", protocol, status)
		}
	}
}

// TestHostAnswersBeforeTheEnd has a program that goes on with its request for as long as the answer has no end, and a host that does not wait for it.
func TestHostAnswersBeforeTheEnd(t *testing.T) {
	for _, outside := range []string{protocolHTTP1, protocolHTTP2} {
		for _, inside := range []string{protocolHTTP1, protocolHTTP2} {
			t.Run(inside+" to "+outside, func(t *testing.T) {
				l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
				var change []func(*httptest.Server)
				if outside == protocolHTTP1 {
					change = append(change, withoutHTTP2)
				}
				l.host(ownAddr+":443", func(w http.ResponseWriter, _ *http.Request) {
					_ = http.NewResponseController(w).EnableFullDuplex()
					w.WriteHeader(http.StatusTooManyRequests)
					_ = http.NewResponseController(w).Flush()
					_, _ = io.WriteString(w, "enough")
				}, change...)
				body, end := io.Pipe()
				answer, err := l.client(ownAddr+":443", inside).Do(request("POST", "https://"+ownHost+"/", io.MultiReader(strings.NewReader("begin"), body)))
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				if b, err := io.ReadAll(answer.Body); string(b) != "enough" || answer.StatusCode != http.StatusTooManyRequests || err != nil {
					t.Errorf("%d %q %v", answer.StatusCode, b, err)
				}
				end.Close()
			})
		}
	}
}

func TestLargeBodies(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	const size = 32 << 20
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %x %v", n, sum.Sum(nil), err))
		for range size / len(block) {
			_, _ = w.Write(block)
		}
	})
	want := sha256.New()
	for range size / len(block) {
		want.Write(block)
	}
	for _, protocol := range []string{protocolHTTP1, protocolHTTP2} {
		var up []io.Reader
		for range size / len(block) {
			up = append(up, bytes.NewReader(block))
		}
		answer, err := l.client(ownAddr+":443", protocol).Do(request("PUT", "https://"+ownHost+"/", io.MultiReader(up...)))
		if err != nil {
			t.Fatal(err)
		}
		down := sha256.New()
		n, err := io.Copy(down, answer.Body)
		answer.Body.Close()
		if sum := fmt.Sprintf("%d %x <nil>", size, want.Sum(nil)); answer.Header.Get("X-Sum") != sum || n != size || err != nil || !bytes.Equal(down.Sum(nil), want.Sum(nil)) {
			t.Errorf("%s: %s, %d %v", protocol, answer.Header.Get("X-Sum"), n, err)
		}
	}
}

// TestWebSocketsPass are HTTP/1.1 towards hosts that would rather speak HTTP/2.
func TestWebSocketsPass(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Authorization") != "Bearer "+theSecret {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Echo: "+theSecret+"\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	})
	conn := l.raw(ownAddr+":443", ownHost)
	_, _ = io.WriteString(conn, "GET /realtime HTTP/1.1\r\nHost: "+ownHost+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || answer.Header["X-Echo"] != nil {
		t.Fatal(answer, err)
	}
	for _, message := range []string{"one", "two"} {
		_, _ = io.WriteString(conn, message)
		b := make([]byte, len(message))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != message {
			t.Errorf("%q %v", b, err)
		}
	}
}

// TestOtherHostsAreNotTerminated: the session sees the certificates of hosts that have no secret, and hosts see what it says.
func TestOtherHostsAreNotTerminated(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	l.host("127.7.1.2:443", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header["Authorization"]) })
	c := l.client("127.7.1.2:443")
	only := x509.NewCertPool()
	only.AppendCertsFromPEM([]byte(l.world.Certificate()))
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = only
	for _, host := range []string{"elsewhere.test", "other.example.test"} {
		if status, text := body(t, c, request("GET", "https://"+host+"/", nil, "Authorization", "mine")); status != 200 || text != "[mine]" {
			t.Errorf("%s: %d %s", host, status, text)
		}
	}
}

// TestOtherProtocolsOnPort443 pass as without secrets: what is no TLS, TLS that names no host, and nothing at all.
func TestOtherProtocolsOnPort443(t *testing.T) {
	l := newInjectionLab(t, ownHost+"=token", entries{"token": theSecret})
	ln := listen(t, "127.7.1.3:443")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b, _ := io.ReadAll(conn)
				_, _ = conn.Write(append([]byte("heard "), b...))
			}()
		}
	}()
	for _, said := range []string{"SSH-2.0-x\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x16\x03\x01", ""} {
		conn, err := l.connect("127.7.1.3:443")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, said)
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); string(b) != "heard "+said || err != nil {
			t.Errorf("%q: %q %v", said, b, err)
		}
		conn.Close()
	}
}

func TestSecretsAndAListOfNames(t *testing.T) {
	l := newInjectionLab(t, ".example.test=token", entries{"token": theSecret})
	l.host(ownAddr+":443", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header["Authorization"]) })
	names, err := egress.ParseNames(ownHost)
	if err != nil {
		t.Fatal(err)
	}
	l.s.SetNames(names)
	if status, text := body(t, l.client(ownAddr+":443"), request("GET", "https://"+ownHost+"/", nil)); status != 200 || text != "[Bearer "+theSecret+"]" {
		t.Errorf("%d %s", status, text)
	}
	if _, err := l.client(ownAddr + ":443").Do(request("GET", "https://other.example.test/", nil)); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name that is not on the list: %v", err)
	}
}
