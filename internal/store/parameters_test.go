package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/parameters"
)

var parameterScope = parameters.Scope{Account: "000000000000", Region: "us-west-2"}

func someVersion(n int64) parameters.Version {
	return parameters.Version{Number: n, Type: parameters.SecureString, Value: []byte{0, 255, byte(n)}, DataType: "text", Tier: parameters.Advanced, KeyID: "k", Description: "d", AllowedPattern: "p",
		Labels: []string{"l"}, ModifiedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), ModifiedBy: "arn"}
}

func TestParameters(t *testing.T) {
	db, _ := open(t)
	ctx := t.Context()
	_, err := db.Parameter(ctx, parameterScope, "/x")
	wantCode(t, err, parameters.NotFound)
	failed := errors.New("no")
	_, err = db.ChangeParameter(ctx, parameterScope, "/x", 2, func(*parameters.Parameter) error { return failed })
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	put := func(name string) error {
		_, err := db.ChangeParameter(ctx, parameterScope, name, 2, func(p *parameters.Parameter) error {
			p.Tags = map[string]string{"a": "b"}
			p.Versions = append(p.Versions, someVersion(int64(len(p.Versions)+1)))
			return nil
		})
		return err
	}
	for range 3 {
		must(t, put("/x"))
	}
	must(t, put("/y"))
	wantCode(t, put("/z"), parameters.LimitExceeded)
	got, err := db.Parameter(ctx, parameterScope, "/x")
	must(t, err)
	want := parameters.Parameter{Scope: parameterScope, Name: "/x", Tags: map[string]string{"a": "b"}, Versions: []parameters.Version{someVersion(1), someVersion(2), someVersion(3)}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	_, err = db.ChangeParameter(ctx, parameterScope, "/x", 2, func(p *parameters.Parameter) error {
		p.Versions = p.Versions[1:]
		p.Versions[0].Labels = nil
		p.Tags = nil
		return nil
	})
	must(t, err)
	want.Versions, want.Tags = want.Versions[1:], map[string]string{}
	want.Versions[0].Labels = []string{}
	if got, err = db.Parameter(ctx, parameterScope, "/x"); err != nil || cmp.Diff(want, got) != "" {
		t.Error(cmp.Diff(want, got), err)
	}
	for _, versions := range []bool{true, false} {
		var all []parameters.Parameter
		must(t, db.Parameters(ctx, parameterScope, "/", "", versions, func(p parameters.Parameter) bool {
			all = append(all, p)
			return true
		}))
		if n := map[bool]int{true: 2, false: 1}[versions]; len(all) != 2 || all[0].Name != "/x" || len(all[0].Versions) != n || all[0].Last().Number != 3 || all[1].Last().Number != 1 {
			t.Errorf("%v: %+v", versions, all)
		}
	}
	var names []string
	walk := func(prefix, after string, most int) {
		names = nil
		must(t, db.Parameters(ctx, parameterScope, prefix, after, true, func(p parameters.Parameter) bool {
			names = append(names, p.Name)
			return len(names) < most
		}))
	}
	if walk("", "/x", 9); len(names) != 1 || names[0] != "/y" {
		t.Error(names)
	}
	if walk("/y", "", 9); len(names) != 1 || names[0] != "/y" {
		t.Error(names)
	}
	if walk("", "", 1); len(names) != 1 || names[0] != "/x" {
		t.Error(names)
	}
	if walk("%", "", 9); len(names) != 0 {
		t.Error(names)
	}
	for _, found := range []bool{true, false} {
		if got, err := db.DeleteParameter(ctx, parameterScope, "/x"); got != found || err != nil {
			t.Error(got, err)
		}
	}
	must(t, put("/z"))
}
