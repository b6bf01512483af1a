// Package iam declares the API of Identity and Access Management: the shapes of its requests and answers, what each operation must be allowed to do, and the
// handlers that translate between them and the domain. Source of every shape and rule: the botocore model of iam (2010-05-08); of actions and resources: the service
// authorization reference.
package iam

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	IAM *iam.Service
}

// Service returns the declared service. Each line names an operation, which is also its action, what it acts on, and its handler.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "iam",
		Protocol:  wire.Query,
		Version:   "2010-05-08",
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		Operations: []wire.Operation{
			op(a, "CreateRole", a.onNewRole, a.createRole),
			op(a, "GetRole", a.onRole, a.getRole),
			op(a, "ListRoles", onList(iam.Role), a.listRoles),
			op(a, "DeleteRole", a.onRole, a.deleteRole),
			op(a, "UpdateRole", a.onUpdatedRole, a.updateRole),
			op(a, "UpdateRoleDescription", a.onDescribedRole, a.updateRoleDescription),
			op(a, "UpdateAssumeRolePolicy", a.onTrust, a.updateAssumeRolePolicy),
			op(a, "TagRole", a.onTaggedRole, a.tagRole),
			op(a, "UntagRole", a.onUntaggedRole, a.untagRole),
			op(a, "ListRoleTags", a.onRolePage, a.listRoleTags),
			op(a, "ListInstanceProfilesForRole", a.onRolePage, a.listInstanceProfilesForRole),
			op(a, "PutRolePolicy", a.onRoleDocument, a.putRolePolicy),
			op(a, "GetRolePolicy", a.onRolePolicy, a.getRolePolicy),
			op(a, "DeleteRolePolicy", a.onRolePolicy, a.deleteRolePolicy),
			op(a, "ListRolePolicies", a.onRolePage, a.listRolePolicies),
			op(a, "AttachRolePolicy", a.onRoleAttachment, a.attachRolePolicy),
			op(a, "DetachRolePolicy", a.onRoleAttachment, a.detachRolePolicy),
			op(a, "ListAttachedRolePolicies", a.onAttachedRole, a.listAttachedRolePolicies),

			op(a, "CreateUser", a.onNewUser, a.createUser),
			op(a, "GetUser", a.onOptionalUser, a.getUser),
			op(a, "ListUsers", onList(iam.User), a.listUsers),
			op(a, "DeleteUser", a.onUser, a.deleteUser),
			op(a, "TagUser", a.onTaggedUser, a.tagUser),
			op(a, "UntagUser", a.onUntaggedUser, a.untagUser),
			op(a, "ListUserTags", a.onUserPage, a.listUserTags),
			op(a, "ListGroupsForUser", a.onUserPage, a.listGroupsForUser),
			op(a, "PutUserPolicy", a.onUserDocument, a.putUserPolicy),
			op(a, "GetUserPolicy", a.onUserPolicy, a.getUserPolicy),
			op(a, "DeleteUserPolicy", a.onUserPolicy, a.deleteUserPolicy),
			op(a, "ListUserPolicies", a.onUserPage, a.listUserPolicies),
			op(a, "AttachUserPolicy", a.onUserAttachment, a.attachUserPolicy),
			op(a, "DetachUserPolicy", a.onUserAttachment, a.detachUserPolicy),
			op(a, "ListAttachedUserPolicies", a.onAttachedUser, a.listAttachedUserPolicies),

			op(a, "CreateAccessKey", a.onOptionalUser, a.createAccessKey),
			op(a, "ListAccessKeys", a.onKeysOfUser, a.listAccessKeys),
			op(a, "UpdateAccessKey", a.onKeyStatus, a.updateAccessKey),
			op(a, "DeleteAccessKey", a.onKey, a.deleteAccessKey),
			op(a, "GetAccessKeyLastUsed", a.onAnyKey, a.getAccessKeyLastUsed),

			op(a, "CreatePolicy", a.onNewPolicy, a.createPolicy),
			op(a, "GetPolicy", a.onPolicy, a.getPolicy),
			op(a, "ListPolicies", onPolicies, a.listPolicies),
			op(a, "DeletePolicy", a.onPolicy, a.deletePolicy),
			op(a, "TagPolicy", a.onTaggedPolicy, a.tagPolicy),
			op(a, "UntagPolicy", a.onUntaggedPolicy, a.untagPolicy),
			op(a, "ListPolicyTags", a.onPolicyPage, a.listPolicyTags),
			op(a, "CreatePolicyVersion", a.onNewVersion, a.createPolicyVersion),
			op(a, "GetPolicyVersion", a.onVersion, a.getPolicyVersion),
			op(a, "ListPolicyVersions", a.onPolicyPage, a.listPolicyVersions),
			op(a, "SetDefaultPolicyVersion", a.onVersion, a.setDefaultPolicyVersion),
			op(a, "DeletePolicyVersion", a.onVersion, a.deletePolicyVersion),
			op(a, "ListEntitiesForPolicy", a.onEntities, a.listEntitiesForPolicy),
		},
	}
}

// target is what an operation acts on: the resource and condition keys of its action, and the actions that it needs besides.
type target struct {
	resource string // ARN
	context  map[string][]string
	also     []string
}

func (t target) with(key string, values ...string) target {
	if len(values) > 0 {
		if t.context == nil {
			t.context = map[string][]string{}
		}
		t.context[key] = values
	}
	return t
}

// op declares an operation: the caller must be allowed the action of its name on what it acts on, before the handler runs.
func op[I, O any](a *API, name string, on func(context.Context, *I) (target, error), handle func(context.Context, *I) (*O, error)) wire.Operation {
	return wire.Op(name, "", func(ctx context.Context, in *I) (*O, error) {
		t, err := on(ctx, in)
		if err != nil {
			return nil, queryFault(err)
		}
		for _, action := range append([]string{name}, t.also...) {
			r := iam.Request{Principal: iam.PrincipalOf(ctx), Action: "iam:" + action, Resource: t.resource, Context: t.context}
			if err := a.IAM.Authorize(ctx, r); err != nil {
				return nil, queryFault(err)
			}
		}
		out, err := handle(ctx, in)
		return out, queryFault(err)
	})
}

// statuses are the HTTP statuses of the exceptions that are not 400. Source: the botocore model.
var statuses = map[fault.Code]int{
	iam.NoSuchEntity:        http.StatusNotFound,
	iam.EntityAlreadyExists: http.StatusConflict,
	iam.DeleteConflict:      http.StatusConflict,
	iam.LimitExceeded:       http.StatusConflict,
}

// queryFault gives an error the code and status that it has in the query protocol.
func queryFault(err error) error {
	if err == nil {
		return nil
	}
	f := fault.From(err)
	if f.Code == fault.AccessDenied {
		return fault.New("AccessDenied", "%s", f.Message)
	}
	if status, ok := statuses[f.Code]; ok {
		return wire.AtStatus(err, status)
	}
	return err
}

func account(ctx context.Context) string { return iam.PrincipalOf(ctx).Account }

type empty struct{}

const usualPage = 100 // the API reference's default

func page(maxItems *int, marker string) iam.Page {
	p := iam.Page{Limit: usualPage, Marker: marker}
	if maxItems != nil {
		p.Limit = *maxItems
	}
	return p
}

// document is a policy's text as IAM returns it: URL-encoded according to RFC 3986.
type document string

func encoded(text string) document {
	return document(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}

// policyText is a policy's text as IAM takes it.
type policyText string

func (policyText) Rule() wire.Rule {
	return wire.Length(1, 131072).Matching(`[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+`)
}

type policyName string

func (policyName) Rule() wire.Rule { return wire.Length(1, 128).Matching(`[\w+=,.@-]+`) }

type entityName string

func (entityName) Rule() wire.Rule { return wire.Length(1, 64).Matching(`[\w+=,.@-]+`) }

type path string

func (path) Rule() wire.Rule {
	return wire.Length(1, 512).Matching(`(\x{002F})|(\x{002F}[\x{0021}-\x{007E}]+\x{002F})`)
}

type pathPrefix string

func (pathPrefix) Rule() wire.Rule {
	return wire.Length(1, 512).Matching(`\x{002F}[\x{0021}-\x{007F}]*`)
}

type arn string

func (arn) Rule() wire.Rule { return wire.Length(20, 2048) }

type tagKey string

func (tagKey) Rule() wire.Rule {
	return wire.Length(1, 128).Matching(`[\p{L}\p{Z}\p{N}_.:/=+\-@]+`)
}

type tagValue string

func (tagValue) Rule() wire.Rule {
	return wire.Length(0, 256).Matching(`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
}

type tag struct {
	Key   tagKey   `aws:"Key" required:"true"`
	Value tagValue `aws:"Value" required:"true"`
}

// tagsToDomain refuses keys that occur twice: which value counted would be chance.
func tagsToDomain(tags []tag) (map[string]string, error) {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		if _, twice := out[string(t.Key)]; twice {
			return nil, fault.New(iam.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		out[string(t.Key)] = string(t.Value)
	}
	return out, nil
}

func tagsFromDomain(tags map[string]string) []tag {
	out := []tag{}
	for _, k := range sortedKeys(tags) {
		out = append(out, tag{Key: tagKey(k), Value: tagValue(tags[k])})
	}
	return out
}

// tagged adds the condition keys about tags that a request brings.
func (t target) tagged(tags []tag) target {
	for _, g := range tags {
		t = t.with("aws:RequestTag/"+string(g.Key), string(g.Value))
	}
	return t.with("aws:TagKeys", keysOf(tags)...)
}

func keysOf(tags []tag) []string {
	var keys []string
	for _, g := range tags {
		keys = append(keys, string(g.Key))
	}
	return keys
}

// having adds the condition keys about tags that the resource has.
func (t target) having(tags map[string]string) target {
	for k, v := range tags {
		t = t.with("aws:ResourceTag/"+k, v).with("iam:ResourceTag/"+k, v)
	}
	return t
}

// noBoundary refuses permissions boundaries: one that is taken and does not count would be worse than none.
func noBoundary(boundary arn) error {
	if boundary != "" {
		return fault.New(iam.InvalidInput, "This server has no permissions boundaries: leave out PermissionsBoundary.")
	}
	return nil
}

func ptr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
