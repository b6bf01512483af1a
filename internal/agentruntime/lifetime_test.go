package agentruntime_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
)

func TestIdleSessionsEnd(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.mustInvoke(id, "a")
		time.Sleep(59 * time.Second)
		h.mustInvoke(id, "a")
		time.Sleep(59 * time.Second)
		h.wantAlive(1)
		time.Sleep(time.Second)
		h.wantAlive(0)
		h.mustInvoke(id, "a") // the id is free again
		h.wantAlive(1)
	})
}

func TestAnAgentThatIsBusyIsNotIdle(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		var busy atomic.Bool
		busy.Store(true)
		h.ping = func(*instance) (agentruntime.Health, error) { return agentruntime.Health{Busy: busy.Load()}, nil }
		h.mustInvoke(id, "a")
		time.Sleep(10*time.Minute + time.Second)
		h.wantAlive(1)
		busy.Store(false) // it was seen busy a second ago, and the idle time counts from there
		time.Sleep(58 * time.Second)
		h.wantAlive(1)
		time.Sleep(time.Second)
		h.wantAlive(0)
	})
}

func TestIdleTimeCountsFromTheLastUpdate(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		var since atomic.Pointer[time.Time]
		h.ping = func(*instance) (agentruntime.Health, error) { return agentruntime.Health{Since: *since.Load()}, nil }
		h.mustInvoke(id, "a")
		time.Sleep(30 * time.Second)
		now := time.Now()
		since.Store(&now)
		time.Sleep(59 * time.Second)
		h.wantAlive(1)
		time.Sleep(time.Second)
		h.wantAlive(0)
	})
}

func TestAnAgentThatAlwaysSaysNowLivesUntilItsMaximum(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.ping = func(*instance) (agentruntime.Health, error) {
			return agentruntime.Health{Since: time.Now().Add(24 * time.Hour)}, nil // the future is now
		}
		h.mustInvoke(id, "a")
		time.Sleep(59 * time.Minute)
		h.wantAlive(1)
		time.Sleep(time.Minute)
		h.wantAlive(0)
	})
}

func TestAnAgentThatDoesNotAnswerPingsIsIdle(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.ping = func(*instance) (agentruntime.Health, error) { return agentruntime.Health{}, errors.New("silence") }
		h.mustInvoke(id, "a")
		time.Sleep(time.Minute)
		h.wantAlive(0)
	})
}

// streaming has agents answer with a body that goes on until it is closed.
func (h *harness) streaming() {
	h.send = func(ctx context.Context, i *instance, _ agentruntime.Request) (agentruntime.Answer, error) {
		r, w := io.Pipe()
		stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
		go func() {
			<-i.destroyed
			stop()
			_ = w.CloseWithError(errors.New("broken"))
		}()
		return agentruntime.Answer{Status: 200, Length: -1, Body: r}, nil
	}
}

func TestAStreamKeepsItsSessionFromBeingIdle(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.streaming()
		a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		h.wantAlive(1)
		_ = a.Body.Close()
		time.Sleep(59 * time.Second)
		h.wantAlive(1)
		time.Sleep(time.Second)
		h.wantAlive(0)
	})
}

func TestTheMaximumLifetimeCutsStreams(t *testing.T) {
	run(t, func(_ *agentruntime.Options, n *agentruntime.NewRuntime) { n.Lifecycle.MaxLifetime = 10 * time.Minute }, func(t *testing.T, h *harness, id string) {
		h.streaming()
		a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Body.Read(make([]byte, 1))
		wantCode(t, err, agentruntime.RuntimeClientError, "maximum lifetime of 10m0s")
		_ = a.Body.Close()
	})
}

func TestSilenceAndStreamsHaveTheirCeilings(t *testing.T) {
	run(t, func(_ *agentruntime.Options, n *agentruntime.NewRuntime) { n.Lifecycle.MaxLifetime = 8 * time.Hour }, func(t *testing.T, h *harness, id string) {
		began := time.Now()
		h.send = func(ctx context.Context, _ *instance, _ agentruntime.Request) (agentruntime.Answer, error) {
			<-ctx.Done()
			return agentruntime.Answer{}, ctx.Err()
		}
		_, err := h.invoke(id, "a")
		wantCode(t, err, agentruntime.RuntimeClientError, "did not answer within 15m0s")
		if !errors.Is(err, agentruntime.ErrSilent) || time.Since(began) != 15*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		h.streaming()
		began = time.Now()
		a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Body.Read(make([]byte, 1))
		wantCode(t, err, agentruntime.RuntimeClientError, "did not end within 1h0m0s")
		if time.Since(began) != time.Hour {
			t.Errorf("after %s", time.Since(began))
		}
		_ = a.Body.Close()
	})
}

func TestACallerThatLeavesEndsTheRequestInside(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		inside := make(chan error, 1)
		h.send = func(ctx context.Context, _ *instance, _ agentruntime.Request) (agentruntime.Answer, error) {
			<-ctx.Done()
			inside <- ctx.Err()
			return agentruntime.Answer{}, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		_, err := h.Invoke(ctx, scope, id, agentruntime.Invocation{Session: "a"})
		wantCode(t, err, agentruntime.RuntimeClientError, "went away")
		<-inside
		h.send = nil
		h.mustInvoke(id, "a")
		h.wantAlive(1)
	})
}

func TestAnInstanceThatEndsEndsItsSession(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.streaming()
		a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a"})
		if err != nil {
			t.Fatal(err)
		}
		close(h.instances()[0].done)
		_, err = a.Body.Read(make([]byte, 1))
		wantCode(t, err, agentruntime.RuntimeClientError, "exit code 3")
		_ = a.Body.Close()
		h.wantAlive(0)
		h.send = nil
		h.mustInvoke(id, "a")
		h.wantAlive(1)
	})
}

func TestInvocationsWhileASessionEndsAreToRetry(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.mustInvoke(id, "a")
		h.streaming()
		a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Stop(t.Context(), scope, id, "", "a", strings.Repeat("t", 33)); err != nil {
			t.Fatal(err)
		}
		if err := h.Stop(t.Context(), scope, id, "", "a", strings.Repeat("t", 33)); err != nil {
			t.Errorf("the same request again: %v", err)
		}
		_, err = a.Body.Read(make([]byte, 1))
		wantCode(t, err, agentruntime.RuntimeClientError, "It was stopped.")
		_ = a.Body.Close()
		wantCode(t, h.Stop(t.Context(), scope, id, "", "a", ""), fault.ResourceNotFound, "runtime session")
	})
}
