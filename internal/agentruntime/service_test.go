package agentruntime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var scope = agentruntime.Scope{Account: "111122223333", Region: "us-west-2"}

// launcher makes instances whose agents do what the test says.
type launcher struct {
	start func(ctx context.Context, l agentruntime.Launch) error
	send  func(ctx context.Context, i *instance, r agentruntime.Request) (agentruntime.Answer, error)
	ping  func(i *instance) (agentruntime.Health, error)

	mu  sync.Mutex
	all []*instance
}

func (l *launcher) Launch(ctx context.Context, start agentruntime.Launch) (agentruntime.Instance, error) {
	if l.start != nil {
		if err := l.start(ctx, start); err != nil {
			return nil, err
		}
	}
	i := &instance{l: l, Launch: start, done: make(chan struct{}), destroyed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, i)
	return i, nil
}

func (l *launcher) instances() []*instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*instance(nil), l.all...)
}

func (l *launcher) alive() (n int) {
	for _, i := range l.instances() {
		if !i.isDestroyed() {
			n++
		}
	}
	return n
}

type instance struct {
	agentruntime.Launch
	l         *launcher
	done      chan struct{}
	destroyed chan struct{}
	once      sync.Once
}

func (i *instance) Send(ctx context.Context, r agentruntime.Request) (agentruntime.Answer, error) {
	if i.l.send != nil {
		return i.l.send(ctx, i, r)
	}
	return answer("ok"), nil
}

func answer(text string) agentruntime.Answer {
	return agentruntime.Answer{Status: 200, Length: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
}

func (i *instance) Ping(context.Context) (agentruntime.Health, error) {
	if i.l.ping != nil {
		return i.l.ping(i)
	}
	return agentruntime.Health{}, nil
}
func (i *instance) Done() <-chan struct{} { return i.done }
func (i *instance) Reason() string        { return "The container's program ended with exit code 3." }
func (i *instance) Destroy(context.Context) error {
	i.once.Do(func() { close(i.destroyed) })
	return nil
}
func (i *instance) isDestroyed() bool {
	select {
	case <-i.destroyed:
		return true
	default:
		return false
	}
}

// images gives every reference the artifact of its name.
type images struct{}

func (images) Pull(_ context.Context, p agentruntime.Pull) (agentruntime.Artifact, error) {
	return agentruntime.Artifact{ID: p.URI, Cmd: []string{"agent"}}, nil
}

type harness struct {
	*agentruntime.Service
	*launcher
	t  *testing.T
	db *store.DB
}

// run runs a test in a bubble of synctest, with a service that has one runtime, whose id it passes on.
func run(t *testing.T, change func(o *agentruntime.Options, n *agentruntime.NewRuntime), f func(t *testing.T, h *harness, id string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		h := &harness{t: t, launcher: &launcher{}, db: db}
		o := agentruntime.Options{Store: db, Images: images{}, Launcher: h.launcher, Log: slog.New(slog.DiscardHandler)}
		n := agentruntime.NewRuntime{Name: "agent", Configuration: configuration("image:1")}
		if change != nil {
			change(&o, &n)
		}
		h.Service, err = agentruntime.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(h.Close(context.Background()), db.Close()); err != nil {
				t.Error(err)
			}
			if n := h.alive(); n > 0 {
				t.Errorf("%d instances are left", n)
			}
		}()
		r, err := h.CreateRuntime(t.Context(), scope, n, "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f(t, h, r.ID)
	})
}

func configuration(uri string) agentruntime.Configuration {
	return agentruntime.Configuration{ContainerURI: uri, Role: "arn:aws:iam::111122223333:role/r", Network: agentruntime.Network{Mode: agentruntime.NetworkPublic},
		Lifecycle: agentruntime.Lifecycle{Idle: time.Minute, MaxLifetime: time.Hour}}
}

// invoke invokes a session and reads the whole answer.
func (h *harness) invoke(id, session string) (string, error) {
	a, err := h.Invoke(h.t.Context(), scope, id, agentruntime.Invocation{Session: session, Body: []byte("{}")})
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(a.Body)
	return string(text), errors.Join(err, a.Body.Close())
}

func (h *harness) mustInvoke(id, session string) {
	h.t.Helper()
	if _, err := h.invoke(id, session); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) wantAlive(n int) {
	h.t.Helper()
	synctest.Wait()
	if got := h.alive(); got != n {
		h.t.Errorf("%d instances live, want %d", got, n)
	}
}

func wantCode(t *testing.T, err error, code fault.Code, text string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("error %v, want %s with %q", err, code, text)
	}
}

func TestASessionHasOneInstanceAndKeepsItsVersion(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.mustInvoke(id, "a")
		h.mustInvoke(id, "a")
		h.mustInvoke(id, "b")
		h.wantAlive(2)
		if _, err := h.UpdateRuntime(t.Context(), scope, id, configuration("image:2"), ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.mustInvoke(id, "a")
		h.mustInvoke(id, "c")
		all := h.instances()
		if len(all) != 3 || all[0].Runtime.Version != 1 || all[2].Runtime.Version != 2 || all[2].Artifact.ID != "image:2" || all[0].Session != "a" || all[0].Endpoint != "DEFAULT" {
			t.Errorf("instances %+v", all)
		}
	})
}

func TestOneIDUnderTwoEndpointsIsTwoSessions(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		if _, err := h.CreateEndpoint(t.Context(), scope, agentruntime.NewEndpoint{RuntimeID: id, Name: "prod"}, ""); err != nil {
			t.Fatal(err)
		}
		for _, endpoint := range []string{"", "DEFAULT", "prod"} {
			a, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Session: "a", Endpoint: endpoint})
			if err != nil {
				t.Fatal(err)
			}
			_ = a.Body.Close()
		}
		h.wantAlive(2)
		if _, err := h.DeleteEndpoint(t.Context(), scope, id, "prod"); err != nil {
			t.Fatal(err)
		}
		h.wantAlive(1)
		_, err := h.Invoke(t.Context(), scope, id, agentruntime.Invocation{Endpoint: "prod"})
		wantCode(t, err, fault.ResourceNotFound, "No endpoint or agent found with qualifier 'prod'")
	})
}

func TestManyInvocationsOfANewSessionStartOneInstance(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		begin := make(chan struct{})
		h.start = func(context.Context, agentruntime.Launch) error { <-begin; return nil }
		results := make(chan error)
		for range 20 {
			go func() { _, err := h.invoke(id, "a"); results <- err }()
		}
		synctest.Wait()
		wantCode(t, h.Stop(t.Context(), scope, id, "", "a", ""), agentruntime.RetryableConflict, "Session operation in progress, please retry")
		close(begin)
		for range 20 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		h.wantAlive(1)
	})
}

func TestAStartThatFailsFailsAllWhoWaitAndLeavesNothing(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		begin := make(chan struct{})
		h.start = func(context.Context, agentruntime.Launch) error {
			<-begin
			return fault.New(agentruntime.RuntimeClientError, "it never listened")
		}
		results := make(chan error)
		for range 5 {
			go func() { _, err := h.invoke(id, "a"); results <- err }()
		}
		synctest.Wait()
		close(begin)
		for range 5 {
			wantCode(t, <-results, agentruntime.RuntimeClientError, "never listened")
		}
		if n := len(h.Sessions()); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		h.start = nil
		h.mustInvoke(id, "a")
	})
}

func TestACallerThatLeavesDoesNotEndTheStartForOthers(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		begin := make(chan struct{})
		h.start = func(ctx context.Context, _ agentruntime.Launch) error {
			select {
			case <-begin:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error), make(chan error)
		go func() {
			_, err := h.Invoke(ctx, scope, id, agentruntime.Invocation{Session: "a"})
			first <- err
		}()
		synctest.Wait()
		go func() { _, err := h.invoke(id, "a"); second <- err }()
		synctest.Wait()
		cancel()
		wantCode(t, <-first, agentruntime.RuntimeClientError, "went away")
		close(begin)
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}

func TestTheQuotaOfSessionsHoldsUnderAFlood(t *testing.T) {
	run(t, func(o *agentruntime.Options, _ *agentruntime.NewRuntime) {
		o.Quota = agentruntime.DefaultQuota
		o.Quota.Sessions, o.Quota.Starts = 10, 3
	}, func(t *testing.T, h *harness, id string) {
		var mu sync.Mutex
		now, most := 0, 0
		h.start = func(context.Context, agentruntime.Launch) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}
		results := make(chan error)
		for i := range 100 {
			go func() { _, err := h.invoke(id, fmt.Sprint("session", i)); results <- err }()
		}
		served := 0
		for range 100 {
			if err := <-results; err == nil {
				served++
			} else {
				wantCode(t, err, fault.ServiceQuota, "maxVms limit exceeded for account 111122223333")
			}
		}
		h.wantAlive(10)
		if served != 10 || most > 3 {
			t.Errorf("%d were served, %d started at once", served, most)
		}
		if err := h.Stop(t.Context(), scope, id, "", h.instances()[0].Session, ""); err != nil {
			t.Fatal(err)
		}
		h.mustInvoke(id, "another")
	})
}

func TestDeletingARuntimeEndsItsSessions(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.mustInvoke(id, "a")
		h.mustInvoke(id, "b")
		if _, err := h.DeleteRuntime(t.Context(), scope, id); err != nil {
			t.Fatal(err)
		}
		h.wantAlive(0)
		_, err := h.invoke(id, "a")
		wantCode(t, err, fault.ResourceNotFound, "No endpoint or agent found")
	})
}

func TestARestartFinishesWhatWasBeingMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	o := agentruntime.Options{Store: db, Images: stuck{}, Launcher: &launcher{}, Log: slog.New(slog.DiscardHandler)}
	first, err := agentruntime.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := first.CreateRuntime(t.Context(), scope, agentruntime.NewRuntime{Name: "agent", Configuration: configuration("image:1")}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = first.Invoke(t.Context(), scope, r.ID, agentruntime.Invocation{})
	wantCode(t, err, agentruntime.RetryableConflict, "is being created")
	_, err = first.UpdateRuntime(t.Context(), scope, r.ID, configuration("image:2"), "")
	wantCode(t, err, fault.Conflict, "CREATING")
	_, err = first.DeleteRuntime(t.Context(), scope, r.ID)
	wantCode(t, err, fault.Conflict, "CREATING")
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Images = images{}
	second, err := agentruntime.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for r.Status == agentruntime.Creating {
		if r, err = second.Runtime(t.Context(), scope, r.ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	if r.Status != agentruntime.Ready {
		t.Errorf("%s %s", r.Status, r.FailureReason)
	}
	if err := errors.Join(second.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// stuck brings nothing before it is told to give up.
type stuck struct{}

func (stuck) Pull(ctx context.Context, _ agentruntime.Pull) (agentruntime.Artifact, error) {
	<-ctx.Done()
	return agentruntime.Artifact{}, ctx.Err()
}

func TestClosingEndsStartsThatHang(t *testing.T) {
	run(t, nil, func(t *testing.T, h *harness, id string) {
		h.start = func(ctx context.Context, _ agentruntime.Launch) error { <-ctx.Done(); return ctx.Err() }
		result := make(chan error, 1)
		go func() { _, err := h.invoke(id, "a"); result <- err }()
		synctest.Wait()
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-result; err == nil {
			t.Error("it was answered")
		}
		_, err := h.invoke(id, "b")
		wantCode(t, err, fault.Throttling, "shutting down")
	})
}
