package iam

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type policyPath string

func (policyPath) Rule() wire.Rule {
	return wire.Length(1, 512).Matching(`((/[A-Za-z0-9\.,\+@=_-]+)*)/`)
}

type createPolicyInput struct {
	Name        policyName `aws:"PolicyName" required:"true"`
	Path        policyPath `aws:"Path"`
	Document    policyText `aws:"PolicyDocument" required:"true"`
	Description string     `aws:"Description" max:"1000"`
	Tags        []tag      `aws:"Tags" max:"50"`
}

type policyOutput struct {
	Policy policyShape `aws:"Policy"`
}

type policyShape struct {
	Name        string    `aws:"PolicyName"`
	ID          string    `aws:"PolicyId"`
	ARN         string    `aws:"Arn"`
	Path        string    `aws:"Path"`
	Default     string    `aws:"DefaultVersionId"`
	Attachments int       `aws:"AttachmentCount"`
	Boundaries  int       `aws:"PermissionsBoundaryUsageCount"`
	Attachable  bool      `aws:"IsAttachable"`
	Description string    `aws:"Description"`
	CreateDate  time.Time `aws:"CreateDate"`
	UpdateDate  time.Time `aws:"UpdateDate"`
	Tags        []tag     `aws:"Tags"`
}

// policyToShape returns a policy as lists have it; details adds what only a single policy's answer has.
func policyToShape(p iam.Policy, details bool) policyShape {
	s := policyShape{Name: p.Name, ID: p.ID, ARN: p.ARN(), Path: p.Path, Default: versionID(p.Default), Attachments: p.Attachments, Boundaries: p.Boundaries, Attachable: true,
		CreateDate: p.CreatedAt, UpdateDate: p.UpdatedAt}
	if details {
		s.Description, s.Tags = p.Description, tagsFromDomain(p.Tags)
	}
	return s
}

func versionID(n int) string { return "v" + strconv.Itoa(n) }

func (a *API) createPolicy(ctx context.Context, in *createPolicyInput) (*policyOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := a.IAM.CreatePolicy(ctx, iam.NewPolicy{Account: account(ctx), Name: string(in.Name), Path: string(in.Path), Document: string(in.Document),
		Description: in.Description, Tags: tags})
	if err != nil {
		return nil, err
	}
	return &policyOutput{Policy: policyToShape(p, true)}, nil
}

type policyInput struct {
	ARN arn `aws:"PolicyArn" required:"true"`
}

func (a *API) getPolicy(ctx context.Context, in *policyInput) (*policyOutput, error) {
	p, err := a.IAM.Policy(ctx, account(ctx), string(in.ARN))
	if err != nil {
		return nil, err
	}
	return &policyOutput{Policy: policyToShape(p, true)}, nil
}

type listPoliciesInput struct {
	Scope        string     `aws:"Scope" enum:"All,AWS,Local"`
	OnlyAttached bool       `aws:"OnlyAttached"`
	PathPrefix   policyPath `aws:"PathPrefix"`
	Usage        string     `aws:"PolicyUsageFilter" enum:"PermissionsPolicy,PermissionsBoundary"`
	Marker       string     `aws:"Marker" max:"4096"`
	MaxItems     *int       `aws:"MaxItems" min:"1" max:"1000"`
}

type listPoliciesOutput struct {
	Policies    []policyShape `aws:"Policies"`
	IsTruncated bool          `aws:"IsTruncated"`
	Marker      string        `aws:"Marker"`
}

func (a *API) listPolicies(ctx context.Context, in *listPoliciesInput) (*listPoliciesOutput, error) {
	out := &listPoliciesOutput{Policies: []policyShape{}}
	if in.Scope == "AWS" { // there are none
		return out, nil
	}
	f := iam.Filter{PathPrefix: string(in.PathPrefix), OnlyAttached: in.OnlyAttached, As: usage(in.Usage)}
	items, next, err := a.IAM.Policies(ctx, account(ctx), f, page(in.MaxItems, in.Marker))
	out.IsTruncated, out.Marker = next != "", next
	for _, p := range items {
		out.Policies = append(out.Policies, policyToShape(p, false))
	}
	return out, err
}

// usage reads a PolicyUsageFilter.
func usage(filter string) iam.Usage {
	return map[string]iam.Usage{"PermissionsPolicy": iam.AsPermissions, "PermissionsBoundary": iam.AsBoundary}[filter]
}

func (a *API) deletePolicy(ctx context.Context, in *policyInput) (*empty, error) {
	return nil, a.IAM.DeletePolicy(ctx, account(ctx), string(in.ARN))
}

type tagPolicyInput struct {
	ARN  arn   `aws:"PolicyArn" required:"true"`
	Tags []tag `aws:"Tags" required:"true" max:"50"`
}

func (a *API) tagPolicy(ctx context.Context, in *tagPolicyInput) (*empty, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, a.IAM.TagPolicy(ctx, account(ctx), string(in.ARN), tags)
}

type untagPolicyInput struct {
	ARN     arn      `aws:"PolicyArn" required:"true"`
	TagKeys []tagKey `aws:"TagKeys" required:"true" max:"50"`
}

func (a *API) untagPolicy(ctx context.Context, in *untagPolicyInput) (*empty, error) {
	return nil, a.IAM.UntagPolicy(ctx, account(ctx), string(in.ARN), texts(in.TagKeys))
}

type policyPageInput struct {
	ARN      arn    `aws:"PolicyArn" required:"true"`
	Marker   string `aws:"Marker" max:"4096"`
	MaxItems *int   `aws:"MaxItems" min:"1" max:"1000"`
}

func (a *API) listPolicyTags(ctx context.Context, in *policyPageInput) (*tagsOutput, error) {
	p, err := a.IAM.Policy(ctx, account(ctx), string(in.ARN))
	if err != nil {
		return nil, err
	}
	return tagPage(p.Tags, page(in.MaxItems, in.Marker)), nil
}

type newVersionInput struct {
	ARN      arn        `aws:"PolicyArn" required:"true"`
	Document policyText `aws:"PolicyDocument" required:"true"`
	Default  bool       `aws:"SetAsDefault"`
}

type versionOutput struct {
	Version versionShape `aws:"PolicyVersion"`
}

type versionShape struct {
	Document  document  `aws:"Document"`
	ID        string    `aws:"VersionId"`
	Default   bool      `aws:"IsDefaultVersion"`
	CreatedAt time.Time `aws:"CreateDate"`
}

func (a *API) createPolicyVersion(ctx context.Context, in *newVersionInput) (*versionOutput, error) {
	v, err := a.IAM.CreateVersion(ctx, account(ctx), string(in.ARN), string(in.Document), in.Default)
	return &versionOutput{Version: versionShape{ID: versionID(v.Number), Default: v.Default, CreatedAt: v.CreatedAt}}, err
}

type versionInput struct {
	ARN     arn    `aws:"PolicyArn" required:"true"`
	Version string `aws:"VersionId" required:"true" pattern:"v[1-9][0-9]{0,8}(\\.[A-Za-z0-9-]*)?"`
}

// number reads a version's id; its rule leaves nothing that cannot be read.
func (in *versionInput) number() int {
	id, _, _ := strings.Cut(in.Version, ".")
	n, _ := strconv.Atoi(strings.TrimPrefix(id, "v"))
	return n
}

func (a *API) getPolicyVersion(ctx context.Context, in *versionInput) (*versionOutput, error) {
	v, err := a.IAM.Version(ctx, account(ctx), string(in.ARN), in.number())
	return &versionOutput{Version: versionShape{Document: encoded(v.Document), ID: versionID(v.Number), Default: v.Default, CreatedAt: v.CreatedAt}}, err
}

type versionsOutput struct {
	Versions    []versionShape `aws:"Versions"`
	IsTruncated bool           `aws:"IsTruncated"`
	Marker      string         `aws:"Marker"`
}

func (a *API) listPolicyVersions(ctx context.Context, in *policyPageInput) (*versionsOutput, error) {
	items, next, err := a.IAM.Versions(ctx, account(ctx), string(in.ARN), page(in.MaxItems, in.Marker))
	out := &versionsOutput{Versions: []versionShape{}, IsTruncated: next != "", Marker: next}
	for _, v := range items {
		out.Versions = append(out.Versions, versionShape{ID: versionID(v.Number), Default: v.Default, CreatedAt: v.CreatedAt})
	}
	return out, err
}

func (a *API) setDefaultPolicyVersion(ctx context.Context, in *versionInput) (*empty, error) {
	return nil, a.IAM.SetDefaultVersion(ctx, account(ctx), string(in.ARN), in.number())
}

func (a *API) deletePolicyVersion(ctx context.Context, in *versionInput) (*empty, error) {
	return nil, a.IAM.DeleteVersion(ctx, account(ctx), string(in.ARN), in.number())
}

type entitiesInput struct {
	ARN        arn    `aws:"PolicyArn" required:"true"`
	Filter     string `aws:"EntityFilter" enum:"User,Role,Group,LocalManagedPolicy,AWSManagedPolicy"`
	PathPrefix path   `aws:"PathPrefix"`
	Usage      string `aws:"PolicyUsageFilter" enum:"PermissionsPolicy,PermissionsBoundary"`
	Marker     string `aws:"Marker" max:"4096"`
	MaxItems   *int   `aws:"MaxItems" min:"1" max:"1000"`
}

type entitiesOutput struct {
	Groups      []policyGroup `aws:"PolicyGroups"`
	Users       []policyUser  `aws:"PolicyUsers"`
	Roles       []policyRole  `aws:"PolicyRoles"`
	IsTruncated bool          `aws:"IsTruncated"`
	Marker      string        `aws:"Marker"`
}

type policyGroup struct {
	Name string `aws:"GroupName"`
	ID   string `aws:"GroupId"`
}

type policyUser struct {
	Name string `aws:"UserName"`
	ID   string `aws:"UserId"`
}

type policyRole struct {
	Name string `aws:"RoleName"`
	ID   string `aws:"RoleId"`
}

func (a *API) listEntitiesForPolicy(ctx context.Context, in *entitiesInput) (*entitiesOutput, error) {
	out := &entitiesOutput{Groups: []policyGroup{}, Users: []policyUser{}, Roles: []policyRole{}}
	kind, ok := map[string]iam.EntityKind{"": "", "LocalManagedPolicy": "", "User": iam.User, "Role": iam.Role, "Group": iam.Group}[in.Filter]
	if !ok { // AWS's own policies: there are none
		_, err := a.IAM.Policy(ctx, account(ctx), string(in.ARN))
		return out, err
	}
	items, next, err := a.IAM.AttachedTo(ctx, account(ctx), string(in.ARN), iam.EntityFilter{Kind: kind, PathPrefix: string(in.PathPrefix), As: usage(in.Usage)}, page(in.MaxItems, in.Marker))
	out.IsTruncated, out.Marker = next != "", next
	for _, e := range items {
		switch e.Kind {
		case iam.User:
			out.Users = append(out.Users, policyUser{Name: e.Name, ID: e.ID})
		case iam.Group:
			out.Groups = append(out.Groups, policyGroup{Name: e.Name, ID: e.ID})
		default:
			out.Roles = append(out.Roles, policyRole{Name: e.Name, ID: e.ID})
		}
	}
	return out, err
}
