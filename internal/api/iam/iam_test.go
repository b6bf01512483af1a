package iam_test

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/sunaba-dev/sunaba/internal/api/iam"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const account = "111122223333"

type client struct {
	t    *testing.T
	iam  *iam.Service
	wire *wire.Service
	who  iam.Principal
}

func newClient(t *testing.T) *client {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := iam.New(iam.Options{Store: db})
	return &client{t: t, iam: s, wire: (&api.API{IAM: s}).Service(), who: iam.RootOf(account)}
}

// call posts an operation's form, given as pairs.
func (c *client) call(operation string, pairs ...string) (status int, body string) {
	c.t.Helper()
	form := url.Values{"Action": {operation}, "Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	ctx := wire.WithRequest(c.t.Context(), &wire.Request{ID: "id", Account: c.who.Account, Principal: c.who.ARN})
	r := httptest.NewRequestWithContext(iam.WithPrincipal(ctx, c.who), http.MethodPost, "/", nil)
	w := httptest.NewRecorder()
	_ = c.wire.Handle(w, r, []byte(form.Encode()))
	if err := xml.Unmarshal(w.Body.Bytes(), new(struct{})); err != nil {
		c.t.Errorf("%s: not XML: %v\n%s", operation, err, w.Body)
	}
	return w.Code, w.Body.String()
}

func (c *client) ok(operation string, pairs ...string) string {
	c.t.Helper()
	status, body := c.call(operation, pairs...)
	if status != http.StatusOK || !strings.HasPrefix(body, "<"+operation+`Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">`) {
		c.t.Fatalf("%s: %d %s", operation, status, body)
	}
	return body
}

func (c *client) fails(status int, code, message, operation string, pairs ...string) {
	c.t.Helper()
	got, body := c.call(operation, pairs...)
	if got != status || !strings.Contains(body, "<Code>"+code+"</Code>") || !strings.Contains(body, message) {
		c.t.Errorf("%s: %d %s, want %d %s %q", operation, got, body, status, code, message)
	}
}

func has(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(body, p) {
			t.Errorf("%q is not in %s", p, body)
		}
	}
}

func between(body, name string) string {
	_, rest, _ := strings.Cut(body, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

const (
	trust     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`
	readAll   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`
	policyARN = "arn:aws:iam::111122223333:policy/app/managed"
)

func TestRoles(t *testing.T) {
	c := newClient(t)
	body := c.ok("CreateRole", "RoleName", "r", "Path", "/team/", "AssumeRolePolicyDocument", trust, "Description", "of <mine> & yours", "MaxSessionDuration", "7200",
		"Tags.member.1.Key", "Team", "Tags.member.1.Value", "red", "Tags.member.2.Key", "Empty", "Tags.member.2.Value", "")
	has(t, body, "<Arn>arn:aws:iam::111122223333:role/team/r</Arn>", "<RoleId>AROA", "<MaxSessionDuration>7200</MaxSessionDuration>", "of &lt;mine&gt; &amp; yours", "<member><Key>Team</Key><Value>red</Value></member>")
	if got, err := url.PathUnescape(between(body, "AssumeRolePolicyDocument")); err != nil || got != trust {
		t.Errorf("trust policy %s %v", got, err)
	}
	has(t, c.ok("GetRole", "RoleName", "r"), "<RoleLastUsed>", "<Key>Team</Key>")
	has(t, c.ok("ListRoles", "PathPrefix", "/team/"), "<RoleName>r</RoleName>", "<IsTruncated>false</IsTruncated>")
	if body := c.ok("ListRoles", "PathPrefix", "/none/"); strings.Contains(body, "<RoleName>") {
		t.Error(body)
	}
	has(t, c.ok("UpdateRole", "RoleName", "r", "Description", "new", "MaxSessionDuration", "3600"), "<UpdateRoleResult></UpdateRoleResult>")
	has(t, c.ok("UpdateRoleDescription", "RoleName", "r", "Description", "newer"), "<Description>newer</Description>", "<MaxSessionDuration>3600<")
	c.ok("UpdateAssumeRolePolicy", "RoleName", "r", "PolicyDocument", trust)
	c.ok("TagRole", "RoleName", "r", "Tags.member.1.Key", "team", "Tags.member.1.Value", "blue")
	has(t, c.ok("ListRoleTags", "RoleName", "r"), "<Key>team</Key><Value>blue</Value>")
	first := c.ok("ListRoleTags", "RoleName", "r", "MaxItems", "1")
	has(t, first, "<IsTruncated>true</IsTruncated>", "<Key>Empty</Key>")
	has(t, c.ok("ListRoleTags", "RoleName", "r", "MaxItems", "1", "Marker", between(first, "Marker")), "<Key>team</Key>", "<IsTruncated>false<")
	c.ok("UntagRole", "RoleName", "r", "TagKeys.member.1", "TEAM", "TagKeys.member.2", "none")
	has(t, c.ok("ListInstanceProfilesForRole", "RoleName", "r"), "<InstanceProfiles></InstanceProfiles>")

	c.ok("PutRolePolicy", "RoleName", "r", "PolicyName", "p", "PolicyDocument", readAll)
	if got, _ := url.PathUnescape(between(c.ok("GetRolePolicy", "RoleName", "r", "PolicyName", "p"), "PolicyDocument")); got != readAll {
		t.Error(got)
	}
	has(t, c.ok("ListRolePolicies", "RoleName", "r"), "<PolicyNames><member>p</member></PolicyNames>")
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	c.ok("AttachRolePolicy", "RoleName", "r", "PolicyArn", policyARN)
	has(t, c.ok("ListAttachedRolePolicies", "RoleName", "r"), "<member><PolicyName>managed</PolicyName><PolicyArn>"+policyARN+"</PolicyArn></member>")
	has(t, c.ok("ListEntitiesForPolicy", "PolicyArn", policyARN), "<PolicyRoles><member><RoleName>r</RoleName><RoleId>AROA", "<PolicyUsers></PolicyUsers>")

	c.fails(http.StatusConflict, "DeleteConflict", "must detach all policies first", "DeleteRole", "RoleName", "r")
	c.ok("DetachRolePolicy", "RoleName", "r", "PolicyArn", policyARN)
	c.fails(http.StatusConflict, "DeleteConflict", "must delete policies first", "DeleteRole", "RoleName", "r")
	c.ok("DeleteRolePolicy", "RoleName", "r", "PolicyName", "p")
	c.ok("DeleteRole", "RoleName", "r")
	c.fails(http.StatusNotFound, "NoSuchEntity", "The role with name r cannot be found.", "GetRole", "RoleName", "r")
}

func TestUsersAndKeys(t *testing.T) {
	c := newClient(t)
	has(t, c.ok("CreateUser", "UserName", "ann", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"), "<UserId>AIDA", "<Arn>arn:aws:iam::111122223333:user/ann</Arn>", "<Path>/</Path>")
	has(t, c.ok("GetUser", "UserName", "ann"), "<Key>a</Key>")
	has(t, c.ok("GetUser"), "<Arn>arn:aws:iam::111122223333:root</Arn>")
	has(t, c.ok("ListUsers"), "<UserName>ann</UserName>")
	c.ok("TagUser", "UserName", "ann", "Tags.member.1.Key", "c", "Tags.member.1.Value", "d")
	c.ok("UntagUser", "UserName", "ann", "TagKeys.member.1", "a")
	has(t, c.ok("ListUserTags", "UserName", "ann"), "<Tags><member><Key>c</Key><Value>d</Value></member></Tags>")
	has(t, c.ok("ListGroupsForUser", "UserName", "ann"), "<Groups></Groups>")
	c.ok("PutUserPolicy", "UserName", "ann", "PolicyName", "p", "PolicyDocument", readAll)
	c.ok("GetUserPolicy", "UserName", "ann", "PolicyName", "p")
	has(t, c.ok("ListUserPolicies", "UserName", "ann"), "<member>p</member>")
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	c.ok("AttachUserPolicy", "UserName", "ann", "PolicyArn", policyARN)
	has(t, c.ok("ListAttachedUserPolicies", "UserName", "ann"), policyARN)
	has(t, c.ok("ListEntitiesForPolicy", "PolicyArn", policyARN, "EntityFilter", "User"), "<UserName>ann</UserName>")
	has(t, c.ok("ListEntitiesForPolicy", "PolicyArn", policyARN, "EntityFilter", "Group"), "<PolicyUsers></PolicyUsers>")

	body := c.ok("CreateAccessKey", "UserName", "ann")
	id, secret := between(body, "AccessKeyId"), between(body, "SecretAccessKey")
	if len(id) != 20 || !strings.HasPrefix(id, "AKIA") || len(secret) != 40 {
		t.Error(body)
	}
	if body := c.ok("ListAccessKeys", "UserName", "ann"); strings.Contains(body, secret) || !strings.Contains(body, id) {
		t.Error(body)
	}
	has(t, c.ok("GetAccessKeyLastUsed", "AccessKeyId", id), "<UserName>ann</UserName>", "<ServiceName>N/A</ServiceName><Region>N/A</Region>")
	_, ann, _, err := c.iam.Key(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	c.iam.Used(ann, "s3", "us-west-2")
	has(t, c.ok("GetAccessKeyLastUsed", "AccessKeyId", id), "<LastUsedDate>", "<ServiceName>s3</ServiceName>")
	c.ok("UpdateAccessKey", "UserName", "ann", "AccessKeyId", id, "Status", "Inactive")
	has(t, c.ok("ListAccessKeys", "UserName", "ann"), "<Status>Inactive</Status>")
	c.ok("CreateAccessKey", "UserName", "ann")
	c.fails(http.StatusConflict, "LimitExceeded", "AccessKeysPerUser: 2", "CreateAccessKey", "UserName", "ann")
	c.fails(http.StatusBadRequest, "ValidationError", "Must specify userName", "CreateAccessKey")
	c.fails(http.StatusNotFound, "NoSuchEntity", "AKIANOBODYNOBODYNOBO", "GetAccessKeyLastUsed", "AccessKeyId", "AKIANOBODYNOBODYNOBO")
	c.ok("DeleteAccessKey", "UserName", "ann", "AccessKeyId", id)
	c.ok("DeleteAccessKey", "UserName", "ann", "AccessKeyId", between(c.ok("ListAccessKeys", "UserName", "ann"), "AccessKeyId"))
	c.ok("DeleteUserPolicy", "UserName", "ann", "PolicyName", "p")
	c.ok("DetachUserPolicy", "UserName", "ann", "PolicyArn", policyARN)
	c.ok("DeleteUser", "UserName", "ann")
}

func TestPolicies(t *testing.T) {
	c := newClient(t)
	body := c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll, "Description", "d", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")
	has(t, body, "<PolicyId>ANPA", "<Arn>"+policyARN+"</Arn>", "<DefaultVersionId>v1</DefaultVersionId>", "<AttachmentCount>0</AttachmentCount>", "<IsAttachable>true</IsAttachable>")
	has(t, c.ok("GetPolicy", "PolicyArn", policyARN), "<Description>d</Description>", "<Key>a</Key>")
	has(t, c.ok("ListPolicies", "Scope", "Local"), policyARN)
	for _, none := range [][]string{{"Scope", "AWS"}, {"OnlyAttached", "true"}, {"PathPrefix", "/none/"}, {"PolicyUsageFilter", "PermissionsBoundary"}} {
		if body := c.ok("ListPolicies", none...); strings.Contains(body, policyARN) {
			t.Error(none, body)
		}
	}
	c.ok("TagPolicy", "PolicyArn", policyARN, "Tags.member.1.Key", "c", "Tags.member.1.Value", "d")
	c.ok("UntagPolicy", "PolicyArn", policyARN, "TagKeys.member.1", "a")
	has(t, c.ok("ListPolicyTags", "PolicyArn", policyARN), "<Tags><member><Key>c</Key><Value>d</Value></member></Tags>")
	has(t, c.ok("CreatePolicyVersion", "PolicyArn", policyARN, "PolicyDocument", trust2(), "SetAsDefault", "true"), "<VersionId>v2</VersionId><IsDefaultVersion>true<")
	if got, _ := url.PathUnescape(between(c.ok("GetPolicyVersion", "PolicyArn", policyARN, "VersionId", "v1"), "Document")); got != readAll {
		t.Error(got)
	}
	has(t, c.ok("ListPolicyVersions", "PolicyArn", policyARN), "<VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion>", "<VersionId>v1</VersionId><IsDefaultVersion>false<")
	c.fails(http.StatusConflict, "DeleteConflict", "default version", "DeletePolicyVersion", "PolicyArn", policyARN, "VersionId", "v2")
	c.ok("SetDefaultPolicyVersion", "PolicyArn", policyARN, "VersionId", "v1")
	c.fails(http.StatusConflict, "DeleteConflict", "more than one version", "DeletePolicy", "PolicyArn", policyARN)
	c.ok("DeletePolicyVersion", "PolicyArn", policyARN, "VersionId", "v2")
	c.ok("DeletePolicy", "PolicyArn", policyARN)
	c.fails(http.StatusNotFound, "NoSuchEntity", policyARN, "GetPolicy", "PolicyArn", policyARN)
}

// trust2 is a policy with characters that must survive the URL encoding.
func trust2() string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"A1","Effect":"Deny","NotAction":"s3:*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalTag/a b":["+%&é", "*"]}}}]}`
}

func TestBadInput(t *testing.T) {
	c := newClient(t)
	c.ok("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trust)
	for _, b := range []struct {
		status            int
		code, message, op string
		pairs             []string
	}{
		{409, "EntityAlreadyExists", "Role with name R already exists", "CreateRole", []string{"RoleName", "R", "AssumeRolePolicyDocument", trust}},
		{400, "MalformedPolicyDocument", "invalid Json", "CreateRole", []string{"RoleName", "x", "AssumeRolePolicyDocument", "{"}},
		{400, "MalformedPolicyDocument", "Missing required field Principal", "CreateRole", []string{"RoleName", "x", "AssumeRolePolicyDocument", readAll}},
		{400, "MalformedPolicyDocument", "should not specify a principal", "PutRolePolicy", []string{"RoleName", "r", "PolicyName", "p", "PolicyDocument", trust}},
		{409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role r", "PutRolePolicy", []string{"RoleName", "r", "PolicyName", "p", "PolicyDocument", strings.Replace(readAll, `"*"`, `"arn:aws:s3:::`+strings.Repeat("x", 10240)+`"`, 1)}},
		{409, "LimitExceeded", "PolicySize: 6144", "CreatePolicy", []string{"PolicyName", "p", "PolicyDocument", strings.Replace(readAll, `"*"`, `"arn:aws:s3:::`+strings.Repeat("x", 6144)+`"`, 1)}},
		{400, "InvalidInput", "Duplicate tag keys", "TagRole", []string{"RoleName", "r", "Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "A", "Tags.member.2.Value", "2"}},
		{404, "NoSuchEntity", policyARN, "CreateUser", []string{"UserName", "u", "PermissionsBoundary", policyARN}},
		{400, "ValidationError", "Marker", "ListRoles", []string{"Marker", "***"}},
		{400, "InvalidInput", "is not valid", "GetPolicy", []string{"PolicyArn", "arn:aws:s3:::not-a-policy"}},
		{404, "NoSuchEntity", "", "AttachRolePolicy", []string{"RoleName", "r", "PolicyArn", "arn:aws:iam::444455556666:policy/foreign"}},
		{404, "NoSuchEntity", "", "AttachRolePolicy", []string{"RoleName", "none", "PolicyArn", policyARN}},
		{404, "NoSuchEntity", "", "GetRolePolicy", []string{"RoleName", "r", "PolicyName", "none"}},
	} {
		t.Run(b.op+" "+b.code, func(t *testing.T) {
			c := &client{t: t, iam: c.iam, wire: c.wire, who: c.who}
			c.fails(b.status, b.code, b.message, b.op, b.pairs...)
		})
	}
	long := strings.Repeat("a", 65)
	for message, pairs := range map[string][]string{
		"Value &#39;a/b&#39; at &#39;roleName&#39; failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+": {"RoleName", "a/b"},
		"Value &#39;" + long + "&#39; at &#39;roleName&#39; failed to satisfy constraint: Member must have length less than or equal to 64":    {"RoleName", long},
		"Value &#39;&#39; at &#39;roleName&#39; failed to satisfy constraint: Member must have length greater than or equal to 1":              {"RoleName", ""},
		"Value null at &#39;roleName&#39; failed to satisfy constraint: Member must not be null":                                               {},
	} {
		c.fails(http.StatusBadRequest, "ValidationError", "1 validation error detected: "+message, "CreateRole", append(pairs, "AssumeRolePolicyDocument", trust)...)
	}
}

// Every operation is closed to a user without policies, and to one who is allowed everything but it.
func TestAttackUnauthorised(t *testing.T) {
	c := newClient(t)
	c.ok("CreateUser", "UserName", "eve")
	key := c.ok("CreateAccessKey", "UserName", "eve")
	c.ok("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trust)
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	_, eve, _, err := c.iam.Key(t.Context(), between(key, "AccessKeyId"), "")
	if err != nil {
		t.Fatal(err)
	}
	everything := []string{"RoleName", "r", "UserName", "eve", "PolicyArn", policyARN, "PolicyName", "p", "PolicyDocument", readAll, "AssumeRolePolicyDocument", trust,
		"Tags.member.1.Key", "a", "Tags.member.1.Value", "b", "TagKeys.member.1", "a", "Description", "d", "AccessKeyId", between(key, "AccessKeyId"), "Status", "Active", "VersionId", "v1", "GroupName", "g", "InstanceProfileName", "i", "PermissionsBoundary", policyARN}
	put := func(policy string) {
		ref := iam.Ref{Account: account, Kind: iam.User, Name: "eve"}
		if err := c.iam.PutInline(t.Context(), ref, "only", policy); err != nil {
			t.Fatal(err)
		}
	}
	attacker := &client{t: t, iam: c.iam, wire: c.wire, who: eve}
	for _, o := range c.wire.Operations {
		why := "no identity-based policy allows the iam:" + o.Name
		put(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)
		attacker.fails(http.StatusForbidden, "AccessDenied", why, o.Name, everything...)
		put(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"iam:` + o.Name + `","Resource":"*"}}`)
		attacker.fails(http.StatusForbidden, "AccessDenied", why, o.Name, everything...)
		nobody := &client{t: t, iam: c.iam, wire: c.wire}
		nobody.fails(http.StatusForbidden, "AccessDenied", "anonymous", o.Name, everything...)
	}
}

// A user may do what a policy on exactly one role lets, and nothing with its neighbour.
func TestPoliciesOnOneRole(t *testing.T) {
	c := newClient(t)
	for _, r := range []string{"mine", "mine2"} {
		c.ok("CreateRole", "RoleName", r, "Path", "/team/", "AssumeRolePolicyDocument", trust, "Tags.member.1.Key", "owner", "Tags.member.1.Value", r)
	}
	c.ok("CreateUser", "UserName", "ann")
	c.ok("PutUserPolicy", "UserName", "ann", "PolicyName", "p", "PolicyDocument", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iam:GetRole","Resource":"arn:aws:iam::111122223333:role/team/mine"},
		{"Effect":"Allow","Action":"iam:ListRoleTags","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"mine"}}},
		{"Effect":"Allow","Action":"iam:AttachRolePolicy","Resource":"*","Condition":{"ArnLike":{"iam:PolicyARN":"arn:aws:iam::111122223333:policy/app/*"}}},
		{"Effect":"Allow","Action":"iam:CreateRole","Resource":"arn:aws:iam::111122223333:role/ann/*"}]}`)
	key := c.ok("CreateAccessKey", "UserName", "ann")
	_, ann, _, err := c.iam.Key(t.Context(), between(key, "AccessKeyId"), "")
	if err != nil {
		t.Fatal(err)
	}
	c.who = ann
	c.ok("GetRole", "RoleName", "mine")
	c.fails(403, "AccessDenied", "iam:GetRole on resource: arn:aws:iam::111122223333:role/team/mine2", "GetRole", "RoleName", "mine2")
	c.ok("ListRoleTags", "RoleName", "mine")
	c.fails(403, "AccessDenied", "", "ListRoleTags", "RoleName", "mine2")
	c.fails(404, "NoSuchEntity", "", "AttachRolePolicy", "RoleName", "mine", "PolicyArn", policyARN)
	c.fails(403, "AccessDenied", "", "AttachRolePolicy", "RoleName", "mine", "PolicyArn", "arn:aws:iam::111122223333:policy/admin")
	c.ok("CreateRole", "RoleName", "new", "Path", "/ann/", "AssumeRolePolicyDocument", trust)
	c.fails(403, "AccessDenied", "", "CreateRole", "RoleName", "new2", "AssumeRolePolicyDocument", trust)
	c.fails(403, "AccessDenied", "iam:TagRole", "CreateRole", "RoleName", "new3", "Path", "/ann/", "AssumeRolePolicyDocument", trust, "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")
}
