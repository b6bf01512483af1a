package secretsmanager

import (
	"context"
	"maps"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// value reads the two members of which a request has at most one. Their rules have refused empty ones.
func value(text *string, binary []byte) (secrets.Value, error) {
	switch {
	case text != nil && len(binary) > 0:
		return secrets.Value{}, fault.New(secrets.InvalidParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	case text != nil:
		return secrets.Text(*text), nil
	case len(binary) > 0:
		return secrets.Binary(binary), nil
	}
	return secrets.Value{}, nil
}

// notHere refuses members that ask for what this server does not have: taken and without effect they would be worse.
func notHere(asked bool, member string) error {
	if asked {
		return fault.New(secrets.InvalidParameter, "This server has no replicas of secrets: leave out %s.", member)
	}
	return nil
}

type replica struct {
	Region   string `aws:"Region"`
	KMSKeyID string `aws:"KmsKeyId"`
}

type createSecretInput struct {
	Name                string    `aws:"Name" required:"true" min:"1" max:"512"`
	Token               versionID `aws:"ClientRequestToken"`
	Description         string    `aws:"Description" max:"2048"`
	KMSKeyID            string    `aws:"KmsKeyId" max:"2048"`
	SecretBinary        []byte    `aws:"SecretBinary" min:"1" max:"65536"`
	SecretString        *string   `aws:"SecretString" min:"1" max:"65536"`
	Tags                []tag     `aws:"Tags"`
	AddReplicaRegions   []replica `aws:"AddReplicaRegions"`
	CrossAccountPrimary string    `aws:"CrossAccountPrimaryARN"`
	ForceOverwrite      bool      `aws:"ForceOverwriteReplicaSecret"`
	Type                string    `aws:"Type" max:"256"`
}

type secretOutput struct {
	ARN       string `aws:"ARN"`
	Name      string `aws:"Name"`
	VersionID string `aws:"VersionId"`
}

func (a *API) createSecret(ctx context.Context, in *createSecretInput) (*secretOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := notHere(len(in.AddReplicaRegions) > 0, "AddReplicaRegions"); err != nil {
		return nil, err
	}
	if err := notHere(in.CrossAccountPrimary != "", "CrossAccountPrimaryARN"); err != nil {
		return nil, err
	}
	v, err := value(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	x, version, err := a.Secrets.Create(ctx, secrets.NewSecret{Scope: scope(ctx), Name: in.Name, Token: string(in.Token), Description: in.Description, KMSKeyID: in.KMSKeyID, Type: in.Type, Tags: tags, Value: v})
	return &secretOutput{x.ARN(), x.Name, version}, err
}

// onCreate is a secret that has no suffix yet. Its tags need an action of their own.
func (a *API) onCreate(ctx context.Context, in *createSecretInput) (wire.Target, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return wire.Target{}, err
	}
	keys := requestTags(tags)
	keys["secretsmanager:Name"] = []string{in.Name}
	if in.Description != "" {
		keys["secretsmanager:Description"] = []string{in.Description}
	}
	if in.KMSKeyID != "" {
		keys["secretsmanager:KmsKeyId"] = []string{in.KMSKeyID}
	}
	if in.Type != "" {
		keys["secretsmanager:Type"] = []string{in.Type}
	}
	t := wire.Target{Resource: secrets.ResourceOf(scope(ctx), in.Name), Context: keys}
	if len(tags) > 0 {
		t = t.Needing("secretsmanager:TagResource")
	}
	return t, nil
}

type getSecretValueInput struct {
	ID      secretID  `aws:"SecretId" required:"true"`
	Version versionID `aws:"VersionId"`
	Stage   stage     `aws:"VersionStage"`
}

type getSecretValueOutput struct {
	ARN          string    `aws:"ARN"`
	Name         string    `aws:"Name"`
	VersionID    string    `aws:"VersionId"`
	SecretBinary []byte    `aws:"SecretBinary"`
	SecretString *string   `aws:"SecretString"`
	Stages       []stage   `aws:"VersionStages"`
	CreatedAt    time.Time `aws:"CreatedDate"`
}

func (a *API) getSecretValue(ctx context.Context, in *getSecretValueInput) (*getSecretValueOutput, error) {
	x, version, v, err := a.Secrets.Value(ctx, scope(ctx), string(in.ID), secrets.Get{VersionID: string(in.Version), Stage: string(in.Stage)})
	if err != nil {
		return nil, err
	}
	out := &getSecretValueOutput{ARN: x.ARN(), Name: x.Name, VersionID: version.ID, Stages: stagesFromDomain(version.Stages), CreatedAt: version.CreatedAt}
	if text, ok := v.Text(); ok {
		out.SecretString = &text
	}
	if binary, ok := v.Binary(); ok {
		out.SecretBinary = binary
	}
	return out, nil
}

func (a *API) onGetValue(ctx context.Context, in *getSecretValueInput) (wire.Target, error) {
	keys := map[string][]string{}
	if in.Version != "" {
		keys["secretsmanager:VersionId"] = []string{string(in.Version)}
	}
	switch {
	case in.Stage != "":
		keys["secretsmanager:VersionStage"] = []string{string(in.Stage)}
	case in.Version == "":
		keys["secretsmanager:VersionStage"] = []string{secrets.Current} // the default is what a policy may ask for too
	}
	return a.secret(ctx, string(in.ID), keys)
}

type putSecretValueInput struct {
	ID            secretID  `aws:"SecretId" required:"true"`
	Token         versionID `aws:"ClientRequestToken"`
	SecretBinary  []byte    `aws:"SecretBinary" min:"1" max:"65536"`
	SecretString  *string   `aws:"SecretString" min:"1" max:"65536"`
	Stages        []stage   `aws:"VersionStages" min:"1" max:"20"`
	RotationToken string    `aws:"RotationToken" min:"36" max:"256"`
}

type putSecretValueOutput struct {
	ARN       string  `aws:"ARN"`
	Name      string  `aws:"Name"`
	VersionID string  `aws:"VersionId"`
	Stages    []stage `aws:"VersionStages"`
}

func (a *API) putSecretValue(ctx context.Context, in *putSecretValueInput) (*putSecretValueOutput, error) {
	v, err := value(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	put := secrets.Put{Token: string(in.Token), Value: v}
	for _, s := range in.Stages {
		put.Stages = append(put.Stages, string(s))
	}
	x, version, err := a.Secrets.Put(ctx, scope(ctx), string(in.ID), put)
	return &putSecretValueOutput{x.ARN(), x.Name, version.ID, stagesFromDomain(version.Stages)}, err
}

func (a *API) onPutValue(ctx context.Context, in *putSecretValueInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

type updateSecretInput struct {
	ID           secretID  `aws:"SecretId" required:"true"`
	Token        versionID `aws:"ClientRequestToken"`
	Description  *string   `aws:"Description" max:"2048"`
	KMSKeyID     *string   `aws:"KmsKeyId" max:"2048"`
	SecretBinary []byte    `aws:"SecretBinary" min:"1" max:"65536"`
	SecretString *string   `aws:"SecretString" min:"1" max:"65536"`
	Type         *string   `aws:"Type" max:"256"`
}

func (a *API) updateSecret(ctx context.Context, in *updateSecretInput) (*secretOutput, error) {
	v, err := value(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	x, version, err := a.Secrets.Update(ctx, scope(ctx), string(in.ID), secrets.Update{Token: string(in.Token), Description: in.Description, KMSKeyID: in.KMSKeyID, Type: in.Type, Value: v})
	return &secretOutput{x.ARN(), x.Name, version}, err
}

func (a *API) onUpdate(ctx context.Context, in *updateSecretInput) (wire.Target, error) {
	keys := map[string][]string{}
	for key, v := range map[string]*string{"secretsmanager:Description": in.Description, "secretsmanager:KmsKeyId": in.KMSKeyID, "secretsmanager:Type": in.Type} {
		if v != nil {
			keys[key] = []string{*v}
		}
	}
	return a.secret(ctx, string(in.ID), keys)
}

type updateSecretVersionStageInput struct {
	ID    secretID  `aws:"SecretId" required:"true"`
	Stage stage     `aws:"VersionStage" required:"true"`
	From  versionID `aws:"RemoveFromVersionId"`
	To    versionID `aws:"MoveToVersionId"`
}

type nameOutput struct {
	ARN  string `aws:"ARN"`
	Name string `aws:"Name"`
}

func (a *API) updateSecretVersionStage(ctx context.Context, in *updateSecretVersionStageInput) (*nameOutput, error) {
	x, err := a.Secrets.MoveStage(ctx, scope(ctx), string(in.ID), string(in.Stage), string(in.From), string(in.To))
	return &nameOutput{x.ARN(), x.Name}, err
}

func (a *API) onStage(ctx context.Context, in *updateSecretVersionStageInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), map[string][]string{"secretsmanager:VersionStage": {string(in.Stage)}})
}

type tagResourceInput struct {
	ID   secretID `aws:"SecretId" required:"true"`
	Tags []tag    `aws:"Tags" required:"true"`
}

func (a *API) tagResource(ctx context.Context, in *tagResourceInput) (*empty, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, a.Secrets.Tag(ctx, scope(ctx), string(in.ID), tags)
}

func (a *API) onTag(ctx context.Context, in *tagResourceInput) (wire.Target, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return wire.Target{}, err
	}
	return a.secret(ctx, string(in.ID), requestTags(tags))
}

type untagResourceInput struct {
	ID   secretID `aws:"SecretId" required:"true"`
	Keys []tagKey `aws:"TagKeys" required:"true"`
}

func (a *API) untagResource(ctx context.Context, in *untagResourceInput) (*empty, error) {
	return nil, a.Secrets.Untag(ctx, scope(ctx), string(in.ID), texts(in.Keys))
}

func texts(keys []tagKey) []string {
	var out []string
	for _, k := range keys {
		out = append(out, string(k))
	}
	return out
}

func (a *API) onUntag(ctx context.Context, in *untagResourceInput) (wire.Target, error) {
	keys := map[string][]string{}
	if len(in.Keys) > 0 {
		maps.Copy(keys, map[string][]string{"aws:TagKeys": texts(in.Keys)})
	}
	return a.secret(ctx, string(in.ID), keys)
}
