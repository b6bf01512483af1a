package iam_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

const denied = fault.AccessDenied

func TestTrustPolicies(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	can := doc(allow("sts:AssumeRole", "*"))
	allowedUser, plainUser := newUser(t, s, user("allowed"), can), newUser(t, s, user("plain"))
	forbidden := newUser(t, s, user("forbidden"), doc(deny("sts:AssumeRole", "*")))
	stranger := iam.RootOf(other)
	strangerUser := newUser(t, s, iam.Ref{Account: other, Kind: iam.User, Name: "eve"}, can)
	strangerPoor := newUser(t, s, iam.Ref{Account: other, Kind: iam.User, Name: "poor"})
	chain := assume(t, s, newRole(t, s, role("first"), doc(trust(accountRoot)), can), iam.AssumeRole{})

	arn := func(a string) string { return `{"AWS":"` + a + `"}` }
	for i, c := range []struct {
		name, trust string
		who         iam.Principal
		in          iam.AssumeRole
		ok          bool
	}{
		{"account, user with permission", doc(trust(accountRoot)), allowedUser, iam.AssumeRole{}, true},
		{"account, user without permission", doc(trust(accountRoot)), plainUser, iam.AssumeRole{}, false},
		{"account id", doc(trust(arn(account))), allowedUser, iam.AssumeRole{}, true},
		{"account, root user", doc(trust(accountRoot)), iam.RootOf(account), iam.AssumeRole{}, true},
		{"user, no permission needed", doc(trust(arn(plainUser.ARN))), plainUser, iam.AssumeRole{}, true},
		{"user with a deny", doc(trust(arn(forbidden.ARN))), forbidden, iam.AssumeRole{}, false},
		{"another user", doc(trust(arn(plainUser.ARN))), allowedUser, iam.AssumeRole{}, false},
		{"everyone", doc(trust(`"*"`)), plainUser, iam.AssumeRole{}, true},
		{"trust denies", doc(trust(`"*"`), `"Effect":"Deny","Principal":`+arn(plainUser.ARN)+`,"Action":"sts:AssumeRole"`), plainUser, iam.AssumeRole{}, false},
		{"trusts a service only", doc(trust(`{"Service":"bedrock-agentcore.amazonaws.com"}`)), allowedUser, iam.AssumeRole{}, false},
		{"trusts a service only, root user", doc(trust(`{"Service":"bedrock-agentcore.amazonaws.com"}`)), iam.RootOf(account), iam.AssumeRole{}, false},
		{"session of a role, by the role", doc(trust(arn(chain.RoleARN))), chain, iam.AssumeRole{}, true},
		{"session of a role, by its session", doc(trust(arn(chain.ARN))), chain, iam.AssumeRole{}, true},
		{"session of a role, by another session", doc(trust(arn(chain.ARN + "x"))), chain, iam.AssumeRole{}, false},
		{"another account's root user", doc(trust(arn(other))), stranger, iam.AssumeRole{}, true},
		{"another account, with permission", doc(trust(arn(other))), strangerUser, iam.AssumeRole{}, true},
		{"another account, without permission", doc(trust(arn(other))), strangerPoor, iam.AssumeRole{}, false},
		{"another account's user by name, without permission", doc(trust(arn(strangerPoor.ARN))), strangerPoor, iam.AssumeRole{}, false},
		{"another account, not trusted", doc(trust(accountRoot)), strangerUser, iam.AssumeRole{}, false},
		{"external id", doc(trust(arn(other), `"StringEquals":{"sts:ExternalId":"secret"}`)), strangerUser, iam.AssumeRole{ExternalID: "secret"}, true},
		{"wrong external id", doc(trust(arn(other), `"StringEquals":{"sts:ExternalId":"secret"}`)), strangerUser, iam.AssumeRole{ExternalID: "guess"}, false},
		{"no external id", doc(trust(arn(other), `"StringEquals":{"sts:ExternalId":"secret"}`)), strangerUser, iam.AssumeRole{}, false},
		{"CDK's Null condition", doc(trust(accountRoot, `"Null":{"sts:ExternalId":"true"}`)), allowedUser, iam.AssumeRole{}, true},
		{"CDK's Null condition, external id given", doc(trust(accountRoot, `"Null":{"sts:ExternalId":"true"}`)), allowedUser, iam.AssumeRole{ExternalID: "xx"}, false},
		{"session name", doc(trust(accountRoot, `"StringLike":{"sts:RoleSessionName":"${aws:username}"}`)), allowedUser, iam.AssumeRole{SessionName: "allowed"}, true},
		{"another session name", doc(trust(accountRoot, `"StringLike":{"sts:RoleSessionName":"${aws:username}"}`)), allowedUser, iam.AssumeRole{SessionName: "other"}, false},
		{"tags need TagSession", doc(trust(arn(plainUser.ARN))), plainUser, iam.AssumeRole{Tags: map[string]string{"a": "b"}}, false},
		{"tags with TagSession", doc(`"Effect":"Allow","Principal":` + arn(plainUser.ARN) + `,"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:RequestTag/a":"b"}}`), plainUser, iam.AssumeRole{Tags: map[string]string{"a": "b"}}, true},
		{"source identity needs its action", doc(trust(arn(plainUser.ARN))), plainUser, iam.AssumeRole{SourceIdentity: "me"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newRole(t, s, role("target"+strings.Repeat("x", i)), c.trust)
			if c.in.SessionName == "" {
				c.in.SessionName = "session"
			}
			c.in.RoleARN = e.ARN()
			got, err := s.AssumeRole(ctx, c.who, c.in)
			if !c.ok {
				want(t, err, denied, "is not authorized to perform: sts:")
				return
			}
			must(t, err)
			p := principal(t, s, got)
			if p.RoleARN != e.ARN() || p.ARN != "arn:aws:sts::"+account+":assumed-role/"+e.Name+"/"+c.in.SessionName || p.UserID != e.ID+":"+c.in.SessionName {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestAssumeRoleRules(t *testing.T) {
	s, _ := service(t)
	ctx, root := t.Context(), iam.RootOf(account)
	e := newRole(t, s, role("r"), doc(trust(accountRoot), `"Effect":"Allow","Principal":`+accountRoot+`,"Action":"sts:TagSession"`), doc(allow("sts:*", "*")))
	chain := assume(t, s, e, iam.AssumeRole{Tags: map[string]string{"team": "red", "mine": "1"}, TransitiveTags: []string{"team"}})
	big := doc(allow("s3:*", "arn:aws:s3:::"+strings.Repeat("b", 2048)))
	for _, c := range []struct {
		name string
		who  iam.Principal
		in   iam.AssumeRole
		code fault.Code
		text string
	}{
		{"no such role", root, iam.AssumeRole{RoleARN: "arn:aws:iam::" + account + ":role/none"}, denied, "sts:AssumeRole on resource"},
		{"wrong path", root, iam.AssumeRole{RoleARN: "arn:aws:iam::" + account + ":role/a/r"}, denied, ""},
		{"wrong case", root, iam.AssumeRole{RoleARN: "arn:aws:iam::" + account + ":role/R"}, denied, ""},
		{"not a role", root, iam.AssumeRole{RoleARN: "arn:aws:iam::" + account + ":user/r"}, denied, ""},
		{"not an ARN", root, iam.AssumeRole{RoleARN: "role/r and some more text"}, denied, ""},
		{"short session name", root, iam.AssumeRole{SessionName: "x"}, iam.ValidationError, "roleSessionName"},
		{"slash in the session name", root, iam.AssumeRole{SessionName: "a/b"}, iam.ValidationError, "roleSessionName"},
		{"too short", root, iam.AssumeRole{Duration: 899 * time.Second}, iam.ValidationError, "durationSeconds"},
		{"shortest", root, iam.AssumeRole{Duration: 900 * time.Second}, "", ""},
		{"longer than the role's longest", root, iam.AssumeRole{Duration: 3601 * time.Second}, iam.ValidationError, "exceeds the MaxSessionDuration set for this role"},
		{"longer than any", root, iam.AssumeRole{Duration: 43201 * time.Second}, iam.ValidationError, "durationSeconds"},
		{"chained", chain, iam.AssumeRole{Duration: time.Hour}, "", ""},
		{"chained, too long", chain, iam.AssumeRole{Duration: 2 * time.Hour}, iam.ValidationError, "role chaining"},
		{"malformed session policy", root, iam.AssumeRole{Policy: "{"}, iam.MalformedPolicy, "invalid Json"},
		{"session policy with principals", root, iam.AssumeRole{Policy: doc(`"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"`)}, iam.MalformedPolicy, "should not specify a principal"},
		{"large session policy", root, iam.AssumeRole{Policy: big}, iam.PackedTooLarge, "Packed size"},
		{"no such managed policy", root, iam.AssumeRole{PolicyARNs: []string{"arn:aws:iam::" + account + ":policy/none"}}, iam.NoSuchEntity, "none"},
		{"reserved tag", root, iam.AssumeRole{Tags: map[string]string{"aws:x": "y"}}, iam.InvalidInput, "reserved"},
		{"transitive without a tag", root, iam.AssumeRole{TransitiveTags: []string{"x"}}, iam.InvalidInput, "transitive"},
		{"against an inherited tag", chain, iam.AssumeRole{Tags: map[string]string{"Team": "blue"}}, iam.InvalidInput, "transitive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.in.RoleARN == "" {
				c.in.RoleARN = e.ARN()
			}
			if c.in.SessionName == "" {
				c.in.SessionName = "session"
			}
			_, err := s.AssumeRole(ctx, c.who, c.in)
			want(t, err, c.code, c.text)
		})
	}
	c, err := s.AssumeRole(ctx, chain, iam.AssumeRole{RoleARN: e.ARN(), SessionName: "next"})
	must(t, err)
	if p := principal(t, s, c); p.Tags["team"] != "red" || p.Tags["mine"] != "" {
		t.Errorf("inherited tags: %v", p.Tags)
	}
}

const agentcore = "bedrock-agentcore.amazonaws.com"

func TestRolesForServices(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	const interpreter = "arn:aws:bedrock-agentcore:us-west-2:" + account + ":code-interpreter-custom/a-1"
	conditions := `"StringEquals":{"aws:SourceAccount":"` + account + `"},"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:us-west-2:` + account + `:*"}`
	e := newRole(t, s, role("execution"), doc(trust(`{"Service":"`+agentcore+`"}`, conditions)), doc(allow(getObject, bucket+"/*")))
	plain := newRole(t, s, role("plain"), doc(trust(accountRoot)))
	good := iam.Handover{RoleARN: e.ARN(), Service: agentcore, SourceAccount: account, SourceARN: interpreter, SessionName: "01ABC"}
	change := func(f func(*iam.Handover)) iam.Handover { h := good; f(&h); return h }
	for _, c := range []struct {
		name string
		h    iam.Handover
		code fault.Code
	}{
		{"trusted", good, ""},
		{"another service", change(func(h *iam.Handover) { h.Service = "lambda.amazonaws.com" }), denied},
		{"another resource's account", change(func(h *iam.Handover) { h.SourceAccount = other }), denied},
		{"another region", change(func(h *iam.Handover) { h.SourceARN = strings.Replace(interpreter, "us-west-2", "us-east-1", 1) }), denied},
		{"a role that trusts the account only", change(func(h *iam.Handover) { h.RoleARN = plain.ARN() }), denied},
		{"no such role", change(func(h *iam.Handover) { h.RoleARN += "x" }), iam.NoSuchEntity},
	} {
		t.Run(c.name, func(t *testing.T) {
			want(t, s.TrustsService(ctx, c.h), c.code, "")
			_, err := s.AssumeRoleForService(ctx, c.h)
			want(t, err, c.code, "")
		})
	}
	c, err := s.AssumeRoleForService(ctx, good)
	must(t, err)
	p := principal(t, s, c)
	must(t, s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object}))
	want(t, s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: "arn:aws:s3:::other/x"}), denied, "assumed-role/execution/01ABC")

	if n, err := s.EndSessions(ctx, iam.Sessions{}); err != nil || n != 0 {
		t.Error("an empty selection ended sessions", n, err)
	}
	n, err := s.EndSessions(ctx, iam.Sessions{Service: agentcore, SourceARN: interpreter, Name: "01ABC"})
	if err != nil || n != 2 { // one of the table, and this one
		t.Error(n, err)
	}
	if _, _, _, err := s.Key(ctx, c.AccessKeyID, c.Token); !errors.Is(err, iam.ErrUnknownKey) {
		t.Error("credentials live on after their session", err)
	}
}

func TestAttackSessionTokens(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	ann := newUser(t, s, user("ann"))
	e := newRole(t, s, role("r"), doc(trust(accountRoot)))
	a, err := s.AssumeRole(ctx, iam.RootOf(account), iam.AssumeRole{RoleARN: e.ARN(), SessionName: "one"})
	must(t, err)
	b, err := s.AssumeRole(ctx, iam.RootOf(account), iam.AssumeRole{RoleARN: e.ARN(), SessionName: "two"})
	must(t, err)
	for _, c := range []struct {
		name, id, token string
		err             error
	}{
		{"right", a.AccessKeyID, a.Token, nil},
		{"none", a.AccessKeyID, "", iam.ErrInvalidToken},
		{"of another session", a.AccessKeyID, b.Token, iam.ErrInvalidToken},
		{"one character more", a.AccessKeyID, a.Token + "A", iam.ErrInvalidToken},
		{"one character less", a.AccessKeyID, a.Token[:len(a.Token)-1], iam.ErrInvalidToken},
		{"changed", a.AccessKeyID, "A" + strings.ToLower(a.Token[1:]), iam.ErrInvalidToken},
		{"with a long-lived key", ann.AccessKeyID, a.Token, iam.ErrInvalidToken},
		{"long-lived key", ann.AccessKeyID, "", nil},
		{"unknown key", "ASIAAAAAAAAAAAAAAAAA", a.Token, iam.ErrUnknownKey},
		{"no key", "", "", iam.ErrUnknownKey},
		{"key with SQL", "' OR 1=1 --", "", iam.ErrUnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, _, err := s.Key(ctx, c.id, c.token); !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
		})
	}
}

// Deleting a role ends its sessions at once: the key is unknown, and a principal that was looked up before may do nothing more. A role of the same name does not revive them.
func TestAttackSessionOfADeletedRole(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	e := newRole(t, s, role("r"), doc(trust(accountRoot)), doc(allow("*", "*")))
	c, err := s.AssumeRole(ctx, iam.RootOf(account), iam.AssumeRole{RoleARN: e.ARN(), SessionName: "one"})
	must(t, err)
	p := principal(t, s, c)
	must(t, s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object}))
	must(t, s.DeleteInline(ctx, e.Ref, "p0"))
	must(t, s.Delete(ctx, e.Ref))
	for range 2 {
		want(t, s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object}), denied, "")
		if _, _, _, err := s.Key(ctx, c.AccessKeyID, c.Token); !errors.Is(err, iam.ErrUnknownKey) {
			t.Error(err)
		}
		if _, err := s.Entity(ctx, e.Ref); err != nil {
			newRole(t, s, role("r"), doc(trust(accountRoot)), doc(allow("*", "*")))
		}
	}
}

func TestInactiveKeys(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	p := newUser(t, s, user("ann"))
	must(t, s.SetAccessKey(ctx, user("ann"), p.AccessKeyID, false))
	if _, _, _, err := s.Key(ctx, p.AccessKeyID, ""); !errors.Is(err, iam.ErrUnknownKey) {
		t.Error(err)
	}
	must(t, s.SetAccessKey(ctx, user("ann"), p.AccessKeyID, true))
	_, _, _, err := s.Key(ctx, p.AccessKeyID, "")
	must(t, err)
	must(t, s.DeleteAccessKey(ctx, user("ann"), p.AccessKeyID))
	if _, _, _, err := s.Key(ctx, p.AccessKeyID, ""); !errors.Is(err, iam.ErrUnknownKey) {
		t.Error(err)
	}
}

func TestSessionTokenRules(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	ann := newUser(t, s, user("ann"), doc(allow("*", "*")))
	c, err := s.SessionToken(ctx, ann, 0)
	must(t, err)
	p := principal(t, s, c)
	if p.ARN != ann.ARN || p.UserID != ann.UserID || p.Kind != iam.UserPrincipal || !p.Temporary {
		t.Errorf("%+v", p)
	}
	want(t, s.Authorize(ctx, iam.Request{Principal: p, Action: "s3:PutObject", Resource: object}), "", "")
	want(t, s.Authorize(ctx, iam.Request{Principal: p, Action: "iam:CreateUser", Resource: "*"}), denied, "")
	_, err = s.SessionToken(ctx, p, 0)
	want(t, err, denied, "Cannot call GetSessionToken with session credentials")
	_, err = s.SessionToken(ctx, ann, time.Minute)
	want(t, err, iam.ValidationError, "durationSeconds")
	c, err = s.SessionToken(ctx, iam.RootOf(account), 36*time.Hour)
	must(t, err)
	if d := time.Until(c.Expires); d > time.Hour {
		t.Error("the root user's token is good for", d)
	}
	if p := principal(t, s, c); p.Kind != iam.Root || !p.Temporary {
		t.Errorf("%+v", p)
	}
}

// Tokens are good after a restart, and the store has nothing that they can be made from.
func TestTokensSurviveARestart(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "store.db")
	first := open(t, path)
	s := iam.New(iam.Options{Store: first})
	e := newRole(t, s, role("r"), doc(trust(accountRoot)))
	c, err := s.AssumeRole(ctx, iam.RootOf(account), iam.AssumeRole{RoleARN: e.ARN(), SessionName: "one"})
	must(t, err)
	must(t, first.Close())
	second := open(t, path)
	principal(t, iam.New(iam.Options{Store: second}), c)
	record, found, err := second.Credential(ctx, c.AccessKeyID)
	if err != nil || !found || strings.Contains(string(record.Session.TokenHash), c.Token) || len(record.Session.TokenHash) != 32 {
		t.Error("the token itself is stored", found, err)
	}
}

// memory is a store of one session, for tests whose time is not real.
type memory struct {
	iam.Store
	session iam.Session
}

func (m *memory) CreateTemporary(_ context.Context, s iam.Session, _ time.Time) error {
	m.session = s
	return nil
}

func (m *memory) Credential(context.Context, string) (iam.Credential, bool, error) {
	return iam.Credential{Secret: m.session.Secret, Active: true, Account: account, Session: &m.session}, true, nil
}

func (m *memory) Used(context.Context, []iam.KeyUse) error { return nil }

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		s := iam.New(iam.Options{Store: m})
		c, err := s.SessionToken(t.Context(), iam.RootOf(account), 15*time.Minute)
		must(t, err)
		time.Sleep(15*time.Minute - time.Second)
		_, _, _, err = s.Key(t.Context(), c.AccessKeyID, c.Token)
		must(t, err)
		time.Sleep(time.Second)
		if _, _, _, err = s.Key(t.Context(), c.AccessKeyID, c.Token); !errors.Is(err, iam.ErrExpiredToken) {
			t.Error(err)
		}
		if _, _, _, err = s.Key(t.Context(), c.AccessKeyID, "guess"); !errors.Is(err, iam.ErrInvalidToken) {
			t.Error("who has no token must not learn that it has expired", err)
		}
	})
}
