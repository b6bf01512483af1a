package iam

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam"
)

type createRoleInput struct {
	Path        path       `aws:"Path"`
	Name        entityName `aws:"RoleName" required:"true"`
	Trust       policyText `aws:"AssumeRolePolicyDocument" required:"true"`
	Description string     `aws:"Description" max:"1000"`
	MaxSession  *int       `aws:"MaxSessionDuration" min:"3600" max:"43200"`
	Boundary    arn        `aws:"PermissionsBoundary"`
	Tags        []tag      `aws:"Tags" max:"50"`
}

type roleOutput struct {
	Role roleShape `aws:"Role" required:"true"`
}

type roleShape struct {
	Path        string    `aws:"Path" required:"true"`
	Name        string    `aws:"RoleName" required:"true"`
	ID          string    `aws:"RoleId" required:"true"`
	ARN         string    `aws:"Arn" required:"true"`
	CreateDate  time.Time `aws:"CreateDate" required:"true"`
	Trust       document  `aws:"AssumeRolePolicyDocument"`
	Description string    `aws:"Description"`
	MaxSession  *int      `aws:"MaxSessionDuration"`
	Tags        []tag     `aws:"Tags"`
	LastUsed    *lastUsed `aws:"RoleLastUsed"`

	Boundary *boundaryShape `aws:"PermissionsBoundary"`
}

type lastUsed struct {
	Date   *time.Time `aws:"LastUsedDate"`
	Region string     `aws:"Region"`
}

// roleToShape returns a role as lists have it; details adds what only a single role's answer has.
func roleToShape(e iam.Entity, details bool) roleShape {
	seconds := int(e.MaxSession / time.Second)
	r := roleShape{Path: e.Path, Name: e.Name, ID: e.ID, ARN: e.ARN(), CreateDate: e.CreatedAt, Trust: encoded(e.Trust), Description: e.Description, MaxSession: &seconds}
	if details {
		r.Boundary = boundaryToShape(e)
		r.LastUsed = &lastUsed{Date: ptr(e.LastUsed), Region: e.LastUsedRegion}
		if len(e.Tags) > 0 {
			r.Tags = tagsFromDomain(e.Tags)
		}
	}
	return r
}

func (a *API) createRole(ctx context.Context, in *createRoleInput) (*roleOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	n := iam.NewEntity{Ref: ref(ctx, iam.Role, string(in.Name)), Boundary: string(in.Boundary), Path: string(in.Path), Trust: string(in.Trust), Description: in.Description, Tags: tags}
	if in.MaxSession != nil {
		n.MaxSession = time.Duration(*in.MaxSession) * time.Second
	}
	e, err := a.IAM.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	out := &roleOutput{Role: roleToShape(e, true)}
	out.Role.LastUsed = nil
	return out, nil
}

type roleInput struct {
	Name entityName `aws:"RoleName" required:"true"`
}

func (a *API) getRole(ctx context.Context, in *roleInput) (*roleOutput, error) {
	e, err := a.IAM.Entity(ctx, ref(ctx, iam.Role, string(in.Name)))
	if err != nil {
		return nil, err
	}
	return &roleOutput{Role: roleToShape(e, true)}, nil
}

type listInput struct {
	PathPrefix pathPrefix `aws:"PathPrefix"`
	Marker     string     `aws:"Marker" max:"4096"`
	MaxItems   *int       `aws:"MaxItems" min:"1" max:"1000"`
}

type listRolesOutput struct {
	Roles       []roleShape `aws:"Roles" required:"true"`
	IsTruncated bool        `aws:"IsTruncated"`
	Marker      string      `aws:"Marker"`
}

func (a *API) listRoles(ctx context.Context, in *listInput) (*listRolesOutput, error) {
	items, next, err := a.IAM.Entities(ctx, account(ctx), iam.Role, string(in.PathPrefix), page(in.MaxItems, in.Marker))
	if err != nil {
		return nil, err
	}
	out := &listRolesOutput{Roles: []roleShape{}, IsTruncated: next != "", Marker: next}
	for _, e := range items {
		out.Roles = append(out.Roles, roleToShape(e, false))
	}
	return out, nil
}

func (a *API) deleteRole(ctx context.Context, in *roleInput) (*empty, error) {
	return nil, a.IAM.Delete(ctx, ref(ctx, iam.Role, string(in.Name)))
}

type updateRoleInput struct {
	Name        entityName `aws:"RoleName" required:"true"`
	Description *string    `aws:"Description" max:"1000"`
	MaxSession  *int       `aws:"MaxSessionDuration" min:"3600" max:"43200"`
}

func (a *API) updateRole(ctx context.Context, in *updateRoleInput) (*empty, error) {
	var maxSession *time.Duration
	if in.MaxSession != nil {
		d := time.Duration(*in.MaxSession) * time.Second
		maxSession = &d
	}
	_, err := a.IAM.Describe(ctx, ref(ctx, iam.Role, string(in.Name)), in.Description, maxSession)
	return &empty{}, err
}

type describeRoleInput struct {
	Name        entityName `aws:"RoleName" required:"true"`
	Description *string    `aws:"Description" required:"true" max:"1000"`
}

func (a *API) updateRoleDescription(ctx context.Context, in *describeRoleInput) (*roleOutput, error) {
	e, err := a.IAM.Describe(ctx, ref(ctx, iam.Role, string(in.Name)), in.Description, nil)
	if err != nil {
		return nil, err
	}
	return &roleOutput{Role: roleToShape(e, true)}, nil
}

type trustInput struct {
	Name     entityName `aws:"RoleName" required:"true"`
	Document policyText `aws:"PolicyDocument" required:"true"`
}

func (a *API) updateAssumeRolePolicy(ctx context.Context, in *trustInput) (*empty, error) {
	return nil, a.IAM.SetTrust(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.Document))
}

type tagRoleInput struct {
	Name entityName `aws:"RoleName" required:"true"`
	Tags []tag      `aws:"Tags" required:"true" max:"50"`
}

func (a *API) tagRole(ctx context.Context, in *tagRoleInput) (*empty, error) {
	return nil, a.tag(ctx, ref(ctx, iam.Role, string(in.Name)), in.Tags)
}

func (a *API) tag(ctx context.Context, r iam.Ref, in []tag) error {
	tags, err := tagsToDomain(in)
	if err != nil {
		return err
	}
	return a.IAM.Tag(ctx, r, tags)
}

type untagRoleInput struct {
	Name    entityName `aws:"RoleName" required:"true"`
	TagKeys []tagKey   `aws:"TagKeys" required:"true" max:"50"`
}

func (a *API) untagRole(ctx context.Context, in *untagRoleInput) (*empty, error) {
	return nil, a.IAM.Untag(ctx, ref(ctx, iam.Role, string(in.Name)), texts(in.TagKeys))
}

type rolePageInput struct {
	Name     entityName `aws:"RoleName" required:"true"`
	Marker   string     `aws:"Marker" max:"4096"`
	MaxItems *int       `aws:"MaxItems" min:"1" max:"1000"`
}

type tagsOutput struct {
	Tags        []tag  `aws:"Tags" required:"true"`
	IsTruncated bool   `aws:"IsTruncated"`
	Marker      string `aws:"Marker"`
}

func (a *API) listRoleTags(ctx context.Context, in *rolePageInput) (*tagsOutput, error) {
	return a.tags(ctx, ref(ctx, iam.Role, string(in.Name)), page(in.MaxItems, in.Marker))
}

func (a *API) tags(ctx context.Context, r iam.Ref, p iam.Page) (*tagsOutput, error) {
	e, err := a.IAM.Entity(ctx, r)
	if err != nil {
		return nil, err
	}
	return tagPage(e.Tags, p), nil
}

// tagPage cuts a page of tags: its marker is the key that the page before ended with.
func tagPage(tags map[string]string, p iam.Page) *tagsOutput {
	out := &tagsOutput{Tags: []tag{}}
	for _, t := range tagsFromDomain(tags) {
		if p.Marker != "" && string(t.Key) <= p.Marker {
			continue
		}
		if len(out.Tags) == p.Limit {
			out.IsTruncated, out.Marker = true, string(out.Tags[len(out.Tags)-1].Key)
			break
		}
		out.Tags = append(out.Tags, t)
	}
	return out
}

type roleDocumentInput struct {
	Name       entityName `aws:"RoleName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
	Document   policyText `aws:"PolicyDocument" required:"true"`
}

func (a *API) putRolePolicy(ctx context.Context, in *roleDocumentInput) (*empty, error) {
	return nil, a.IAM.PutInline(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.PolicyName), string(in.Document))
}

type rolePolicyInput struct {
	Name       entityName `aws:"RoleName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
}

type rolePolicyOutput struct {
	Name       string   `aws:"RoleName" required:"true"`
	PolicyName string   `aws:"PolicyName" required:"true"`
	Document   document `aws:"PolicyDocument" required:"true"`
}

func (a *API) getRolePolicy(ctx context.Context, in *rolePolicyInput) (*rolePolicyOutput, error) {
	text, err := a.IAM.Inline(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.PolicyName))
	return &rolePolicyOutput{Name: string(in.Name), PolicyName: string(in.PolicyName), Document: encoded(text)}, err
}

func (a *API) deleteRolePolicy(ctx context.Context, in *rolePolicyInput) (*empty, error) {
	return nil, a.IAM.DeleteInline(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.PolicyName))
}

type policyNamesOutput struct {
	PolicyNames []string `aws:"PolicyNames" required:"true"`
	IsTruncated bool     `aws:"IsTruncated"`
	Marker      string   `aws:"Marker"`
}

func (a *API) listRolePolicies(ctx context.Context, in *rolePageInput) (*policyNamesOutput, error) {
	return a.inlines(ctx, ref(ctx, iam.Role, string(in.Name)), page(in.MaxItems, in.Marker))
}

func (a *API) inlines(ctx context.Context, r iam.Ref, p iam.Page) (*policyNamesOutput, error) {
	names, next, err := a.IAM.Inlines(ctx, r, p)
	return &policyNamesOutput{PolicyNames: append([]string{}, names...), IsTruncated: next != "", Marker: next}, err
}

type roleAttachmentInput struct {
	Name      entityName `aws:"RoleName" required:"true"`
	PolicyARN arn        `aws:"PolicyArn" required:"true"`
}

func (a *API) attachRolePolicy(ctx context.Context, in *roleAttachmentInput) (*empty, error) {
	return nil, a.IAM.Attach(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.PolicyARN))
}

func (a *API) detachRolePolicy(ctx context.Context, in *roleAttachmentInput) (*empty, error) {
	return nil, a.IAM.Detach(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.PolicyARN))
}

type attachedRoleInput struct {
	Name       entityName `aws:"RoleName" required:"true"`
	PathPrefix pathPrefix `aws:"PathPrefix"`
	Marker     string     `aws:"Marker" max:"4096"`
	MaxItems   *int       `aws:"MaxItems" min:"1" max:"1000"`
}

type attachedPolicy struct {
	Name string `aws:"PolicyName"`
	ARN  string `aws:"PolicyArn"`
}

type attachedOutput struct {
	Policies    []attachedPolicy `aws:"AttachedPolicies"`
	IsTruncated bool             `aws:"IsTruncated"`
	Marker      string           `aws:"Marker"`
}

func (a *API) listAttachedRolePolicies(ctx context.Context, in *attachedRoleInput) (*attachedOutput, error) {
	return a.attached(ctx, ref(ctx, iam.Role, string(in.Name)), in.PathPrefix, page(in.MaxItems, in.Marker))
}

func (a *API) attached(ctx context.Context, r iam.Ref, prefix pathPrefix, p iam.Page) (*attachedOutput, error) {
	items, next, err := a.IAM.Attached(ctx, r, string(prefix), p)
	out := &attachedOutput{Policies: []attachedPolicy{}, IsTruncated: next != "", Marker: next}
	for _, i := range items {
		out.Policies = append(out.Policies, attachedPolicy{Name: i.Name, ARN: i.ARN()})
	}
	return out, err
}
