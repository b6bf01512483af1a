package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xtaci/smux"
	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// host is a client with a fake guest's way in.
type host struct {
	*client.Client
	socket string
}

func serve(t testing.TB) *host {
	t.Helper()
	h := &host{Client: client.New(client.Options{}), socket: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *host) dial(t testing.TB, first string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, first); err != nil {
		t.Fatal(err)
	}
	return conn
}

// play dials in as a guest that configures itself truly and then answers each call by script.
func (h *host) play(t testing.TB, script func(s *smux.Stream, call []byte)) {
	t.Helper()
	session, err := smux.Server(h.dial(t, proto.Magic+"C"), client.Mux())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = session.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			s, err := session.AcceptStream()
			if err != nil {
				return
			}
			_, call, err := proto.NewReader(s).Next()
			switch {
			case err != nil:
			case first:
				_ = proto.NewWriter(s).WriteJSON(proto.FrameResult, proto.Result{Hello: &proto.Hello{BootID: "fake"}})
			default:
				go script(s, call)
			}
		}
	}()
	if _, err := h.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func raw(typ byte, length uint32, payload string) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{typ}, length), payload...))
}

func whole(typ byte, payload string) string { return raw(typ, uint32(len(payload)), payload) }

func says(text string) func(*smux.Stream, []byte) {
	return func(s *smux.Stream, _ []byte) {
		_, _ = io.WriteString(s, text)
		_ = s.Close()
	}
}

// calls are all that a host asks of a guest.
func (h *host) calls(ctx context.Context) map[string]error {
	drop := func(_ proto.Entry, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	_, code := h.RunCode(ctx, client.Run{Language: "python", Text: "1", OutputLimit: 1000})
	_, command := h.RunCommand(ctx, client.Run{Text: "true", OutputLimit: 1000})
	_, list := h.ListFiles(ctx, "")
	_, remove := h.RemoveFiles(ctx, []string{"a"})
	return map[string]error{"RunCode": code, "RunCommand": command, "ListFiles": list, "RemoveFiles": remove, "Ping": h.Ping(ctx), "Prepare": h.Prepare(ctx, "python"),
		"ReadFiles":  h.ReadFiles(ctx, []string{"a", "b"}, drop),
		"WriteFiles": h.WriteFiles(ctx, []client.File{{Path: "a", Size: 3, Content: strings.NewReader("abc")}}),
		"Listen":     h.Listen(ctx, proto.Listener{Name: "n", Address: "127.0.0.1:1"})}
}

func TestAnswersThatBreakTheProtocol(t *testing.T) {
	entry := whole('f', `{"path":"a","size":1}`)
	for name, answer := range map[string]string{
		"garbage":              "GET / HTTP/1.1\r\n\r\n",
		"an unknown type":      raw('?', 0, ""),
		"a frame too large":    raw('o', proto.MaxData+1, ""),
		"a result too large":   raw('r', 1<<31, ""),
		"a call":               whole('c', "{}"),
		"wrong JSON":           whole('r', "{"),
		"JSON of another type": whole('r', `{"count":"many"}`),
		"a wrong error":        whole('x', "[]"),
		"more output":          strings.Repeat(whole('o', strings.Repeat("x", 600)), 2),
		"a wrong entry":        whole('f', `{"path":3}`) + whole('z', ""),
		"data only":            whole('d', "abc") + whole('z', ""),
		"a hello":              whole('h', `{"listener":"x"}`),
		"an entry, no content": entry + whole('r', "{}"),
		"an entry in content":  entry + entry,
		"deep JSON":            whole('r', strings.Repeat("[", 500_000)),
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			h.play(t, says(answer))
			for call, err := range h.calls(within(t)) {
				if call == "ListFiles" && strings.HasPrefix(name, "an entry") {
					continue // that is a listing
				}
				if !errors.Is(err, client.ErrProtocol) {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
}

func TestGuestThatClosesInTheMiddle(t *testing.T) {
	for name, answer := range map[string]string{"at once": "", "in a head": "r\x00", "in a payload": raw('r', 100, "{"), "after output": whole('o', "x"), "after an entry": whole('f', `{"path":"a"}`)} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			h.play(t, says(answer))
			for call, err := range h.calls(within(t)) {
				if !errors.Is(err, client.ErrDisconnected) && !errors.Is(err, client.ErrProtocol) {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
}

func TestGuestThatAnswersTwice(t *testing.T) {
	h := serve(t)
	h.play(t, says(whole('r', `{"count":1,"run":{}}`)+whole('r', `{"count":2}`)+whole('o', "late")))
	for range 50 {
		if n, err := h.RemoveFiles(within(t), []string{"a"}); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
}

func TestGuestThatNeverAnswers(t *testing.T) {
	h := serve(t)
	asked := make(chan struct{}, 100)
	h.play(t, func(*smux.Stream, []byte) { asked <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan map[string]error, 1)
	go func() { ended <- h.calls(ctx) }()
	<-asked
	cancel()
	for call, err := range <-ended {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", call, err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- h.Ping(t.Context()) }()
	<-asked
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; !errors.Is(err, client.ErrClosed) {
		t.Errorf("a call when the client is closed: %v", err)
	}
}

// A guest that reads nothing more holds up no call beyond its context, and not Close.
func TestGuestThatStopsReading(t *testing.T) {
	h := serve(t)
	conn := h.dial(t, proto.Magic+"C")
	// The handshake by hand: the call of stream 3 is read, and its answer written in smux's framing; then nothing is read any more.
	mux := func(cmd byte, sid uint32, data string) string {
		head := []byte{2, cmd, 0, 0, 0, 0, 0, 0}
		binary.LittleEndian.PutUint16(head[2:], uint16(len(data)))
		binary.LittleEndian.PutUint32(head[4:], sid)
		return string(head) + data
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, mux(2, binary.LittleEndian.Uint32(head[4:]), whole('r', `{"hello":{"bootId":"fake"}}`))); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := h.WriteFiles(ctx, []client.File{{Path: "a", Size: 1 << 30, Content: zeros{}}})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestEntriesWithoutEnd(t *testing.T) {
	long := whole('f', `{"path":"`+strings.Repeat("p", 1_000_000)+`"}`)
	for name, piece := range map[string]string{"many": strings.Repeat(whole('f', `{"path":"p"}`), 1000), "long": long} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			h.play(t, func(s *smux.Stream, _ []byte) {
				for {
					if _, err := io.WriteString(s, piece); err != nil {
						return
					}
				}
			})
			if _, err := h.ListFiles(within(t), ""); !errors.Is(err, client.ErrProtocol) {
				t.Error(err)
			}
		})
	}
}

func TestFloodIsBounded(t *testing.T) {
	h := serve(t)
	h.play(t, says(whole('r', "{}")))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conn := h.dial(t, proto.Magic+"C")
	flooded := make(chan struct{})
	go func() { // streams that nobody asked for, with small pieces that nobody reads
		defer close(flooded)
		var b []byte
		for sid := uint32(2); sid < 60_000; sid += 2 {
			b = binary.LittleEndian.AppendUint32(append(b, 2, 0, 0, 0), sid)
			for range 20 {
				b = append(binary.LittleEndian.AppendUint32(append(b, 2, 2, 1, 0), sid), 'x')
			}
		}
		_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, _ = conn.Write(b)
	}()
	<-flooded
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the host's memory has grown by %d bytes", grown)
	}
	if err := h.Ping(within(t)); err != nil {
		t.Error("the true connection:", err)
	}
}

func TestConnectionsThatSayNothingOrNonsense(t *testing.T) {
	h, other := serve(t), serve(t)
	other.play(t, says(whole('r', "{}")))
	for range 60 { // fewer than may shake hands at once
		h.dial(t, "")
	}
	for i := range 5000 {
		conn, err := net.Dial("unix", h.socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, []string{"x", "GET / HTTP/1.1\r\n\r\n", proto.Magic + "X", proto.Magic + "R" + raw('h', 1<<30, ""), proto.Magic + "R" + whole('h', "{"), proto.Magic + "C\xff\xff\xff\xff\xff\xff\xff\xff"}[i%6])
		_ = conn.Close()
	}
	if err := other.Ping(within(t)); err != nil {
		t.Error("another guest:", err)
	}
	h.play(t, says(whole('r', "{}"))) // and the true one gets in
	if err := h.Ping(within(t)); err != nil {
		t.Error(err)
	}
}

func TestNewerConnectionReplacesTheOlder(t *testing.T) {
	h := serve(t)
	h.play(t, says(whole('r', `{"count":1}`)))
	h.play(t, says(whole('r', `{"count":2}`)))
	for {
		n, err := h.RemoveFiles(within(t), []string{"a"})
		if n == 2 {
			return
		}
		if err != nil && !errors.Is(err, client.ErrDisconnected) {
			t.Fatal(err)
		}
	}
}

// Whatever a guest answers, a call returns.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"", whole('r', `{"run":{}}`), whole('o', "x") + whole('r', `{"run":{}}`), whole('f', `{"path":"a","size":1}`) + whole('d', "x") + whole('z', "") + whole('r', "{}"), whole('x', `{"code":"Denied"}`)} {
		f.Add([]byte(s))
	}
	h := serve(f)
	answers := make(chan []byte, 1)
	h.play(f, func(s *smux.Stream, _ []byte) {
		_, _ = s.Write(<-answers)
		_ = s.Close()
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := within(t)
		answers <- b
		_, _ = h.RunCode(ctx, client.Run{Language: "python", OutputLimit: 100})
		answers <- b
		_, _ = h.ListFiles(ctx, "")
		answers <- b
		_ = h.ReadFiles(ctx, []string{"a", "b"}, func(_ proto.Entry, r io.Reader) error { _, _ = io.Copy(io.Discard, r); return nil })
		if ctx.Err() != nil {
			t.Fatal("a call does not return")
		}
	})
}

func TestGuestThatCannotBeConfiguredIsNotWaitedFor(t *testing.T) {
	h := serve(t)
	session, err := smux.Server(h.dial(t, proto.Magic+"C"), client.Mux())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	go func() {
		s, err := session.AcceptStream()
		if err != nil {
			return
		}
		_, _, _ = proto.NewReader(s).Next()
		_ = proto.NewWriter(s).WriteJSON(proto.FrameError, proto.Error{Code: proto.Failed, Message: "no /etc"})
	}()
	_, err = h.Ready(within(t))
	if e, ok := errors.AsType[*proto.Error](err); !ok || e.Message != "no /etc" {
		t.Errorf("got %v", err)
	}
}
