package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xtaci/smux"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

var aService = proto.Service{Argv: []string{"agent"}}

func TestServiceAnswersThatBreakTheProtocol(t *testing.T) {
	start := whole('s', `{}`)
	for name, row := range map[string]struct {
		answer  string
		started bool
	}{
		"garbage":               {"GET / HTTP/1.1\r\n\r\n", false},
		"output first":          {whole('o', "x"), false},
		"an end first":          {whole('r', `{"run":{}}`), false},
		"a wrong start":         {whole('s', "["), false},
		"a start before 0":      {whole('s', `{"offset":-1}`), false},
		"a start beyond all":    {whole('s', `{"offset":9223372036854775807}`), false},
		"a start twice":         {start + start, true},
		"data":                  {start + whole('d', "x"), true},
		"an entry":              {start + whole('f', `{"path":"a"}`), true},
		"an end without a run":  {start + whole('r', "{}"), true},
		"a wrong end":           {start + whole('r', `{"run":3}`), true},
		"output above the rule": {start + raw('o', proto.MaxData+1, ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			h.play(t, says(row.answer))
			r, err := h.RunService(within(t), aService, nil)
			if (err == nil) != row.started {
				t.Fatal(err)
			}
			if row.started {
				_, err = r.Wait(within(t))
			}
			if !errors.Is(err, client.ErrProtocol) {
				t.Error(err)
			}
		})
	}
}

// A guest that ends the output again and again, and says that the service still runs, is not asked for ever.
func TestServiceThatBreaksOffForEver(t *testing.T) {
	h := serve(t)
	h.play(t, says(whole('s', `{}`)))
	r, err := h.RunService(within(t), aService, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(within(t)); !errors.Is(err, client.ErrProtocol) {
		t.Error(err)
	}
}

// A guest that goes back in the output would have the host take the same again.
func TestServiceThatRepeatsItself(t *testing.T) {
	h := serve(t)
	h.play(t, says(whole('s', `{}`)+whole('o', "once")))
	var got strings.Builder
	r, err := h.RunService(within(t), aService, func(_ bool, p []byte) { got.Write(p) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(within(t)); !errors.Is(err, client.ErrProtocol) || got.String() != "once" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

func TestServiceGoesOnWhereItWas(t *testing.T) {
	h := serve(t)
	h.play(t, func(s *smux.Stream, text []byte) {
		var call proto.Call
		if err := json.Unmarshal(text, &call); err != nil {
			t.Error(err)
		}
		answer := whole('s', `{"offset":3}`) + whole('o', "abc")
		switch {
		case call.Service == nil && call.Offset == 6:
			answer = whole('s', `{"offset":10}`) + whole('e', "d") + whole('r', `{"run":{"exitCode":5}}`)
		case call.Service == nil:
			t.Errorf("%+v", call)
		}
		says(answer)(s, nil)
	})
	var got strings.Builder
	r, err := h.RunService(within(t), aService, func(_ bool, p []byte) { got.Write(p) })
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.Wait(within(t))
	if err != nil || run.ExitCode != 5 || got.String() != "abcd" || r.Lost() != 7 {
		t.Errorf("%+v, %v, %q, %d lost", run, err, got.String(), r.Lost())
	}
}

func TestServiceOfAGuestThatNeverAnswers(t *testing.T) {
	h := serve(t)
	asked := make(chan struct{}, 10)
	h.play(t, func(*smux.Stream, []byte) { asked <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	go func() { _, err := h.RunService(ctx, aService, nil); ended <- err }()
	go func() { _, err := h.Dial(ctx, 80); ended <- err }()
	<-asked
	<-asked
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	go func() { _, err := h.RunService(t.Context(), aService, nil); ended <- err }()
	go func() { _, err := h.Dial(t.Context(), 80); ended <- err }()
	<-asked
	<-asked
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, client.ErrClosed) {
			t.Errorf("when the client is closed: %v", err)
		}
	}
	if _, err := h.RunService(t.Context(), aService, nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after that: %v", err)
	}
}

// connecting plays a guest that answers each OpConnect by dialling in with a ticket of the script's choice.
func (h *host) connecting(t *testing.T, script func(ticket string, s *smux.Stream)) {
	h.play(t, func(s *smux.Stream, text []byte) {
		var call proto.Call
		if err := json.Unmarshal(text, &call); err != nil || call.Connect == nil {
			t.Error(string(text), err)
			return
		}
		script(call.Connect.Ticket, s)
	})
}

func ticketed(ticket string) string {
	return proto.Magic + "R" + whole('h', `{"listener":"","ticket":"`+ticket+`"}`)
}

func TestDialWithAnotherTicketComesToNobody(t *testing.T) {
	h := serve(t)
	h.connecting(t, func(ticket string, s *smux.Stream) {
		for _, wrong := range []string{"x", ticket + "x", strings.ToLower(ticket)} {
			conn := h.dial(t, ticketed(wrong))
			if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("ticket %q: %d bytes, %v", wrong, n, err)
			}
		}
		says(whole('x', `{"code":"Refused"}`))(s, nil)
	})
	if _, err := h.Dial(within(t), 80); !errors.Is(err, client.ErrRefused) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

func TestTicketAdmitsOne(t *testing.T) {
	h := serve(t)
	second := make(chan net.Conn, 1)
	h.connecting(t, func(ticket string, s *smux.Stream) {
		first := h.dial(t, ticketed(ticket))
		if _, err := first.Read(make([]byte, 1)); err != nil { // the host has it
			t.Error(err)
		}
		second <- h.dial(t, ticketed(ticket))
		says(whole('r', "{}"))(s, nil)
	})
	conn, err := h.Dial(within(t), 80)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
	}
	if n, err := (<-second).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the second is read from: %d, %v", n, err)
	}
}

func TestDialAnswersThatBreakTheProtocol(t *testing.T) {
	for name, answer := range map[string]string{"garbage": "GET /", "output": whole('o', "x"), "a start": whole('s', "{}"), "a wrong result": whole('r', "["), "a wrong error": whole('x', "3")} {
		h := serve(t)
		h.play(t, says(answer))
		if _, err := h.Dial(within(t), 80); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDialledConnectionHasDeadlines(t *testing.T) {
	h := serve(t)
	h.connecting(t, func(ticket string, s *smux.Stream) {
		h.dial(t, ticketed(ticket)) // and says nothing
		says(whole('r', "{}"))(s, nil)
	})
	conn, err := h.Dial(within(t), 80)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err == nil {
		t.Error("closed twice without a word")
	}
	other, err := h.Dial(within(t), 80)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("it is read from after the client's end")
	}
}

// Whatever a guest answers, the calls return and the run ends with the client.
func FuzzServiceAnswer(f *testing.F) {
	for _, s := range []string{"", whole('s', `{"offset":3}`) + whole('o', "x") + whole('r', `{"run":{}}`), whole('s', `{}`), whole('x', `{"code":"Refused"}`), whole('r', "{}")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := serve(t)
		h.play(t, func(s *smux.Stream, _ []byte) {
			_, _ = s.Write(b)
			_ = s.Close()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r, err := h.RunService(ctx, aService, func(bool, []byte) {})
		if _, err := h.Dial(ctx, 80); err == nil {
			t.Error("a connection out of nothing")
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			<-r.Done()
		}
	})
}
