// Package ecr declares the API of the Elastic Container Registry: the shapes of its requests and answers, what each operation must be allowed to do, and the handlers that translate between
// them and the registry. Source of every shape and rule: the botocore model of ecr (2015-09-21); of actions, resources and condition keys: the service authorization reference.
package ecr

import (
	"context"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the registry that the operations call.
type API struct {
	Registry *registry.Service
	// Endpoint returns the URL under which clients reach a registry, without a path: "http://127.0.0.1:4566". Image names in answers begin with its host.
	Endpoint func(ctx context.Context, s registry.Scope) string
	// Caller returns the access key of the request, and when it ends; the zero time says that it does not.
	Caller func(ctx context.Context) (accessKeyID string, ends time.Time)
	// Authorize decides whether the caller may act; policy is that of the repository, nil if it has none.
	Authorize func(ctx context.Context, action string, t wire.Target, policy []byte) error
}

// Service returns the declared service: each operation with what it acts on.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:         "ecr",
		Protocol:     wire.AWSJSON,
		TargetPrefix: "AmazonEC2ContainerRegistry_V20150921",
		Authorize:    a.authorize,
		Operations: []wire.Operation{
			wire.On(wire.Op("CreateRepository", "", a.createRepository), a.onCreate),
			wire.On(wire.Op("DescribeRepositories", "", a.describeRepositories), a.onDescribe),
			wire.On(wire.Op("DeleteRepository", "", a.deleteRepository), on[*deleteRepositoryInput](a)),
			wire.On(wire.Op("PutImageTagMutability", "", a.putImageTagMutability), on[*putMutabilityInput](a)),
			wire.On(wire.Op("PutImageScanningConfiguration", "", a.putImageScanningConfiguration), on[*putScanningInput](a)),
			wire.On(wire.Op("TagResource", "", a.tagResource), a.onTag),
			wire.On(wire.Op("UntagResource", "", a.untagResource), a.onUntag),
			wire.On(wire.Op("ListTagsForResource", "", a.listTagsForResource), a.onListTags),
			wire.On(wire.Op("DescribeRegistry", "", a.describeRegistry), onAny[describeRegistryInput]),
			wire.On(wire.Op("GetAuthorizationToken", "", a.getAuthorizationToken), onAny[getAuthorizationTokenInput]),

			wire.On(wire.Op("SetRepositoryPolicy", "", a.setRepositoryPolicy), on[*setPolicyInput](a)),
			wire.On(wire.Op("GetRepositoryPolicy", "", a.getRepositoryPolicy), on[*repositoryInput](a)),
			wire.On(wire.Op("DeleteRepositoryPolicy", "", a.deleteRepositoryPolicy), on[*repositoryInput](a)),
			wire.On(wire.Op("PutLifecyclePolicy", "", a.putLifecyclePolicy), on[*putLifecycleInput](a)),
			wire.On(wire.Op("GetLifecyclePolicy", "", a.getLifecyclePolicy), on[*repositoryInput](a)),
			wire.On(wire.Op("DeleteLifecyclePolicy", "", a.deleteLifecyclePolicy), on[*repositoryInput](a)),

			wire.On(wire.Op("PutImage", "", a.putImage), on[*putImageInput](a)),
			wire.On(wire.Op("BatchGetImage", "", a.batchGetImage), on[*batchGetInput](a)),
			wire.On(wire.Op("BatchDeleteImage", "", a.batchDeleteImage), on[*batchDeleteInput](a)),
			wire.On(wire.Op("DescribeImages", "", a.describeImages), on[*describeImagesInput](a)),
			wire.On(wire.Op("ListImages", "", a.listImages), on[*listImagesInput](a)),

			wire.On(wire.Op("BatchCheckLayerAvailability", "", a.batchCheckLayerAvailability), on[*checkLayersInput](a)),
			wire.On(wire.Op("GetDownloadUrlForLayer", "", a.getDownloadURLForLayer), on[*downloadInput](a)),
			wire.On(wire.Op("InitiateLayerUpload", "", a.initiateLayerUpload), on[*repositoryInput](a)),
			wire.On(wire.Op("UploadLayerPart", "", a.uploadLayerPart), on[*uploadPartInput](a)),
			wire.On(wire.Op("CompleteLayerUpload", "", a.completeLayerUpload), on[*completeUploadInput](a)),
		},
	}
}

// scope is the registry that a request speaks of: the one it names, or the caller's, in the region it was signed for.
func scope(ctx context.Context, registryID string) registry.Scope {
	r := wire.RequestOf(ctx)
	if registryID == "" {
		registryID = r.Account
	}
	return registry.Scope{Account: registryID, Region: r.Region}
}

// registryID is an account.
type registryID string

func (registryID) Rule() wire.Rule { return wire.Rule{Pattern: `[0-9]{12}`} }

// repositoryInput is all that many operations say: which repository. Its rules are the domain's, which answers as ECR does.
type repositoryInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
}

func (in *repositoryInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

// uri is a repository's name for docker.
func (a *API) uri(ctx context.Context, id registry.ID) string {
	_, host, ok := strings.Cut(a.Endpoint(ctx, id.Scope), "://")
	if !ok {
		host = id.Host()
	}
	return host + "/" + id.Name
}

// page reads how much of a list is asked for.
func page(token string, limit *int) registry.Page {
	p := registry.Page{Token: token, Limit: 100}
	if limit != nil {
		p.Limit = *limit
	}
	return p
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type describeRegistryInput struct{}

type describeRegistryOutput struct {
	RegistryID  string      `aws:"registryId"`
	Replication replication `aws:"replicationConfiguration"`
}

// replication has no rules: an installation is one registry.
type replication struct {
	Rules []string `aws:"rules"`
}

func (a *API) describeRegistry(ctx context.Context, _ *describeRegistryInput) (*describeRegistryOutput, error) {
	return &describeRegistryOutput{RegistryID: scope(ctx, "").Account, Replication: replication{Rules: []string{}}}, nil
}

type getAuthorizationTokenInput struct {
	RegistryIDs []registryID `aws:"registryIds" min:"1" max:"10"`
}

type getAuthorizationTokenOutput struct {
	Data []authorizationData `aws:"authorizationData"`
}

type authorizationData struct {
	Token         []byte    `aws:"authorizationToken"` // base64 on the wire: what HTTP's Basic authentication wants
	ExpiresAt     time.Time `aws:"expiresAt"`
	ProxyEndpoint string    `aws:"proxyEndpoint"`
}

func (a *API) getAuthorizationToken(ctx context.Context, in *getAuthorizationTokenInput) (*getAuthorizationTokenOutput, error) {
	key, ends := a.Caller(ctx)
	if key == "" {
		return nil, fault.New(fault.AccessDenied, "Only the holder of an access key can log in to a registry.")
	}
	ids := in.RegistryIDs
	if len(ids) == 0 {
		ids = []registryID{""}
	}
	out := &getAuthorizationTokenOutput{}
	for _, id := range ids {
		s := scope(ctx, string(id))
		password, expires, err := a.Registry.Password(key, s, ends)
		if err != nil {
			return nil, err
		}
		out.Data = append(out.Data, authorizationData{Token: []byte("AWS:" + password), ExpiresAt: expires, ProxyEndpoint: a.Endpoint(ctx, s)})
	}
	return out, nil
}
