package iam

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

type createUserInput struct {
	Path     path       `aws:"Path"`
	Name     entityName `aws:"UserName" required:"true"`
	Boundary arn        `aws:"PermissionsBoundary"`
	Tags     []tag      `aws:"Tags" max:"50"`
}

type userOutput struct {
	User userShape `aws:"User" required:"true"`
}

type userShape struct {
	Path       string    `aws:"Path"`
	Name       string    `aws:"UserName"`
	ID         string    `aws:"UserId" required:"true"`
	ARN        string    `aws:"Arn" required:"true"`
	CreateDate time.Time `aws:"CreateDate" required:"true"`
	Tags       []tag     `aws:"Tags"`

	Boundary *boundaryShape `aws:"PermissionsBoundary"`
}

// userToShape returns a user as lists have it; details adds what only a single user's answer has.
func userToShape(e iam.Entity, details bool) userShape {
	u := userShape{Path: e.Path, Name: e.Name, ID: e.ID, ARN: e.ARN(), CreateDate: e.CreatedAt}
	if details {
		u.Boundary = boundaryToShape(e)
	}
	if details && len(e.Tags) > 0 {
		u.Tags = tagsFromDomain(e.Tags)
	}
	return u
}

func (a *API) createUser(ctx context.Context, in *createUserInput) (*userOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	e, err := a.IAM.Create(ctx, iam.NewEntity{Ref: ref(ctx, iam.User, string(in.Name)), Boundary: string(in.Boundary), Path: string(in.Path), Tags: tags})
	if err != nil {
		return nil, err
	}
	return &userOutput{User: userToShape(e, true)}, nil
}

type userInput struct {
	Name entityName `aws:"UserName" required:"true"`
}

type optionalUserInput struct {
	Name entityName `aws:"UserName"`
}

// named returns the user with a name, and without one the calling user.
func named(ctx context.Context, name entityName) (iam.Ref, error) {
	if name == "" {
		p := iam.PrincipalOf(ctx)
		if p.Kind != iam.UserPrincipal {
			return iam.Ref{}, fault.New(iam.ValidationError, "Must specify userName when calling with non-User credentials")
		}
		name = entityName(p.UserName)
	}
	return ref(ctx, iam.User, string(name)), nil
}

func (a *API) getUser(ctx context.Context, in *optionalUserInput) (*userOutput, error) {
	if p := iam.PrincipalOf(ctx); in.Name == "" && p.Kind == iam.Root { // the root user has neither name nor path
		return &userOutput{User: userShape{ID: p.UserID, ARN: p.ARN}}, nil
	}
	r, err := named(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	e, err := a.IAM.Entity(ctx, r)
	if err != nil {
		return nil, err
	}
	return &userOutput{User: userToShape(e, true)}, nil
}

type listUsersOutput struct {
	Users       []userShape `aws:"Users" required:"true"`
	IsTruncated bool        `aws:"IsTruncated"`
	Marker      string      `aws:"Marker"`
}

func (a *API) listUsers(ctx context.Context, in *listInput) (*listUsersOutput, error) {
	items, next, err := a.IAM.Entities(ctx, account(ctx), iam.User, string(in.PathPrefix), page(in.MaxItems, in.Marker))
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{Users: []userShape{}, IsTruncated: next != "", Marker: next}
	for _, e := range items {
		out.Users = append(out.Users, userToShape(e, false))
	}
	return out, nil
}

func (a *API) deleteUser(ctx context.Context, in *userInput) (*empty, error) {
	return nil, a.IAM.Delete(ctx, ref(ctx, iam.User, string(in.Name)))
}

type tagUserInput struct {
	Name entityName `aws:"UserName" required:"true"`
	Tags []tag      `aws:"Tags" required:"true" max:"50"`
}

func (a *API) tagUser(ctx context.Context, in *tagUserInput) (*empty, error) {
	return nil, a.tag(ctx, ref(ctx, iam.User, string(in.Name)), in.Tags)
}

type untagUserInput struct {
	Name    entityName `aws:"UserName" required:"true"`
	TagKeys []tagKey   `aws:"TagKeys" required:"true" max:"50"`
}

func (a *API) untagUser(ctx context.Context, in *untagUserInput) (*empty, error) {
	return nil, a.IAM.Untag(ctx, ref(ctx, iam.User, string(in.Name)), texts(in.TagKeys))
}

type userPageInput struct {
	Name     entityName `aws:"UserName" required:"true"`
	Marker   string     `aws:"Marker" max:"4096"`
	MaxItems *int       `aws:"MaxItems" min:"1" max:"1000"`
}

func (a *API) listUserTags(ctx context.Context, in *userPageInput) (*tagsOutput, error) {
	return a.tags(ctx, ref(ctx, iam.User, string(in.Name)), page(in.MaxItems, in.Marker))
}

type userDocumentInput struct {
	Name       entityName `aws:"UserName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
	Document   policyText `aws:"PolicyDocument" required:"true"`
}

func (a *API) putUserPolicy(ctx context.Context, in *userDocumentInput) (*empty, error) {
	return nil, a.IAM.PutInline(ctx, ref(ctx, iam.User, string(in.Name)), string(in.PolicyName), string(in.Document))
}

type userPolicyInput struct {
	Name       entityName `aws:"UserName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
}

type userPolicyOutput struct {
	Name       string   `aws:"UserName" required:"true"`
	PolicyName string   `aws:"PolicyName" required:"true"`
	Document   document `aws:"PolicyDocument" required:"true"`
}

func (a *API) getUserPolicy(ctx context.Context, in *userPolicyInput) (*userPolicyOutput, error) {
	text, err := a.IAM.Inline(ctx, ref(ctx, iam.User, string(in.Name)), string(in.PolicyName))
	return &userPolicyOutput{Name: string(in.Name), PolicyName: string(in.PolicyName), Document: encoded(text)}, err
}

func (a *API) deleteUserPolicy(ctx context.Context, in *userPolicyInput) (*empty, error) {
	return nil, a.IAM.DeleteInline(ctx, ref(ctx, iam.User, string(in.Name)), string(in.PolicyName))
}

func (a *API) listUserPolicies(ctx context.Context, in *userPageInput) (*policyNamesOutput, error) {
	return a.inlines(ctx, ref(ctx, iam.User, string(in.Name)), page(in.MaxItems, in.Marker))
}

type userAttachmentInput struct {
	Name      entityName `aws:"UserName" required:"true"`
	PolicyARN arn        `aws:"PolicyArn" required:"true"`
}

func (a *API) attachUserPolicy(ctx context.Context, in *userAttachmentInput) (*empty, error) {
	return nil, a.IAM.Attach(ctx, ref(ctx, iam.User, string(in.Name)), string(in.PolicyARN))
}

func (a *API) detachUserPolicy(ctx context.Context, in *userAttachmentInput) (*empty, error) {
	return nil, a.IAM.Detach(ctx, ref(ctx, iam.User, string(in.Name)), string(in.PolicyARN))
}

type attachedUserInput struct {
	Name       entityName `aws:"UserName" required:"true"`
	PathPrefix pathPrefix `aws:"PathPrefix"`
	Marker     string     `aws:"Marker" max:"4096"`
	MaxItems   *int       `aws:"MaxItems" min:"1" max:"1000"`
}

func (a *API) listAttachedUserPolicies(ctx context.Context, in *attachedUserInput) (*attachedOutput, error) {
	return a.attached(ctx, ref(ctx, iam.User, string(in.Name)), in.PathPrefix, page(in.MaxItems, in.Marker))
}
