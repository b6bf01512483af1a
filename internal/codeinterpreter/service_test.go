package codeinterpreter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var scope = codeinterpreter.Scope{Account: "000000000000", Region: "us-west-2"}

// fakeDriver makes sandboxes whose guests never answer: enough for everything that is not a tool call.
type fakeDriver struct {
	mu      sync.Mutex
	fail    error
	created []*fakeSandbox
}

func (d *fakeDriver) Create(_ context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	b := &fakeSandbox{config: c, guest: client.New(client.Options{}), done: make(chan struct{})}
	d.created = append(d.created, b)
	return b, nil
}

func (d *fakeDriver) Restore(context.Context, sandbox.Config, string) (sandbox.Sandbox, error) {
	return nil, sandbox.ErrUnsupported
}
func (d *fakeDriver) Reap(context.Context) ([]string, error) { return nil, nil }
func (d *fakeDriver) Close(context.Context) error            { return nil }

// alive counts the sandboxes that were not destroyed.
func (d *fakeDriver) alive() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.created {
		if !b.destroyed() {
			n++
		}
	}
	return n
}

type fakeSandbox struct {
	config sandbox.Config
	guest  *client.Client
	done   chan struct{}
	once   sync.Once
	exit   sandbox.Exit
}

func (b *fakeSandbox) ID() string                                   { return b.config.ID }
func (b *fakeSandbox) Guest() *client.Client                        { return b.guest }
func (b *fakeSandbox) Checkpoint(context.Context, string) error     { return sandbox.ErrUnsupported }
func (b *fakeSandbox) Done() <-chan struct{}                        { return b.done }
func (b *fakeSandbox) Exit() sandbox.Exit                           { return b.exit }
func (b *fakeSandbox) Stats(context.Context) (sandbox.Stats, error) { return sandbox.Stats{}, nil }
func (b *fakeSandbox) Destroy(context.Context) error                { b.die(sandbox.Destroyed); return nil }
func (b *fakeSandbox) destroyed() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func (b *fakeSandbox) die(c sandbox.Cause) {
	b.once.Do(func() {
		b.exit = sandbox.Exit{Cause: c}
		_ = b.guest.Close()
		close(b.done)
	})
}

type harness struct {
	*codeinterpreter.Service
	driver *fakeDriver
	db     *store.DB
	close  func()
}

func start(t *testing.T, change func(*codeinterpreter.Options)) *harness {
	t.Helper()
	return startOn(t, filepath.Join(t.TempDir(), "db"), change)
}

func startOn(t *testing.T, path string, change func(*codeinterpreter.Options)) *harness {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	d := &fakeDriver{}
	n := 0
	o := codeinterpreter.Options{Store: db, Driver: d, Quota: codeinterpreter.DefaultQuota, Log: slog.New(slog.DiscardHandler),
		Image: func(context.Context) (sandbox.Image, error) {
			return sandbox.Image{Root: "/image", Env: map[string]string{"FROM_IMAGE": "1"}}, nil
		},
		NewID: func() string { n++; return fmt.Sprintf("box%d", n) }}
	if change != nil {
		change(&o)
	}
	s, err := codeinterpreter.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{Service: s, driver: d, db: db}
	h.close = sync.OnceFunc(func() {
		if err := errors.Join(s.Close(ctx), db.Close()); err != nil {
			t.Error(err)
		}
		if n := d.alive(); n != 0 {
			t.Errorf("%d sandboxes are left", n)
		}
	})
	return h
}

func (h *harness) session(t *testing.T, timeout time.Duration) codeinterpreter.Session {
	t.Helper()
	s, err := h.StartSession(t.Context(), scope, codeinterpreter.NewSession{InterpreterID: codeinterpreter.ManagedID, Name: "n", Timeout: timeout}, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *harness) want(t *testing.T, id string, status codeinterpreter.SessionStatus, reason string) {
	t.Helper()
	s, err := h.Session(t.Context(), scope, codeinterpreter.ManagedID, id)
	if err != nil || s.Status != status || !strings.Contains(s.Reason, reason) {
		t.Errorf("session %s is %s (%q), %v; want %s (%q)", id, s.Status, s.Reason, err, status, reason)
	}
}

func TestASessionEndsAtItsTimeoutWhateverHappens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	synctest.Test(t, func(t *testing.T) {
		h := startOn(t, path, nil)
		defer h.close()
		s := h.session(t, time.Minute)
		long := h.session(t, 0)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		h.want(t, s.ID, codeinterpreter.SessionReady, "")
		time.Sleep(time.Second)
		synctest.Wait()
		h.want(t, s.ID, codeinterpreter.SessionTerminated, "timeout of 1m0s")
		h.want(t, long.ID, codeinterpreter.SessionReady, "")
		if h.driver.alive() != 1 {
			t.Errorf("%d sandboxes are alive, want the other session's", h.driver.alive())
		}
		time.Sleep(codeinterpreter.DefaultTimeout)
		synctest.Wait()
		h.want(t, long.ID, codeinterpreter.SessionTerminated, "timeout of 15m0s")
	})
}

func TestSessionIDsAreULIDsAndTheGuestIsConfigured(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	s := h.session(t, time.Minute)
	if !regexp.MustCompile(`^[0-9A-Z]{26}$`).MatchString(s.ID) {
		t.Errorf("id %s", s.ID)
	}
	g := h.driver.created[0].config.Guest
	if g.Dir != codeinterpreter.WorkDir || g.User.UID != 992 || g.Env["AWS_REGION"] != "us-west-2" || g.Env["FROM_IMAGE"] != "1" || g.Env["PATH"] == "" {
		t.Errorf("guest configuration %+v", g)
	}
}

func TestStoppingTwiceIsNoError(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	s := h.session(t, time.Minute)
	for range 2 {
		got, err := h.StopSession(t.Context(), scope, codeinterpreter.ManagedID, s.ID)
		if err != nil || got.Status != codeinterpreter.SessionTerminated {
			t.Errorf("%+v %v", got, err)
		}
	}
	_, err := h.Invoke(t.Context(), scope, codeinterpreter.ManagedID, s.ID, codeinterpreter.ListFiles, codeinterpreter.Arguments{})
	if !fault.Is(err, fault.ResourceNotFound) || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("invoking a stopped session: %v", err)
	}
	if _, err := h.StopSession(t.Context(), scope, codeinterpreter.ManagedID, "nonexistent"); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("stopping an unknown session: %v", err)
	}
}

func TestASandboxThatDiesEndsItsSession(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	synctest.Test(t, func(t *testing.T) {
		h := startOn(t, path, nil)
		defer h.close()
		for cause, reason := range map[sandbox.Cause]string{sandbox.OutOfMemory: "more memory than its limit", sandbox.Crashed: "it crashed"} {
			s := h.session(t, time.Minute)
			h.driver.created[len(h.driver.created)-1].die(cause)
			synctest.Wait()
			h.want(t, s.ID, codeinterpreter.SessionTerminated, reason)
		}
	})
}

func TestACallUnderWayWhenTheSandboxDiesSaysWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	synctest.Test(t, func(t *testing.T) {
		h := startOn(t, path, nil)
		defer h.close()
		s := h.session(t, time.Minute)
		go func() {
			time.Sleep(time.Second)
			h.driver.created[0].die(sandbox.OutOfMemory)
		}()
		_, err := h.Invoke(context.Background(), scope, codeinterpreter.ManagedID, s.ID, codeinterpreter.ListFiles, codeinterpreter.Arguments{})
		if !fault.Is(err, fault.ResourceNotFound) || !strings.Contains(err.Error(), "more memory") {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
	})
}

func TestTheEleventhInvocationAtOnceIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	synctest.Test(t, func(t *testing.T) {
		h := startOn(t, path, nil)
		defer h.close()
		s := h.session(t, time.Minute)
		ctx, cancel := context.WithCancel(context.Background())
		list := func() error {
			_, err := h.Invoke(ctx, scope, codeinterpreter.ManagedID, s.ID, codeinterpreter.ListFiles, codeinterpreter.Arguments{})
			return err
		}
		for range 10 {
			go func() { _ = list() }()
		}
		synctest.Wait()
		if err := list(); !fault.Is(err, fault.ServiceQuota) {
			t.Errorf("got %v", err)
		}
		cancel()
		synctest.Wait()
	})
}

func TestAFailedStartLeavesATerminatedRecordAndNoSandbox(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	h.driver.fail = errors.New("no room")
	_, err := h.StartSession(t.Context(), scope, codeinterpreter.NewSession{InterpreterID: codeinterpreter.ManagedID}, "")
	if !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	items, _, err := h.Sessions(t.Context(), scope, codeinterpreter.ManagedID, codeinterpreter.SessionReady, codeinterpreter.Page{Limit: 10})
	if err != nil || len(items) != 0 {
		t.Errorf("READY sessions %v %v", items, err)
	}
}

func TestARestartTerminatesWhatWasRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	first := startOn(t, path, nil)
	s := first.session(t, time.Hour)
	second := startOn(t, path, nil) // the first was killed, so to speak
	second.want(t, s.ID, codeinterpreter.SessionTerminated, "The server was restarted.")
	second.close()
	first.close()
}

func TestClosingEndsEverySession(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	h := startOn(t, path, nil)
	s := h.session(t, time.Hour)
	h.close()
	again := startOn(t, path, nil)
	defer again.close()
	again.want(t, s.ID, codeinterpreter.SessionTerminated, "The server was stopped.")
	if _, err := h.StartSession(t.Context(), scope, codeinterpreter.NewSession{InterpreterID: codeinterpreter.ManagedID}, ""); err == nil {
		t.Error("a closed service started a session")
	}
}

const token = "0123456789abcdef0123456789abcdef0123"

func TestAClientTokenStartsOneSession(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	in := codeinterpreter.NewSession{InterpreterID: codeinterpreter.ManagedID, Name: "n"}
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			s, err := h.StartSession(t.Context(), scope, in, token)
			if err != nil {
				t.Error(err)
			}
			ids[i] = s.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("ids differ: %v", ids)
			break
		}
	}
	if n := len(h.driver.created); n != 1 {
		t.Errorf("%d sandboxes were made", n)
	}
	in.Name = "other"
	_, err := h.StartSession(t.Context(), scope, in, token)
	if e := fault.From(err); e.Code != fault.Validation || e.Reason != fault.IdempotentMismatch {
		t.Errorf("got %v", err)
	}
}

func TestInterpreterLifecycle(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	ctx := t.Context()
	in := codeinterpreter.NewInterpreter{Name: "mine", Network: codeinterpreter.Network{Mode: codeinterpreter.NetworkSandbox}, Tags: map[string]string{"a": "1"}}
	i, err := h.CreateInterpreter(ctx, scope, in, token)
	if err != nil || i.Status != codeinterpreter.Creating {
		t.Fatalf("%+v %v", i, err)
	}
	if want := "arn:aws:bedrock-agentcore:us-west-2:000000000000:code-interpreter-custom/" + i.ID; i.ARN() != want || !regexp.MustCompile(`^mine-[a-zA-Z0-9]{10}$`).MatchString(i.ID) {
		t.Errorf("ARN %s, want %s", i.ARN(), want)
	}
	if again, err := h.CreateInterpreter(ctx, scope, in, token); err != nil || again.ID != i.ID {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := h.CreateInterpreter(ctx, scope, in, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second one of that name: %v", err)
	}
	if got, err := h.Interpreter(ctx, scope, i.ARN()); err != nil || got.Status != codeinterpreter.Ready {
		t.Errorf("by its ARN: %+v %v", got, err)
	}
	if err := h.Tag(ctx, scope, i.ARN(), map[string]string{"b": "2"}); err != nil {
		t.Error(err)
	}
	if err := h.Untag(ctx, scope, i.ARN(), []string{"a", "none"}); err != nil {
		t.Error(err)
	}
	if tags, err := h.Tags(ctx, scope, i.ARN()); err != nil || len(tags) != 1 || tags["b"] != "2" {
		t.Errorf("tags %v %v", tags, err)
	}
	if err := h.Tag(ctx, scope, i.ARN(), map[string]string{"aws:x": ""}); !fault.Is(err, fault.Validation) {
		t.Errorf("a reserved key: %v", err)
	}
	many := map[string]string{}
	for n := range 50 {
		many[fmt.Sprint(n)] = ""
	}
	if err := h.Tag(ctx, scope, i.ARN(), many); !fault.Is(err, fault.ServiceQuota) {
		t.Errorf("51 tags: %v", err)
	}
	for _, arn := range []string{"arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1", strings.Replace(i.ARN(), "us-west-2", "us-east-1", 1), strings.Replace(i.ARN(), "000000000000", "111111111111", 1)} {
		if _, err := h.Tags(ctx, scope, arn); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("tags of %s: %v", arn, err)
		}
	}
	s, err := h.StartSession(ctx, scope, codeinterpreter.NewSession{InterpreterID: i.ID}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.DeleteInterpreter(ctx, scope, i.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("deleted with a live session: %v", err)
	}
	if _, err := h.StopSession(ctx, scope, i.ID, s.ID); err != nil {
		t.Error(err)
	}
	if d, err := h.DeleteInterpreter(ctx, scope, i.ID); err != nil || d.Status != codeinterpreter.Deleting {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := h.Interpreter(ctx, scope, i.ID); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := h.DeleteInterpreter(ctx, scope, codeinterpreter.ManagedID); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("deleting the managed one: %v", err)
	}
}

func TestASessionBelongsToItsInterpreterAndScope(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	s := h.session(t, time.Hour)
	elsewhere := codeinterpreter.Scope{Account: scope.Account, Region: "eu-central-1"}
	for name, call := range map[string]func() error{
		"another region": func() error {
			_, err := h.Invoke(t.Context(), elsewhere, codeinterpreter.ManagedID, s.ID, codeinterpreter.ListFiles, codeinterpreter.Arguments{})
			return err
		},
		"another interpreter": func() error {
			_, err := h.Invoke(t.Context(), scope, "other-0123456789", s.ID, codeinterpreter.ListFiles, codeinterpreter.Arguments{})
			return err
		},
		"stop from another region": func() error {
			_, err := h.StopSession(t.Context(), elsewhere, codeinterpreter.ManagedID, s.ID)
			return err
		},
	} {
		if err := call(); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.want(t, s.ID, codeinterpreter.SessionReady, "")
}

func TestInterpreterListsInPages(t *testing.T) {
	h := start(t, nil)
	defer h.close()
	for n := range 4 {
		if _, err := h.CreateInterpreter(t.Context(), scope, codeinterpreter.NewInterpreter{Name: fmt.Sprint("n", n)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		for typ, want := range map[codeinterpreter.Type]int{"": 5, codeinterpreter.Custom: 4, codeinterpreter.System: 1} {
			seen := map[string]bool{}
			token := ""
			for page := 0; page < 10; page++ {
				items, next, err := h.Interpreters(t.Context(), scope, typ, codeinterpreter.Page{Limit: limit, Token: token})
				if err != nil || len(items) > limit {
					t.Fatal(items, err)
				}
				for _, i := range items {
					seen[i.ID] = true
				}
				if token = next; token == "" {
					break
				}
			}
			if len(seen) != want || token != "" {
				t.Errorf("type %q by %d: %d interpreters, want %d", typ, limit, len(seen), want)
			}
		}
	}
}
