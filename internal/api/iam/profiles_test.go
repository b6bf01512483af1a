package iam_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestInstanceProfiles(t *testing.T) {
	c := newClient(t)
	c.ok("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trust)
	c.ok("CreateRole", "RoleName", "r2", "AssumeRolePolicyDocument", trust)
	has(t, c.ok("CreateInstanceProfile", "InstanceProfileName", "web", "Path", "/ec2/", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"),
		"<InstanceProfileId>AIPA", "<Arn>arn:aws:iam::111122223333:instance-profile/ec2/web</Arn>", "<Roles></Roles>", "<Key>a</Key>")
	c.fails(http.StatusConflict, "EntityAlreadyExists", "Instance Profile web already exists.", "CreateInstanceProfile", "InstanceProfileName", "web")
	c.ok("AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "r")
	c.fails(http.StatusConflict, "LimitExceeded", "InstanceSessionsPerInstanceProfile: 1", "AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "r2")
	has(t, c.ok("GetInstanceProfile", "InstanceProfileName", "web"), "<Roles><member><Path>/</Path><RoleName>r</RoleName>", "<Tags><member><Key>a</Key>")
	has(t, c.ok("ListInstanceProfiles", "PathPrefix", "/ec2/"), "<InstanceProfileName>web</InstanceProfileName>", "<RoleName>r</RoleName>")
	has(t, c.ok("ListInstanceProfilesForRole", "RoleName", "r"), "<InstanceProfileName>web</InstanceProfileName>")
	if body := c.ok("ListInstanceProfilesForRole", "RoleName", "r2"); strings.Contains(body, "web") {
		t.Error(body)
	}
	c.ok("TagInstanceProfile", "InstanceProfileName", "web", "Tags.member.1.Key", "c", "Tags.member.1.Value", "d")
	c.ok("UntagInstanceProfile", "InstanceProfileName", "web", "TagKeys.member.1", "a")
	has(t, c.ok("ListInstanceProfileTags", "InstanceProfileName", "web"), "<Tags><member><Key>c</Key><Value>d</Value></member></Tags>")

	const first = "must remove roles from instance profile first"
	c.fails(http.StatusConflict, "DeleteConflict", first, "DeleteRole", "RoleName", "r")
	c.fails(http.StatusConflict, "DeleteConflict", first, "DeleteInstanceProfile", "InstanceProfileName", "web")
	c.fails(http.StatusNotFound, "NoSuchEntity", "r2", "RemoveRoleFromInstanceProfile", "InstanceProfileName", "web", "RoleName", "r2")
	c.ok("RemoveRoleFromInstanceProfile", "InstanceProfileName", "web", "RoleName", "r")
	c.ok("DeleteInstanceProfile", "InstanceProfileName", "web")
	c.ok("DeleteRole", "RoleName", "r")
	c.fails(http.StatusNotFound, "NoSuchEntity", "Instance Profile web cannot be found.", "GetInstanceProfile", "InstanceProfileName", "web")
	c.fails(http.StatusNotFound, "NoSuchEntity", "Instance Profile web cannot be found.", "AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "r2")
}

// Who may change a profile can hand over only the roles that it may pass: with any other it would become that role.
func TestAttackRoleHandedOverThroughAProfile(t *testing.T) {
	c := newClient(t)
	for _, r := range []string{"mine", "admin"} {
		c.ok("CreateRole", "RoleName", r, "AssumeRolePolicyDocument", trust)
	}
	c.ok("CreateInstanceProfile", "InstanceProfileName", "web")
	c.ok("CreateUser", "UserName", "eve")
	c.ok("PutUserPolicy", "UserName", "eve", "PolicyName", "p", "PolicyDocument", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iam:*InstanceProfile","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::111122223333:role/mine","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}]}`)
	_, eve, _, err := c.iam.Key(t.Context(), between(c.ok("CreateAccessKey", "UserName", "eve"), "AccessKeyId"), "")
	if err != nil {
		t.Fatal(err)
	}
	attacker := &client{t: t, iam: c.iam, wire: c.wire, who: eve}
	attacker.fails(http.StatusForbidden, "AccessDenied", "iam:PassRole on resource: arn:aws:iam::111122223333:role/admin", "AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "admin")
	attacker.ok("AddRoleToInstanceProfile", "InstanceProfileName", "web", "RoleName", "mine")
}
