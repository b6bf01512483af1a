package ssm

import (
	"context"
	"slices"
	"strconv"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type putParameterInput struct {
	Name           name    `aws:"Name" required:"true"`
	Description    *string `aws:"Description" max:"1024"`
	Value          string  `aws:"Value" required:"true" min:"1"`
	Type           string  `aws:"Type" enum:"String,StringList,SecureString"`
	KeyID          string  `aws:"KeyId" min:"1" max:"256" pattern:"([a-zA-Z0-9:/_-]+)"`
	Overwrite      *bool   `aws:"Overwrite"`
	AllowedPattern *string `aws:"AllowedPattern" max:"1024"`
	Tags           []tag   `aws:"Tags" max:"1000"`
	Tier           string  `aws:"Tier" enum:"Standard,Advanced,Intelligent-Tiering"`
	Policies       string  `aws:"Policies" min:"1" max:"4096"`
	DataType       string  `aws:"DataType" max:"128"`
}

type putParameterOutput struct {
	Version int64  `aws:"Version"`
	Tier    string `aws:"Tier"`
}

func (a *API) putParameter(ctx context.Context, in *putParameterInput) (*putParameterOutput, error) {
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	v, err := a.Parameters.Put(ctx, parameters.Put{Scope: scope(ctx), Name: string(in.Name), Value: in.Value, Type: parameters.Type(in.Type), KeyID: in.KeyID, Description: in.Description,
		AllowedPattern: in.AllowedPattern, DataType: in.DataType, Tier: parameters.Tier(in.Tier), Policies: in.Policies, Tags: tags, Overwrite: in.Overwrite != nil && *in.Overwrite,
		By: wire.RequestOf(ctx).Principal})
	return &putParameterOutput{v.Number, string(v.Tier)}, err
}

// onPut: the tags of a new parameter need an action of their own.
func (a *API) onPut(ctx context.Context, in *putParameterInput) (wire.Target, error) {
	keys := requestTags(in.Tags)
	keys["ssm:Overwrite"] = []string{strconv.FormatBool(in.Overwrite != nil && *in.Overwrite)}
	if in.Policies != "" {
		keys["ssm:Policies"] = []string{in.Policies}
	}
	t, err := a.parameter(ctx, in.Name, keys)
	if err == nil && len(in.Tags) > 0 {
		t = t.Needing("ssm:AddTagsToResource")
	}
	return t, err
}

type getParameterInput struct {
	Name    name  `aws:"Name" required:"true"`
	Decrypt *bool `aws:"WithDecryption"`
}

type getParameterOutput struct {
	Parameter parameter `aws:"Parameter"`
}

func yes(b *bool) bool { return b != nil && *b }

func (a *API) getParameter(ctx context.Context, in *getParameterInput) (*getParameterOutput, error) {
	r, err := parameters.Parse(scope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	f, err := a.Parameters.Get(ctx, r, yes(in.Decrypt))
	if err != nil {
		return nil, err
	}
	return &getParameterOutput{fromDomain(&f)}, nil
}

func (a *API) onGet(ctx context.Context, in *getParameterInput) (wire.Target, error) {
	return a.parameter(ctx, in.Name, nil)
}

type getParametersInput struct {
	Names   []name `aws:"Names" required:"true" min:"1" max:"10"`
	Decrypt *bool  `aws:"WithDecryption"`
}

type getParametersOutput struct {
	Parameters []parameter `aws:"Parameters"`
	Invalid    []string    `aws:"InvalidParameters"`
}

// getParameters lists what is not there, versions and labels included, as invalid. A name that occurs twice is answered once.
func (a *API) getParameters(ctx context.Context, in *getParametersInput) (*getParametersOutput, error) {
	out := &getParametersOutput{Parameters: []parameter{}, Invalid: []string{}}
	for i, n := range in.Names {
		if slices.Contains(in.Names[:i], n) {
			continue
		}
		r, err := parameters.Parse(scope(ctx), string(n))
		var f parameters.Found
		if err == nil {
			f, err = a.Parameters.Get(ctx, r, yes(in.Decrypt))
		}
		switch {
		case err == nil:
			out.Parameters = append(out.Parameters, fromDomain(&f))
		case fault.Is(err, parameters.NotFound), fault.Is(err, parameters.VersionNotFound), fault.Is(err, fault.Validation):
			out.Invalid = append(out.Invalid, string(n))
		default:
			return nil, err
		}
	}
	return out, nil
}

func (a *API) onGetMany(ctx context.Context, in *getParametersInput) (wire.Target, error) {
	return a.many(ctx, in.Names)
}

type deleteParameterInput struct {
	Name name `aws:"Name" required:"true"`
}

func (a *API) deleteParameter(ctx context.Context, in *deleteParameterInput) (*empty, error) {
	r, err := parameters.Parse(scope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	return nil, a.Parameters.Delete(ctx, r)
}

func (a *API) onDelete(ctx context.Context, in *deleteParameterInput) (wire.Target, error) {
	return a.parameter(ctx, in.Name, nil)
}

type deleteParametersInput struct {
	Names []name `aws:"Names" required:"true" min:"1" max:"10"`
}

type deleteParametersOutput struct {
	Deleted []string `aws:"DeletedParameters"`
	Invalid []string `aws:"InvalidParameters"`
}

func (a *API) deleteParameters(ctx context.Context, in *deleteParametersInput) (*deleteParametersOutput, error) {
	out := &deleteParametersOutput{Deleted: []string{}, Invalid: []string{}}
	for i, n := range in.Names {
		if slices.Contains(in.Names[:i], n) {
			continue
		}
		r, err := parameters.Parse(scope(ctx), string(n))
		if err == nil {
			err = a.Parameters.Delete(ctx, r)
		}
		switch {
		case err == nil:
			out.Deleted = append(out.Deleted, string(n))
		case fault.Is(err, parameters.NotFound), fault.Is(err, fault.Validation):
			out.Invalid = append(out.Invalid, string(n))
		default:
			return nil, err
		}
	}
	return out, nil
}

func (a *API) onDeleteMany(ctx context.Context, in *deleteParametersInput) (wire.Target, error) {
	return a.many(ctx, in.Names)
}

type labelInput struct {
	Name    name    `aws:"Name" required:"true"`
	Version *int64  `aws:"ParameterVersion"`
	Labels  []label `aws:"Labels" required:"true" min:"1" max:"10"`
}

type labelOutput struct {
	Invalid []string `aws:"InvalidLabels"`
	Version int64    `aws:"ParameterVersion"`
}

func (a *API) labelParameterVersion(ctx context.Context, in *labelInput) (*labelOutput, error) {
	r, err := parameters.Parse(scope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	number := int64(0)
	if in.Version != nil {
		if number = *in.Version; number < 1 {
			return nil, fault.Invalid("parameterVersion", "Member must have value greater than or equal to 1")
		}
	}
	version, invalid, err := a.Parameters.Label(ctx, r, number, texts(in.Labels))
	return &labelOutput{orEmpty(invalid), version}, err
}

// orEmpty makes a list that AWS answers though it is empty.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (a *API) onLabel(ctx context.Context, in *labelInput) (wire.Target, error) {
	return a.parameter(ctx, in.Name, nil)
}

type unlabelInput struct {
	Name    name    `aws:"Name" required:"true"`
	Version int64   `aws:"ParameterVersion" required:"true"`
	Labels  []label `aws:"Labels" required:"true" min:"1" max:"10"`
}

type unlabelOutput struct {
	Removed []string `aws:"RemovedLabels"`
	Invalid []string `aws:"InvalidLabels"`
}

func (a *API) unlabelParameterVersion(ctx context.Context, in *unlabelInput) (*unlabelOutput, error) {
	r, err := parameters.Parse(scope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	removed, invalid, err := a.Parameters.Unlabel(ctx, r, in.Version, texts(in.Labels))
	return &unlabelOutput{orEmpty(removed), orEmpty(invalid)}, err
}

func (a *API) onUnlabel(ctx context.Context, in *unlabelInput) (wire.Target, error) {
	return a.parameter(ctx, in.Name, nil)
}
