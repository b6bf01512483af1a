package ssm

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type filterValue string

func (filterValue) Rule() wire.Rule { return wire.Length(1, 1024) }

type filter struct {
	Key    string        `aws:"Key" required:"true" min:"1" max:"132" pattern:"(tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType)"`
	Option string        `aws:"Option" min:"1" max:"10"`
	Values []filterValue `aws:"Values" min:"1" max:"50"`
}

func filtersToDomain(filters []filter) []parameters.Filter {
	var out []parameters.Filter
	for _, f := range filters {
		out = append(out, parameters.Filter{Key: f.Key, Option: f.Option, Values: texts(f.Values)})
	}
	return out
}

// page is the part of a list that is asked for; usual is the operation's default and most.
func page(maxResults *int, token string, usual int) parameters.Page {
	if maxResults != nil {
		usual = *maxResults
	}
	return parameters.Page{Limit: usual, Token: token}
}

// The most that a page of each list can have, which is also the default. Source: the botocore model.
const (
	pathPage = 10
	listPage = 50
)

type byPathInput struct {
	Path       name     `aws:"Path" required:"true"`
	Recursive  *bool    `aws:"Recursive"`
	Filters    []filter `aws:"ParameterFilters"`
	Decrypt    *bool    `aws:"WithDecryption"`
	MaxResults *int     `aws:"MaxResults" min:"1" max:"10"`
	NextToken  string   `aws:"NextToken"`
}

type byPathOutput struct {
	Parameters []parameter `aws:"Parameters"`
	NextToken  string      `aws:"NextToken"`
}

func (a *API) getParametersByPath(ctx context.Context, in *byPathInput) (*byPathOutput, error) {
	found, next, err := a.Parameters.ByPath(ctx, parameters.ByPath{Scope: scope(ctx), Path: string(in.Path), Recursive: yes(in.Recursive), Filters: filtersToDomain(in.Filters),
		Decrypt: yes(in.Decrypt), Page: page(in.MaxResults, in.NextToken, pathPage)})
	if err != nil {
		return nil, err
	}
	out := &byPathOutput{Parameters: []parameter{}, NextToken: next}
	for i := range found {
		out.Parameters = append(out.Parameters, fromDomain(&found[i]))
	}
	return out, nil
}

// onPath is the path itself: what is below it is not asked for. Source: API reference of GetParametersByPath.
func (a *API) onPath(ctx context.Context, in *byPathInput) (wire.Target, error) {
	return wire.Target{Resource: parameters.ResourceOf(scope(ctx), string(in.Path)), Context: map[string][]string{"ssm:Recursive": {strconv.FormatBool(yes(in.Recursive))}}}, nil
}

type historyInput struct {
	Name       name   `aws:"Name" required:"true"`
	Decrypt    *bool  `aws:"WithDecryption"`
	MaxResults *int   `aws:"MaxResults" min:"1" max:"50"`
	NextToken  string `aws:"NextToken"`
}

type historyEntry struct {
	Name           string    `aws:"Name"`
	Type           string    `aws:"Type"`
	KeyID          string    `aws:"KeyId"`
	ModifiedAt     time.Time `aws:"LastModifiedDate"`
	ModifiedBy     string    `aws:"LastModifiedUser"`
	Description    string    `aws:"Description"`
	Value          string    `aws:"Value" required:"true"`
	AllowedPattern string    `aws:"AllowedPattern"`
	Version        int64     `aws:"Version"`
	Labels         []string  `aws:"Labels"`
	Tier           string    `aws:"Tier"`
	Policies       []policy  `aws:"Policies"`
	DataType       string    `aws:"DataType"`
}

type historyOutput struct {
	Parameters []historyEntry `aws:"Parameters"`
	NextToken  string         `aws:"NextToken"`
}

func (a *API) getParameterHistory(ctx context.Context, in *historyInput) (*historyOutput, error) {
	r, err := parameters.Parse(scope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	found, next, err := a.Parameters.History(ctx, r, yes(in.Decrypt), page(in.MaxResults, in.NextToken, listPage))
	if err != nil {
		return nil, err
	}
	out := &historyOutput{Parameters: []historyEntry{}, NextToken: next}
	for _, f := range found {
		v := f.Version
		out.Parameters = append(out.Parameters, historyEntry{Name: f.Parameter.Name, Type: string(v.Type), KeyID: v.KeyID, ModifiedAt: v.ModifiedAt, ModifiedBy: v.ModifiedBy, Description: v.Description,
			Value: f.Value, AllowedPattern: v.AllowedPattern, Version: v.Number, Labels: orEmpty(v.Labels), Tier: string(v.Tier), Policies: []policy{}, DataType: v.DataType})
	}
	return out, nil
}

func (a *API) onHistory(ctx context.Context, in *historyInput) (wire.Target, error) {
	return a.parameter(ctx, in.Name, nil)
}

// oldFilter is the older form of a filter: names begin with its values, the rest is equal to one.
type oldFilter struct {
	Key    string        `aws:"Key" required:"true" enum:"Name,Type,KeyId"`
	Values []filterValue `aws:"Values" required:"true" min:"1" max:"50"`
}

type describeParametersInput struct {
	OldFilters []oldFilter `aws:"Filters"`
	Filters    []filter    `aws:"ParameterFilters"`
	MaxResults *int        `aws:"MaxResults" min:"1" max:"50"`
	NextToken  string      `aws:"NextToken"`
	Shared     *bool       `aws:"Shared"`
}

type metadata struct {
	Name           string    `aws:"Name"`
	ARN            string    `aws:"ARN"`
	Type           string    `aws:"Type"`
	KeyID          string    `aws:"KeyId"`
	ModifiedAt     time.Time `aws:"LastModifiedDate"`
	ModifiedBy     string    `aws:"LastModifiedUser"`
	Description    string    `aws:"Description"`
	AllowedPattern string    `aws:"AllowedPattern"`
	Version        int64     `aws:"Version"`
	Tier           string    `aws:"Tier"`
	Policies       []policy  `aws:"Policies"`
	DataType       string    `aws:"DataType"`
}

type describeParametersOutput struct {
	Parameters []metadata `aws:"Parameters"`
	NextToken  string     `aws:"NextToken"`
}

// describeParameters lists those of the account; none are shared with it by others.
func (a *API) describeParameters(ctx context.Context, in *describeParametersInput) (*describeParametersOutput, error) {
	out := &describeParametersOutput{Parameters: []metadata{}}
	if yes(in.Shared) {
		return out, nil
	}
	filters := filtersToDomain(in.Filters)
	if len(in.OldFilters) > 0 {
		if len(filters) > 0 {
			return nil, fault.New(fault.Validation, "You can use either Filters or ParameterFilters in a single request.")
		}
		for _, f := range in.OldFilters {
			option := "Equals"
			if f.Key == "Name" {
				option = "BeginsWith"
			}
			filters = append(filters, parameters.Filter{Key: f.Key, Option: option, Values: texts(f.Values)})
		}
	}
	found, next, err := a.Parameters.Describe(ctx, scope(ctx), filters, page(in.MaxResults, in.NextToken, listPage))
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for i := range found {
		p, v := &found[i], found[i].Last()
		out.Parameters = append(out.Parameters, metadata{Name: p.Name, ARN: p.ARN(), Type: string(v.Type), KeyID: v.KeyID, ModifiedAt: v.ModifiedAt, ModifiedBy: v.ModifiedBy, Description: v.Description,
			AllowedPattern: v.AllowedPattern, Version: v.Number, Tier: string(v.Tier), Policies: []policy{}, DataType: v.DataType})
	}
	return out, nil
}

func onAll(ctx context.Context, _ *describeParametersInput) (wire.Target, error) {
	return anyParameter(ctx), nil
}
