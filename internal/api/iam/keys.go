package iam

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam"
)

type createKeyOutput struct {
	Key keyShape `aws:"AccessKey" required:"true"`
}

type keyShape struct {
	UserName   string    `aws:"UserName" required:"true"`
	ID         string    `aws:"AccessKeyId" required:"true"`
	Status     string    `aws:"Status" required:"true"`
	Secret     string    `aws:"SecretAccessKey" required:"true"`
	CreateDate time.Time `aws:"CreateDate"`
}

const (
	active   = "Active"
	inactive = "Inactive"
)

func status(isActive bool) string {
	if isActive {
		return active
	}
	return inactive
}

func (a *API) createAccessKey(ctx context.Context, in *optionalUserInput) (*createKeyOutput, error) {
	r, err := named(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	k, err := a.IAM.CreateAccessKey(ctx, r)
	if err != nil {
		return nil, err
	}
	return &createKeyOutput{Key: keyShape{UserName: k.UserName, ID: k.ID, Status: status(k.Active), Secret: k.Secret, CreateDate: k.CreatedAt}}, nil
}

type listKeysInput struct {
	Name     entityName `aws:"UserName"`
	Marker   string     `aws:"Marker" max:"4096"`
	MaxItems *int       `aws:"MaxItems" min:"1" max:"1000"`
}

type listKeysOutput struct {
	Keys        []keyMetadata `aws:"AccessKeyMetadata" required:"true"`
	IsTruncated bool          `aws:"IsTruncated"`
	Marker      string        `aws:"Marker"`
}

type keyMetadata struct {
	UserName   string    `aws:"UserName"`
	ID         string    `aws:"AccessKeyId"`
	Status     string    `aws:"Status"`
	CreateDate time.Time `aws:"CreateDate"`
}

func (a *API) listAccessKeys(ctx context.Context, in *listKeysInput) (*listKeysOutput, error) {
	r, err := named(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	items, next, err := a.IAM.AccessKeys(ctx, r, page(in.MaxItems, in.Marker))
	out := &listKeysOutput{Keys: []keyMetadata{}, IsTruncated: next != "", Marker: next}
	for _, k := range items {
		out.Keys = append(out.Keys, keyMetadata{UserName: k.UserName, ID: k.ID, Status: status(k.Active), CreateDate: k.CreatedAt})
	}
	return out, err
}

type updateKeyInput struct {
	Name   entityName `aws:"UserName"`
	ID     string     `aws:"AccessKeyId" required:"true" min:"16" max:"128" pattern:"[\\w]+"`
	Status string     `aws:"Status" required:"true" enum:"Active,Inactive"`
}

func (a *API) updateAccessKey(ctx context.Context, in *updateKeyInput) (*empty, error) {
	r, err := named(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, a.IAM.SetAccessKey(ctx, r, in.ID, in.Status == active)
}

type deleteKeyInput struct {
	Name entityName `aws:"UserName"`
	ID   string     `aws:"AccessKeyId" required:"true" min:"16" max:"128" pattern:"[\\w]+"`
}

func (a *API) deleteAccessKey(ctx context.Context, in *deleteKeyInput) (*empty, error) {
	r, err := named(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, a.IAM.DeleteAccessKey(ctx, r, in.ID)
}

type anyKeyInput struct {
	ID string `aws:"AccessKeyId" required:"true" min:"16" max:"128" pattern:"[\\w]+"`
}

type keyUseOutput struct {
	UserName string `aws:"UserName"`
	LastUsed keyUse `aws:"AccessKeyLastUsed"`
}

type keyUse struct {
	Date    *time.Time `aws:"LastUsedDate"`
	Service string     `aws:"ServiceName" required:"true"`
	Region  string     `aws:"Region" required:"true"`
}

func (a *API) getAccessKeyLastUsed(ctx context.Context, in *anyKeyInput) (*keyUseOutput, error) {
	name, u, err := a.IAM.AccessKeyUse(ctx, account(ctx), in.ID)
	return &keyUseOutput{UserName: name, LastUsed: useToShape(u)}, err
}

func useToShape(u iam.Use) keyUse {
	if u.At.IsZero() {
		return keyUse{Service: "N/A", Region: "N/A"}
	}
	return keyUse{Date: ptr(u.At), Service: u.Service, Region: u.Region}
}
