package iam_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam"
)

func TestGroups(t *testing.T) {
	c := newClient(t)
	has(t, c.ok("CreateGroup", "GroupName", "devs", "Path", "/team/"), "<GroupId>AGPA", "<Arn>arn:aws:iam::111122223333:group/team/devs</Arn>", "<Path>/team/</Path>")
	c.fails(http.StatusConflict, "EntityAlreadyExists", "Group with name DEVS already exists", "CreateGroup", "GroupName", "DEVS")
	c.ok("CreateGroup", "GroupName", strings.Repeat("g", 128))
	c.fails(http.StatusBadRequest, "ValidationError", "&#39;groupName&#39; failed to satisfy constraint: Member must have length less than or equal to 128", "CreateGroup", "GroupName", strings.Repeat("g", 129))
	has(t, c.ok("ListGroups", "PathPrefix", "/team/"), "<GroupName>devs</GroupName>", "<IsTruncated>false<")
	for _, u := range []string{"ann", "bob"} {
		c.ok("CreateUser", "UserName", u)
		c.ok("AddUserToGroup", "GroupName", "devs", "UserName", u)
		c.ok("AddUserToGroup", "GroupName", "devs", "UserName", u) // again is no error
	}
	first := c.ok("GetGroup", "GroupName", "devs", "MaxItems", "1")
	has(t, first, "<GroupName>devs</GroupName>", "<UserName>ann</UserName>", "<IsTruncated>true<")
	if strings.Contains(first, "bob") {
		t.Error(first)
	}
	has(t, c.ok("GetGroup", "GroupName", "devs", "Marker", between(first, "Marker")), "<UserName>bob</UserName>", "<IsTruncated>false<")
	has(t, c.ok("ListGroupsForUser", "UserName", "ann"), "<GroupName>devs</GroupName>")
	c.ok("PutGroupPolicy", "GroupName", "devs", "PolicyName", "p", "PolicyDocument", readAll)
	if got, _ := url.PathUnescape(between(c.ok("GetGroupPolicy", "GroupName", "devs", "PolicyName", "p"), "PolicyDocument")); got != readAll {
		t.Error(got)
	}
	has(t, c.ok("ListGroupPolicies", "GroupName", "devs"), "<member>p</member>")
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	c.ok("AttachGroupPolicy", "GroupName", "devs", "PolicyArn", policyARN)
	has(t, c.ok("ListAttachedGroupPolicies", "GroupName", "devs"), policyARN)
	for _, pairs := range [][]string{{"PolicyArn", policyARN}, {"PolicyArn", policyARN, "EntityFilter", "Group"}} {
		has(t, c.ok("ListEntitiesForPolicy", pairs...), "<PolicyGroups><member><GroupName>devs</GroupName><GroupId>AGPA", "<PolicyUsers></PolicyUsers>", "<PolicyRoles></PolicyRoles>")
	}

	c.fails(http.StatusConflict, "DeleteConflict", "must remove users from group first", "DeleteUser", "UserName", "ann")
	c.fails(http.StatusConflict, "DeleteConflict", "must detach all policies first", "DeleteGroup", "GroupName", "devs")
	c.ok("DetachGroupPolicy", "GroupName", "devs", "PolicyArn", policyARN)
	c.fails(http.StatusConflict, "DeleteConflict", "must delete policies first", "DeleteGroup", "GroupName", "devs")
	c.ok("DeleteGroupPolicy", "GroupName", "devs", "PolicyName", "p")
	c.fails(http.StatusNotFound, "NoSuchEntity", "The group policy with name p cannot be found.", "GetGroupPolicy", "GroupName", "devs", "PolicyName", "p")
	c.fails(http.StatusConflict, "DeleteConflict", "must remove users from group first", "DeleteGroup", "GroupName", "devs")
	for _, u := range []string{"ann", "bob"} {
		c.ok("RemoveUserFromGroup", "GroupName", "devs", "UserName", u)
		c.ok("RemoveUserFromGroup", "GroupName", "devs", "UserName", u)
		c.ok("DeleteUser", "UserName", u)
	}
	c.ok("DeleteGroup", "GroupName", "devs")
	c.fails(http.StatusNotFound, "NoSuchEntity", "The group with name devs cannot be found.", "GetGroup", "GroupName", "devs")
	c.fails(http.StatusNotFound, "NoSuchEntity", "devs", "AddUserToGroup", "GroupName", "devs", "UserName", "ann")
	c.fails(http.StatusNotFound, "NoSuchEntity", "ann", "AddUserToGroup", "GroupName", strings.Repeat("g", 128), "UserName", "ann")
	c.fails(http.StatusNotFound, "NoSuchEntity", "ann", "ListGroupsForUser", "UserName", "ann")
}

// A user can do what the groups it is in allow, from the moment that it is in one until it is out; the group of another account with the same name is another one.
func TestAttackPermissionsOfAGroupOneIsNotIn(t *testing.T) {
	c := newClient(t)
	c.ok("CreateUser", "UserName", "eve")
	key := c.ok("CreateAccessKey", "UserName", "eve")
	c.ok("CreateGroup", "GroupName", "admins")
	c.ok("PutGroupPolicy", "GroupName", "admins", "PolicyName", "p", "PolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}`)
	_, p, _, err := c.iam.Key(t.Context(), between(key, "AccessKeyId"), "")
	if err != nil {
		t.Fatal(err)
	}
	eve := &client{t: t, iam: c.iam, wire: c.wire, who: p}
	eve.fails(http.StatusForbidden, "AccessDenied", "iam:AddUserToGroup on resource: arn:aws:iam::111122223333:group/admins because no identity-based policy allows", "AddUserToGroup", "GroupName", "admins", "UserName", "eve")
	c.ok("AddUserToGroup", "GroupName", "admins", "UserName", "eve")
	eve.ok("ListUsers")
	c.ok("PutGroupPolicy", "GroupName", "admins", "PolicyName", "no", "PolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:ListUsers","Resource":"*"}}`)
	eve.fails(http.StatusForbidden, "AccessDenied", "with an explicit deny in an identity-based policy", "ListUsers")
	c.ok("DeleteGroupPolicy", "GroupName", "admins", "PolicyName", "no")
	eve.ok("ListUsers")
	c.ok("RemoveUserFromGroup", "GroupName", "admins", "UserName", "eve")
	eve.fails(http.StatusForbidden, "AccessDenied", "because no identity-based policy allows", "ListUsers")

	stranger := &client{t: t, iam: c.iam, wire: c.wire, who: iam.RootOf("444455556666")}
	stranger.fails(http.StatusNotFound, "NoSuchEntity", "admins", "AddUserToGroup", "GroupName", "admins", "UserName", "eve")
	stranger.ok("CreateGroup", "GroupName", "admins")
	stranger.fails(http.StatusNotFound, "NoSuchEntity", "eve", "AddUserToGroup", "GroupName", "admins", "UserName", "eve")
}

func TestGroupsOfAUserAreBounded(t *testing.T) {
	c := newClient(t)
	c.ok("CreateUser", "UserName", "ann")
	for i := range 11 {
		name := "g" + string(rune('a'+i))
		c.ok("CreateGroup", "GroupName", name)
		if i < 10 {
			c.ok("AddUserToGroup", "GroupName", name, "UserName", "ann")
		}
	}
	c.fails(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10", "AddUserToGroup", "GroupName", "gk", "UserName", "ann")
	c.ok("AddUserToGroup", "GroupName", "ga", "UserName", "ann")
}
