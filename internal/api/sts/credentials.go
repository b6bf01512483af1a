package sts

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

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

type policyDescriptor struct {
	ARN string `aws:"arn" min:"20" max:"2048"`
}

type assumeRoleInput struct {
	RoleARN        string             `aws:"RoleArn" required:"true" min:"20" max:"2048"`
	SessionName    string             `aws:"RoleSessionName" required:"true" min:"2" max:"64" pattern:"[\\w+=,.@-]*"`
	PolicyARNs     []policyDescriptor `aws:"PolicyArns"`
	Policy         string             `aws:"Policy" min:"1"`
	Duration       *int               `aws:"DurationSeconds" min:"900" max:"43200"`
	Tags           []tag              `aws:"Tags" max:"50"`
	TransitiveTags []tagKey           `aws:"TransitiveTagKeys" max:"50"`
	ExternalID     string             `aws:"ExternalId" min:"2" max:"1224" pattern:"[\\w+=,.@:\\/-]*"`
	SourceIdentity string             `aws:"SourceIdentity" min:"2" max:"256" pattern:"[\\w+=,.@-]*"`
	SerialNumber   string             `aws:"SerialNumber" min:"9" max:"256" pattern:"[\\w+=/:,.@-]*"`
	TokenCode      string             `aws:"TokenCode" min:"6" max:"6" pattern:"[\\d]*"`
}

type assumeRoleOutput struct {
	Credentials    credentials `aws:"Credentials"`
	User           assumedUser `aws:"AssumedRoleUser"`
	PackedSize     *int        `aws:"PackedPolicySize"`
	SourceIdentity string      `aws:"SourceIdentity"`
}

type assumedUser struct {
	ID  string `aws:"AssumedRoleId"`
	ARN string `aws:"Arn"`
}

type credentials struct {
	AccessKeyID string    `aws:"AccessKeyId" required:"true"`
	Secret      string    `aws:"SecretAccessKey" required:"true"`
	Token       string    `aws:"SessionToken" required:"true"`
	Expiration  time.Time `aws:"Expiration" required:"true"`
}

func credentialsToShape(c iam.Credentials) credentials {
	return credentials{AccessKeyID: c.AccessKeyID, Secret: c.Secret, Token: c.Token, Expiration: c.Expires}
}

// noMFA refuses codes of devices: this server has none to check them with.
func noMFA(serial, code string) error {
	if serial != "" || code != "" {
		return fault.New(fault.AccessDenied, "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	return nil
}

func seconds(n *int) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func (a *API) assumeRole(ctx context.Context, in *assumeRoleInput) (*assumeRoleOutput, error) {
	if err := noMFA(in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	ask := iam.AssumeRole{RoleARN: in.RoleARN, SessionName: in.SessionName, Duration: seconds(in.Duration), ExternalID: in.ExternalID, Policy: in.Policy,
		Tags: map[string]string{}, SourceIdentity: in.SourceIdentity}
	for _, p := range in.PolicyARNs {
		ask.PolicyARNs = append(ask.PolicyARNs, p.ARN)
	}
	for _, t := range in.Tags {
		if _, twice := ask.Tags[string(t.Key)]; twice {
			return nil, fault.New(iam.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		ask.Tags[string(t.Key)] = string(t.Value)
	}
	for _, k := range in.TransitiveTags {
		ask.TransitiveTags = append(ask.TransitiveTags, string(k))
	}
	c, err := a.IAM.AssumeRole(ctx, iam.PrincipalOf(ctx), ask)
	if fault.Is(err, iam.NoSuchEntity) { // STS has no such exception: a session policy that is not there, or a role that went while it was asked for
		return nil, fault.New(iam.ValidationError, "%s", fault.From(err).Message).With(err)
	}
	if err != nil {
		return nil, err
	}
	out := &assumeRoleOutput{Credentials: credentialsToShape(c), User: assumedUser{ID: c.UserID, ARN: c.ARN}, SourceIdentity: c.SourceIdentity}
	if c.PackedSize > 0 {
		out.PackedSize = &c.PackedSize
	}
	return out, nil
}

type getSessionTokenInput struct {
	Duration     *int   `aws:"DurationSeconds" min:"900" max:"129600"`
	SerialNumber string `aws:"SerialNumber" min:"9" max:"256" pattern:"[\\w+=/:,.@-]*"`
	TokenCode    string `aws:"TokenCode" min:"6" max:"6" pattern:"[\\d]*"`
}

type getSessionTokenOutput struct {
	Credentials credentials `aws:"Credentials"`
}

func (a *API) getSessionToken(ctx context.Context, in *getSessionTokenInput) (*getSessionTokenOutput, error) {
	if err := noMFA(in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	c, err := a.IAM.SessionToken(ctx, iam.PrincipalOf(ctx), seconds(in.Duration))
	if err != nil {
		return nil, err
	}
	return &getSessionTokenOutput{Credentials: credentialsToShape(c)}, nil
}

type getAccessKeyInfoInput struct {
	ID string `aws:"AccessKeyId" required:"true" min:"16" max:"128" pattern:"[\\w]*"`
}

type getAccessKeyInfoOutput struct {
	Account string `aws:"Account"`
}

// onAccessKeyInfo: keys are no resources that policies could name (service authorization reference).
func onAccessKeyInfo(context.Context, *getAccessKeyInfoInput) (wire.Target, error) {
	return wire.Target{Resource: "*"}, nil
}

func (a *API) getAccessKeyInfo(ctx context.Context, in *getAccessKeyInfoInput) (*getAccessKeyInfoOutput, error) {
	account, err := a.IAM.KeyAccount(ctx, in.ID)
	return &getAccessKeyInfoOutput{Account: account}, err
}
