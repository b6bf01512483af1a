package store_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var secretScope = secrets.Scope{Account: "000000000000", Region: "us-west-2"}

func someSecret(name string) secrets.Secret {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return secrets.Secret{Scope: secretScope, Name: name, Suffix: "AbCdEf", Description: "d", KMSKeyID: "k", Type: "t", Tags: map[string]string{"a": "b"}, Policy: "{}",
		Versions:  []secrets.Version{{ID: "v1", Stages: []string{"AWSPREVIOUS"}, CreatedAt: at, Box: []byte("box1")}, {ID: "v2", Stages: []string{"AWSCURRENT", "x"}, CreatedAt: at.Add(time.Second), Box: []byte("box2")}},
		CreatedAt: at, ChangedAt: at.Add(time.Hour)}
}

// withoutBoxes is what the store returns.
func withoutBoxes(s secrets.Secret) secrets.Secret {
	s.Versions = append([]secrets.Version(nil), s.Versions...)
	for i := range s.Versions {
		s.Versions[i].Box = nil
	}
	return s
}

func TestSecretsComeBackAsTheyWere(t *testing.T) {
	db, path := open(t)
	ctx := t.Context()
	x := someSecret("x")
	must(t, db.CreateSecret(ctx, x, 2))
	must(t, db.SecretAccessed(ctx, x.Key(), "v2", x.CreatedAt))
	x.AccessedAt, x.Versions[1].AccessedAt = x.CreatedAt, x.CreatedAt
	again, err := store.Open(ctx, path) // as after a restart
	must(t, err)
	t.Cleanup(func() { must(t, again.Close()) })
	got, err := again.Secret(ctx, secretScope, "x")
	must(t, err)
	if d := cmp.Diff(withoutBoxes(x), got); d != "" {
		t.Error(d)
	}
	all, err := again.Secrets(ctx, secretScope)
	must(t, err)
	if d := cmp.Diff([]secrets.Secret{withoutBoxes(x)}, all); d != "" {
		t.Error(d)
	}
	box, err := again.SecretBox(ctx, x.Key(), "v1")
	must(t, err)
	if string(box) != "box1" {
		t.Errorf("%q", box)
	}
}

func TestSecretsAreUniqueAndLimited(t *testing.T) {
	db, _ := open(t)
	ctx := t.Context()
	must(t, db.CreateSecret(ctx, someSecret("x"), 2))
	wantCode(t, db.CreateSecret(ctx, someSecret("x"), 2), secrets.Exists)
	must(t, db.CreateSecret(ctx, someSecret("y"), 2))
	wantCode(t, db.CreateSecret(ctx, someSecret("x"), 2), secrets.Exists) // not the limit: the answer to a retry must be the same
	wantCode(t, db.CreateSecret(ctx, someSecret("z"), 2), secrets.LimitExceeded)
	elsewhere := someSecret("x")
	elsewhere.Region = "us-east-1"
	must(t, db.CreateSecret(ctx, elsewhere, 2))
	_, err := db.Secret(ctx, secretScope, "z")
	wantCode(t, err, secrets.NotFound)
}

func TestChangesOfSecrets(t *testing.T) {
	db, _ := open(t)
	ctx := t.Context()
	x := someSecret("x")
	must(t, db.CreateSecret(ctx, x, 2))
	failed := errors.New("no")
	_, err := db.ChangeSecret(ctx, x.Key(), func(s *secrets.Secret, _ func(string) ([]byte, error)) error {
		s.Description, s.Versions = "lost", nil
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	got, err := db.ChangeSecret(ctx, x.Key(), func(s *secrets.Secret, box func(string) ([]byte, error)) error {
		if b, err := box("v2"); err != nil || string(b) != "box2" {
			t.Errorf("%q %v", b, err)
		}
		if _, err := box("v9"); !fault.Is(err, secrets.NotFound) {
			t.Error(err)
		}
		s.Versions = append(s.Versions[1:], secrets.Version{ID: "v3", Stages: nil, CreatedAt: s.CreatedAt, Box: []byte("box3")})
		s.Versions[0].Stages = []string{"only"}
		s.Policy, s.DeletedAt, s.PurgeAt = "", s.CreatedAt, s.ChangedAt
		return nil
	})
	must(t, err)
	stored, err := db.Secret(ctx, secretScope, "x")
	must(t, err)
	got = withoutBoxes(got)
	got.Versions[1].Stages = []string{}
	if d := cmp.Diff(got, stored); d != "" || stored.Description != "d" {
		t.Error(d)
	}
	for version, code := range map[string]fault.Code{"v1": secrets.NotFound, "v2": "", "v3": ""} {
		if _, err := db.SecretBox(ctx, x.Key(), version); code == "" && err != nil || code != "" && !fault.Is(err, code) {
			t.Error(version, err)
		}
	}
	// The same name with another suffix is another secret.
	other := x.Key()
	other.Suffix = "XXXXXX"
	_, err = db.ChangeSecret(ctx, other, func(*secrets.Secret, func(string) ([]byte, error)) error { return nil })
	wantCode(t, err, secrets.NotFound)
	_, err = db.SecretBox(ctx, other, "v2")
	wantCode(t, err, secrets.NotFound)
	must(t, db.DeleteSecret(ctx, other))
	if n, err := db.PurgeSecrets(ctx, stored.PurgeAt.Add(-time.Microsecond)); n != 0 || err != nil {
		t.Error(n, err)
	}
	// One whose end has come makes room for its name.
	y := someSecret("x")
	y.CreatedAt, y.Suffix = stored.PurgeAt, "YYYYYY"
	must(t, db.CreateSecret(ctx, y, 1))
	if n, err := db.PurgeSecrets(ctx, stored.PurgeAt); n != 0 || err != nil {
		t.Error(n, err)
	}
	must(t, db.DeleteSecret(ctx, y.Key()))
	_, err = db.SecretBox(ctx, y.Key(), "v2")
	wantCode(t, err, secrets.NotFound)
}

func TestConcurrentVersionsOfOneSecret(t *testing.T) {
	db, _ := open(t)
	s := secrets.New(secrets.Options{Store: db, Seal: newSealer(t)})
	_, _, err := s.Create(t.Context(), secrets.NewSecret{Scope: secretScope, Name: "x", Value: secrets.Text("0")})
	must(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if _, _, err := s.Put(t.Context(), secretScope, "x", secrets.Put{Value: secrets.Text("v")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	x, err := s.Secret(t.Context(), secretScope, "x")
	must(t, err)
	stages := map[string]int{}
	for _, v := range x.Versions {
		for _, stage := range v.Stages {
			stages[stage]++
		}
	}
	if len(x.Versions) != 41 || stages[secrets.Current] != 1 || stages[secrets.Previous] != 1 {
		t.Error(len(x.Versions), stages)
	}
}

func newSealer(t *testing.T) *sealed.Key {
	t.Helper()
	k, err := sealed.NewKey(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	return k
}

func TestAttackReadingTheStoreFile(t *testing.T) {
	db, path := open(t)
	ctx := t.Context()
	const hidden = "hunter2-is-hidden"
	s := secrets.New(secrets.Options{Store: db, Seal: newSealer(t)})
	_, _, err := s.Create(ctx, secrets.NewSecret{Scope: secretScope, Name: "seen", Value: secrets.Text(hidden)})
	must(t, err)
	_, _, err = s.Put(ctx, secretScope, "seen", secrets.Put{Value: secrets.Binary([]byte(hidden))})
	must(t, err)
	p := parameters.New(parameters.Options{Store: db, Seal: newSealer(t)})
	_, err = p.Put(ctx, parameters.Put{Scope: parameters.Scope(secretScope), Name: "/seen", Type: parameters.SecureString, Value: hidden})
	must(t, err)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(strings.ReplaceAll(path, "?", "[?]")), "*"))
	must(t, err)
	var seen bool
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		seen = seen || bytes.Contains(b, []byte("seen"))
		if bytes.Contains(b, []byte(hidden)) {
			t.Errorf("%s has a plain value", filepath.Base(f))
		}
	}
	if !seen {
		t.Error("the files that were read are not the store's", files)
	}
}

const writerEnv = "SUNABA_TEST_WRITER_STORE"

// TestAcknowledgedWritesSurviveSIGKILL starts this test again as a process that writes and says what has been acknowledged, kills it in the middle, and looks for every acknowledged write.
func TestAcknowledgedWritesSurviveSIGKILL(t *testing.T) {
	if path := os.Getenv(writerEnv); path != "" {
		writeForever(t, path)
	}
	_, path := open(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var acknowledged int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "written %d", &acknowledged); err != nil {
			t.Fatal(lines.Text())
		}
		if acknowledged == 60 {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || acknowledged < 60 {
		t.Fatal(err, acknowledged)
	}
	db, err := store.Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s := secrets.New(secrets.Options{Store: db, Seal: newSealer(t)})
	p := parameters.New(parameters.Options{Store: db, Seal: newSealer(t)})
	for n := 1; n <= acknowledged; n++ {
		name := fmt.Sprint("n", n)
		_, _, value, err := s.Value(t.Context(), secretScope, name, secrets.Get{})
		must(t, err)
		if text, _ := value.Text(); text != name {
			t.Error(name, text)
		}
		r, err := parameters.Parse(parameters.Scope(secretScope), "/app/"+name)
		must(t, err)
		f, err := p.Get(t.Context(), r, true)
		must(t, err)
		if f.Value != name {
			t.Error(name, f.Value)
		}
	}
}

func writeForever(t *testing.T, path string) {
	db, err := store.Open(t.Context(), path)
	must(t, err)
	s := secrets.New(secrets.Options{Store: db, Seal: newSealer(t)})
	p := parameters.New(parameters.Options{Store: db, Seal: newSealer(t)})
	for n := 1; ; n++ {
		name := fmt.Sprint("n", n)
		_, _, err := s.Create(t.Context(), secrets.NewSecret{Scope: secretScope, Name: name, Value: secrets.Text(name)})
		must(t, err)
		_, err = p.Put(t.Context(), parameters.Put{Scope: parameters.Scope(secretScope), Name: "/app/" + name, Type: parameters.SecureString, Value: name})
		must(t, err)
		fmt.Printf("written %d\n", n)
	}
}
