package iam

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type createGroupInput struct {
	Path path      `aws:"Path"`
	Name groupName `aws:"GroupName" required:"true"`
}

type groupOutput struct {
	Group groupShape `aws:"Group" required:"true"`
}

type groupShape struct {
	Path       string    `aws:"Path" required:"true"`
	Name       string    `aws:"GroupName" required:"true"`
	ID         string    `aws:"GroupId" required:"true"`
	ARN        string    `aws:"Arn" required:"true"`
	CreateDate time.Time `aws:"CreateDate" required:"true"`
}

func groupToShape(e iam.Entity) groupShape {
	return groupShape{Path: e.Path, Name: e.Name, ID: e.ID, ARN: e.ARN(), CreateDate: e.CreatedAt}
}

func group(ctx context.Context, name groupName) iam.Ref { return ref(ctx, iam.Group, string(name)) }

func (a *API) createGroup(ctx context.Context, in *createGroupInput) (*groupOutput, error) {
	e, err := a.IAM.Create(ctx, iam.NewEntity{Ref: group(ctx, in.Name), Path: string(in.Path)})
	if err != nil {
		return nil, err
	}
	return &groupOutput{Group: groupToShape(e)}, nil
}

type groupInput struct {
	Name groupName `aws:"GroupName" required:"true"`
}

type groupPageInput struct {
	Name     groupName `aws:"GroupName" required:"true"`
	Marker   string    `aws:"Marker" max:"4096"`
	MaxItems *int      `aws:"MaxItems" min:"1" max:"1000"`
}

type getGroupOutput struct {
	Group       groupShape  `aws:"Group" required:"true"`
	Users       []userShape `aws:"Users" required:"true"`
	IsTruncated bool        `aws:"IsTruncated"`
	Marker      string      `aws:"Marker"`
}

func (a *API) getGroup(ctx context.Context, in *groupPageInput) (*getGroupOutput, error) {
	e, err := a.IAM.Entity(ctx, group(ctx, in.Name))
	if err != nil {
		return nil, err
	}
	users, next, err := a.IAM.Members(ctx, e.Ref, page(in.MaxItems, in.Marker))
	out := &getGroupOutput{Group: groupToShape(e), Users: []userShape{}, IsTruncated: next != "", Marker: next}
	for _, u := range users {
		out.Users = append(out.Users, userToShape(u, false))
	}
	return out, err
}

type groupsOutput struct {
	Groups      []groupShape `aws:"Groups" required:"true"`
	IsTruncated bool         `aws:"IsTruncated"`
	Marker      string       `aws:"Marker"`
}

func groupsToShape(items []iam.Entity, next string) *groupsOutput {
	out := &groupsOutput{Groups: []groupShape{}, IsTruncated: next != "", Marker: next}
	for _, e := range items {
		out.Groups = append(out.Groups, groupToShape(e))
	}
	return out
}

func (a *API) listGroups(ctx context.Context, in *listInput) (*groupsOutput, error) {
	items, next, err := a.IAM.Entities(ctx, account(ctx), iam.Group, string(in.PathPrefix), page(in.MaxItems, in.Marker))
	return groupsToShape(items, next), err
}

func (a *API) listGroupsForUser(ctx context.Context, in *userPageInput) (*groupsOutput, error) {
	items, next, err := a.IAM.Holders(ctx, ref(ctx, iam.User, string(in.Name)), page(in.MaxItems, in.Marker))
	return groupsToShape(items, next), err
}

func (a *API) deleteGroup(ctx context.Context, in *groupInput) (*empty, error) {
	return nil, a.IAM.Delete(ctx, group(ctx, in.Name))
}

type membershipInput struct {
	Group groupName  `aws:"GroupName" required:"true"`
	User  entityName `aws:"UserName" required:"true"`
}

func (a *API) addUserToGroup(ctx context.Context, in *membershipInput) (*empty, error) {
	return nil, a.IAM.AddMember(ctx, group(ctx, in.Group), string(in.User))
}

func (a *API) removeUserFromGroup(ctx context.Context, in *membershipInput) (*empty, error) {
	return nil, a.IAM.RemoveMember(ctx, group(ctx, in.Group), string(in.User))
}

type groupDocumentInput struct {
	Name       groupName  `aws:"GroupName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
	Document   policyText `aws:"PolicyDocument" required:"true"`
}

func (a *API) putGroupPolicy(ctx context.Context, in *groupDocumentInput) (*empty, error) {
	return nil, a.IAM.PutInline(ctx, group(ctx, in.Name), string(in.PolicyName), string(in.Document))
}

type groupPolicyInput struct {
	Name       groupName  `aws:"GroupName" required:"true"`
	PolicyName policyName `aws:"PolicyName" required:"true"`
}

type groupPolicyOutput struct {
	Name       string   `aws:"GroupName" required:"true"`
	PolicyName string   `aws:"PolicyName" required:"true"`
	Document   document `aws:"PolicyDocument" required:"true"`
}

func (a *API) getGroupPolicy(ctx context.Context, in *groupPolicyInput) (*groupPolicyOutput, error) {
	text, err := a.IAM.Inline(ctx, group(ctx, in.Name), string(in.PolicyName))
	return &groupPolicyOutput{Name: string(in.Name), PolicyName: string(in.PolicyName), Document: encoded(text)}, err
}

func (a *API) deleteGroupPolicy(ctx context.Context, in *groupPolicyInput) (*empty, error) {
	return nil, a.IAM.DeleteInline(ctx, group(ctx, in.Name), string(in.PolicyName))
}

func (a *API) listGroupPolicies(ctx context.Context, in *groupPageInput) (*policyNamesOutput, error) {
	return a.inlines(ctx, group(ctx, in.Name), page(in.MaxItems, in.Marker))
}

type groupAttachmentInput struct {
	Name      groupName `aws:"GroupName" required:"true"`
	PolicyARN arn       `aws:"PolicyArn" required:"true"`
}

func (a *API) attachGroupPolicy(ctx context.Context, in *groupAttachmentInput) (*empty, error) {
	return nil, a.IAM.Attach(ctx, group(ctx, in.Name), string(in.PolicyARN))
}

func (a *API) detachGroupPolicy(ctx context.Context, in *groupAttachmentInput) (*empty, error) {
	return nil, a.IAM.Detach(ctx, group(ctx, in.Name), string(in.PolicyARN))
}

type attachedGroupInput struct {
	Name       groupName  `aws:"GroupName" required:"true"`
	PathPrefix pathPrefix `aws:"PathPrefix"`
	Marker     string     `aws:"Marker" max:"4096"`
	MaxItems   *int       `aws:"MaxItems" min:"1" max:"1000"`
}

func (a *API) listAttachedGroupPolicies(ctx context.Context, in *attachedGroupInput) (*attachedOutput, error) {
	return a.attached(ctx, group(ctx, in.Name), in.PathPrefix, page(in.MaxItems, in.Marker))
}

func (a *API) onNewGroup(ctx context.Context, in *createGroupInput) (wire.Target, error) {
	return created(ctx, "group", string(in.Path), string(in.Name), nil, "", ""), nil
}

func (a *API) onNamedGroup(ctx context.Context, name groupName) (wire.Target, error) {
	return a.entity(ctx, iam.Group, string(name))
}

func (a *API) onGroup(ctx context.Context, in *groupInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Name)
}

func (a *API) onGroupPage(ctx context.Context, in *groupPageInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Name)
}

// onMembership is the group: the service authorization reference has no user as a resource of these actions.
func (a *API) onMembership(ctx context.Context, in *membershipInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Group)
}

func (a *API) onGroupDocument(ctx context.Context, in *groupDocumentInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Name)
}

func (a *API) onGroupPolicy(ctx context.Context, in *groupPolicyInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Name)
}

func (a *API) onGroupAttachment(ctx context.Context, in *groupAttachmentInput) (wire.Target, error) {
	t, err := a.onNamedGroup(ctx, in.Name)
	return t.With("iam:PolicyARN", string(in.PolicyARN)), err
}

func (a *API) onAttachedGroup(ctx context.Context, in *attachedGroupInput) (wire.Target, error) {
	return a.onNamedGroup(ctx, in.Name)
}
