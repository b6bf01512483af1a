package iam_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/iam"
)

// record is a store that keeps uses of keys only; while broken is set it keeps none.
type record struct {
	iam.Store
	mu      sync.Mutex
	writes  int
	rows    int
	uses    map[string]iam.Use
	broken  error
	slowing time.Duration
}

func newRecord() *record { return &record{uses: map[string]iam.Use{}} }

func (m *record) Used(_ context.Context, uses []iam.KeyUse) error {
	time.Sleep(m.slowing)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.broken != nil {
		return m.broken
	}
	for _, u := range uses {
		m.rows++
		m.uses[u.AccessKeyID] = u.Use
	}
	return nil
}

func (m *record) AccessKeyUse(_ context.Context, _, id string) (string, iam.Use, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return "ann", m.uses[id], nil
}

// seen returns what has been written so far.
func (m *record) seen() (writes, rows int, uses map[string]iam.Use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes, m.rows, maps.Clone(m.uses)
}

func keyOf(id string) iam.Principal { return iam.Principal{Kind: iam.UserPrincipal, AccessKeyID: id} }

func TestABusyKeyCostsOneWriteInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecord()
		s := iam.New(iam.Options{Store: m})
		for i := range 600 { // ten minutes, ten requests a second
			for range 10 {
				s.Used(keyOf("AKIAONE"), "s3", "us-west-2")
				s.Used(keyOf("AKIATWO"), "sts", "us-east-1")
			}
			_, use, err := s.AccessKeyUse(t.Context(), account, "AKIAONE")
			if err != nil || !use.At.Equal(time.Now()) || use.Service != "s3" {
				t.Fatalf("second %d: %v %v", i, use, err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		before, rows, _ := m.seen()
		if before > 10 || before < 9 || rows != 2*before {
			t.Errorf("%d writes of %d rows in ten minutes", before, rows)
		}
		time.Sleep(time.Hour) // nothing is written while nothing is used
		synctest.Wait()
		if writes, _, _ := m.seen(); writes > before+1 {
			t.Errorf("%d writes in an idle hour", writes-before)
		}
	})
}

func TestUsesAreNotLostAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecord()
		s := iam.New(iam.Options{Store: m})
		s.Used(keyOf("AKIA"), "iam", "us-east-1")
		at := time.Now()
		time.Sleep(time.Second)
		must(t, s.Close(t.Context()))
		_, _, uses := m.seen()
		if d := cmp.Diff(map[string]iam.Use{"AKIA": {At: at.UTC(), Service: "iam", Region: "us-east-1"}}, uses); d != "" {
			t.Error(d)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		must(t, s.Close(t.Context()))
		if writes, _, _ := m.seen(); writes != 1 {
			t.Errorf("%d writes", writes)
		}
	})
}

func TestUsesAreWrittenAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecord()
		s := iam.New(iam.Options{Store: m})
		full := errors.New("disk full")
		m.broken = full
		s.Used(keyOf("AKIA"), "s3", "us-west-2")
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if _, use, err := s.AccessKeyUse(t.Context(), account, "AKIA"); err != nil || use.Service != "s3" {
			t.Error("what is not on record is forgotten", use, err)
		}
		m.mu.Lock()
		failed := m.writes
		m.broken = nil
		m.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if writes, _, uses := m.seen(); failed != 3 || writes != 4 || uses["AKIA"].Service != "s3" {
			t.Error(failed, writes, uses)
		}
		m.mu.Lock()
		m.broken = full
		m.mu.Unlock()
		s.Used(keyOf("AKIA"), "sts", "us-west-2")
		if err := s.Close(t.Context()); !errors.Is(err, full) {
			t.Error(err)
		}
	})
}

// A use that comes while a batch is being written is neither lost nor taken back.
func TestUsesDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecord()
		m.slowing = 5 * time.Second
		s := iam.New(iam.Options{Store: m})
		s.Used(keyOf("AKIA"), "first", "r")
		time.Sleep(time.Minute + time.Second)
		s.Used(keyOf("AKIA"), "second", "r")
		time.Sleep(10 * time.Second)
		_, use, err := s.AccessKeyUse(t.Context(), account, "AKIA")
		if _, _, uses := m.seen(); err != nil || use.Service != "second" || uses["AKIA"].Service != "first" {
			t.Error(use, uses, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, _, uses := m.seen(); uses["AKIA"].Service != "second" {
			t.Error(uses)
		}
		must(t, s.Close(t.Context()))
	})
}

func TestManyKeysAreWrittenEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecord()
		s := iam.New(iam.Options{Store: m})
		for i := range 10_000 {
			s.Used(keyOf(fmt.Sprint(i)), "s3", "us-west-2")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, rows, _ := m.seen(); rows != 10_000 {
			t.Error(rows)
		}
		must(t, s.Close(t.Context()))
	})
}

// A role has been used when one of its sessions has, and that shows at once and after a restart.
func TestRolesHaveALastUse(t *testing.T) {
	s, db := service(t)
	ctx := t.Context()
	e := newRole(t, s, role("r"), doc(trust(accountRoot)))
	p := assume(t, s, e, iam.AssumeRole{})
	s.Used(p, "s3", "eu-west-1")
	s.Used(iam.Principal{}, "s3", "nowhere") // nobody has no key
	now, err := s.Entity(ctx, e.Ref)
	must(t, err)
	must(t, s.Close(ctx))
	recorded, err := iam.New(iam.Options{Store: db}).Entity(ctx, e.Ref)
	must(t, err)
	for _, got := range []iam.Entity{now, recorded} {
		if got.LastUsed.IsZero() || got.LastUsedRegion != "eu-west-1" || !maps.Equal(got.Tags, e.Tags) {
			t.Errorf("%+v", got)
		}
	}
}
