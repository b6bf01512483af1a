package wire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/wire"
)

type passInput struct {
	Kind    string       `header:"Content-Type" max:"20"`
	Headers wire.Headers `headers:"headers"`
	Payload wire.Payload `payload:"payload" required:"true" max:"5"`
}

type passOutput struct {
	Response wire.Raw `raw:"response"`
}

// passing serves an operation that passes its request on to f.
func passing(t *testing.T, f func(in *passInput) wire.Raw) (url string, failures chan error) {
	t.Helper()
	failures = make(chan error, 10)
	s := &wire.Service{Name: "svc", Protocol: wire.RestJSON, Operations: []wire.Operation{
		wire.Op("Pass", "POST /pass 200", func(_ context.Context, in *passInput) (*passOutput, error) { return &passOutput{f(in)}, nil })}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		failures <- s.Handle(w, r.WithContext(wire.WithRequest(r.Context(), &wire.Request{})), body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/pass", failures
}

func post(t *testing.T, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Own", "1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestPayloadsAndHeadersComeAsTheyAre(t *testing.T) {
	url, _ := passing(t, func(in *passInput) wire.Raw {
		return wire.Raw{Status: 202, Header: http.Header{"X-Back": in.Headers["X-Own"], "Content-Type": {"text/odd"}}, Length: int64(len(in.Payload)), Body: io.NopCloser(strings.NewReader(string(in.Payload)))}
	})
	for _, body := range []string{"", "{\xff\x00", "12345"} {
		resp := post(t, url, body)
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != body || resp.StatusCode != http.StatusAccepted || resp.Header.Get("X-Back") != "1" || resp.Header.Get("Content-Type") != "text/odd" || resp.ContentLength != int64(len(body)) {
			t.Errorf("%q: %q %v %v", body, got, resp, err)
		}
	}
}

func TestAPayloadThatIsTooLongIsRefused(t *testing.T) {
	url, _ := passing(t, func(*passInput) wire.Raw { t.Error("it was passed on"); return wire.Raw{} })
	resp := post(t, url, "123456")
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "payload") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestARawAnswerIsSentPartByPart(t *testing.T) {
	r, w := io.Pipe()
	url, failures := passing(t, func(*passInput) wire.Raw { return wire.Raw{Length: -1, Body: r} })
	resp := post(t, url, "") // comes before anything is in the body
	for _, part := range []string{"one", "two"} {
		go func() { _, _ = io.WriteString(w, part) }()
		got := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != part {
			t.Fatalf("%q %v", got, err)
		}
	}
	_ = w.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	if err := <-failures; err != nil {
		t.Error(err)
	}
}

func TestARawAnswerThatBreaksDoesNotPassForWhole(t *testing.T) {
	for _, length := range []int64{-1, 10} {
		r, w := io.Pipe()
		url, failures := passing(t, func(*passInput) wire.Raw { return wire.Raw{Length: length, Body: r} })
		go func() {
			_, _ = io.WriteString(w, "half")
			_ = w.CloseWithError(errors.New("died"))
		}()
		if got, err := io.ReadAll(post(t, url, "").Body); err == nil {
			t.Errorf("length %d: %q passes for whole", length, got)
		}
		if err := <-failures; !errors.Is(err, wire.ErrCutOff) {
			t.Errorf("length %d: the log gets %v", length, err)
		}
	}
}
