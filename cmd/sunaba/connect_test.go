package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// secretsLab is a session's role, and secrets.
type secretsLab struct {
	*testing.T
	who     identities
	secrets *secrets.Service
	scope   secrets.Scope
	role    iam.Entity
	read    *roleSecrets
}

func newSecretsLab(t *testing.T) *secretsLab {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sealed.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	l := &secretsLab{T: t, who: identities{iam.New(iam.Options{Store: db})}, secrets: secrets.New(secrets.Options{Store: db, Seal: key}),
		scope: secrets.Scope{Account: testAccount, Region: "us-west-2"}}
	t.Cleanup(func() {
		if err := errors.Join(l.who.Close(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	const trust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	if l.role, err = l.who.Create(t.Context(), iam.NewEntity{Ref: iam.Ref{Account: testAccount, Kind: iam.Role, Name: "r"}, Trust: trust}); err != nil {
		t.Fatal(err)
	}
	role := iam.Handover{RoleARN: l.role.ARN(), Service: agentcoreService, SourceAccount: testAccount, SourceARN: "arn:x", SessionName: "s1", Duration: credentialsTime}
	l.read = &roleSecrets{role: roleCredentials{l.who, role}, secrets: l.secrets, scope: l.scope}
	return l
}

func (l *secretsLab) create(name string, v secrets.Value, tags map[string]string) secrets.Secret {
	l.Helper()
	x, _, err := l.secrets.Create(l.Context(), secrets.NewSecret{Scope: l.scope, Name: name, Value: v, Tags: tags})
	if err != nil {
		l.Fatal(err)
	}
	return x
}

func (l *secretsLab) allow(statement string) {
	l.Helper()
	if err := l.who.PutInline(l.Context(), l.role.Ref, "p", `{"Version":"2012-10-17","Statement":[`+statement+`]}`); err != nil {
		l.Fatal(err)
	}
}

func (l *secretsLab) reads(id, want string) {
	l.Helper()
	if text, err := l.read.Secret(l.Context(), id); text != want || err != nil {
		l.Errorf("%s: %q %v; want %q", id, text, err, want)
	}
}

// denied is a secret that the role cannot read, whether it exists or not.
func (l *secretsLab) denied(id string) {
	l.Helper()
	if text, err := l.read.Secret(l.Context(), id); text != "" || !errors.Is(err, network.ErrNoSecret) || strings.Contains(err.Error(), "value of") {
		l.Errorf("%s: %q %v", id, text, err)
	}
}

func TestSecretsAreReadAsTheExecutionRole(t *testing.T) {
	l, ctx := newSecretsLab(t), t.Context()
	mine := l.create("prod/token", secrets.Text("value of mine"), map[string]string{"team": "a"})
	l.create("other", secrets.Text("value of other"), nil)
	bin := l.create("binary", secrets.Binary([]byte("value of bin")), nil)
	l.denied("prod/token") // the role may nothing yet
	l.denied("none")
	l.allow(`{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":["arn:aws:secretsmanager:us-west-2:111122223333:secret:prod/*","` + bin.ARN() + `"],
		"Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"},"Bool":{"aws:SecureTransport":"true"}}}`)
	l.reads("prod/token", "value of mine")
	l.reads(mine.ARN(), "value of mine")
	l.denied("other")
	l.denied("prod/none")
	l.denied("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/token-AbCdEf") // another region's
	if text, err := l.read.Secret(ctx, "binary"); text != "" || err == nil || errors.Is(err, network.ErrNoSecret) || strings.Contains(err.Error(), "value of") {
		t.Errorf("%q %v", text, err)
	}
	if _, _, err := l.secrets.Put(ctx, l.scope, "prod/token", secrets.Put{Value: secrets.Text("value of mine, rotated")}); err != nil {
		t.Fatal(err)
	}
	l.reads("prod/token", "value of mine, rotated")
	l.allow(`{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}`)
	l.reads("prod/token", "value of mine, rotated")
	l.denied("other")
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"` + l.role.ARN() + `"},"Action":"*","Resource":"*"}]}`
	if _, err := l.secrets.PutPolicy(ctx, l.scope, "prod/token", deny, false); err != nil {
		t.Fatal(err)
	}
	l.denied("prod/token")
	if _, err := l.secrets.DeletePolicy(ctx, l.scope, "prod/token"); err != nil {
		t.Fatal(err)
	}
	l.reads("prod/token", "value of mine, rotated")
	if _, _, err := l.secrets.Delete(ctx, l.scope, "prod/token", secrets.Delete{}); err != nil {
		t.Fatal(err)
	}
	l.denied("prod/token")
}

// TestSecretsEndWithTheRole: keys that end are made again, but not when the role is gone.
func TestSecretsEndWithTheRole(t *testing.T) {
	l := newSecretsLab(t)
	l.create("token", secrets.Text("value of token"), nil)
	l.allow(`{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}`)
	l.reads("token", "value of token")
	if n, err := l.who.EndSessions(t.Context(), iam.Sessions{Service: agentcoreService}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	l.reads("token", "value of token")
	if err := errors.Join(l.who.DeleteInline(t.Context(), l.role.Ref, "p"), l.who.Delete(t.Context(), l.role.Ref)); err != nil {
		t.Fatal(err)
	}
	l.denied("token")
}

func TestTagsAboutSecretsAreChecked(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/r"
	public := codeinterpreter.Network{Mode: codeinterpreter.NetworkPublic}
	for _, c := range []struct {
		network    codeinterpreter.Network
		role, list string
		want       string // in the message; "" for what is right
	}{
		{public, role, "api.example.com=openai .example.org=prod/token:X-Api-Key", ""},
		{public, "", "api.example.com=openai", "no execution role"},
		{codeinterpreter.Network{Mode: codeinterpreter.NetworkSandbox}, role, "api.example.com=openai", "SANDBOX has no way out"},
		{public, role, "api.example.com", "HOST=SECRET"},
		{public, role, "", "empty"},
		{public, role, "s3.amazonaws.com=x", "AWS's endpoints"},
	} {
		err := outside{}.check(codeinterpreter.Interpreter{Network: c.network, ExecutionRole: c.role, Tags: map[string]string{secretsTag: c.list}})
		if c.want == "" && err == nil {
			continue
		}
		if !fault.Is(err, fault.Validation) || !strings.Contains(err.Error(), "tags."+secretsTag) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestSessionsOfATaggedInterpreter(t *testing.T) {
	list := "api.example.com=openai"
	i := codeinterpreter.Interpreter{Network: codeinterpreter.Network{Mode: codeinterpreter.NetworkPublic}, Tags: map[string]string{secretsTag: list}}
	want, err := network.ParseInjections(list)
	if err != nil {
		t.Fatal(err)
	}
	if got := (outside{}).of(i); !reflect.DeepEqual(got.Injections, want) {
		t.Errorf("%v", got.Injections)
	}
	i.Network.Mode = codeinterpreter.NetworkSandbox
	if (outside{}).of(i) != nil {
		t.Error("a session in SANDBOX mode has an outside")
	}
}
