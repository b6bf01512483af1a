package secrets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var here = secrets.Scope{Account: "111122223333", Region: "us-west-2"}

const (
	token1 = "11111111-1111-1111-1111-111111111111"
	token2 = "22222222-2222-2222-2222-222222222222"
	token3 = "33333333-3333-3333-3333-333333333333"
)

// bench is a service on a store of its own, with a clock that the test moves.
type bench struct {
	*secrets.Service
	t   *testing.T
	db  *store.DB
	now time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.Service = secrets.New(secrets.Options{Store: db, Seal: newKey(t), Now: func() time.Time { return b.now }})
	return b
}

func newKey(t testing.TB) *sealed.Key {
	t.Helper()
	k, err := sealed.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (b *bench) create(name, value string) secrets.Secret {
	b.t.Helper()
	x, _, err := b.Create(b.t.Context(), secrets.NewSecret{Scope: here, Name: name, Token: token1, Value: secrets.Text(value)})
	b.must(err)
	return x
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) fails(err error, code fault.Code, message string) {
	b.t.Helper()
	if !fault.Is(err, code) || !strings.Contains(fault.From(err).Message, message) {
		b.t.Errorf("got %v, want %s %q", err, code, message)
	}
}

func (b *bench) reads(id string, g secrets.Get, want string) secrets.Version {
	b.t.Helper()
	_, v, value, err := b.Value(b.t.Context(), here, id, g)
	b.must(err)
	if text, ok := value.Text(); !ok || text != want {
		b.t.Errorf("%s %+v is %q, want %q", id, g, text, want)
	}
	return v
}

// stages returns what each version is, as "1:AWSCURRENT 2:".
func (b *bench) stages(id string) string {
	b.t.Helper()
	x, err := b.Secret(b.t.Context(), here, id)
	b.must(err)
	var out []string
	for _, v := range x.Versions {
		out = append(out, v.ID[:1]+":"+strings.Join(v.Stages, ","))
	}
	return strings.Join(out, " ")
}

func TestLookup(t *testing.T) {
	b := newBench(t)
	x := b.create("prod/db", "one")
	if !regexp.MustCompile(`\Aarn:aws:secretsmanager:us-west-2:111122223333:secret:prod/db-[A-Za-z0-9]{6}\z`).MatchString(x.ARN()) {
		t.Error(x.ARN())
	}
	partial := strings.TrimSuffix(x.ARN(), "-"+x.Suffix)
	for _, id := range []string{"prod/db", x.ARN(), partial} {
		b.reads(id, secrets.Get{}, "one")
	}
	for _, id := range []string{"prod", "prod/db-" + x.Suffix, "PROD/DB", partial + "-", partial + "-aaaaaa", partial + "x", "arn:", "arn:aws:secretsmanager:us-west-2:111122223333:secret:",
		strings.Replace(x.ARN(), "us-west-2", "us-east-1", 1), strings.Replace(x.ARN(), "111122223333", "444455556666", 1), strings.Replace(x.ARN(), ":secret:", ":other:", 1),
		strings.Replace(x.ARN(), "secretsmanager", "ssm", 1), ""} {
		_, err := b.Secret(t.Context(), here, id)
		b.fails(err, secrets.NotFound, "Secrets Manager can't find the specified secret.")
	}
	// A name that ends like a suffix: its partial ARN is found, and does not shadow the complete ARN of another.
	y := b.create("prod/db-"+x.Suffix, "two")
	b.reads(strings.TrimSuffix(y.ARN(), "-"+y.Suffix), secrets.Get{}, "one")
	b.reads(y.ARN(), secrets.Get{}, "two")
	z := b.create("app-abc123", "three")
	b.reads(strings.TrimSuffix(z.ARN(), "-"+z.Suffix), secrets.Get{}, "three")
	if _, _, _, err := b.Value(t.Context(), secrets.Scope{Account: "444455556666", Region: "us-west-2"}, "prod/db", secrets.Get{}); !fault.Is(err, secrets.NotFound) {
		t.Error("another account found it by name:", err)
	}
}

func TestVersionsAndStages(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.create("s", "one")
	put := func(token, value string, stages ...string) {
		t.Helper()
		_, v, err := b.Put(ctx, here, "s", secrets.Put{Token: token, Value: secrets.Text(value), Stages: stages})
		b.must(err)
		if v.ID != token {
			t.Error(v.ID)
		}
	}
	is := func(want string) {
		t.Helper()
		if got := b.stages("s"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	put(token2, "two")
	is("1:AWSPREVIOUS 2:AWSCURRENT")
	put(token3, "three", "AWSPENDING", "blue")
	is("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,blue")
	b.reads("s", secrets.Get{}, "two")
	b.reads("s", secrets.Get{Stage: "AWSPENDING"}, "three")
	b.reads("s", secrets.Get{VersionID: token1}, "one")
	b.reads("s", secrets.Get{VersionID: token1, Stage: "AWSPREVIOUS"}, "one")
	_, _, _, err := b.Value(ctx, here, "s", secrets.Get{VersionID: token1, Stage: "AWSCURRENT"})
	b.fails(err, secrets.InvalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
	_, _, _, err = b.Value(ctx, here, "s", secrets.Get{Stage: "green"})
	b.fails(err, secrets.NotFound, "Secrets Manager can't find the specified secret value for staging label: green")
	_, _, _, err = b.Value(ctx, here, "s", secrets.Get{VersionID: strings.Repeat("x", 32)})
	b.fails(err, secrets.NotFound, "Secrets Manager can't find the specified secret value for VersionId: "+strings.Repeat("x", 32))

	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", "", token3)
	b.fails(err, secrets.InvalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "+token2)
	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", token2, "")
	b.fails(err, secrets.InvalidParameter, "You can only move staging label AWSCURRENT to a different secret version.")
	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", token1, token3)
	b.fails(err, secrets.InvalidParameter, "isn't attached to version")
	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", token2, strings.Repeat("x", 32))
	b.fails(err, secrets.NotFound, "VersionId")
	_, err = b.MoveStage(ctx, here, "s", "blue", "", "")
	b.fails(err, secrets.InvalidParameter, "RemoveFromVersionId")
	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", token2, token3) // what a rotation function does at its end
	b.must(err)
	is("1: 2:AWSPREVIOUS 3:AWSCURRENT,AWSPENDING,blue")
	_, err = b.MoveStage(ctx, here, "s", "AWSCURRENT", token3, token2) // back again
	b.must(err)
	is("1: 2:AWSCURRENT 3:AWSPENDING,AWSPREVIOUS,blue")
	_, err = b.MoveStage(ctx, here, "s", "blue", token3, "")
	b.must(err)
	_, err = b.MoveStage(ctx, here, "s", "new", "", token1)
	b.must(err)
	is("1:new 2:AWSCURRENT 3:AWSPENDING,AWSPREVIOUS")
	for i := range secrets.MaxStages - 1 {
		_, err := b.MoveStage(ctx, here, "s", fmt.Sprint("more", i), "", token1)
		b.must(err)
	}
	_, err = b.MoveStage(ctx, here, "s", "toomany", "", token1)
	b.fails(err, secrets.LimitExceeded, "20 staging labels")
}

func TestTheFirstVersionIsCurrentWhateverItsStages(t *testing.T) {
	b := newBench(t)
	_, id, err := b.Create(t.Context(), secrets.NewSecret{Scope: here, Name: "s"})
	b.must(err)
	if id != "" || b.stages("s") != "" {
		t.Error("a version without a value", id)
	}
	_, _, _, err = b.Value(t.Context(), here, "s", secrets.Get{})
	b.fails(err, secrets.NotFound, "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
	_, v, err := b.Put(t.Context(), here, "s", secrets.Put{Value: secrets.Binary([]byte{0, 255}), Stages: []string{"mine"}})
	b.must(err)
	if !slices.Equal(v.Stages, []string{"AWSCURRENT", "mine"}) || !regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`).MatchString(v.ID) {
		t.Error(v.Stages, v.ID)
	}
	_, _, value, err := b.Value(t.Context(), here, "s", secrets.Get{})
	b.must(err)
	if got, ok := value.Binary(); !ok || !bytes.Equal(got, []byte{0, 255}) {
		t.Error(got, ok)
	}
}

func TestTokensAreIdempotent(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	x := b.create("s", "one")
	again, id, err := b.Create(ctx, secrets.NewSecret{Scope: here, Name: "s", Token: token1, Value: secrets.Text("one")})
	b.must(err)
	if again.ARN() != x.ARN() || id != token1 {
		t.Error(again.ARN(), id)
	}
	_, _, err = b.Create(ctx, secrets.NewSecret{Scope: here, Name: "s", Token: token1, Value: secrets.Text("other")})
	b.fails(err, secrets.Exists, "You can't use ClientRequestToken "+token1+" because that value is already in use for a version of secret "+x.ARN())
	_, _, err = b.Create(ctx, secrets.NewSecret{Scope: here, Name: "s", Token: token1, Value: secrets.Binary([]byte("one"))})
	b.fails(err, secrets.Exists, "ClientRequestToken")
	_, _, err = b.Create(ctx, secrets.NewSecret{Scope: here, Name: "s", Token: token2, Value: secrets.Text("one")})
	b.fails(err, secrets.Exists, "The operation failed because the secret s already exists.")
	for range 2 {
		_, _, err = b.Put(ctx, here, "s", secrets.Put{Token: token2, Value: secrets.Text("two")})
		b.must(err)
	}
	_, _, err = b.Put(ctx, here, "s", secrets.Put{Token: token2, Value: secrets.Text("three")})
	b.fails(err, secrets.Exists, "ClientRequestToken")
	_, _, err = b.Update(ctx, here, "s", secrets.Update{Token: token1, Value: secrets.Text("three")})
	b.fails(err, secrets.Exists, "ClientRequestToken")
	if got := b.stages("s"); got != "1:AWSPREVIOUS 2:AWSCURRENT" {
		t.Error(got)
	}
}

func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.create("s", "one")
	b.now = b.now.Add(time.Hour)
	text := "about it"
	x, id, err := b.Update(t.Context(), here, "s", secrets.Update{Description: &text, KMSKeyID: &text})
	b.must(err)
	if id != "" || x.Description != text || x.KMSKeyID != text || !x.ChangedAt.Equal(b.now) || b.stages("s") != "1:AWSCURRENT" {
		t.Errorf("%q %+v", id, x)
	}
	_, id, err = b.Update(t.Context(), here, "s", secrets.Update{Token: token2, Value: secrets.Text("two")})
	b.must(err)
	b.reads("s", secrets.Get{}, "two")
	x, err = b.Secret(t.Context(), here, "s")
	b.must(err)
	if id != token2 || x.Description != text {
		t.Error(id, x.Description)
	}
}

func TestOldVersionsAreRemoved(t *testing.T) {
	b := newBench(t)
	b.create("s", "first")
	_, err := b.MoveStage(t.Context(), here, "s", "kept", "", token1)
	b.must(err)
	for i := range 150 {
		_, _, err := b.Put(t.Context(), here, "s", secrets.Put{Value: secrets.Text(fmt.Sprint(i))})
		b.must(err)
	}
	x, err := b.Secret(t.Context(), here, "s")
	b.must(err)
	if len(x.Versions) != secrets.MaxVersions {
		t.Error(len(x.Versions))
	}
	b.reads("s", secrets.Get{Stage: "kept"}, "first")
	b.reads("s", secrets.Get{}, "149")
	b.reads("s", secrets.Get{Stage: "AWSPREVIOUS"}, "148")
}

func TestDeletion(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	x := b.create("s", "one")
	days := func(n int64) secrets.Delete { return secrets.Delete{Days: &n} }
	for _, n := range []int64{-1, 0, 6, 31} {
		_, _, err := b.Delete(ctx, here, "s", days(n))
		b.fails(err, secrets.InvalidParameter, "between 7 and 30 days")
	}
	n := int64(7)
	_, _, err := b.Delete(ctx, here, "s", secrets.Delete{Days: &n, Force: true})
	b.fails(err, secrets.InvalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	_, _, err = b.Delete(ctx, here, "none", secrets.Delete{})
	b.fails(err, secrets.NotFound, "")
	_, gone, err := b.Delete(ctx, here, "s", days(7))
	b.must(err)
	if want := b.now.AddDate(0, 0, 7); !gone.Equal(want) {
		t.Error(gone, want)
	}
	const marked = "You can't perform this operation on the secret because it was marked for deletion."
	_, _, _, err = b.Value(ctx, here, "s", secrets.Get{})
	b.fails(err, secrets.InvalidRequest, marked)
	_, _, err = b.Put(ctx, here, "s", secrets.Put{Value: secrets.Text("x")})
	b.fails(err, secrets.InvalidRequest, marked)
	_, _, err = b.Update(ctx, here, "s", secrets.Update{})
	b.fails(err, secrets.InvalidRequest, marked)
	b.fails(b.Tag(ctx, here, "s", map[string]string{"a": "b"}), secrets.InvalidRequest, marked)
	b.fails(b.Untag(ctx, here, "s", nil), secrets.InvalidRequest, marked)
	_, err = b.MoveStage(ctx, here, "s", "a", "", token1)
	b.fails(err, secrets.InvalidRequest, marked)
	_, err = b.PutPolicy(ctx, here, "s", "{}", false)
	b.fails(err, secrets.InvalidRequest, marked)
	_, _, err = b.Delete(ctx, here, "s", secrets.Delete{})
	b.fails(err, secrets.InvalidRequest, "already scheduled for deletion")
	_, _, err = b.Create(ctx, secrets.NewSecret{Scope: here, Name: "s", Token: token1, Value: secrets.Text("one")})
	b.fails(err, secrets.InvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	if y, err := b.Secret(ctx, here, "s"); err != nil || !y.DeletedAt.Equal(b.now) {
		t.Error(y.DeletedAt, err)
	}

	b.now = b.now.AddDate(0, 0, 7).Add(-time.Second)
	if n, err := b.Purge(ctx); n != 0 || err != nil {
		t.Error("purged inside the window", n, err)
	}
	_, err = b.Restore(ctx, here, x.ARN())
	b.must(err)
	b.reads("s", secrets.Get{}, "one")
	_, gone, err = b.Delete(ctx, here, "s", secrets.Delete{})
	b.must(err)
	if want := b.now.AddDate(0, 0, 30); !gone.Equal(want) {
		t.Error(gone, want)
	}
	b.now = b.now.AddDate(0, 0, 30)
	_, err = b.Restore(ctx, here, "s") // the window has ended, though nothing has been removed yet
	b.fails(err, secrets.NotFound, "")
	if y := b.create("s", "new"); y.ARN() == x.ARN() {
		t.Error("the new secret has the old one's ARN")
	}
	b.reads("s", secrets.Get{}, "new")
	_, err = b.Secret(ctx, here, x.ARN())
	b.fails(err, secrets.NotFound, "")
}

func TestForcedDeletion(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	x := b.create("s", "one")
	_, _, err := b.Delete(ctx, here, "s", secrets.Delete{})
	b.must(err)
	y, gone, err := b.Delete(ctx, here, "s", secrets.Delete{Force: true}) // also of one that waits for its end
	b.must(err)
	if y.ARN() != x.ARN() || !gone.Equal(b.now) {
		t.Error(y.ARN(), gone)
	}
	b.create("s", "again")
	for _, id := range []string{"never", x.ARN()} {
		y, _, err = b.Delete(ctx, here, id, secrets.Delete{Force: true})
		b.must(err)
	}
	if y.ARN() != x.ARN() {
		t.Error(y.ARN())
	}
	b.reads("s", secrets.Get{}, "again")
}

func TestPurgeRemovesValues(t *testing.T) {
	b := newBench(t)
	b.create("s", "one")
	b.create("kept", "two")
	_, _, err := b.Delete(t.Context(), here, "s", secrets.Delete{})
	b.must(err)
	x, err := b.Secret(t.Context(), here, "s")
	b.must(err)
	b.now = b.now.AddDate(0, 0, 30)
	if n, err := b.Purge(t.Context()); n != 1 || err != nil {
		t.Error(n, err)
	}
	if _, err := b.db.SecretBox(t.Context(), x.Key(), token1); !fault.Is(err, secrets.NotFound) {
		t.Error("the value is still there:", err)
	}
	b.reads("kept", secrets.Get{}, "two")
}

// purges is a store that only counts what Run asks of it.
type purges struct {
	secrets.Store
	at   []time.Time
	fail error
}

func (p *purges) PurgeSecrets(_ context.Context, now time.Time) (int, error) {
	p.at = append(p.at, now)
	return len(p.at), p.fail
}

func TestRunPurgesEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &purges{}
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		done := make(chan struct{})
		go func() {
			secrets.New(secrets.Options{Store: p}).Run(ctx)
			close(done)
		}()
		time.Sleep(30 * time.Minute)
		p.fail = errors.New("disk") // a failure is logged, and tried again
		time.Sleep(2 * time.Hour)
		cancel()
		<-done
		if len(p.at) != 3 || !p.at[2].Equal(start.Add(2*time.Hour)) {
			t.Error(p.at)
		}
	})
}

func TestAccessIsNotedByDay(t *testing.T) {
	b := newBench(t)
	b.create("s", "one")
	if x, err := b.Secret(t.Context(), here, "s"); err != nil || !x.AccessedAt.IsZero() {
		t.Error(x.AccessedAt, err)
	}
	b.reads("s", secrets.Get{}, "one")
	b.now = b.now.Add(time.Hour)
	b.reads("s", secrets.Get{}, "one")
	x, err := b.Secret(t.Context(), here, "s")
	b.must(err)
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	if !x.AccessedAt.Equal(day) || !x.Versions[0].AccessedAt.Equal(day) {
		t.Error(x.AccessedAt, x.Versions[0].AccessedAt)
	}
}

func TestBadNamesTagsAndValues(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"", "a b", "a:b", "é", "a\n", strings.Repeat("a", 513), "a*"} {
		_, _, err := b.Create(t.Context(), secrets.NewSecret{Scope: here, Name: name})
		b.fails(err, fault.Validation, "Invalid name.")
	}
	many := map[string]string{}
	for i := range secrets.MaxTags + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, tags := range []map[string]string{many, {"AWS:x": "y"}} {
		_, _, err := b.Create(t.Context(), secrets.NewSecret{Scope: here, Name: "s", Tags: tags})
		b.fails(err, secrets.InvalidParameter, "")
	}
	b.create("s", "one")
	b.fails(b.Tag(t.Context(), here, "s", many), secrets.InvalidParameter, "at most 50")
	_, _, err := b.Put(t.Context(), here, "s", secrets.Put{})
	b.fails(err, secrets.InvalidRequest, "You must provide either SecretString or SecretBinary.")
	_, _, err = b.Put(t.Context(), here, "s", secrets.Put{Value: secrets.Text(strings.Repeat("é", secrets.MaxValue/2+1))})
	b.fails(err, fault.Validation, "65538 bytes")
}

func TestAttackBoxMovedToAnotherSecret(t *testing.T) {
	b := newBench(t)
	b.create("mine", "known")
	x := b.create("theirs", "hidden")
	stolen, err := b.db.SecretBox(t.Context(), x.Key(), token1)
	b.must(err)
	mine, err := b.Secret(t.Context(), here, "mine")
	b.must(err)
	_, err = b.db.ChangeSecret(t.Context(), mine.Key(), func(m *secrets.Secret, _ func(string) ([]byte, error)) error {
		m.Versions = []secrets.Version{{ID: token2, Stages: []string{secrets.Current}, CreatedAt: b.now, Box: stolen}}
		return nil
	})
	b.must(err)
	_, _, value, err := b.Value(t.Context(), here, "mine", secrets.Get{})
	b.fails(err, secrets.DecryptionFailed, "")
	if !value.IsZero() {
		t.Error("a value came with the error")
	}
}

func TestNoSecretEverInALogOrAnError(t *testing.T) {
	const hidden = "hunter2"
	var out bytes.Buffer
	for _, v := range []secrets.Value{secrets.Text(hidden), secrets.Binary([]byte(hidden))} {
		in := secrets.NewSecret{Name: "s", Value: v}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
			fmt.Fprintf(&out, verb+"\n", in)
			fmt.Fprintf(&out, verb+"\n", &in)
		}
		for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
			log.Info("created", "value", v, "input", in)
		}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), "aHVudGVyMg", "104 117 110"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q shows in\n%s", form, out.String())
		}
	}
}

// nothing is a store without secrets.
type nothing struct{ secrets.Store }

func (nothing) Secret(context.Context, secrets.Scope, string) (secrets.Secret, error) {
	return secrets.Secret{}, fault.New(secrets.NotFound, "none")
}
