package ecr

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type mutability string

func (mutability) Rule() wire.Rule {
	return wire.OneOf(string(registry.Mutable), string(registry.Immutable), string(registry.ImmutableExcept), string(registry.MutableExcept))
}

type exclusion struct {
	Type   string `aws:"filterType" required:"true" enum:"WILDCARD"`
	Filter string `aws:"filter" required:"true" min:"1" max:"128"`
}

func exclusionsToDomain(in []exclusion) []string {
	var out []string
	for _, e := range in {
		out = append(out, e.Filter)
	}
	return out
}

func exclusionsToShape(in []string) []exclusion {
	var out []exclusion
	for _, f := range in {
		out = append(out, exclusion{Type: "WILDCARD", Filter: f})
	}
	return out
}

type scanning struct {
	OnPush bool `aws:"scanOnPush"`
}

type encryption struct {
	Type string `aws:"encryptionType" required:"true" enum:"AES256,KMS,KMS_DSSE"`
	Key  string `aws:"kmsKey" min:"1" max:"2048"`
}

type tag struct {
	Key   string `aws:"Key" required:"true"`
	Value string `aws:"Value" required:"true"`
}

func tagsToDomain(in []tag) map[string]string {
	out := make(map[string]string, len(in))
	for _, t := range in {
		out[t.Key] = t.Value
	}
	return out
}

type createRepositoryInput struct {
	RegistryID registryID  `aws:"registryId"`
	Name       string      `aws:"repositoryName" required:"true"`
	Tags       []tag       `aws:"tags"`
	Mutability mutability  `aws:"imageTagMutability"`
	Exclusions []exclusion `aws:"imageTagMutabilityExclusionFilters" min:"1" max:"5"`
	Scanning   *scanning   `aws:"imageScanningConfiguration"`
	Encryption *encryption `aws:"encryptionConfiguration"`
}

func (in *createRepositoryInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type repository struct {
	ARN        string      `aws:"repositoryArn"`
	RegistryID string      `aws:"registryId"`
	Name       string      `aws:"repositoryName"`
	URI        string      `aws:"repositoryUri"`
	CreatedAt  time.Time   `aws:"createdAt"`
	Mutability string      `aws:"imageTagMutability"`
	Exclusions []exclusion `aws:"imageTagMutabilityExclusionFilters"`
	Scanning   scanning    `aws:"imageScanningConfiguration"`
	Encryption encryption  `aws:"encryptionConfiguration"`
}

func (a *API) toShape(ctx context.Context, r registry.Repository) repository {
	return repository{ARN: r.ARN(), RegistryID: r.Account, Name: r.Name, URI: a.uri(ctx, r.ID), CreatedAt: r.CreatedAt, Mutability: string(r.Mutability),
		Exclusions: exclusionsToShape(r.Exclusions), Scanning: scanning{r.ScanOnPush}, Encryption: encryption(r.Encryption)}
}

type repositoryOutput struct {
	Repository repository `aws:"repository"`
}

func (a *API) createRepository(ctx context.Context, in *createRepositoryInput) (*repositoryOutput, error) {
	r := registry.Repository{ID: in.repository(ctx), Mutability: registry.Mutability(in.Mutability), Exclusions: exclusionsToDomain(in.Exclusions), Tags: tagsToDomain(in.Tags)}
	if len(r.Tags) < len(in.Tags) {
		return nil, fault.New(registry.InvalidTagParameter, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	}
	if in.Scanning != nil {
		r.ScanOnPush = in.Scanning.OnPush
	}
	if in.Encryption != nil {
		r.Encryption = registry.Encryption(*in.Encryption)
	}
	r, err := a.Registry.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	return &repositoryOutput{a.toShape(ctx, r)}, nil
}

type describeRepositoriesInput struct {
	RegistryID registryID `aws:"registryId"`
	Names      []string   `aws:"repositoryNames" min:"1" max:"100"`
	Token      string     `aws:"nextToken"`
	Max        *int       `aws:"maxResults" min:"1" max:"1000"`
}

type describeRepositoriesOutput struct {
	Repositories []repository `aws:"repositories"`
	Token        string       `aws:"nextToken"`
}

func (a *API) describeRepositories(ctx context.Context, in *describeRepositoriesInput) (*describeRepositoriesOutput, error) {
	s := scope(ctx, string(in.RegistryID))
	out := &describeRepositoriesOutput{Repositories: []repository{}}
	if len(in.Names) > 0 && (in.Token != "" || in.Max != nil) {
		return nil, fault.New(registry.InvalidParameter, "Invalid parameter: nextToken and maxResults cannot be used with repositoryNames")
	}
	for i, name := range in.Names {
		id := registry.ID{Scope: s, Name: name}
		if i > 0 { // the first has been decided before the handler runs
			t, err := a.target(ctx, id)
			if err != nil {
				return nil, err
			}
			if err := a.authorize(ctx, "ecr:DescribeRepositories", t); err != nil {
				return nil, err
			}
		}
		r, err := a.Registry.Repository(ctx, id)
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, a.toShape(ctx, r))
	}
	if len(in.Names) > 0 {
		return out, nil
	}
	found, next, err := a.Registry.Repositories(ctx, s, page(in.Token, in.Max))
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		out.Repositories = append(out.Repositories, a.toShape(ctx, r))
	}
	out.Token = next
	return out, nil
}

type deleteRepositoryInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Force      bool       `aws:"force"`
}

func (in *deleteRepositoryInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

func (a *API) deleteRepository(ctx context.Context, in *deleteRepositoryInput) (*repositoryOutput, error) {
	r, err := a.Registry.Delete(ctx, in.repository(ctx), in.Force)
	if err != nil {
		return nil, err
	}
	return &repositoryOutput{a.toShape(ctx, r)}, nil
}

type putMutabilityInput struct {
	RegistryID registryID  `aws:"registryId"`
	Name       string      `aws:"repositoryName" required:"true"`
	Mutability mutability  `aws:"imageTagMutability" required:"true"`
	Exclusions []exclusion `aws:"imageTagMutabilityExclusionFilters" min:"1" max:"5"`
}

func (in *putMutabilityInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type putMutabilityOutput struct {
	RegistryID string      `aws:"registryId"`
	Name       string      `aws:"repositoryName"`
	Mutability string      `aws:"imageTagMutability"`
	Exclusions []exclusion `aws:"imageTagMutabilityExclusionFilters"`
}

func (a *API) putImageTagMutability(ctx context.Context, in *putMutabilityInput) (*putMutabilityOutput, error) {
	r, err := a.Registry.SetMutability(ctx, in.repository(ctx), registry.Mutability(in.Mutability), exclusionsToDomain(in.Exclusions))
	return &putMutabilityOutput{RegistryID: r.Account, Name: r.Name, Mutability: string(r.Mutability), Exclusions: exclusionsToShape(r.Exclusions)}, err
}

type putScanningInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Scanning   scanning   `aws:"imageScanningConfiguration" required:"true"`
}

func (in *putScanningInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type putScanningOutput struct {
	RegistryID string   `aws:"registryId"`
	Name       string   `aws:"repositoryName"`
	Scanning   scanning `aws:"imageScanningConfiguration"`
}

func (a *API) putImageScanningConfiguration(ctx context.Context, in *putScanningInput) (*putScanningOutput, error) {
	r, err := a.Registry.SetScanning(ctx, in.repository(ctx), in.Scanning.OnPush)
	return &putScanningOutput{RegistryID: r.Account, Name: r.Name, Scanning: scanning{r.ScanOnPush}}, err
}

// byARN reads the ARN of a repository.
func byARN(arn string) (registry.ID, error) {
	id, ok := registry.IDOf(arn)
	if !ok {
		return id, fault.New(registry.InvalidParameter, "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'")
	}
	return id, nil
}

type tagResourceInput struct {
	ARN  string `aws:"resourceArn" required:"true"`
	Tags []tag  `aws:"tags" required:"true"`
}

type empty struct{}

func (a *API) tagResource(ctx context.Context, in *tagResourceInput) (*empty, error) {
	id, err := byARN(in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, a.Registry.Tag(ctx, id, tagsToDomain(in.Tags))
}

type untagResourceInput struct {
	ARN  string   `aws:"resourceArn" required:"true"`
	Keys []string `aws:"tagKeys" required:"true"`
}

func (a *API) untagResource(ctx context.Context, in *untagResourceInput) (*empty, error) {
	id, err := byARN(in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, a.Registry.Untag(ctx, id, in.Keys)
}

type listTagsInput struct {
	ARN string `aws:"resourceArn" required:"true"`
}

type listTagsOutput struct {
	Tags []tag `aws:"tags"`
}

func (a *API) listTagsForResource(ctx context.Context, in *listTagsInput) (*listTagsOutput, error) {
	id, err := byARN(in.ARN)
	if err != nil {
		return nil, err
	}
	r, err := a.Registry.Repository(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &listTagsOutput{Tags: []tag{}}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		out.Tags = append(out.Tags, tag{Key: k, Value: r.Tags[k]})
	}
	return out, nil
}
