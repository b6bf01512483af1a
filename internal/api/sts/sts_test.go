package sts_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/api/sts"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const account = "111122223333"

type client struct {
	t    *testing.T
	iam  *iam.Service
	wire *wire.Service
}

func newClient(t *testing.T) *client {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := iam.New(iam.Options{Store: db})
	return &client{t: t, iam: s, wire: (&sts.API{IAM: s}).Service()}
}

func (c *client) call(who iam.Principal, operation string, pairs ...string) (status int, body string) {
	c.t.Helper()
	form := url.Values{"Action": {operation}, "Version": {"2011-06-15"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	ctx := wire.WithRequest(c.t.Context(), &wire.Request{ID: "id", Account: who.Account, Principal: who.ARN})
	r := httptest.NewRequestWithContext(iam.WithPrincipal(ctx, who), http.MethodPost, "/", nil)
	w := httptest.NewRecorder()
	_ = c.wire.Handle(w, r, []byte(form.Encode()))
	return w.Code, w.Body.String()
}

func (c *client) ok(who iam.Principal, operation string, pairs ...string) string {
	c.t.Helper()
	status, body := c.call(who, operation, pairs...)
	if status != http.StatusOK || !strings.HasPrefix(body, "<"+operation+`Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`) {
		c.t.Fatalf("%s: %d %s", operation, status, body)
	}
	return body
}

func (c *client) fails(who iam.Principal, status int, code, message, operation string, pairs ...string) {
	c.t.Helper()
	got, body := c.call(who, operation, pairs...)
	if got != status || !strings.Contains(body, "<Code>"+code+"</Code>") || !strings.Contains(body, message) {
		c.t.Errorf("%s: %d %s, want %d %s %q", operation, got, body, status, code, message)
	}
}

func between(body, name string) string {
	_, rest, _ := strings.Cut(body, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// login returns the principal of the credentials in an answer.
func (c *client) login(body string) iam.Principal {
	c.t.Helper()
	_, p, _, err := c.iam.Key(c.t.Context(), between(body, "AccessKeyId"), between(body, "SessionToken"))
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *client) role(name, trust string) iam.Entity {
	c.t.Helper()
	e, err := c.iam.Create(c.t.Context(), iam.NewEntity{Ref: iam.Ref{Account: account, Kind: iam.Role, Name: name}, Trust: trust})
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

func (c *client) user(name string) iam.Principal {
	c.t.Helper()
	r := iam.Ref{Account: account, Kind: iam.User, Name: name}
	if _, err := c.iam.Create(c.t.Context(), iam.NewEntity{Ref: r}); err != nil {
		c.t.Fatal(err)
	}
	k, err := c.iam.CreateAccessKey(c.t.Context(), r)
	if err != nil {
		c.t.Fatal(err)
	}
	_, p, _, err := c.iam.Key(c.t.Context(), k.ID, "")
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`

func TestWhoIsEachKindOfCaller(t *testing.T) {
	c := newClient(t)
	root, ann := iam.RootOf(account), c.user("ann")
	e := c.role("r", trust)
	body := c.ok(root, "AssumeRole", "RoleArn", e.ARN(), "RoleSessionName", "work")
	session := c.login(body)
	token := c.login(c.ok(ann, "GetSessionToken"))
	for _, w := range []struct {
		who     iam.Principal
		arn, id string
	}{
		{root, "arn:aws:iam::111122223333:root", account},
		{ann, "arn:aws:iam::111122223333:user/ann", ann.UserID},
		{token, "arn:aws:iam::111122223333:user/ann", ann.UserID},
		{session, "arn:aws:sts::111122223333:assumed-role/r/work", e.ID + ":work"},
	} {
		body := c.ok(w.who, "GetCallerIdentity")
		if between(body, "Arn") != w.arn || between(body, "UserId") != w.id || between(body, "Account") != account {
			t.Error(body)
		}
	}
	if between(body, "AssumedRoleId") != e.ID+":work" || !strings.HasPrefix(between(body, "AccessKeyId"), "ASIA") || between(body, "Expiration") == "" {
		t.Error(body)
	}
}

func TestAssumeRole(t *testing.T) {
	c := newClient(t)
	root, ann := iam.RootOf(account), c.user("ann")
	e := c.role("r", trust)
	with := func(more ...string) []string {
		return append([]string{"RoleArn", e.ARN(), "RoleSessionName", "work"}, more...)
	}
	body := c.ok(root, "AssumeRole", with("DurationSeconds", "900", "Tags.member.1.Key", "team", "Tags.member.1.Value", "red", "TransitiveTagKeys.member.1", "team",
		"Policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)...)
	if p := c.login(body); p.Tags["team"] != "red" || between(body, "PackedPolicySize") == "" {
		t.Error(p, body)
	}
	c.fails(ann, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: sts:AssumeRole on resource: "+e.ARN()+"<", "AssumeRole", with()...)
	c.fails(root, 403, "AccessDenied", "", "AssumeRole", "RoleArn", e.ARN()+"x", "RoleSessionName", "work")
	c.fails(root, 400, "MalformedPolicyDocument", "invalid Json", "AssumeRole", with("Policy", "{")...)
	c.fails(root, 400, "ValidationError", "MaxSessionDuration", "AssumeRole", with("DurationSeconds", "7200")...)
	c.fails(root, 400, "ValidationError", "policy/none", "AssumeRole", with("PolicyArns.member.1.arn", "arn:aws:iam::111122223333:policy/none")...)
	c.fails(root, 403, "AccessDenied", "MFA", "AssumeRole", with("SerialNumber", "arn:aws:iam::111122223333:mfa/x", "TokenCode", "123456")...)
	c.fails(root, 400, "InvalidInput", "Duplicate", "AssumeRole", with("Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "a", "Tags.member.2.Value", "2")...)
	c.fails(iam.Principal{}, 403, "AccessDenied", "anonymous", "AssumeRole", with()...)
	for _, pairs := range [][]string{with("DurationSeconds", "899"), with("DurationSeconds", "43201"), with("RoleSessionName", "a b"), {"RoleSessionName", "work"}} {
		c.fails(root, 400, "ValidationError", "1 validation error detected: Value ", "AssumeRole", pairs...)
	}
}

func TestOtherOperations(t *testing.T) {
	c := newClient(t)
	root, ann := iam.RootOf(account), c.user("ann")
	session := c.login(c.ok(root, "AssumeRole", "RoleArn", c.role("r", trust).ARN(), "RoleSessionName", "work"))
	c.fails(session, 403, "AccessDenied", "session credentials", "GetSessionToken")
	c.fails(iam.Principal{}, 403, "AccessDenied", "", "GetSessionToken")
	if body := c.ok(root, "GetAccessKeyInfo", "AccessKeyId", ann.AccessKeyID); between(body, "Account") != account {
		t.Error(body)
	}
	c.fails(root, 400, "ValidationError", "", "GetAccessKeyInfo", "AccessKeyId", "AKIANOBODYNOBODYNOBO")
	c.fails(ann, 403, "AccessDenied", "sts:GetAccessKeyInfo", "GetAccessKeyInfo", "AccessKeyId", ann.AccessKeyID)
}
