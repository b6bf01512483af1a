package iam_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
)

const (
	account = "111122223333"
	other   = "444455556666"
	bucket  = "arn:aws:s3:::bucket"
	object  = bucket + "/a.txt"
)

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func service(t *testing.T) (*iam.Service, *store.DB) {
	t.Helper()
	db := open(t, filepath.Join(t.TempDir(), "store.db"))
	return iam.New(iam.Options{Store: db}), db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want checks an error's code, and a part of its message; the code "" means success.
func want(t *testing.T, err error, code fault.Code, message string) {
	t.Helper()
	switch {
	case code == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case code != "" && (!fault.Is(err, code) || !strings.Contains(err.Error(), message)):
		t.Errorf("error %v, want %s with %q", err, code, message)
	}
}

func user(name string) iam.Ref { return iam.Ref{Account: account, Kind: iam.User, Name: name} }
func role(name string) iam.Ref { return iam.Ref{Account: account, Kind: iam.Role, Name: name} }

func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[{` + strings.Join(statements, `},{`) + `}]}`
}

func allow(action, resource string) string {
	return `"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"`
}

func deny(action, resource string) string {
	return `"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"`
}

// trust is a trust policy's statement; the principal is JSON.
func trust(principal string, conditions ...string) string {
	s := `"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"`
	if len(conditions) > 0 {
		s += `,"Condition":{` + strings.Join(conditions, ",") + `}`
	}
	return s
}

const accountRoot = `{"AWS":"arn:aws:iam::` + account + `:root"}`

func newUser(t *testing.T, s *iam.Service, r iam.Ref, policies ...string) iam.Principal {
	t.Helper()
	_, err := s.Create(t.Context(), iam.NewEntity{Ref: r, Tags: map[string]string{"Team": "red"}})
	must(t, err)
	putAll(t, s, r, policies)
	k, err := s.CreateAccessKey(t.Context(), r)
	must(t, err)
	_, p, _, err := s.Key(t.Context(), k.ID, "")
	must(t, err)
	return p
}

func putAll(t *testing.T, s *iam.Service, r iam.Ref, policies []string) {
	t.Helper()
	for i, p := range policies {
		must(t, s.PutInline(t.Context(), r, "p"+string(rune('0'+i)), p))
	}
}

func newRole(t *testing.T, s *iam.Service, r iam.Ref, trust string, policies ...string) iam.Entity {
	t.Helper()
	e, err := s.Create(t.Context(), iam.NewEntity{Ref: r, Trust: trust})
	must(t, err)
	putAll(t, s, r, policies)
	return e
}

// assume starts a session as the root user of the account, for which the role's trust of the account is enough.
func assume(t *testing.T, s *iam.Service, e iam.Entity, in iam.AssumeRole) iam.Principal {
	t.Helper()
	in.RoleARN = e.ARN()
	if in.SessionName == "" {
		in.SessionName = "session"
	}
	c, err := s.AssumeRole(t.Context(), iam.RootOf(account), in)
	must(t, err)
	return principal(t, s, c)
}

func principal(t *testing.T, s *iam.Service, c iam.Credentials) iam.Principal {
	t.Helper()
	secret, p, expires, err := s.Key(t.Context(), c.AccessKeyID, c.Token)
	must(t, err)
	if secret != c.Secret || !expires.Equal(c.Expires) {
		t.Error("the key is not what was given out")
	}
	return p
}
