package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var iamAt = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func iamEntity(k iam.EntityKind, name string) iam.Entity {
	prefix := map[iam.EntityKind]string{iam.Role: "AROA", iam.User: "AIDA"}[k]
	return iam.Entity{Ref: iam.Ref{Account: scope.Account, Kind: k, Name: name}, Path: "/team/", ID: prefix + name, Tags: map[string]string{"k": "v"}, CreatedAt: iamAt,
		Trust: "{}", Description: "d", MaxSession: time.Hour}
}

func iamPolicy(name string) iam.Policy {
	return iam.Policy{Account: scope.Account, Name: name, Path: "/", ID: "ANPA" + name, Default: 1, Tags: map[string]string{}, CreatedAt: iamAt, UpdatedAt: iamAt}
}

func iamSession(id, owner string, expires time.Time) iam.Session {
	return iam.Session{AccessKeyID: id, Secret: "secret", TokenHash: []byte{1, 2}, Account: scope.Account, OwnerID: owner, Name: "n", Policies: []string{"{}"},
		Tags: map[string]string{"a": "b"}, Transitive: []string{"a"}, SourceIdentity: "me", Service: "svc", SourceARN: "arn", CreatedAt: iamAt, ExpiresAt: expires}
}

func TestIAMSurvivesReopening(t *testing.T) {
	ctx := t.Context()
	db, path := open(t)
	role, user, policy := iamEntity(iam.Role, "r"), iamEntity(iam.User, "u"), iamPolicy("p")
	must(t, db.CreateEntity(ctx, role, 10))
	must(t, db.CreateEntity(ctx, user, 10))
	must(t, db.CreatePolicy(ctx, policy, "managed", 10))
	must(t, db.Attach(ctx, role.Ref, policy.ARN(), 10))
	must(t, db.PutInline(ctx, role.Ref, "i", "inline", 100))
	key := iam.AccessKey{ID: "AKIAUSER", Secret: "s", UserName: "u", Active: true, CreatedAt: iamAt}
	must(t, db.CreateAccessKey(ctx, user.Ref, key, 2))
	session := iamSession("ASIA1", role.ID, iamAt.Add(time.Hour))
	must(t, db.CreateTemporary(ctx, session, iamAt))
	must(t, db.Used(ctx, []iam.KeyUse{
		{AccessKeyID: "AKIAUSER", Use: iam.Use{At: iamAt, Service: "s3", Region: "us-west-2"}},
		{AccessKeyID: "ASIA1", RoleID: role.ID, Use: iam.Use{At: iamAt, Service: "s3", Region: "us-east-1"}},
	}))
	older := iam.Use{At: iamAt.Add(-time.Second), Service: "old", Region: "old"}
	must(t, db.Used(ctx, []iam.KeyUse{{AccessKeyID: "AKIAUSER", Use: older}, {AccessKeyID: "ASIA1", RoleID: role.ID, Use: older}, {AccessKeyID: "AKIAGONE", RoleID: "AROAGONE", Use: older}}))
	must(t, db.Close())

	again, err := store.Open(ctx, path)
	must(t, err)
	defer func() { must(t, again.Close()) }()
	role.LastUsed, role.LastUsedRegion = iamAt, "us-east-1"
	policy.Attachments = 1
	c, found, err := again.Credential(ctx, "ASIA1")
	must(t, err)
	want := iam.Credential{AccessKeyID: "ASIA1", Secret: "secret", Active: true, Account: scope.Account, Owner: &role, Session: &session}
	if d := cmp.Diff(want, c); !found || d != "" {
		t.Error(found, d)
	}
	c, found, err = again.Credential(ctx, "AKIAUSER")
	must(t, err)
	if d := cmp.Diff(iam.Credential{AccessKeyID: "AKIAUSER", Secret: "s", Active: true, Account: scope.Account, Owner: &user}, c); !found || d != "" {
		t.Error(found, d)
	}
	p, err := again.Policy(ctx, policy.ARN())
	must(t, err)
	if d := cmp.Diff(policy, p); d != "" {
		t.Error(d)
	}
	documents, err := again.Documents(ctx, role.ID)
	must(t, err)
	if d := cmp.Diff(iam.Documents{Policies: []string{"inline", "managed"}}, documents); d != "" {
		t.Error(d)
	}
	name, use, err := again.AccessKeyUse(ctx, scope.Account, "AKIAUSER")
	if err != nil || name != "u" || !use.At.Equal(iamAt) || use.Service != "s3" {
		t.Error(name, use, err)
	}
	if _, found, err := again.AccessKey(ctx, "AKIAUSER"); err != nil || found {
		t.Error("a user's key is taken for the root user's", err)
	}
}

// A store of the first schema keeps its root key.
func TestIAMMigrationKeepsTheRootKey(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := os.ReadFile("migrations/0001_codeinterpreter.sql")
	must(t, err)
	raw, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	for _, statement := range []string{string(first), "PRAGMA user_version = 1", "INSERT INTO access_keys VALUES ('AKIAROOT', 'secret', '000000000000', 'arn:root', 1)"} {
		_, err = raw.ExecContext(ctx, statement)
		must(t, err)
	}
	must(t, raw.Close())
	db, err := store.Open(ctx, path)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	if k, err := db.EnsureRootKey(ctx, scope.Account, "arn:root"); err != nil || k.ID != "AKIAROOT" || k.Secret != "secret" {
		t.Error(k, err)
	}
	if k, found, err := db.AccessKey(ctx, "AKIAROOT"); err != nil || !found || k.Account != scope.Account {
		t.Error(k, found, err)
	}
	if c, found, err := db.Credential(ctx, "AKIAROOT"); err != nil || !found || !c.Active || c.Owner != nil || c.Session != nil {
		t.Error(c, found, err)
	}
}

func TestIAMRules(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	role, policy := iamEntity(iam.Role, "Role"), iamPolicy("Policy")
	must(t, db.CreateEntity(ctx, role, 2))
	same := iamEntity(iam.Role, "rOLE")
	wantCode(t, db.CreateEntity(ctx, same, 2), iam.EntityAlreadyExists)
	must(t, db.CreateEntity(ctx, iamEntity(iam.User, "Role"), 2)) // a user may have a role's name
	must(t, db.CreateEntity(ctx, iamEntity(iam.Role, "second"), 2))
	wantCode(t, db.CreateEntity(ctx, iamEntity(iam.Role, "third"), 2), iam.LimitExceeded)
	abroad := iamEntity(iam.Role, "Role")
	abroad.Account, abroad.ID = "444455556666", "AROAabroad"
	must(t, db.CreateEntity(ctx, abroad, 2))
	_, err := db.Entity(ctx, iam.Ref{Account: scope.Account, Kind: iam.Role, Name: "role"})
	wantCode(t, err, iam.NoSuchEntity)

	must(t, db.CreatePolicy(ctx, policy, "one", 1))
	wantCode(t, db.CreatePolicy(ctx, iamPolicy("other"), "x", 1), iam.LimitExceeded)
	wantCode(t, db.CreatePolicy(ctx, iamPolicy("pOLICY"), "x", 5), iam.EntityAlreadyExists)
	must(t, db.Attach(ctx, role.Ref, policy.ARN(), 1))
	must(t, db.Attach(ctx, role.Ref, policy.ARN(), 1))
	must(t, db.CreatePolicy(ctx, iamPolicy("second"), "x", 5))
	wantCode(t, db.Attach(ctx, role.Ref, iamPolicy("second").ARN(), 1), iam.LimitExceeded)
	wantCode(t, db.Attach(ctx, role.Ref, policy.ARN()+"x", 5), iam.NoSuchEntity)
	wantCode(t, db.DeletePolicy(ctx, policy.ARN()), iam.DeleteConflict)
	wantCode(t, db.DeleteEntity(ctx, role.Ref), iam.DeleteConflict)
	must(t, db.Detach(ctx, role.Ref, policy.ARN()))
	wantCode(t, db.Detach(ctx, role.Ref, policy.ARN()), iam.NoSuchEntity)

	v, err := db.CreateVersion(ctx, policy.ARN(), "two", true, 2, iamAt)
	if err != nil || v.Number != 2 {
		t.Error(v, err)
	}
	_, err = db.CreateVersion(ctx, policy.ARN(), "three", true, 2, iamAt)
	wantCode(t, err, iam.LimitExceeded)
	wantCode(t, db.DeletePolicy(ctx, policy.ARN()), iam.DeleteConflict)
	wantCode(t, db.DeleteVersion(ctx, policy.ARN(), 2), iam.DeleteConflict)
	must(t, db.DeleteVersion(ctx, policy.ARN(), 1))
	wantCode(t, db.DeleteVersion(ctx, policy.ARN(), 1), iam.NoSuchEntity)
	wantCode(t, db.SetDefaultVersion(ctx, policy.ARN(), 1, iamAt), iam.NoSuchEntity)
	if v, err = db.CreateVersion(ctx, policy.ARN(), "three", false, 2, iamAt); err != nil || v.Number != 3 {
		t.Error("a version's number was used again", v, err)
	}
	must(t, db.SetDefaultVersion(ctx, policy.ARN(), 3, iamAt))
	must(t, db.DeleteVersion(ctx, policy.ARN(), 2))
	must(t, db.DeletePolicy(ctx, policy.ARN()))
	_, err = db.Version(ctx, policy.ARN(), 3)
	wantCode(t, err, iam.NoSuchEntity)

	must(t, db.PutInline(ctx, role.Ref, "a", "1 2\n3", 5))
	wantCode(t, db.PutInline(ctx, role.Ref, "b", "456", 5), iam.LimitExceeded)
	must(t, db.PutInline(ctx, role.Ref, "a", "12345", 5))
	wantCode(t, db.DeleteEntity(ctx, role.Ref), iam.DeleteConflict)
	_, err = db.Inline(ctx, role.Ref, "b")
	wantCode(t, err, iam.NoSuchEntity)
	must(t, db.DeleteInline(ctx, role.Ref, "a"))
	wantCode(t, db.DeleteInline(ctx, role.Ref, "a"), iam.NoSuchEntity)

	user := iamEntity(iam.User, "Role")
	must(t, db.CreateAccessKey(ctx, user.Ref, iam.AccessKey{ID: "AKIA1", Secret: "s", CreatedAt: iamAt}, 1))
	wantCode(t, db.CreateAccessKey(ctx, user.Ref, iam.AccessKey{ID: "AKIA2", Secret: "s", CreatedAt: iamAt}, 1), iam.LimitExceeded)
	wantCode(t, db.DeleteEntity(ctx, user.Ref), iam.DeleteConflict)
	wantCode(t, db.SetAccessKey(ctx, user.Ref, "AKIA2", false), iam.NoSuchEntity)
	must(t, db.DeleteAccessKey(ctx, user.Ref, "AKIA1"))
	must(t, db.DeleteEntity(ctx, user.Ref))
	wantCode(t, db.DeleteEntity(ctx, user.Ref), iam.NoSuchEntity)

	must(t, db.CreateTemporary(ctx, iamSession("ASIA1", role.ID, iamAt.Add(time.Hour)), iamAt))
	must(t, db.DeleteEntity(ctx, role.Ref))
	if _, found, err := db.Credential(ctx, "ASIA1"); err != nil || found {
		t.Error("the credentials of a deleted role are still there", err)
	}
	_, err = db.Documents(ctx, role.ID)
	wantCode(t, err, iam.NoSuchEntity)
	wantCode(t, db.CreateTemporary(ctx, iamSession("ASIA2", role.ID, iamAt), iamAt), iam.NoSuchEntity)
}

func TestTemporaryCredentialsAreForgotten(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	for i, id := range []string{"OLD", "NEW", "OTHER"} {
		s := iamSession(id, "", iamAt.Add(time.Duration(i)*time.Hour))
		s.Name = id
		must(t, db.CreateTemporary(ctx, s, iamAt))
	}
	must(t, db.CreateTemporary(ctx, iamSession("LAST", "", iamAt.Add(9*time.Hour)), iamAt.Add(30*time.Minute)))
	there := func() (ids string) {
		for _, id := range []string{"OLD", "NEW", "OTHER", "LAST"} {
			if _, found, err := db.Credential(ctx, id); err != nil {
				t.Error(err)
			} else if found {
				ids += id + " "
			}
		}
		return ids
	}
	if ids := there(); ids != "NEW OTHER LAST " {
		t.Error(ids)
	}
	if n, err := db.EndTemporary(ctx, iam.Sessions{Service: "svc", Name: "OTHER"}); err != nil || n != 1 {
		t.Error(n, err)
	}
	if n, err := db.EndTemporary(ctx, iam.Sessions{AccessKeyID: "NEW", Service: "another"}); err != nil || n != 0 {
		t.Error(n, err)
	}
	if ids := there(); ids != "NEW LAST " {
		t.Error(ids)
	}
}

func TestIAMPagesCoverTheListOnce(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	policy := iamPolicy("all")
	must(t, db.CreatePolicy(ctx, policy, "1", 10))
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("%c-name", 'A'+i)
		want = append(want, name)
		for _, k := range []iam.EntityKind{iam.Role, iam.User} {
			e := iamEntity(k, name)
			must(t, db.CreateEntity(ctx, e, 100))
			must(t, db.Attach(ctx, e.Ref, policy.ARN(), 10))
		}
		if i > 0 {
			_, err := db.CreateVersion(ctx, policy.ARN(), "x", false, 100, iamAt)
			must(t, err)
		}
	}
	role := iam.Ref{Account: scope.Account, Kind: iam.Role, Name: "A-name"}
	for i := range 7 {
		must(t, db.PutInline(ctx, role, want[i], "x", 100))
		p := iamPolicy(want[i])
		must(t, db.CreatePolicy(ctx, p, "x", 100))
		must(t, db.Attach(ctx, role, p.ARN(), 100))
	}
	name := func(e iam.Entity) string { return e.Name }
	policyName := func(p iam.Policy) string { return p.Name }
	walk(t, "roles", want, name, func(p iam.Page) ([]iam.Entity, string, error) {
		return db.Entities(ctx, scope.Account, iam.Role, "/te", p)
	})
	walk(t, "no roles", nil, name, func(p iam.Page) ([]iam.Entity, string, error) {
		return db.Entities(ctx, scope.Account, iam.Role, "/other/", p)
	})
	walk(t, "roles of a policy", want, name, func(p iam.Page) ([]iam.Entity, string, error) {
		return db.AttachedTo(ctx, policy.ARN(), iam.EntityFilter{Kind: iam.Role}, p)
	})
	walk(t, "entities of a policy", append(append([]string{}, want...), want...), name, func(p iam.Page) ([]iam.Entity, string, error) {
		return db.AttachedTo(ctx, policy.ARN(), iam.EntityFilter{}, p)
	})
	walk(t, "policies of a role", append(append([]string{}, want[:1]...), append([]string{"all"}, want[1:]...)...), policyName, func(p iam.Page) ([]iam.Policy, string, error) {
		return db.Attached(ctx, role, "", p)
	})
	walk(t, "attached policies", append(append([]string{}, want[:1]...), append([]string{"all"}, want[1:]...)...), policyName, func(p iam.Page) ([]iam.Policy, string, error) {
		return db.Policies(ctx, scope.Account, iam.Filter{OnlyAttached: true}, p)
	})
	walk(t, "inline policies", want, func(s string) string { return s }, func(p iam.Page) ([]string, string, error) { return db.Inlines(ctx, role, p) })
	walk(t, "versions", strings.Fields("7 6 5 4 3 2 1"), func(v iam.Version) string { return fmt.Sprint(v.Number) }, func(p iam.Page) ([]iam.Version, string, error) {
		return db.Versions(ctx, policy.ARN(), p)
	})
	_, _, err := db.Entities(ctx, scope.Account, iam.Role, "", iam.Page{Limit: 1, Marker: "!"})
	wantCode(t, err, iam.ValidationError)
}

func walk[T any](t *testing.T, what string, want []string, name func(T) string, list func(iam.Page) ([]T, string, error)) {
	t.Helper()
	var got []string
	for marker, first := "", true; first || marker != ""; first = false {
		items, next, err := list(iam.Page{Limit: 3, Marker: marker})
		must(t, err)
		for _, i := range items {
			got = append(got, name(i))
		}
		marker = next
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

func TestConcurrentIAMChangesLoseNone(t *testing.T) {
	ctx := t.Context()
	db, _ := open(t)
	role, policy := iamEntity(iam.Role, "r"), iamPolicy("p")
	must(t, db.CreateEntity(ctx, role, 10))
	must(t, db.CreatePolicy(ctx, policy, "x", 10))
	var wg sync.WaitGroup
	var mu sync.Mutex
	versions := 0
	for n := range 20 {
		wg.Go(func() {
			_, err := db.ChangeEntity(ctx, role.Ref, func(e *iam.Entity) error { e.Tags[fmt.Sprint(n)] = "x"; return nil })
			if err != nil {
				t.Error(err)
			}
			if err := db.ChangePolicyTags(ctx, policy.ARN(), func(tags map[string]string) error { tags[fmt.Sprint(n)] = "x"; return nil }); err != nil {
				t.Error(err)
			}
			if _, err := db.CreateVersion(ctx, policy.ARN(), "x", false, 5, iamAt); err == nil {
				mu.Lock()
				versions++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	e, err := db.Entity(ctx, role.Ref)
	must(t, err)
	p, err := db.Policy(ctx, policy.ARN())
	must(t, err)
	if len(e.Tags) != 21 || len(p.Tags) != 20 || versions != 4 {
		t.Errorf("%d tags of the role, %d of the policy, %d versions", len(e.Tags), len(p.Tags), versions)
	}
}
