package iam_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

// hot is a user whose key and policies are in memory.
type hot struct {
	s         *iam.Service
	id, token string
}

func (h hot) key(ctx context.Context) (iam.Principal, error) {
	_, p, _, err := h.s.Key(ctx, h.id, h.token)
	return p, err
}

// may is what the server does for each request.
func (h hot) may(ctx context.Context) error {
	p, err := h.key(ctx)
	if err != nil {
		return err
	}
	return h.s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object})
}

// Whoever takes something away, and is told that it is done, can rely on it: what is in memory must not outlive it by one request.
func TestAttackUseOfWhatHasJustBeenTakenAway(t *testing.T) {
	can := doc(allow(getObject, "*"))
	tagged := doc(allow(getObject, "*") + `,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}`)
	newHot := func(t *testing.T, policies ...string) hot {
		s, _ := service(t)
		return hot{s: s, id: newUser(t, s, user("ann"), policies...).AccessKeyID}
	}
	session := func(t *testing.T, h hot) (hot, iam.Entity) {
		e := newRole(t, h.s, role("r"), doc(trust(accountRoot)), can)
		c, err := h.s.AssumeRole(t.Context(), iam.RootOf(account), iam.AssumeRole{RoleARN: e.ARN(), SessionName: "one"})
		must(t, err)
		return hot{h.s, c.AccessKeyID, c.Token}, e
	}
	denied := func(err error) bool { return fault.Is(err, fault.AccessDenied) }
	unknown := func(err error) bool { return errors.Is(err, iam.ErrUnknownKey) }
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T) (h hot, take func(ctx context.Context) error)
		refused func(error) bool
	}{
		{"the key", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, can)
			return h, func(ctx context.Context) error { return h.s.DeleteAccessKey(ctx, user("ann"), h.id) }
		}, unknown},
		{"the key's activity", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, can)
			return h, func(ctx context.Context) error { return h.s.SetAccessKey(ctx, user("ann"), h.id, false) }
		}, unknown},
		{"the inline policy", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, can)
			return h, func(ctx context.Context) error { return h.s.DeleteInline(ctx, user("ann"), "p0") }
		}, denied},
		{"by a deny beside it", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, can)
			return h, func(ctx context.Context) error { return h.s.PutInline(ctx, user("ann"), "no", doc(deny("s3:*", "*"))) }
		}, denied},
		{"the managed policy", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t)
			m, err := h.s.CreatePolicy(t.Context(), iam.NewPolicy{Account: account, Name: "m", Document: can})
			must(t, err)
			must(t, h.s.Attach(t.Context(), user("ann"), m.ARN()))
			return h, func(ctx context.Context) error { return h.s.Detach(ctx, user("ann"), m.ARN()) }
		}, denied},
		{"the version", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t)
			m, err := h.s.CreatePolicy(t.Context(), iam.NewPolicy{Account: account, Name: "m", Document: can})
			must(t, err)
			must(t, h.s.Attach(t.Context(), user("ann"), m.ARN()))
			return h, func(ctx context.Context) error {
				_, err := h.s.CreateVersion(ctx, account, m.ARN(), doc(allow("ec2:*", "*")), true)
				return err
			}
		}, denied},
		{"by a boundary", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, can)
			m, err := h.s.CreatePolicy(t.Context(), iam.NewPolicy{Account: account, Name: "m", Document: doc(allow("ec2:*", "*"))})
			must(t, err)
			return h, func(ctx context.Context) error { return h.s.SetBoundary(ctx, user("ann"), m.ARN()) }
		}, denied},
		{"the group", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t)
			g := iam.Ref{Account: account, Kind: iam.Group, Name: "g"}
			_, err := h.s.Create(t.Context(), iam.NewEntity{Ref: g})
			must(t, err)
			must(t, h.s.PutInline(t.Context(), g, "p", can))
			must(t, h.s.AddMember(t.Context(), g, "ann"))
			return h, func(ctx context.Context) error { return h.s.RemoveMember(ctx, g, "ann") }
		}, denied},
		{"the tag that a condition wants", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, tagged)
			return h, func(ctx context.Context) error { return h.s.Untag(ctx, user("ann"), []string{"Team"}) }
		}, denied},
		{"by another value of the tag", func(t *testing.T) (hot, func(context.Context) error) {
			h := newHot(t, tagged)
			return h, func(ctx context.Context) error {
				return h.s.Tag(ctx, user("ann"), map[string]string{"team": "blue"})
			}
		}, denied},
		{"the session", func(t *testing.T) (hot, func(context.Context) error) {
			h, _ := session(t, newHot(t))
			return h, func(ctx context.Context) error {
				n, err := h.s.EndSessions(ctx, iam.Sessions{AccessKeyID: h.id})
				if n != 1 {
					t.Error(n)
				}
				return err
			}
		}, unknown},
		{"the role", func(t *testing.T) (hot, func(context.Context) error) {
			h, e := session(t, newHot(t))
			return h, func(ctx context.Context) error {
				if err := h.s.DeleteInline(ctx, e.Ref, "p0"); err != nil {
					return err
				}
				return h.s.Delete(ctx, e.Ref)
			}
		}, unknown},
		{"the role's policy", func(t *testing.T) (hot, func(context.Context) error) {
			h, e := session(t, newHot(t))
			return h, func(ctx context.Context) error { return h.s.DeleteInline(ctx, e.Ref, "p0") }
		}, denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, take := c.prepare(t)
			must(t, h.may(t.Context()))
			// Others keep asking meanwhile, so that what was true before is read and remembered again and again.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			var taken atomic.Bool
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						after := taken.Load()
						if err := h.may(t.Context()); after && err == nil {
							t.Error("allowed after it was taken away")
							return
						}
					}
				})
			}
			must(t, take(t.Context()))
			taken.Store(true)
			for range 100 {
				if err := h.may(t.Context()); !c.refused(err) {
					t.Fatalf("after it was taken away: %v", err)
				}
			}
			cancel()
			wg.Wait()
		})
	}
}

// silent is a store that must not be asked any more.
type silent struct {
	iam.Store
	asked atomic.Int64
}

func (s *silent) Credential(ctx context.Context, id string) (iam.Credential, bool, error) {
	s.asked.Add(1)
	return s.Store.Credential(ctx, id)
}

func (s *silent) Documents(ctx context.Context, id string) (iam.Documents, error) {
	s.asked.Add(1)
	return s.Store.Documents(ctx, id)
}

func TestAHotKeyDoesNotTouchTheStore(t *testing.T) {
	_, db := service(t)
	store := &silent{Store: db}
	s := iam.New(iam.Options{Store: store})
	h := hot{s: s, id: newUser(t, s, user("ann"), doc(allow(getObject, "*"))).AccessKeyID}
	other := hot{s: s, id: newUser(t, s, user("bob")).AccessKeyID}
	must(t, h.may(t.Context()))
	want(t, other.may(t.Context()), fault.AccessDenied, noIdentity)
	before := store.asked.Load()
	for range 100 {
		must(t, h.may(t.Context()))
		want(t, other.may(t.Context()), fault.AccessDenied, noIdentity)
	}
	if n := store.asked.Load() - before; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	for range 3 { // guesses are looked for every time, and not remembered
		if _, _, _, err := s.Key(t.Context(), "AKIAGUESS", ""); !errors.Is(err, iam.ErrUnknownKey) {
			t.Error(err)
		}
	}
	if n := store.asked.Load() - before; n != 3 {
		t.Errorf("the store was asked %d times for guesses", n)
	}
	must(t, s.PutInline(t.Context(), user("bob"), "p", doc(allow(getObject, "*"))))
	must(t, other.may(t.Context()))
	_, err := s.SessionToken(t.Context(), iam.RootOf(account), time.Hour) // adds a key, and makes nothing untrue
	must(t, err)
	before = store.asked.Load()
	must(t, other.may(t.Context()))
	if n := store.asked.Load() - before; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}
