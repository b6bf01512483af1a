package iam_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// The benchmarks have a user with a hundred policies of 2 KB each, ten times what AWS lets one have.
const (
	benchPolicies = 100
	benchBytes    = 2048
)

// benchPolicy returns a policy of about 2 KB as people write them: a few actions, a few resources, some conditions in each statement. Those of one service are the worst case: every one has to be looked
// at for a request of that service.
func benchPolicy(n int, services []string) string {
	var statements []string
	for i, size := 0, 0; size < benchBytes-320; i++ {
		s := services[(n+i)%len(services)]
		t := fmt.Sprintf(`"Sid":"S%d","Effect":"Allow","Action":["%s:Get*","%s:List*","%s:PutObject%d"],"Resource":["arn:aws:%s:::bucket-%d-%d","arn:aws:%s:::bucket-%d-%d/home/${aws:username}/*"]`,
			i, s, s, s, i, s, n, i, s, n, i)
		if i%2 == 0 {
			t += `,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`
		}
		statements, size = append(statements, t), size+len(t)
	}
	return doc(statements...)
}

// benchUser returns a service with the user, and a key of the user.
func benchUser(b *testing.B, services ...string) (*iam.Service, string) {
	b.Helper()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	check(err)
	b.Cleanup(func() { check(db.Close()) })
	limits := iam.DefaultLimits
	limits.Attached = benchPolicies
	s, ctx := iam.New(iam.Options{Store: db, Limits: limits}), b.Context()
	_, err = s.Create(ctx, iam.NewEntity{Ref: user("ann"), Tags: map[string]string{"Team": "red"}})
	check(err)
	for i := range benchPolicies {
		text := benchPolicy(i, services)
		if i == 0 {
			b.ReportMetric(float64(len(text)), "policy-bytes")
		}
		if i == benchPolicies-1 {
			text = strings.Replace(text, "{\"Sid\":\"S0\"", "{"+allow(getObject, object)+"},{\"Sid\":\"S0\"", 1)
		}
		p, err := s.CreatePolicy(ctx, iam.NewPolicy{Account: account, Name: fmt.Sprintf("p%d", i), Document: text})
		check(err)
		check(s.Attach(ctx, user("ann"), p.ARN()))
	}
	k, err := s.CreateAccessKey(ctx, user("ann"))
	check(err)
	return s, k.ID
}

// BenchmarkDecision is what a request costs in IAM: its key is looked up, and one action is decided about.
func BenchmarkDecision(b *testing.B) {
	mixed := []string{"s3", "ec2", "sqs", "sns", "ecr", "ssm", "logs", "kms", "bedrock-agentcore", "secretsmanager"}
	for _, c := range []struct {
		name     string
		services []string
	}{{"TenServices", mixed}, {"OneService", []string{"s3"}}} {
		b.Run(c.name, func(b *testing.B) {
			s, id := benchUser(b, c.services...)
			ctx := iam.WithKeys(b.Context(), map[string][]string{"aws:SourceIp": {"127.0.0.1"}, "aws:UserAgent": {"bench"}, "aws:SecureTransport": {"true"}})
			for b.Loop() {
				_, p, _, err := s.Key(ctx, id, "")
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
