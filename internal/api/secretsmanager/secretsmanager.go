// Package secretsmanager declares the API of Secrets Manager: the shapes of its requests and answers, what each operation acts on, and the handlers that translate between them and the domain. Source of every
// shape and rule: the botocore model of secretsmanager (2017-10-17); of actions, resources and condition keys: the service authorization reference.
package secretsmanager

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	Secrets *secrets.Service
	// Authorize decides whether the caller may act; see wire.Service. resourcePolicy is that of the secret, nil if it has none.
	Authorize func(ctx context.Context, action string, t wire.Target, resourcePolicy []byte) error
	// CheckPolicy returns an error if a text is not a resource policy that Authorize can read.
	CheckPolicy func(text []byte) error
}

// Service returns the declared service: each operation with what it acts on.
func (a *API) Service() *wire.Service {
	s := &wire.Service{
		Name:         "secretsmanager",
		Protocol:     wire.AWSJSON,
		TargetPrefix: "secretsmanager",
		Statuses:     map[fault.Code]int{secrets.NotFound: http.StatusBadRequest}, // other services answer theirs with 404 (recorded answers of AWS)
		Operations: []wire.Operation{
			wire.On(wire.Op("CreateSecret", "", a.createSecret), a.onCreate),
			wire.On(wire.Op("GetSecretValue", "", a.getSecretValue), a.onGetValue),
			wire.On(wire.Op("PutSecretValue", "", a.putSecretValue), a.onPutValue),
			wire.On(wire.Op("UpdateSecret", "", a.updateSecret), a.onUpdate),
			wire.On(wire.Op("UpdateSecretVersionStage", "", a.updateSecretVersionStage), a.onStage),
			wire.On(wire.Op("DescribeSecret", "", a.describeSecret), a.onDescribe),
			wire.On(wire.Op("ListSecrets", "", a.listSecrets), onAny[listSecretsInput]),
			wire.On(wire.Op("ListSecretVersionIds", "", a.listSecretVersionIDs), a.onVersions),
			wire.On(wire.Op("DeleteSecret", "", a.deleteSecret), a.onDelete),
			wire.On(wire.Op("RestoreSecret", "", a.restoreSecret), a.onRestore),
			wire.On(wire.Op("TagResource", "", a.tagResource), a.onTag),
			wire.On(wire.Op("UntagResource", "", a.untagResource), a.onUntag),
			wire.On(wire.Op("GetRandomPassword", "", getRandomPassword), onAny[getRandomPasswordInput]),
			wire.On(wire.Op("GetResourcePolicy", "", a.getResourcePolicy), a.onGetPolicy),
			wire.On(wire.Op("PutResourcePolicy", "", a.putResourcePolicy), a.onPutPolicy),
			wire.On(wire.Op("DeleteResourcePolicy", "", a.deleteResourcePolicy), a.onDeletePolicy),
		},
	}
	if a.Authorize != nil {
		s.Authorize = a.authorize
	}
	return s
}

// authorize decides with the resource policy of the secret that is acted on.
func (a *API) authorize(ctx context.Context, action string, t wire.Target) error {
	var policy []byte
	if t.Resource != "*" {
		x, err := a.Secrets.Secret(ctx, scope(ctx), t.Resource)
		if err != nil && !fault.Is(err, secrets.NotFound) {
			return err
		}
		if x.Policy != "" {
			policy = []byte(x.Policy)
		}
	}
	return a.Authorize(ctx, action, t, policy)
}

// scope is the account and region that a request speaks of: the caller's, and the region it was signed for.
func scope(ctx context.Context) secrets.Scope {
	r := wire.RequestOf(ctx)
	return secrets.Scope{Account: r.Account, Region: r.Region}
}

// secret is the target of what acts on one secret, with the keys that every such request has. One that does not exist has no tags: whether it exists is only told to who may ask.
func (a *API) secret(ctx context.Context, id string, keys map[string][]string) (wire.Target, error) {
	all := map[string][]string{"secretsmanager:SecretId": {id}}
	maps.Copy(all, keys)
	x, err := a.Secrets.Secret(ctx, scope(ctx), id)
	switch {
	case fault.Is(err, secrets.NotFound):
		return wire.Target{Resource: secrets.ResourceOf(scope(ctx), id), Context: all}, nil
	case err != nil:
		return wire.Target{}, err
	}
	all["secretsmanager:SecretPrimaryRegion"] = []string{x.Region}
	for k, v := range x.Tags {
		all["aws:ResourceTag/"+k], all["secretsmanager:ResourceTag/"+k] = []string{v}, []string{v}
	}
	return wire.Target{Resource: x.ARN(), Context: all}, nil
}

// requestTags are the condition keys about tags that a request brings.
func requestTags(tags map[string]string) map[string][]string {
	keys := map[string][]string{}
	for k, v := range tags {
		keys["aws:RequestTag/"+k] = []string{v}
	}
	if len(tags) > 0 {
		keys["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	}
	return keys
}

// onAny is the target of operations that act on no secret in particular.
func onAny[I any](context.Context, *I) (wire.Target, error) { return wire.Target{Resource: "*"}, nil }

type empty struct{}

type secretID string

func (secretID) Rule() wire.Rule { return wire.Length(1, 2048) }

type versionID string

func (versionID) Rule() wire.Rule { return wire.Length(32, 64) }

type stage string

func (stage) Rule() wire.Rule { return wire.Length(1, 256) }

type tagKey string

func (tagKey) Rule() wire.Rule { return wire.Length(1, 128) }

type tagValue string

func (tagValue) Rule() wire.Rule { return wire.Length(0, 256) }

type tag struct {
	Key   tagKey   `aws:"Key"`
	Value tagValue `aws:"Value"`
}

// tagsToDomain refuses keys that occur twice: which value counted would be chance.
func tagsToDomain(tags []tag) (map[string]string, error) {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		if _, twice := out[string(t.Key)]; twice {
			return nil, fault.New(secrets.InvalidParameter, "Tags have the same key more than once: %s.", t.Key)
		}
		if t.Key == "" {
			return nil, fault.New(secrets.InvalidParameter, "A tag has no Key.")
		}
		out[string(t.Key)] = string(t.Value)
	}
	return out, nil
}

func tagsFromDomain(tags map[string]string) []tag {
	var out []tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tag{tagKey(k), tagValue(tags[k])})
	}
	return out
}

func ptr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func stagesFromDomain(stages []string) []stage {
	var out []stage
	for _, s := range stages {
		out = append(out, stage(s))
	}
	return out
}
