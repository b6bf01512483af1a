package iam_test

import (
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

// How a permissions boundary combines with the other policies: User Guide, "Permissions boundaries" and "evaluating identity-based policies with boundaries".
func TestBoundaries(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	bound := func(name, document string) string {
		p, err := s.CreatePolicy(ctx, iam.NewPolicy{Account: account, Name: name, Document: document})
		must(t, err)
		return p.ARN()
	}
	reads, nothing, denies := bound("reads", doc(allow("s3:Get*", "*"))), bound("nothing", doc(allow("ec2:*", "*"))), bound("denies", doc(allow("*", "*"), deny("s3:Get*", "*")))
	can := doc(allow("s3:*", "*"))
	newBounded := func(name, boundary string, policies ...string) iam.Principal {
		p := newUser(t, s, user(name), policies...)
		must(t, s.SetBoundary(ctx, user(name), boundary))
		return p
	}
	both, outside, denied, bare := newBounded("both", reads, can), newBounded("outside", nothing, can), newBounded("denied", denies, can), newBounded("bare", reads)
	e := newRole(t, s, role("r"), doc(trust(accountRoot)), can)
	must(t, s.SetBoundary(ctx, e.Ref, nothing))
	session := assume(t, s, e, iam.AssumeRole{})
	fine := newRole(t, s, role("fine"), doc(trust(accountRoot)), can)
	must(t, s.SetBoundary(ctx, fine.Ref, reads))
	narrowed := assume(t, s, fine, iam.AssumeRole{Policy: doc(allow("ec2:*", "*"))})
	bucketPolicy := func(principal string) []byte {
		return []byte(doc(`"Effect":"Allow","Principal":` + principal + `,"Action":"s3:*","Resource":"` + bucket + `/*"`))
	}
	arn := func(a string) string { return `{"AWS":"` + a + `"}` }
	const noBoundary, denyBoundary = "because no permissions boundary allows the s3:GetObject action", "with an explicit deny in a permissions boundary"
	for _, c := range []struct {
		name   string
		who    iam.Principal
		action string
		bucket []byte
		owner  string
		why    string
	}{
		{"both allow", both, getObject, nil, "", allowed},
		{"the policy allows more than the boundary", both, "s3:PutObject", nil, "", "because no permissions boundary allows the s3:PutObject action"},
		{"the boundary allows, and nothing else does", bare, getObject, nil, "", noIdentity},
		{"outside the boundary", outside, getObject, nil, "", noBoundary},
		{"the boundary denies", denied, getObject, nil, "", denyBoundary},
		{"the boundary denies, a bucket policy names the user", denied, getObject, bucketPolicy(arn(denied.ARN)), "", denyBoundary},
		{"a bucket policy names the user", outside, getObject, bucketPolicy(arn(outside.ARN)), "", allowed},
		{"a bucket policy names the account", outside, getObject, bucketPolicy(accountRoot), "", noBoundary},
		{"a bucket policy names everyone", outside, getObject, bucketPolicy(`"*"`), "", noBoundary},
		{"another account's bucket policy names the user", outside, getObject, bucketPolicy(arn(outside.ARN)), other, noBoundary},
		{"another account's bucket policy names the user, within the boundary", both, getObject, bucketPolicy(arn(both.ARN)), other, allowed},
		{"a role outside its boundary", session, getObject, nil, "", noBoundary},
		{"a bucket policy names the role", session, getObject, bucketPolicy(arn(session.RoleARN)), "", noBoundary},
		{"a bucket policy names the session", session, getObject, bucketPolicy(arn(session.ARN)), "", allowed},
		{"within the boundary, outside the session policy", narrowed, getObject, nil, "", noSession},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := iam.Request{Principal: c.who, Action: c.action, Resource: object, ResourcePolicy: c.bucket}
			if c.owner != "" {
				r.Context = map[string][]string{"aws:ResourceAccount": {c.owner}}
			}
			code := fault.AccessDenied
			if c.why == allowed {
				code = ""
			}
			want(t, s.Authorize(ctx, r), code, c.why)
		})
	}
	must(t, s.SetBoundary(ctx, user("outside"), ""))
	want(t, s.Authorize(ctx, iam.Request{Principal: outside, Action: getObject, Resource: object}), "", "")
	want(t, s.SetBoundary(ctx, user("outside"), "arn:aws:iam::"+account+":policy/none"), iam.NoSuchEntity, "none")
	want(t, s.SetBoundary(ctx, user("outside"), "arn:aws:iam::"+other+":policy/reads"), iam.NoSuchEntity, "")
	want(t, s.SetBoundary(ctx, user("nobody"), reads), iam.NoSuchEntity, "nobody")
}
