package iam_test

import (
	"path/filepath"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// benchmarkService has a user with one inline and ten managed policies.
func benchmarkService(b *testing.B) (*iam.Service, iam.Principal) {
	b.Helper()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	check(err)
	b.Cleanup(func() { check(db.Close()) })
	s, ctx := iam.New(iam.Options{Store: db}), b.Context()
	_, err = s.Create(ctx, iam.NewEntity{Ref: user("ann")})
	check(err)
	check(s.PutInline(ctx, user("ann"), "p", doc(allow(getObject, "*"))))
	for i := range 10 {
		name := "m" + string(rune('a'+i))
		p, err := s.CreatePolicy(ctx, iam.NewPolicy{Account: account, Name: name, Document: doc(allow("iam:*", "arn:aws:iam::*:role/"+name))})
		check(err)
		check(s.Attach(ctx, user("ann"), p.ARN()))
	}
	k, err := s.CreateAccessKey(ctx, user("ann"))
	check(err)
	_, p, _, err := s.Key(ctx, k.ID, "")
	check(err)
	return s, p
}
