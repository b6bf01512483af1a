package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// BenchmarkSignedRequest measures signed requests through the server, in this process: the signature is verified, and iam:GetUser is decided about with a hundred policies of 2 KB on the caller. A request
// that nothing is decided about (GetCallerIdentity) is beside it, and the parts of the server that are neither in Verify and Authorize.
func BenchmarkSignedRequest(b *testing.B) {
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	check(err)
	limits, ctx := iam.DefaultLimits, b.Context()
	limits.Attached = 100
	who := identities{iam.New(iam.Options{Store: db, Limits: limits})}
	b.Cleanup(func() { _, _ = who.Close(ctx), db.Close() })
	ann := iam.Ref{Account: testAccount, Kind: iam.User, Name: "ann"}
	_, err = who.Create(ctx, iam.NewEntity{Ref: ann})
	check(err)
	for i := range limits.Attached {
		var statements []string
		for j := range 8 {
			statements = append(statements, fmt.Sprintf(`{"Sid":"S%d","Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Tag*"],"Resource":["arn:aws:iam::%s:role/app-%d/service-%d-*","arn:aws:iam::%s:user/${aws:username}/%d"],"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}}`, j, testAccount, i, j, testAccount, j))
		}
		if i == limits.Attached-1 {
			statements = append(statements, `{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}`)
		}
		p, err := who.CreatePolicy(ctx, iam.NewPolicy{Account: testAccount, Name: fmt.Sprintf("p%d", i), Document: `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`})
		check(err)
		check(who.Attach(ctx, ann, p.ARN()))
	}
	k, err := who.CreateAccessKey(ctx, ann)
	check(err)
	verifier := &sigv4.Verifier{Keys: who}
	s := server.New(server.Options{Services: domains{who: who}.services(), Verifier: verifier, Admit: who.admit, ServiceOf: serviceOfHost, Log: slog.New(slog.DiscardHandler)})
	signed := func(b *testing.B, service, version, action string) func() *http.Request {
		body := "Action=" + action + "&Version=" + version
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:4566/", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.ContentLength = int64(len(body))
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
			b.Fatal(err)
		}
		return func() *http.Request {
			c := r.Clone(ctx)
			c.Body = io.NopCloser(strings.NewReader(body))
			return c
		}
	}
	for _, c := range []struct{ action, service, version string }{{"GetUser", "iam", "2010-05-08"}, {"GetCallerIdentity", "sts", "2011-06-15"}} {
		b.Run(c.action, func(b *testing.B) {
			request := signed(b, c.service, c.version, c.action)
			for b.Loop() {
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, request()); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
	b.Run("VerifyAndAuthorize", func(b *testing.B) {
		request := signed(b, "iam", "2010-05-08", "GetUser")
		for b.Loop() {
			r := request()
			identity, err := verifier.Verify(r)
			if err != nil {
				b.Fatal(err)
			}
			ctx, p := who.admit(ctx, identity.Principal, r)
			if err := who.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: "iam:GetUser", Resource: p.ARN}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
