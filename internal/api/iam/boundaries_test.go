package iam_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestBoundaries(t *testing.T) {
	c := newClient(t)
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	const shown = "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType><PermissionsBoundaryArn>" + policyARN + "</PermissionsBoundaryArn></PermissionsBoundary>"
	has(t, c.ok("CreateUser", "UserName", "ann", "PermissionsBoundary", policyARN), shown)
	has(t, c.ok("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", trust), "<RoleName>r</RoleName>")
	c.ok("PutRolePermissionsBoundary", "RoleName", "r", "PermissionsBoundary", policyARN)
	has(t, c.ok("GetRole", "RoleName", "r"), shown)
	has(t, c.ok("GetUser", "UserName", "ann"), shown)
	has(t, c.ok("GetPolicy", "PolicyArn", policyARN), "<AttachmentCount>0</AttachmentCount><PermissionsBoundaryUsageCount>2</PermissionsBoundaryUsageCount>")
	has(t, c.ok("ListPolicies", "PolicyUsageFilter", "PermissionsBoundary"), policyARN)
	if body := c.ok("ListPolicies", "PolicyUsageFilter", "PermissionsPolicy"); strings.Contains(body, policyARN) {
		t.Error(body)
	}
	for _, filter := range []string{"PermissionsBoundary", ""} {
		pairs := []string{"PolicyArn", policyARN}
		if filter != "" {
			pairs = append(pairs, "PolicyUsageFilter", filter)
		}
		has(t, c.ok("ListEntitiesForPolicy", pairs...), "<UserName>ann</UserName>", "<RoleName>r</RoleName>")
	}
	if body := c.ok("ListEntitiesForPolicy", "PolicyArn", policyARN, "PolicyUsageFilter", "PermissionsPolicy"); strings.Contains(body, "ann") {
		t.Error(body)
	}
	c.fails(http.StatusConflict, "DeleteConflict", "Cannot delete a policy attached to entities.", "DeletePolicy", "PolicyArn", policyARN)
	c.ok("DeleteRolePermissionsBoundary", "RoleName", "r")
	c.ok("DeleteUserPermissionsBoundary", "UserName", "ann")
	for _, body := range []string{c.ok("GetRole", "RoleName", "r"), c.ok("GetUser", "UserName", "ann")} {
		if strings.Contains(body, "PermissionsBoundary") {
			t.Error(body)
		}
	}
	c.ok("PutUserPermissionsBoundary", "UserName", "ann", "PermissionsBoundary", policyARN)
	c.ok("DeleteUser", "UserName", "ann")
	c.ok("DeletePolicy", "PolicyArn", policyARN)
	c.fails(http.StatusNotFound, "NoSuchEntity", policyARN, "PutRolePermissionsBoundary", "RoleName", "r", "PermissionsBoundary", policyARN)
	c.fails(http.StatusBadRequest, "ValidationError", "Value null at &#39;permissionsBoundary&#39;", "PutRolePermissionsBoundary", "RoleName", "r")
}

// Who may make roles with a boundary only makes none without, and cannot take the boundary off afterwards.
func TestAttackRoleThatMayDoMoreThanItsMaker(t *testing.T) {
	c := newClient(t)
	c.ok("CreatePolicy", "PolicyName", "managed", "Path", "/app/", "PolicyDocument", readAll)
	c.ok("CreatePolicy", "PolicyName", "wide", "PolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	c.ok("CreateUser", "UserName", "eve")
	c.ok("PutUserPolicy", "UserName", "eve", "PolicyName", "p", "PolicyDocument", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateRole","iam:PutRolePolicy","iam:AttachRolePolicy","iam:PutRolePermissionsBoundary"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+policyARN+`"}}}]}`)
	_, eve, _, err := c.iam.Key(t.Context(), between(c.ok("CreateAccessKey", "UserName", "eve"), "AccessKeyId"), "")
	if err != nil {
		t.Fatal(err)
	}
	wide := "arn:aws:iam::111122223333:policy/wide"
	maker := &client{t: t, iam: c.iam, wire: c.wire, who: eve}
	c.ok("CreateRole", "RoleName", "free", "AssumeRolePolicyDocument", trust)
	maker.fails(http.StatusForbidden, "AccessDenied", "iam:CreateRole", "CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust)
	maker.fails(http.StatusForbidden, "AccessDenied", "iam:CreateRole", "CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust, "PermissionsBoundary", wide)
	maker.ok("CreateRole", "RoleName", "mine", "AssumeRolePolicyDocument", trust, "PermissionsBoundary", policyARN)
	maker.ok("AttachRolePolicy", "RoleName", "mine", "PolicyArn", wide)
	maker.fails(http.StatusForbidden, "AccessDenied", "iam:AttachRolePolicy", "AttachRolePolicy", "RoleName", "free", "PolicyArn", wide)
	maker.fails(http.StatusForbidden, "AccessDenied", "iam:PutRolePermissionsBoundary", "PutRolePermissionsBoundary", "RoleName", "mine", "PermissionsBoundary", wide)
	maker.fails(http.StatusForbidden, "AccessDenied", "iam:DeleteRolePermissionsBoundary", "DeleteRolePermissionsBoundary", "RoleName", "mine")
}
