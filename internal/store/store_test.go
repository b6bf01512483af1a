package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var scope = codeinterpreter.Scope{Account: "000000000000", Region: "us-west-2"}

func open(t *testing.T) (*store.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a folder?#%", "store.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, path
}

func interpreter(n int) codeinterpreter.Interpreter {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return codeinterpreter.Interpreter{Scope: scope, ID: fmt.Sprintf("name%d-0123456789", n), Name: fmt.Sprintf("name%d", n), Description: "d", ExecutionRole: "arn:aws:iam::000000000000:role/r",
		Network: codeinterpreter.Network{Mode: codeinterpreter.NetworkVPC, Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}}, Status: codeinterpreter.Ready,
		Tags: map[string]string{"k": "v"}, CreatedAt: at, UpdatedAt: at}
}

func session(interpreterID, id string, at time.Time) codeinterpreter.Session {
	return codeinterpreter.Session{Scope: scope, ID: id, InterpreterID: interpreterID, Name: "s", Timeout: time.Minute, Status: codeinterpreter.SessionReady, CreatedAt: at, UpdatedAt: at}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error %v, want %s", err, code)
	}
}

func TestTheFileIsReadableByItsOwnerOnly(t *testing.T) {
	_, path := open(t)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestInterpretersSurviveReopening(t *testing.T) {
	ctx := t.Context()
	db, path := open(t)
	want := interpreter(1)
	must(t, db.CreateInterpreter(ctx, want, 10))
	must(t, db.Close())
	again, err := store.Open(ctx, path)
	must(t, err)
	defer func() { must(t, again.Close()) }()
	got, err := again.Interpreter(ctx, scope, want.ID)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestInterpreterRules(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	must(t, db.CreateInterpreter(ctx, interpreter(1), 2))
	wantCode(t, db.CreateInterpreter(ctx, interpreter(1), 2), fault.Conflict)
	must(t, db.CreateInterpreter(ctx, interpreter(2), 2))
	wantCode(t, db.CreateInterpreter(ctx, interpreter(3), 2), fault.ServiceQuota)
	other := interpreter(1)
	other.Region = "eu-central-1"
	must(t, db.CreateInterpreter(ctx, other, 2))

	_, err := db.Interpreter(ctx, scope, "none-0123456789")
	wantCode(t, err, fault.ResourceNotFound)
	wantCode(t, db.DeleteInterpreter(ctx, scope, "none-0123456789"), fault.ResourceNotFound)

	must(t, db.CreateSession(ctx, session("name1-0123456789", "S1", time.Now()), 5))
	wantCode(t, db.DeleteInterpreter(ctx, scope, "name1-0123456789"), fault.Conflict)
	if ended, err := db.EndSession(ctx, scope, "S1", "why", time.Now()); err != nil || !ended {
		t.Error(ended, err)
	}
	if ended, err := db.EndSession(ctx, scope, "S1", "again", time.Now()); err != nil || ended {
		t.Error("a session ended twice", err)
	}
	must(t, db.DeleteInterpreter(ctx, scope, "name1-0123456789"))
	wantCode(t, db.CreateSession(ctx, session("name1-0123456789", "S2", time.Now()), 5), fault.ResourceNotFound)
	if s, err := db.Session(ctx, scope, "name1-0123456789", "S1"); err != nil || s.Reason != "why" || s.Status != codeinterpreter.SessionTerminated {
		t.Error(s, err)
	}
}

func TestPagesCoverTheListOnce(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	for n := range 7 {
		must(t, db.CreateInterpreter(ctx, interpreter(n), 100))
		must(t, db.CreateSession(ctx, session(codeinterpreter.ManagedID, fmt.Sprintf("S%d", n), at), 100))
	}
	var names, ids []string
	for token, first := "", true; first || token != ""; first = false {
		items, next, err := db.Interpreters(ctx, scope, codeinterpreter.Page{Limit: 3, Token: token})
		must(t, err)
		for _, i := range items {
			names = append(names, i.Name)
		}
		token = next
	}
	for token, first := "", true; first || token != ""; first = false {
		items, next, err := db.Sessions(ctx, scope, codeinterpreter.ManagedID, codeinterpreter.SessionReady, codeinterpreter.Page{Limit: 7, Token: token})
		must(t, err)
		for _, s := range items {
			ids = append(ids, s.ID)
		}
		token = next
	}
	if d := cmp.Diff([]string{"name0", "name1", "name2", "name3", "name4", "name5", "name6"}, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"S6", "S5", "S4", "S3", "S2", "S1", "S0"}, ids); d != "" {
		t.Error(d)
	}
	_, _, err := db.Interpreters(ctx, scope, codeinterpreter.Page{Limit: 3, Token: "!"})
	wantCode(t, err, fault.Validation)
}

func TestConcurrentTagChangesLoseNone(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	must(t, db.CreateInterpreter(ctx, interpreter(1), 2))
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			err := db.SetTags(ctx, scope, "name1-0123456789", func(tags map[string]string) error {
				tags[fmt.Sprint(n)] = "x"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	i, err := db.Interpreter(ctx, scope, "name1-0123456789")
	must(t, err)
	if len(i.Tags) != 21 {
		t.Errorf("%d tags, want 21", len(i.Tags))
	}
	refuse := errors.New("no")
	if err := db.SetTags(ctx, scope, "name1-0123456789", func(tags map[string]string) error { clear(tags); return refuse }); !errors.Is(err, refuse) {
		t.Error(err)
	}
	if i, err = db.Interpreter(ctx, scope, "name1-0123456789"); err != nil || len(i.Tags) != 21 {
		t.Errorf("a refused change was kept: %v %v", i.Tags, err)
	}
}

func TestQuotaHoldsUnderConcurrentStarts(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	started := 0
	for n := range 20 {
		wg.Go(func() {
			err := db.CreateSession(ctx, session(codeinterpreter.ManagedID, fmt.Sprint("S", n), time.Now()), 7)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				started++
			} else if !fault.Is(err, fault.ServiceQuota) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if started != 7 {
		t.Errorf("%d sessions started, want 7", started)
	}
	if n, err := db.EndAllSessions(ctx, "restart", time.Now()); err != nil || n != 7 {
		t.Error(n, err)
	}
}

func TestOldSessionsAndTokensAreForgotten(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	old := time.Now().Add(-31 * 24 * time.Hour)
	for _, id := range []string{"OLD", "NEW", "LIVE"} {
		must(t, db.CreateSession(ctx, session(codeinterpreter.ManagedID, id, old), 10))
	}
	key := idempotency.Key{Account: scope.Account, Region: scope.Region, Operation: "Op", Token: "t"}
	must(t, db.Remember(ctx, key, "p", "a", old))
	must(t, db.Remember(ctx, key, "other", "other", time.Now())) // the first answer stands
	if p, a, found, err := db.Recall(ctx, key); err != nil || !found || p != "p" || a != "a" {
		t.Error(p, a, found, err)
	}
	_, err := db.EndSession(ctx, scope, "OLD", "x", old)
	must(t, err)
	_, err = db.EndSession(ctx, scope, "NEW", "x", time.Now())
	must(t, err)
	must(t, db.ForgetSessions(ctx, time.Now().Add(-30*24*time.Hour)))
	items, _, err := db.Sessions(ctx, scope, codeinterpreter.ManagedID, "", codeinterpreter.Page{Limit: 10})
	must(t, err)
	if len(items) != 2 {
		t.Errorf("%d sessions are left, want NEW and LIVE: %v", len(items), items)
	}
	if _, _, found, err := db.Recall(ctx, key); err != nil || found {
		t.Error("an old client token is still there", err)
	}
}

func TestRootKeyIsMadeOnce(t *testing.T) {
	ctx := t.Context()
	db, path := open(t)
	second, err := store.Open(ctx, path)
	must(t, err)
	defer func() { must(t, second.Close()) }()
	var wg sync.WaitGroup
	keys := make([]store.AccessKey, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = []*store.DB{db, second}[i%2].EnsureRootKey(ctx, scope.Account, "arn:root"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys[1:] {
		if k.ID != keys[0].ID || k.Secret != keys[0].Secret || len(k.ID) != 20 || len(k.Secret) != 40 {
			t.Errorf("keys differ or are malformed: %s %s", k.ID, keys[0].ID)
		}
	}
	if k, found, err := db.AccessKey(ctx, keys[0].ID); err != nil || !found || k.Secret != keys[0].Secret {
		t.Error(found, err)
	}
	if _, found, err := db.AccessKey(ctx, "AKIANOBODY"); err != nil || found {
		t.Error(found, err)
	}
}

func TestANewerStoreIsRefused(t *testing.T) {
	ctx := t.Context()
	db, path := open(t)
	must(t, db.Close())
	raw, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath())
	must(t, err)
	_, err = raw.ExecContext(ctx, "PRAGMA user_version = 9999")
	must(t, errors.Join(err, raw.Close()))
	if db, err := store.Open(context.Background(), path); err == nil {
		t.Error("opened", db.Close())
	}
}
