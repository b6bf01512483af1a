package secretsmanager

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type idInput struct {
	ID secretID `aws:"SecretId" required:"true"`
}

type describeSecretOutput struct {
	ARN             string             `aws:"ARN"`
	Name            string             `aws:"Name"`
	Type            string             `aws:"Type"`
	Description     string             `aws:"Description"`
	KMSKeyID        string             `aws:"KmsKeyId"`
	ChangedAt       time.Time          `aws:"LastChangedDate"`
	AccessedAt      *time.Time         `aws:"LastAccessedDate"`
	DeletedAt       *time.Time         `aws:"DeletedDate"`
	Tags            []tag              `aws:"Tags"`
	VersionsToStage map[string][]stage `aws:"VersionIdsToStages"`
	CreatedAt       time.Time          `aws:"CreatedDate"`
}

func (a *API) describeSecret(ctx context.Context, in *idInput) (*describeSecretOutput, error) {
	x, err := a.Secrets.Secret(ctx, scope(ctx), string(in.ID))
	if err != nil {
		return nil, err
	}
	return &describeSecretOutput{ARN: x.ARN(), Name: x.Name, Type: x.Type, Description: x.Description, KMSKeyID: x.KMSKeyID, ChangedAt: x.ChangedAt, AccessedAt: ptr(x.AccessedAt),
		DeletedAt: ptr(x.DeletedAt), Tags: tagsFromDomain(x.Tags), VersionsToStage: versionsToStages(&x), CreatedAt: x.CreatedAt}, nil
}

// versionsToStages has the versions that have stages; a secret without any has no such member.
func versionsToStages(x *secrets.Secret) map[string][]stage {
	var out map[string][]stage
	for _, v := range x.Versions {
		if len(v.Stages) == 0 {
			continue
		}
		if out == nil {
			out = map[string][]stage{}
		}
		out[v.ID] = stagesFromDomain(v.Stages)
	}
	return out
}

func (a *API) onDescribe(ctx context.Context, in *idInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

type filterValue string

func (filterValue) Rule() wire.Rule {
	return wire.Length(0, 512).Matching(`\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*`)
}

type filter struct {
	Key    string        `aws:"Key" enum:"description,name,tag-key,tag-value,primary-region,owning-service,all"`
	Values []filterValue `aws:"Values" min:"1" max:"10"`
}

type listSecretsInput struct {
	Deleted    bool     `aws:"IncludePlannedDeletion"`
	MaxResults *int     `aws:"MaxResults" min:"1" max:"100"`
	NextToken  string   `aws:"NextToken" min:"1" max:"4096"`
	Filters    []filter `aws:"Filters" max:"10"`
	SortOrder  string   `aws:"SortOrder" enum:"asc,desc"`
	SortBy     string   `aws:"SortBy" enum:"created-date,last-accessed-date,last-changed-date,name"`
}

type secretListEntry struct {
	ARN             string             `aws:"ARN"`
	Name            string             `aws:"Name"`
	Type            string             `aws:"Type"`
	Description     string             `aws:"Description"`
	KMSKeyID        string             `aws:"KmsKeyId"`
	ChangedAt       time.Time          `aws:"LastChangedDate"`
	AccessedAt      *time.Time         `aws:"LastAccessedDate"`
	DeletedAt       *time.Time         `aws:"DeletedDate"`
	Tags            []tag              `aws:"Tags"`
	VersionsToStage map[string][]stage `aws:"SecretVersionsToStages"`
	CreatedAt       time.Time          `aws:"CreatedDate"`
}

type listSecretsOutput struct {
	Secrets   []secretListEntry `aws:"SecretList"`
	NextToken string            `aws:"NextToken"`
}

const usualPage = 100 // the most that a page can have, which is also the default

func limit(maxResults *int) int {
	if maxResults == nil {
		return usualPage
	}
	return *maxResults
}

// listSecrets lists the newest first, unless asked otherwise.
func (a *API) listSecrets(ctx context.Context, in *listSecretsInput) (*listSecretsOutput, error) {
	l := secrets.List{Deleted: in.Deleted, Sort: secrets.Sort(in.SortBy), Ascending: in.SortOrder == "asc", Limit: limit(in.MaxResults), Token: in.NextToken}
	for _, f := range in.Filters {
		if f.Key == "" || len(f.Values) == 0 {
			return nil, fault.New(secrets.InvalidParameter, "A filter needs a Key and Values.")
		}
		values := make([]string, len(f.Values))
		for i, v := range f.Values {
			values[i] = string(v)
		}
		l.Filters = append(l.Filters, secrets.Filter{Key: secrets.FilterKey(f.Key), Values: values})
	}
	page, next, err := a.Secrets.List(ctx, scope(ctx), l)
	if err != nil {
		return nil, err
	}
	out := &listSecretsOutput{Secrets: []secretListEntry{}, NextToken: next}
	for i := range page {
		x := &page[i]
		out.Secrets = append(out.Secrets, secretListEntry{ARN: x.ARN(), Name: x.Name, Type: x.Type, Description: x.Description, KMSKeyID: x.KMSKeyID, ChangedAt: x.ChangedAt, AccessedAt: ptr(x.AccessedAt),
			DeletedAt: ptr(x.DeletedAt), Tags: tagsFromDomain(x.Tags), VersionsToStage: versionsToStages(x), CreatedAt: x.CreatedAt})
	}
	return out, nil
}

type listVersionsInput struct {
	ID         secretID `aws:"SecretId" required:"true"`
	MaxResults *int     `aws:"MaxResults" min:"1" max:"100"`
	NextToken  string   `aws:"NextToken" min:"1" max:"4096"`
	Deprecated bool     `aws:"IncludeDeprecated"`
}

type versionEntry struct {
	ID         string     `aws:"VersionId"`
	Stages     []stage    `aws:"VersionStages"`
	AccessedAt *time.Time `aws:"LastAccessedDate"`
	CreatedAt  time.Time  `aws:"CreatedDate"`
	KMSKeyIDs  []string   `aws:"KmsKeyIds"`
}

type listVersionsOutput struct {
	Versions  []versionEntry `aws:"Versions"`
	NextToken string         `aws:"NextToken"`
	ARN       string         `aws:"ARN"`
	Name      string         `aws:"Name"`
}

func (a *API) listSecretVersionIDs(ctx context.Context, in *listVersionsInput) (*listVersionsOutput, error) {
	x, page, next, err := a.Secrets.Versions(ctx, scope(ctx), string(in.ID), in.Deprecated, limit(in.MaxResults), in.NextToken)
	if err != nil {
		return nil, err
	}
	key := x.KMSKeyID
	if key == "" {
		key = "DefaultEncryptionKey" // what AWS answers for secrets that name no key
	}
	out := &listVersionsOutput{Versions: []versionEntry{}, NextToken: next, ARN: x.ARN(), Name: x.Name}
	for _, v := range page {
		out.Versions = append(out.Versions, versionEntry{v.ID, stagesFromDomain(v.Stages), ptr(v.AccessedAt), v.CreatedAt, []string{key}})
	}
	return out, nil
}

func (a *API) onVersions(ctx context.Context, in *listVersionsInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

type deleteSecretInput struct {
	ID    secretID `aws:"SecretId" required:"true"`
	Days  *int64   `aws:"RecoveryWindowInDays"`
	Force *bool    `aws:"ForceDeleteWithoutRecovery"`
}

type deleteSecretOutput struct {
	ARN  string    `aws:"ARN"`
	Name string    `aws:"Name"`
	Gone time.Time `aws:"DeletionDate"`
}

func (a *API) deleteSecret(ctx context.Context, in *deleteSecretInput) (*deleteSecretOutput, error) {
	x, gone, err := a.Secrets.Delete(ctx, scope(ctx), string(in.ID), secrets.Delete{Days: in.Days, Force: in.Force != nil && *in.Force})
	return &deleteSecretOutput{x.ARN(), x.Name, gone}, err
}

func (a *API) onDelete(ctx context.Context, in *deleteSecretInput) (wire.Target, error) {
	keys := map[string][]string{}
	if in.Days != nil {
		keys["secretsmanager:RecoveryWindowInDays"] = []string{strconv.FormatInt(*in.Days, 10)}
	}
	if in.Force != nil {
		keys["secretsmanager:ForceDeleteWithoutRecovery"] = []string{strconv.FormatBool(*in.Force)}
	}
	return a.secret(ctx, string(in.ID), keys)
}

func (a *API) restoreSecret(ctx context.Context, in *idInput) (*nameOutput, error) {
	x, err := a.Secrets.Restore(ctx, scope(ctx), string(in.ID))
	return &nameOutput{x.ARN(), x.Name}, err
}

func (a *API) onRestore(ctx context.Context, in *idInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

type getRandomPasswordInput struct {
	Length      *int   `aws:"PasswordLength" min:"1" max:"4096"`
	Exclude     string `aws:"ExcludeCharacters" max:"4096"`
	Numbers     bool   `aws:"ExcludeNumbers"`
	Punctuation bool   `aws:"ExcludePunctuation"`
	Uppercase   bool   `aws:"ExcludeUppercase"`
	Lowercase   bool   `aws:"ExcludeLowercase"`
	Space       bool   `aws:"IncludeSpace"`
	Each        *bool  `aws:"RequireEachIncludedType"`
}

type getRandomPasswordOutput struct {
	Password string `aws:"RandomPassword"`
}

func getRandomPassword(_ context.Context, in *getRandomPasswordInput) (*getRandomPasswordOutput, error) {
	p := secrets.DefaultPassword()
	if in.Length != nil {
		p.Length = *in.Length
	}
	if in.Each != nil {
		p.Each = *in.Each
	}
	p.Exclude, p.Space = in.Exclude, in.Space
	p.Numbers, p.Punctuation, p.Uppercase, p.Lowercase = !in.Numbers, !in.Punctuation, !in.Uppercase, !in.Lowercase
	text, err := p.Random()
	return &getRandomPasswordOutput{text}, err
}
