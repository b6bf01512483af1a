package iam

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type profileName string

func (profileName) Rule() wire.Rule { return wire.Length(1, 128).Matching(`[\w+=,.@-]+`) }

type createProfileInput struct {
	Name profileName `aws:"InstanceProfileName" required:"true"`
	Path path        `aws:"Path"`
	Tags []tag       `aws:"Tags" max:"50"`
}

type profileOutput struct {
	Profile profileShape `aws:"InstanceProfile" required:"true"`
}

type profileShape struct {
	Path       string      `aws:"Path" required:"true"`
	Name       string      `aws:"InstanceProfileName" required:"true"`
	ID         string      `aws:"InstanceProfileId" required:"true"`
	ARN        string      `aws:"Arn" required:"true"`
	CreateDate time.Time   `aws:"CreateDate" required:"true"`
	Roles      []roleShape `aws:"Roles" required:"true"`
	Tags       []tag       `aws:"Tags"`
}

func profile(ctx context.Context, name profileName) iam.Ref {
	return ref(ctx, iam.InstanceProfile, string(name))
}

// profileToShape returns an instance profile with its role as lists have it; details adds the tags, which only a single profile's answer has.
func (a *API) profileToShape(ctx context.Context, e iam.Entity, details bool) (profileShape, error) {
	s := profileShape{Path: e.Path, Name: e.Name, ID: e.ID, ARN: e.ARN(), CreateDate: e.CreatedAt, Roles: []roleShape{}}
	if details && len(e.Tags) > 0 {
		s.Tags = tagsFromDomain(e.Tags)
	}
	roles, _, err := a.IAM.Members(ctx, e.Ref, iam.Page{Limit: 1})
	if fault.Is(err, iam.NoSuchEntity) { // deleted since it was listed
		return s, nil
	}
	for _, r := range roles {
		s.Roles = append(s.Roles, roleToShape(r, false))
	}
	return s, err
}

func (a *API) createInstanceProfile(ctx context.Context, in *createProfileInput) (*profileOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	e, err := a.IAM.Create(ctx, iam.NewEntity{Ref: profile(ctx, in.Name), Path: string(in.Path), Tags: tags})
	if err != nil {
		return nil, err
	}
	s, err := a.profileToShape(ctx, e, true)
	return &profileOutput{Profile: s}, err
}

type profileInput struct {
	Name profileName `aws:"InstanceProfileName" required:"true"`
}

func (a *API) getInstanceProfile(ctx context.Context, in *profileInput) (*profileOutput, error) {
	e, err := a.IAM.Entity(ctx, profile(ctx, in.Name))
	if err != nil {
		return nil, err
	}
	s, err := a.profileToShape(ctx, e, true)
	return &profileOutput{Profile: s}, err
}

type profilesOutput struct {
	Profiles    []profileShape `aws:"InstanceProfiles" required:"true"`
	IsTruncated bool           `aws:"IsTruncated"`
	Marker      string         `aws:"Marker"`
}

func (a *API) profilesToShape(ctx context.Context, items []iam.Entity, next string) (*profilesOutput, error) {
	out := &profilesOutput{Profiles: []profileShape{}, IsTruncated: next != "", Marker: next}
	for _, e := range items {
		s, err := a.profileToShape(ctx, e, false)
		if err != nil {
			return nil, err
		}
		out.Profiles = append(out.Profiles, s)
	}
	return out, nil
}

func (a *API) listInstanceProfiles(ctx context.Context, in *listInput) (*profilesOutput, error) {
	items, next, err := a.IAM.Entities(ctx, account(ctx), iam.InstanceProfile, string(in.PathPrefix), page(in.MaxItems, in.Marker))
	if err != nil {
		return nil, err
	}
	return a.profilesToShape(ctx, items, next)
}

func (a *API) listInstanceProfilesForRole(ctx context.Context, in *rolePageInput) (*profilesOutput, error) {
	items, next, err := a.IAM.Holders(ctx, ref(ctx, iam.Role, string(in.Name)), page(in.MaxItems, in.Marker))
	if err != nil {
		return nil, err
	}
	return a.profilesToShape(ctx, items, next)
}

func (a *API) deleteInstanceProfile(ctx context.Context, in *profileInput) (*empty, error) {
	return nil, a.IAM.Delete(ctx, profile(ctx, in.Name))
}

type addRoleInput struct {
	Name profileName `aws:"InstanceProfileName" required:"true"`
	Role entityName  `aws:"RoleName" required:"true"`
}

func (a *API) addRoleToInstanceProfile(ctx context.Context, in *addRoleInput) (*empty, error) {
	return nil, a.IAM.AddMember(ctx, profile(ctx, in.Name), string(in.Role))
}

func (a *API) removeRoleFromInstanceProfile(ctx context.Context, in *addRoleInput) (*empty, error) {
	return nil, a.IAM.RemoveMember(ctx, profile(ctx, in.Name), string(in.Role))
}

type tagProfileInput struct {
	Name profileName `aws:"InstanceProfileName" required:"true"`
	Tags []tag       `aws:"Tags" required:"true" max:"50"`
}

func (a *API) tagInstanceProfile(ctx context.Context, in *tagProfileInput) (*empty, error) {
	return nil, a.tag(ctx, profile(ctx, in.Name), in.Tags)
}

type untagProfileInput struct {
	Name    profileName `aws:"InstanceProfileName" required:"true"`
	TagKeys []tagKey    `aws:"TagKeys" required:"true" max:"50"`
}

func (a *API) untagInstanceProfile(ctx context.Context, in *untagProfileInput) (*empty, error) {
	return nil, a.IAM.Untag(ctx, profile(ctx, in.Name), texts(in.TagKeys))
}

type profilePageInput struct {
	Name     profileName `aws:"InstanceProfileName" required:"true"`
	Marker   string      `aws:"Marker" max:"4096"`
	MaxItems *int        `aws:"MaxItems" min:"1" max:"1000"`
}

func (a *API) listInstanceProfileTags(ctx context.Context, in *profilePageInput) (*tagsOutput, error) {
	return a.tags(ctx, profile(ctx, in.Name), page(in.MaxItems, in.Marker))
}

func (a *API) onNewProfile(ctx context.Context, in *createProfileInput) (wire.Target, error) {
	return created(ctx, string(iam.InstanceProfile), string(in.Path), string(in.Name), in.Tags, "TagInstanceProfile", ""), nil
}

func (a *API) onNamedProfile(ctx context.Context, name profileName) (wire.Target, error) {
	return a.entity(ctx, iam.InstanceProfile, string(name))
}

func (a *API) onProfile(ctx context.Context, in *profileInput) (wire.Target, error) {
	return a.onNamedProfile(ctx, in.Name)
}

func (a *API) onProfilePage(ctx context.Context, in *profilePageInput) (wire.Target, error) {
	return a.onNamedProfile(ctx, in.Name)
}

// onProfileRole is the profile, and the role that whoever uses the profile gets: handing it over is an action of its own (API reference, AddRoleToInstanceProfile).
func (a *API) onProfileRole(ctx context.Context, in *addRoleInput) (wire.Target, error) {
	t, err := a.onNamedProfile(ctx, in.Name)
	if err != nil {
		return t, err
	}
	role, err := a.role(ctx, in.Role)
	role.Action = "iam:PassRole"
	return t.And(role.With("iam:PassedToService", "ec2.amazonaws.com")), err
}

func (a *API) onProfileRoleGone(ctx context.Context, in *addRoleInput) (wire.Target, error) {
	return a.onNamedProfile(ctx, in.Name)
}

func (a *API) onTaggedProfile(ctx context.Context, in *tagProfileInput) (wire.Target, error) {
	t, err := a.onNamedProfile(ctx, in.Name)
	return tagged(t, in.Tags), err
}

func (a *API) onUntaggedProfile(ctx context.Context, in *untagProfileInput) (wire.Target, error) {
	t, err := a.onNamedProfile(ctx, in.Name)
	return t.With("aws:TagKeys", texts(in.TagKeys)...), err
}
