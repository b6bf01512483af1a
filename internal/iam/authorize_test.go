package iam_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

const (
	noIdentity     = "because no identity-based policy allows the s3:GetObject action"
	noSession      = "because no session policy allows the s3:GetObject action"
	noResource     = "because no resource-based policy allows the s3:GetObject action"
	denyIdentity   = "with an explicit deny in an identity-based policy"
	denySession    = "with an explicit deny in a session policy"
	denyResource   = "with an explicit deny in a resource-based policy"
	allowed        = ""
	getObject      = "s3:GetObject"
	everyone       = `"*"`
	inOtherAccount = other
)

// How the policies of a principal, its session and the resource combine: User Guide, policy evaluation logic.
func TestDecisions(t *testing.T) {
	s, _ := service(t)
	bucketPolicy := func(effect, principal string) string {
		return doc(`"Effect":"` + effect + `","Principal":` + principal + `,"Action":"s3:*","Resource":"` + bucket + `/*"`)
	}
	arn := func(a string) string { return `{"AWS":"` + a + `"}` }
	can := doc(allow("s3:*", "*"))

	root := iam.RootOf(account)
	nobody := newUser(t, s, user("nobody"))
	reader := newUser(t, s, user("reader"), can)
	denied := newUser(t, s, user("denied"), can, doc(deny(getObject, "*")))
	trusting := doc(trust(accountRoot))
	narrow := doc(allow("s3:GetObject", bucket+"/a.txt"))
	elsewhere := doc(allow("s3:GetObject", "arn:aws:s3:::elsewhere/*"))
	forbidding := doc(allow("s3:*", "*"), deny(getObject, "*"))
	poorRole, richRole := newRole(t, s, role("poor"), trusting), newRole(t, s, role("rich"), trusting, can)
	poor, rich := assume(t, s, poorRole, iam.AssumeRole{}), assume(t, s, richRole, iam.AssumeRole{})
	richNarrow := assume(t, s, richRole, iam.AssumeRole{Policy: narrow})
	richElsewhere := assume(t, s, richRole, iam.AssumeRole{Policy: elsewhere})
	richForbidden := assume(t, s, richRole, iam.AssumeRole{Policy: forbidding})
	poorNarrow := assume(t, s, poorRole, iam.AssumeRole{Policy: narrow})
	poorElsewhere := assume(t, s, poorRole, iam.AssumeRole{Policy: elsewhere})
	agentcore := iam.Principal{Kind: iam.ServicePrincipal, Service: "bedrock-agentcore.amazonaws.com"}
	token, err := s.SessionToken(t.Context(), reader, 0)
	must(t, err)
	readerToken := principal(t, s, token)

	for _, c := range []struct {
		name     string
		who      iam.Principal
		resource string // policy
		owner    string // account of the bucket; "" is the principal's
		why      string
	}{
		{"root", root, "", "", allowed},
		{"root, resource allows another", root, bucketPolicy("Allow", arn(nobody.ARN)), "", allowed},
		{"root, resource denies", root, bucketPolicy("Deny", everyone), "", denyResource},
		{"root, resource denies the account", root, bucketPolicy("Deny", arn(account)), "", denyResource},
		{"root of another account", root, "", inOtherAccount, noResource},
		{"root of another account, allowed there", root, bucketPolicy("Allow", arn(account)), inOtherAccount, allowed},

		{"user without policies", nobody, "", "", noIdentity},
		{"user with a policy", reader, "", "", allowed},
		{"user with a deny", denied, "", "", denyIdentity},
		{"user, resource allows it", nobody, bucketPolicy("Allow", arn(nobody.ARN)), "", allowed},
		{"user, resource allows everyone", nobody, bucketPolicy("Allow", everyone), "", allowed},
		{"user, resource allows the account", nobody, bucketPolicy("Allow", arn(account)), "", noIdentity},
		{"user, resource allows another", nobody, bucketPolicy("Allow", arn(reader.ARN)), "", noIdentity},
		{"user, resource denies it", reader, bucketPolicy("Deny", arn(reader.ARN)), "", denyResource},
		{"user, resource denies the account", reader, bucketPolicy("Deny", arn(account)), "", denyResource},
		{"user, resource denies another", reader, bucketPolicy("Deny", arn(nobody.ARN)), "", allowed},
		{"user with a deny, resource allows it", denied, bucketPolicy("Allow", arn(denied.ARN)), "", denyIdentity},
		{"user's session token", readerToken, "", "", allowed},
		{"user's session token, resource denies the user", readerToken, bucketPolicy("Deny", arn(reader.ARN)), "", denyResource},

		{"abroad, identity only", reader, "", inOtherAccount, noResource},
		{"abroad, resource only", nobody, bucketPolicy("Allow", arn(nobody.ARN)), inOtherAccount, noIdentity},
		{"abroad, everyone and identity", reader, bucketPolicy("Allow", everyone), inOtherAccount, allowed},
		{"abroad, everyone without identity", nobody, bucketPolicy("Allow", everyone), inOtherAccount, noIdentity},
		{"abroad, account and identity", reader, bucketPolicy("Allow", arn(account)), inOtherAccount, allowed},
		{"abroad, user and identity", reader, bucketPolicy("Allow", arn(reader.ARN)), inOtherAccount, allowed},
		{"abroad, neither", nobody, "", inOtherAccount, noIdentity},
		{"abroad, another account's principal", reader, bucketPolicy("Allow", arn(other)), inOtherAccount, noResource},
		{"abroad, denied at home", denied, bucketPolicy("Allow", arn(denied.ARN)), inOtherAccount, denyIdentity},

		{"role without policies", poor, "", "", noIdentity},
		{"role with a policy", rich, "", "", allowed},
		{"role, resource allows the role", poor, bucketPolicy("Allow", arn(poorRole.ARN())), "", allowed},
		{"role, resource allows the session", poor, bucketPolicy("Allow", arn(poor.ARN)), "", allowed},
		{"role, resource allows another session", poor, bucketPolicy("Allow", arn(poor.ARN+"x")), "", noIdentity},
		{"role, resource allows the account", poor, bucketPolicy("Allow", arn(account)), "", noIdentity},
		{"role, resource denies the role", rich, bucketPolicy("Deny", arn(richRole.ARN())), "", denyResource},
		{"role, resource denies the session", rich, bucketPolicy("Deny", arn(rich.ARN)), "", denyResource},

		{"session policy allows too", richNarrow, "", "", allowed},
		{"session policy allows elsewhere", richElsewhere, "", "", noSession},
		{"session policy denies", richForbidden, "", "", denySession},
		{"session policy does not add", poorNarrow, "", "", noIdentity},
		{"session policy narrows what the resource gives the role", poorElsewhere, bucketPolicy("Allow", arn(poorRole.ARN())), "", noSession},
		{"session policy allows what the resource gives the role", poorNarrow, bucketPolicy("Allow", arn(poorRole.ARN())), "", allowed},
		{"session policy narrows what the resource gives everyone", poorElsewhere, bucketPolicy("Allow", everyone), "", noSession},
		{"session policy does not narrow what the resource gives the session", poorElsewhere, bucketPolicy("Allow", arn(poorElsewhere.ARN)), "", allowed},
		{"session policy denies what the resource gives the session", richForbidden, bucketPolicy("Allow", arn(richForbidden.ARN)), "", denySession},
		{"session policy abroad", richElsewhere, bucketPolicy("Allow", arn(richElsewhere.ARN)), inOtherAccount, noSession},

		{"anonymous", iam.Principal{}, "", account, noResource},
		{"anonymous, resource allows everyone", iam.Principal{}, bucketPolicy("Allow", everyone), account, allowed},
		{"anonymous, resource allows the account", iam.Principal{}, bucketPolicy("Allow", arn(account)), account, noResource},
		{"anonymous, resource denies everyone", iam.Principal{}, bucketPolicy("Deny", everyone), account, denyResource},
		{"service", agentcore, "", account, noResource},
		{"service, resource allows it", agentcore, bucketPolicy("Allow", `{"Service":"bedrock-agentcore.amazonaws.com"}`), account, allowed},
		{"service, resource allows the account", agentcore, bucketPolicy("Allow", arn(account)), account, noResource},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := iam.Request{Principal: c.who, Action: getObject, Resource: object, ResourcePolicy: []byte(c.resource)}
			if c.owner != "" {
				r.Context = map[string][]string{"s3:ResourceAccount": {c.owner}}
			}
			err := s.Authorize(t.Context(), r)
			if c.why == allowed {
				want(t, err, "", "")
				return
			}
			want(t, err, fault.AccessDenied, c.why)
		})
	}
}

func TestMessageIsAWSs(t *testing.T) {
	s, _ := service(t)
	p := newUser(t, s, user("ann"))
	err := s.Authorize(t.Context(), iam.Request{Principal: p, Action: getObject, Resource: object})
	const text = "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::bucket/a.txt because no identity-based policy allows the s3:GetObject action"
	if f := fault.From(err); f.Message != text {
		t.Error(f.Message)
	}
}

// The keys about the principal are the server's: what the caller of Authorize says in their place does not count.
func TestKeysOfPrincipals(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	all := doc(trust(accountRoot), `"Effect":"Allow","Principal":`+accountRoot+`,"Action":["sts:TagSession","sts:SetSourceIdentity"]`)
	e := newRole(t, s, role("r"), all)
	must(t, s.Tag(ctx, e.Ref, map[string]string{"Team": "blue", "Cost": "1"}))
	ann := newUser(t, s, user("ann"))
	session := assume(t, s, e, iam.AssumeRole{Tags: map[string]string{"team": "green"}, SourceIdentity: "me"})
	conditioned := func(operator, key, value string) string {
		return doc(allow(getObject, "*") + `,"Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}`)
	}
	for _, c := range []struct {
		name, policy string
		who          iam.Principal
		context      map[string][]string
		ok           bool
	}{
		{"username", conditioned("StringEquals", "aws:username", "ann"), ann, nil, true},
		{"userid", conditioned("StringEquals", "aws:userid", ann.UserID), ann, nil, true},
		{"user's ARN", conditioned("ArnEquals", "aws:PrincipalArn", ann.ARN), ann, nil, true},
		{"account", conditioned("StringEquals", "aws:PrincipalAccount", account), ann, nil, true},
		{"type", conditioned("StringEquals", "aws:PrincipalType", "User"), ann, nil, true},
		{"tag", conditioned("StringEquals", "aws:PrincipalTag/Team", "red"), ann, nil, true},
		{"other tag", conditioned("StringEquals", "aws:PrincipalTag/Team", "blue"), ann, nil, false},
		{"claimed tag", conditioned("StringEquals", "aws:PrincipalTag/Role", "admin"), ann, map[string][]string{"aws:PrincipalTag/Role": {"admin"}}, false},
		{"claimed username", conditioned("StringEquals", "aws:username", "root"), ann, map[string][]string{"AWS:UserName": {"root"}}, false},
		{"long-lived keys have no token time", conditioned("Null", "aws:TokenIssueTime", "true"), ann, nil, true},
		{"long-lived keys have no MFA key", conditioned("BoolIfExists", "aws:MultiFactorAuthPresent", "true"), ann, nil, true},
		{"resource's account is the principal's by default", conditioned("StringEquals", "aws:ResourceAccount", account), ann, nil, true},
		{"resource's account by the caller", conditioned("StringEquals", "aws:ResourceAccount", account), ann, map[string][]string{"aws:ResourceAccount": {account}}, true},
		{"time", conditioned("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"), ann, nil, true},
		{"time passed", conditioned("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"), ann, nil, false},
		{"epoch", conditioned("NumericGreaterThan", "aws:EpochTime", "1577836800"), ann, nil, true},
		{"key of the request", conditioned("IpAddress", "aws:SourceIp", "127.0.0.0/8"), ann, nil, true},
		{"key of the request, overridden", conditioned("IpAddress", "aws:SourceIp", "127.0.0.0/8"), ann, map[string][]string{"aws:SourceIp": {"10.0.0.1"}}, false},

		{"session: the role's ARN", conditioned("ArnEquals", "aws:PrincipalArn", e.ARN()), session, nil, true},
		{"session: userid", conditioned("StringLike", "aws:userid", e.ID+":session"), session, nil, true},
		{"session: no username", conditioned("Null", "aws:username", "true"), session, nil, true},
		{"session: type", conditioned("StringEquals", "aws:PrincipalType", "AssumedRole"), session, nil, true},
		{"session: its tag over the role's", conditioned("StringEquals", "aws:PrincipalTag/Team", "green"), session, nil, true},
		{"session: the role's tag", conditioned("StringEquals", "aws:PrincipalTag/Cost", "1"), session, nil, true},
		{"session: source identity", conditioned("StringEquals", "aws:SourceIdentity", "me"), session, nil, true},
		{"session: token time", conditioned("DateGreaterThan", "aws:TokenIssueTime", "2020-01-01"), session, nil, true},
		{"session: no MFA", conditioned("Bool", "aws:MultiFactorAuthPresent", "false"), session, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			on := user("ann")
			if c.who.Kind == iam.RoleSession {
				on = e.Ref
			}
			must(t, s.PutInline(ctx, on, "only", c.policy))
			ctx := iam.WithKeys(ctx, map[string][]string{"aws:SourceIp": {"127.0.0.1"}})
			err := s.Authorize(ctx, iam.Request{Principal: c.who, Action: getObject, Resource: object, Context: c.context})
			if (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
}

func TestPassRole(t *testing.T) {
	s, _ := service(t)
	const agentcore = "bedrock-agentcore.amazonaws.com"
	e := newRole(t, s, role("r"), doc(trust(`{"Service":"`+agentcore+`"}`)))
	can := newUser(t, s, user("can"), doc(allow("iam:PassRole", e.ARN())+`,"Condition":{"StringEquals":{"iam:PassedToService":"`+agentcore+`"}}`))
	cannot := newUser(t, s, user("cannot"), doc(allow("s3:*", "*")))
	ctx := t.Context()
	want(t, s.PassRole(ctx, can, e.ARN(), agentcore), "", "")
	want(t, s.PassRole(ctx, can, e.ARN(), "lambda.amazonaws.com"), fault.AccessDenied, "iam:PassRole on resource: "+e.ARN())
	want(t, s.PassRole(ctx, can, e.ARN()+"2", agentcore), fault.AccessDenied, "")
	want(t, s.PassRole(ctx, cannot, e.ARN(), agentcore), fault.AccessDenied, "no identity-based policy allows the iam:PassRole action")
	want(t, s.PassRole(ctx, iam.RootOf(account), e.ARN(), agentcore), "", "")
	want(t, s.PassRole(ctx, iam.RootOf(other), e.ARN(), agentcore), fault.AccessDenied, "")
	want(t, s.PassRole(ctx, iam.RootOf(account), "arn:aws:iam::"+account+":user/can", agentcore), fault.AccessDenied, "")
}

func TestManagedPoliciesCountInTheirDefaultVersion(t *testing.T) {
	s, _ := service(t)
	ctx := t.Context()
	p := newUser(t, s, user("ann"))
	m, err := s.CreatePolicy(ctx, iam.NewPolicy{Account: account, Name: "m", Document: doc(allow(getObject, "*"))})
	must(t, err)
	ask := func() error { return s.Authorize(ctx, iam.Request{Principal: p, Action: getObject, Resource: object}) }
	want(t, ask(), fault.AccessDenied, noIdentity)
	must(t, s.Attach(ctx, user("ann"), m.ARN()))
	want(t, ask(), "", "")
	v, err := s.CreateVersion(ctx, account, m.ARN(), doc(deny(getObject, "*")), false)
	must(t, err)
	want(t, ask(), "", "")
	must(t, s.SetDefaultVersion(ctx, account, m.ARN(), v.Number))
	want(t, ask(), fault.AccessDenied, denyIdentity)
	must(t, s.Detach(ctx, user("ann"), m.ARN()))
	want(t, ask(), fault.AccessDenied, noIdentity)
}

// A bucket policy that cannot be read says nothing that can be relied on: nobody gets in, and the answer is not "denied".
func TestAttackUnreadableResourcePolicy(t *testing.T) {
	s, _ := service(t)
	err := s.Authorize(t.Context(), iam.Request{Principal: iam.RootOf(account), Action: getObject, Resource: object, ResourcePolicy: []byte(`{"Statement":[`)})
	want(t, err, fault.Internal, "")
	err = s.Authorize(t.Context(), iam.Request{Principal: iam.RootOf(account), Action: "s3:DeleteBucketPolicy", Resource: bucket, ResourcePolicy: []byte(`{"Statement":[`)})
	want(t, err, "", "") // the one way to repair it
	want(t, s.CheckResourcePolicy([]byte(`{"Statement":[`)), iam.MalformedPolicy, "invalid Json")
	must(t, s.CheckResourcePolicy([]byte(doc(`"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"`+bucket+`"`))))
}

// The root user of a bucket's account can always repair the bucket's policy; the one of another account cannot.
func TestRootIsNeverLockedOut(t *testing.T) {
	s, _ := service(t)
	r := iam.Request{Principal: iam.RootOf(account), Action: "s3:DeleteBucketPolicy", Resource: bucket,
		ResourcePolicy: []byte(doc(`"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"` + bucket + `"`))}
	want(t, s.Authorize(t.Context(), r), "", "")
	r.Context = map[string][]string{"aws:ResourceAccount": {other}}
	want(t, s.Authorize(t.Context(), r), fault.AccessDenied, denyResource)
}

// Concurrent decisions and changes: each decision is one of the two possible, and none fails otherwise.
func TestConcurrentDecisionsAndChanges(t *testing.T) {
	s, _ := service(t)
	p := newUser(t, s, user("ann"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := s.Authorize(t.Context(), iam.Request{Principal: p, Action: getObject, Resource: object})
				if err != nil && !fault.Is(err, fault.AccessDenied) {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 40 {
		effect := []string{"Allow", "Deny"}[i%2]
		must(t, s.PutInline(t.Context(), user("ann"), "p", doc(fmt.Sprintf(`"Effect":%q,"Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"`, effect))))
	}
	cancel()
	wg.Wait()
	want(t, s.Authorize(t.Context(), iam.Request{Principal: p, Action: getObject, Resource: object}), fault.AccessDenied, denyIdentity)
}
