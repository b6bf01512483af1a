package server_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// pipes is a listener whose connections are pipes: without buffers, and with deadlines of the bubble's clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// ending is the server's end of a pipe; it tells when the server closes it.
type ending struct {
	net.Conn
	once   sync.Once
	closed chan time.Time
}

// Close implements net.Conn.
func (e *ending) Close() error {
	e.once.Do(func() { e.closed <- time.Now() })
	return e.Conn.Close()
}

// dial returns the client's end of a new connection, and when the server closes it.
func (p *pipes) dial() (client net.Conn, closed <-chan time.Time) {
	client, srv := net.Pipe()
	e := &ending{Conn: srv, closed: make(chan time.Time, 1)}
	p.conns <- e
	return client, e.closed
}

const answerBytes = 8 << 20 // more than clients of HTTP/2 take unread

// answering runs a server in a bubble, with one operation whose answer is large.
func answering(t *testing.T) *pipes {
	t.Helper()
	type output struct {
		Text string `aws:"text"`
	}
	large := &wire.Service{Name: "bedrock-agentcore", Protocol: wire.RestJSON, Operations: []wire.Operation{
		wire.Op("Large", "PUT /code-interpreters/large 200", func(context.Context, *struct{}) (*output, error) {
			return &output{strings.Repeat("x", answerBytes)}, nil
		})}}
	s := server.New(server.Options{Services: []*wire.Service{large}, Verifier: &sigv4.Verifier{Keys: keys{}}, Admit: admit, Log: slog.New(slog.DiscardHandler), Version: "1"})
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if cut, err := s.Shutdown(context.Background()); err != nil || cut {
			t.Error(cut, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

// ask makes the signed request for the large answer.
func ask(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://pipe/code-interpreters/large", nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), "bedrock-agentcore", "eu-central-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

// allowed is how long a client has for the large answer: 30 s, and a second for each 128 KiB.
const allowed = 30*time.Second + answerBytes/(128<<10)*time.Second

func TestAttackAClientThatTakesNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, closed := answering(t).dial()
		began := time.Now()
		if err := ask(t).Write(client); err != nil {
			t.Fatal(err)
		}
		if took := (<-closed).Sub(began); took < allowed || took > allowed+time.Second {
			t.Errorf("the connection ended after %v, want %v", took, allowed)
		}
		_ = client.Close()
	})
}

// The deadline is for the whole answer: giving a sign of life now and then does not hold a connection and its answer for ever.
func TestAttackAClientThatSipsItsAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		each  time.Duration // for 64 KiB
		whole bool
	}{
		{"as fast as asked", 500 * time.Millisecond, true},
		{"within the first 30 seconds more", 600 * time.Millisecond, true},
		{"half as fast", time.Second, false},
		{"a little in a minute", time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, closed := answering(t).dial()
				began := time.Now()
				if err := ask(t).Write(client); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				var text strings.Builder
				for err == nil {
					time.Sleep(c.each)
					_, err = io.CopyN(&text, resp.Body, 64<<10)
				}
				whole := errors.Is(err, io.EOF) && json.Valid([]byte(text.String()))
				if whole != c.whole {
					t.Errorf("%d bytes after %v: %v", text.Len(), time.Since(began), err)
				}
				if !c.whole {
					if took := (<-closed).Sub(began); took < allowed || took > allowed+time.Second {
						t.Errorf("the connection ended after %v, want %v", took, allowed)
					}
				}
				_ = client.Close()
			})
		})
	}
}

// The deadline of one answer does not end the next one on the same connection, long after.
func TestTheNextAnswerHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t).dial()
		in := bufio.NewReader(client)
		for range 3 {
			if err := ask(t).Write(client); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || n < answerBytes {
				t.Fatalf("%d bytes, %v", n, err)
			}
			time.Sleep(allowed + time.Second) // a connection may be idle for two minutes
			health, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://pipe/health", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := health.Write(client); err != nil {
				t.Fatal(err)
			}
			if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("health: %v", err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
		_ = client.Close()
	})
}

// Over HTTP/2 it is the stream that ends: others on the connection go on.
func TestAttackAClientThatTakesNoAnswerOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := answering(t)
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		dials := 0
		transport := &http.Transport{Protocols: &protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			c, _ := l.dial()
			return c, nil
		}}
		defer transport.CloseIdleConnections()
		began := time.Now()
		stalled, err := transport.RoundTrip(ask(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stalled.Body.Close() }()
		time.Sleep(allowed - time.Second)
		taken, err := transport.RoundTrip(ask(t))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, taken.Body); err != nil || n < answerBytes {
			t.Errorf("beside it: %d bytes, %v", n, err)
		}
		_ = taken.Body.Close()
		time.Sleep(2 * time.Second)
		n, err := io.Copy(io.Discard, stalled.Body)
		if err == nil || n >= answerBytes {
			t.Errorf("the answer that was not taken for %v: %d bytes, %v", time.Since(began), n, err)
		}
		after, err := transport.RoundTrip(ask(t))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, after.Body); err != nil || n < answerBytes || dials != 1 {
			t.Errorf("afterwards, on %d connections: %d bytes, %v", dials, n, err)
		}
		_ = after.Body.Close()
	})
}
