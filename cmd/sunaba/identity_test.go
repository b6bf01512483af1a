package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/store"
)

const testAccount = "111122223333"

func openIdentities(t *testing.T, path string) (identities, func()) {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	who := identities{iam.New(iam.Options{Store: db})}
	return who, func() {
		if err := who.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Every operation of every service says what it acts on, and is decided about. Those that policies do not decide about are here by name: one more is a decision, not an accident.
func TestEveryOperationIsAuthorised(t *testing.T) {
	who, done := openIdentities(t, filepath.Join(t.TempDir(), "store.db"))
	defer done()
	exempted := map[string]string{}
	for _, s := range (domains{who: who}).services() {
		if s.Authorize == nil {
			t.Errorf("nothing decides about the operations of %s", s.Name)
		}
		if len(s.Operations) == 0 {
			t.Errorf("%s has no operations", s.Name)
		}
		for _, name := range s.Undeclared() {
			t.Errorf("%s:%s does not declare what it acts on: wrap it in wire.On", s.Name, name)
		}
		for name := range s.Exempted() {
			exempted[s.Name+":"+name] = ""
		}
	}
	want := map[string]string{"sts:GetCallerIdentity": "", "sts:AssumeRole": "", "sts:GetSessionToken": ""}
	if d := cmp.Diff(want, exempted); d != "" {
		t.Errorf("operations that policies do not decide about: %s", d)
	}
}

// A session's credentials die with the server: the next run voids them before it does anything else, and leaves everyone else's.
func TestAttackCredentialsOfASessionThatDiedWithTheServer(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "store.db")
	first, stop := openIdentities(t, path)
	const trust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com","AWS":"111122223333"},"Action":"sts:AssumeRole"}}`
	role, err := first.Create(ctx, iam.NewEntity{Ref: iam.Ref{Account: testAccount, Kind: iam.Role, Name: "r"}, Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	session, err := first.AssumeRoleForService(ctx, iam.Handover{RoleARN: role.ARN(), Service: agentcoreService, SourceAccount: testAccount, SourceARN: "arn:x", SessionName: "s1", Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	person, err := first.AssumeRole(ctx, iam.RootOf(testAccount), iam.AssumeRole{RoleARN: role.ARN(), SessionName: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Lookup(ctx, session.AccessKeyID, session.Token); err != nil {
		t.Fatal(err)
	}
	stop()

	second, stop := openIdentities(t, path)
	defer stop()
	if _, err := second.Lookup(ctx, session.AccessKeyID, session.Token); err != nil { // so that what is in memory is put to the test too
		t.Fatal(err)
	}
	if n, err := second.endSessions(ctx); err != nil || n != 1 {
		t.Error(n, err)
	}
	if _, err := second.Lookup(ctx, session.AccessKeyID, session.Token); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Errorf("the key of a dead session: %v", err)
	}
	if _, err := second.Lookup(ctx, person.AccessKeyID, person.Token); err != nil {
		t.Errorf("a session that is none of the service's: %v", err)
	}
}

func TestAdmissionNotesTheUseOfTheKey(t *testing.T) {
	ctx := t.Context()
	who, done := openIdentities(t, filepath.Join(t.TempDir(), "store.db"))
	defer done()
	ann := iam.Ref{Account: testAccount, Kind: iam.User, Name: "ann"}
	if _, err := who.Create(ctx, iam.NewEntity{Ref: ann}); err != nil {
		t.Fatal(err)
	}
	k, err := who.CreateAccessKey(ctx, ann)
	if err != nil {
		t.Fatal(err)
	}
	key, err := who.Lookup(ctx, k.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.ID+"/20260102/eu-central-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
	r.Header.Set("X-Amz-Date", "20260102T030405Z")
	if _, p := who.admit(ctx, key.Principal, r); p.ARN != "arn:aws:iam::111122223333:user/ann" {
		t.Error(p)
	}
	if name, use, err := who.AccessKeyUse(ctx, testAccount, k.ID); err != nil || name != "ann" || use.Service != "sts" || use.Region != "eu-central-1" || use.At.IsZero() {
		t.Error(name, use, err)
	}
}

func TestServiceOfHost(t *testing.T) {
	for host, want := range map[string]string{
		"s3.us-west-2.amazonaws.com":                            "s3",
		"S3.us-west-2.amazonaws.com:443":                        "s3",
		"bucket.s3.us-west-2.amazonaws.com":                     "s3",
		"a.b.s3.dualstack.us-west-2.amazonaws.com":              "s3",
		"bedrock-agentcore.s3.us-west-2.amazonaws.com":          "s3",
		"s3.localhost:4566":                                     "s3",
		"bucket.s3.localhost:4566":                              "s3",
		"bucket.localhost:4566":                                 "",
		"sts.us-east-1.amazonaws.com":                           "sts",
		"iam.amazonaws.com":                                     "iam",
		"bedrock-agentcore.us-west-2.amazonaws.com":             "bedrock-agentcore",
		"bedrock-agentcore-control.us-west-2.amazonaws.com:443": "bedrock-agentcore",
		"127.0.0.1:4566":                                        "",
		"[::1]:4566":                                            "",
		"localhost":                                             "",
		"":                                                      "",
		"s3.us-west-2.amazonaws.com.evil.example":               "",
		"notamazonaws.com":                                      "",
	} {
		if got := serviceOfHost(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

// A session that may use S3 alone reaches the server under S3's names, with any path and any password.
func TestAttackRegistryUnderTheNameOfS3(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:4566": true, "localhost": true, "000000000000.dkr.ecr.us-west-2.amazonaws.com": true,
		"s3.us-west-2.amazonaws.com": false, "bucket.s3.us-west-2.amazonaws.com": false, "s3.amazonaws.com": false, "sts.amazonaws.com": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/repository/manifests/latest", nil)
		r.SetBasicAuth("AWS", "password")
		if got := isRegistry(r); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}
