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
		Statuses:  statuses,
		Authorize: a.authorize,
		Operations: []wire.Operation{
			wire.On(wire.Op("CreateRole", "", a.createRole), a.onNewRole),
			wire.On(wire.Op("GetRole", "", a.getRole), a.onRole),
			wire.On(wire.Op("ListRoles", "", a.listRoles), onList(iam.Role)),
			wire.On(wire.Op("DeleteRole", "", a.deleteRole), a.onRole),
			wire.On(wire.Op("UpdateRole", "", a.updateRole), a.onUpdatedRole),
			wire.On(wire.Op("UpdateRoleDescription", "", a.updateRoleDescription), a.onDescribedRole),
			wire.On(wire.Op("UpdateAssumeRolePolicy", "", a.updateAssumeRolePolicy), a.onTrust),
			wire.On(wire.Op("TagRole", "", a.tagRole), a.onTaggedRole),
			wire.On(wire.Op("UntagRole", "", a.untagRole), a.onUntaggedRole),
			wire.On(wire.Op("ListRoleTags", "", a.listRoleTags), a.onRolePage),
			wire.On(wire.Op("ListInstanceProfilesForRole", "", a.listInstanceProfilesForRole), a.onRolePage),
			wire.On(wire.Op("PutRolePolicy", "", a.putRolePolicy), a.onRoleDocument),
			wire.On(wire.Op("GetRolePolicy", "", a.getRolePolicy), a.onRolePolicy),
			wire.On(wire.Op("DeleteRolePolicy", "", a.deleteRolePolicy), a.onRolePolicy),
			wire.On(wire.Op("ListRolePolicies", "", a.listRolePolicies), a.onRolePage),
			wire.On(wire.Op("AttachRolePolicy", "", a.attachRolePolicy), a.onRoleAttachment),
			wire.On(wire.Op("DetachRolePolicy", "", a.detachRolePolicy), a.onRoleAttachment),
			wire.On(wire.Op("ListAttachedRolePolicies", "", a.listAttachedRolePolicies), a.onAttachedRole),
			wire.On(wire.Op("PutRolePermissionsBoundary", "", a.putRoleBoundary), a.onRoleBoundary),
			wire.On(wire.Op("DeleteRolePermissionsBoundary", "", a.deleteRoleBoundary), a.onRole),

			wire.On(wire.Op("CreateUser", "", a.createUser), a.onNewUser),
			wire.On(wire.Op("GetUser", "", a.getUser), a.onOptionalUser),
			wire.On(wire.Op("ListUsers", "", a.listUsers), onList(iam.User)),
			wire.On(wire.Op("DeleteUser", "", a.deleteUser), a.onUser),
			wire.On(wire.Op("TagUser", "", a.tagUser), a.onTaggedUser),
			wire.On(wire.Op("UntagUser", "", a.untagUser), a.onUntaggedUser),
			wire.On(wire.Op("ListUserTags", "", a.listUserTags), a.onUserPage),
			wire.On(wire.Op("ListGroupsForUser", "", a.listGroupsForUser), a.onUserPage),
			wire.On(wire.Op("PutUserPolicy", "", a.putUserPolicy), a.onUserDocument),
			wire.On(wire.Op("GetUserPolicy", "", a.getUserPolicy), a.onUserPolicy),
			wire.On(wire.Op("DeleteUserPolicy", "", a.deleteUserPolicy), a.onUserPolicy),
			wire.On(wire.Op("ListUserPolicies", "", a.listUserPolicies), a.onUserPage),
			wire.On(wire.Op("AttachUserPolicy", "", a.attachUserPolicy), a.onUserAttachment),
			wire.On(wire.Op("DetachUserPolicy", "", a.detachUserPolicy), a.onUserAttachment),
			wire.On(wire.Op("ListAttachedUserPolicies", "", a.listAttachedUserPolicies), a.onAttachedUser),
			wire.On(wire.Op("PutUserPermissionsBoundary", "", a.putUserBoundary), a.onUserBoundary),
			wire.On(wire.Op("DeleteUserPermissionsBoundary", "", a.deleteUserBoundary), a.onUser),

			wire.On(wire.Op("CreateGroup", "", a.createGroup), a.onNewGroup),
			wire.On(wire.Op("GetGroup", "", a.getGroup), a.onGroupPage),
			wire.On(wire.Op("ListGroups", "", a.listGroups), onList(iam.Group)),
			wire.On(wire.Op("DeleteGroup", "", a.deleteGroup), a.onGroup),
			wire.On(wire.Op("AddUserToGroup", "", a.addUserToGroup), a.onMembership),
			wire.On(wire.Op("RemoveUserFromGroup", "", a.removeUserFromGroup), a.onMembership),
			wire.On(wire.Op("PutGroupPolicy", "", a.putGroupPolicy), a.onGroupDocument),
			wire.On(wire.Op("GetGroupPolicy", "", a.getGroupPolicy), a.onGroupPolicy),
			wire.On(wire.Op("DeleteGroupPolicy", "", a.deleteGroupPolicy), a.onGroupPolicy),
			wire.On(wire.Op("ListGroupPolicies", "", a.listGroupPolicies), a.onGroupPage),
			wire.On(wire.Op("AttachGroupPolicy", "", a.attachGroupPolicy), a.onGroupAttachment),
			wire.On(wire.Op("DetachGroupPolicy", "", a.detachGroupPolicy), a.onGroupAttachment),
			wire.On(wire.Op("ListAttachedGroupPolicies", "", a.listAttachedGroupPolicies), a.onAttachedGroup),

			wire.On(wire.Op("CreateInstanceProfile", "", a.createInstanceProfile), a.onNewProfile),
			wire.On(wire.Op("GetInstanceProfile", "", a.getInstanceProfile), a.onProfile),
			wire.On(wire.Op("ListInstanceProfiles", "", a.listInstanceProfiles), onList(iam.InstanceProfile)),
			wire.On(wire.Op("DeleteInstanceProfile", "", a.deleteInstanceProfile), a.onProfile),
			wire.On(wire.Op("AddRoleToInstanceProfile", "", a.addRoleToInstanceProfile), a.onProfileRole),
			wire.On(wire.Op("RemoveRoleFromInstanceProfile", "", a.removeRoleFromInstanceProfile), a.onProfileRoleGone),
			wire.On(wire.Op("TagInstanceProfile", "", a.tagInstanceProfile), a.onTaggedProfile),
			wire.On(wire.Op("UntagInstanceProfile", "", a.untagInstanceProfile), a.onUntaggedProfile),
			wire.On(wire.Op("ListInstanceProfileTags", "", a.listInstanceProfileTags), a.onProfilePage),

			wire.On(wire.Op("CreateAccessKey", "", a.createAccessKey), a.onOptionalUser),
			wire.On(wire.Op("ListAccessKeys", "", a.listAccessKeys), a.onKeysOfUser),
			wire.On(wire.Op("UpdateAccessKey", "", a.updateAccessKey), a.onKeyStatus),
			wire.On(wire.Op("DeleteAccessKey", "", a.deleteAccessKey), a.onKey),
			wire.On(wire.Op("GetAccessKeyLastUsed", "", a.getAccessKeyLastUsed), a.onAnyKey),

			wire.On(wire.Op("CreatePolicy", "", a.createPolicy), a.onNewPolicy),
			wire.On(wire.Op("GetPolicy", "", a.getPolicy), a.onPolicy),
			wire.On(wire.Op("ListPolicies", "", a.listPolicies), onPolicies),
			wire.On(wire.Op("DeletePolicy", "", a.deletePolicy), a.onPolicy),
			wire.On(wire.Op("TagPolicy", "", a.tagPolicy), a.onTaggedPolicy),
			wire.On(wire.Op("UntagPolicy", "", a.untagPolicy), a.onUntaggedPolicy),
			wire.On(wire.Op("ListPolicyTags", "", a.listPolicyTags), a.onPolicyPage),
			wire.On(wire.Op("CreatePolicyVersion", "", a.createPolicyVersion), a.onNewVersion),
			wire.On(wire.Op("GetPolicyVersion", "", a.getPolicyVersion), a.onVersion),
			wire.On(wire.Op("ListPolicyVersions", "", a.listPolicyVersions), a.onPolicyPage),
			wire.On(wire.Op("SetDefaultPolicyVersion", "", a.setDefaultPolicyVersion), a.onVersion),
			wire.On(wire.Op("DeletePolicyVersion", "", a.deletePolicyVersion), a.onVersion),
			wire.On(wire.Op("ListEntitiesForPolicy", "", a.listEntitiesForPolicy), a.onEntities),
		},
	}
}

// authorize decides as wire.Service asks: IAM guards itself.
func (a *API) authorize(ctx context.Context, action string, t wire.Target) error {
	return a.IAM.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context})
}

// statuses are the HTTP statuses of the exceptions that are not 400. Source: the botocore model.
var statuses = map[fault.Code]int{
	iam.NoSuchEntity:        http.StatusNotFound,
	iam.EntityAlreadyExists: http.StatusConflict,
	iam.DeleteConflict:      http.StatusConflict,
	iam.LimitExceeded:       http.StatusConflict,
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

type groupName string

func (groupName) Rule() wire.Rule { return wire.Length(1, 128).Matching(`[\w+=,.@-]+`) }

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
func tagged(t wire.Target, tags []tag) wire.Target {
	for _, g := range tags {
		t = t.With("aws:RequestTag/"+string(g.Key), string(g.Value))
	}
	return t.With("aws:TagKeys", keysOf(tags)...)
}

func keysOf(tags []tag) []string {
	var keys []string
	for _, g := range tags {
		keys = append(keys, string(g.Key))
	}
	return keys
}

// having adds the condition keys about tags that the resource has.
func having(t wire.Target, tags map[string]string) wire.Target {
	for k, v := range tags {
		t = t.With("aws:ResourceTag/"+k, v).With("iam:ResourceTag/"+k, v)
	}
	return t
}

func ptr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
