// Package ssm declares the Parameter Store of Systems Manager: the shapes of its requests and answers, what each operation acts on, and the handlers that translate between them and the domain. Source of every shape
// and rule: the botocore model of ssm (2014-11-06); of actions, resources and condition keys: the service authorization reference.
package ssm

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	Parameters *parameters.Service
	// Authorize decides whether the caller may act; see wire.Service.
	Authorize func(ctx context.Context, action string, t wire.Target) error
}

// Service returns the declared service: each operation with what it acts on.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:         "ssm",
		Protocol:     wire.AWSJSON,
		TargetPrefix: "AmazonSSM",
		Authorize:    a.Authorize,
		Operations: []wire.Operation{
			wire.On(wire.Op("PutParameter", "", a.putParameter), a.onPut),
			wire.On(wire.Op("GetParameter", "", a.getParameter), a.onGet),
			wire.On(wire.Op("GetParameters", "", a.getParameters), a.onGetMany),
			wire.On(wire.Op("GetParametersByPath", "", a.getParametersByPath), a.onPath),
			wire.On(wire.Op("GetParameterHistory", "", a.getParameterHistory), a.onHistory),
			wire.On(wire.Op("DescribeParameters", "", a.describeParameters), onAll),
			wire.On(wire.Op("DeleteParameter", "", a.deleteParameter), a.onDelete),
			wire.On(wire.Op("DeleteParameters", "", a.deleteParameters), a.onDeleteMany),
			wire.On(wire.Op("LabelParameterVersion", "", a.labelParameterVersion), a.onLabel),
			wire.On(wire.Op("UnlabelParameterVersion", "", a.unlabelParameterVersion), a.onUnlabel),
			wire.On(wire.Op("AddTagsToResource", "", a.addTagsToResource), a.onAddTags),
			wire.On(wire.Op("RemoveTagsFromResource", "", a.removeTagsFromResource), a.onRemoveTags),
			wire.On(wire.Op("ListTagsForResource", "", a.listTagsForResource), a.onListTags),
		},
	}
}

// scope is the account and region that a request speaks of: the caller's, and the region it was signed for.
func scope(ctx context.Context) parameters.Scope {
	r := wire.RequestOf(ctx)
	return parameters.Scope{Account: r.Account, Region: r.Region}
}

// parameter is the target of what acts on one parameter. One that does not exist has no tags: whether it exists is only told to who may ask.
func (a *API) parameter(ctx context.Context, n name, keys map[string][]string) (wire.Target, error) {
	r, err := parameters.Parse(scope(ctx), string(n))
	if err != nil {
		return wire.Target{}, err
	}
	return a.reference(ctx, r, keys)
}

func (a *API) reference(ctx context.Context, r parameters.Reference, keys map[string][]string) (wire.Target, error) {
	t := wire.Target{Resource: r.ARN(), Context: map[string][]string{}}
	maps.Copy(t.Context, keys)
	p, err := a.Parameters.Parameter(ctx, r)
	if err != nil && !fault.Is(err, parameters.NotFound) {
		return t, err
	}
	for k, v := range p.Tags {
		t.Context["aws:ResourceTag/"+k], t.Context["ssm:resourceTag/"+k] = []string{v}, []string{v}
	}
	return t, nil
}

// many is the target of what acts on several parameters, each of which must be allowed. What is not a name is no parameter, and answered as such.
func (a *API) many(ctx context.Context, names []name) (wire.Target, error) {
	var all []wire.Target
	for _, n := range names {
		r, err := parameters.Parse(scope(ctx), string(n))
		if err != nil {
			continue
		}
		t, err := a.reference(ctx, r, nil)
		if err != nil {
			return t, err
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return anyParameter(ctx), nil
	}
	return all[0].And(all[1:]...), nil
}

// anyParameter is the target of what acts on no parameter in particular.
func anyParameter(ctx context.Context) wire.Target {
	s := scope(ctx)
	return wire.Target{Resource: "arn:aws:ssm:" + s.Region + ":" + s.Account + ":*"}
}

// requestTags are the condition keys about tags that a request brings.
func requestTags(tags []tag) map[string][]string {
	keys := map[string][]string{}
	var names []string
	for _, t := range tags {
		keys["aws:RequestTag/"+string(t.Key)] = []string{string(t.Value)}
		names = append(names, string(t.Key))
	}
	if len(names) > 0 {
		slices.Sort(names)
		keys["aws:TagKeys"] = names
	}
	return keys
}

type empty struct{}

type name string

func (name) Rule() wire.Rule { return wire.Length(1, 2048) }

type label string

func (label) Rule() wire.Rule { return wire.Length(1, 100) }

type tagKey string

func (tagKey) Rule() wire.Rule { return wire.Length(1, 128).Matching(`([\p{L}\p{Z}\p{N}_.:/=+\-@]*)`) }

type tagValue string

func (tagValue) Rule() wire.Rule {
	return wire.Length(0, 256).Matching(`([\p{L}\p{Z}\p{N}_.:/=+\-@]*)`)
}

type tag struct {
	Key   tagKey   `aws:"Key" required:"true"`
	Value tagValue `aws:"Value" required:"true"`
}

// tagsToDomain refuses keys that occur twice: which value counted would be chance.
func tagsToDomain(tags []tag) (map[string]string, error) {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		if _, twice := out[string(t.Key)]; twice {
			return nil, fault.New(fault.Validation, "The same tag key occurs more than once: %s.", t.Key)
		}
		out[string(t.Key)] = string(t.Value)
	}
	return out, nil
}

func texts[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// policy is a parameter policy; no parameter has any here.
type policy struct {
	Text   string `aws:"PolicyText"`
	Type   string `aws:"PolicyType"`
	Status string `aws:"PolicyStatus"`
}

// parameter is a version of a parameter with its value.
type parameter struct {
	Name       string    `aws:"Name"`
	Type       string    `aws:"Type"`
	Value      string    `aws:"Value" required:"true"`
	Version    int64     `aws:"Version"`
	Selector   string    `aws:"Selector"`
	ModifiedAt time.Time `aws:"LastModifiedDate"`
	ARN        string    `aws:"ARN"`
	DataType   string    `aws:"DataType"`
}

func fromDomain(f *parameters.Found) parameter {
	return parameter{Name: f.Parameter.Name, Type: string(f.Version.Type), Value: f.Value, Version: f.Version.Number, Selector: f.Selector, ModifiedAt: f.Version.ModifiedAt,
		ARN: f.Parameter.ARN(), DataType: f.Version.DataType}
}
