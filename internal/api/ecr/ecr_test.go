package ecr_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/api/apitest"
	"github.com/sunaba-dev/sunaba/internal/api/ecr"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/registry/oci"
	"github.com/sunaba-dev/sunaba/internal/store"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const (
	account = "111122223333"
	region  = "us-west-2"
)

type client struct {
	t        *testing.T
	iam      *iam.Service
	registry *registry.Service
	wire     *wire.Service
}

func newClient(t *testing.T) *client {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &client{t: t, iam: iam.New(iam.Options{Store: db})}
	c.registry, err = registry.New(registry.Options{Store: db, Dir: filepath.Join(dir, "registry"), CheckPolicy: c.iam.CheckResourcePolicy, NewID: uuid.NewString})
	if err != nil {
		t.Fatal(err)
	}
	c.wire = (&ecr.API{
		Registry: c.registry,
		Endpoint: func(context.Context, registry.Scope) string { return "http://127.0.0.1:4566" },
		Caller: func(ctx context.Context) (string, time.Time) {
			return iam.PrincipalOf(ctx).AccessKeyID, time.Time{}
		},
		Authorize: func(ctx context.Context, action string, t wire.Target, policy []byte) error {
			return c.iam.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context, ResourcePolicy: policy})
		},
	}).Service()
	return c
}

func (c *client) call(who iam.Principal, operation string, in map[string]any) (status int, out map[string]any) {
	c.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx := wire.WithRequest(c.t.Context(), &wire.Request{ID: "id", Account: who.Account, Principal: who.ARN, Region: region})
	r := httptest.NewRequestWithContext(iam.WithPrincipal(ctx, who), http.MethodPost, "/", nil)
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	w := httptest.NewRecorder()
	_ = c.wire.Handle(w, r, body)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		c.t.Fatalf("%s: %v: %s", operation, err, w.Body)
	}
	return w.Code, out
}

var root = func() iam.Principal {
	p := iam.RootOf(account)
	p.AccessKeyID = "AKIAROOT"
	return p
}()

func (c *client) ok(who iam.Principal, operation string, in map[string]any) map[string]any {
	c.t.Helper()
	status, out := c.call(who, operation, in)
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %v", operation, status, out)
	}
	return out
}

func (c *client) fails(who iam.Principal, code, message, operation string, in map[string]any) {
	c.t.Helper()
	_, out := c.call(who, operation, in)
	if got, _ := out["message"].(string); out["__type"] != code || !strings.Contains(got, message) {
		c.t.Errorf("%s: %v, want %s %q", operation, out, code, message)
	}
}

type in = map[string]any

// at reads a value below names and positions.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (c *client) user(name, policy string) iam.Principal {
	c.t.Helper()
	return apitest.User(c.t, c.iam, account, name, policy)
}

func TestRepositories(t *testing.T) {
	c := newClient(t)
	out := c.ok(root, "CreateRepository", in{"repositoryName": "team/agent", "imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": in{"scanOnPush": true},
		"tags": []in{{"Key": "team", "Value": "red"}}})
	r := at(out, "repository")
	for k, want := range map[string]string{"repositoryArn": "arn:aws:ecr:us-west-2:111122223333:repository/team/agent", "registryId": account, "repositoryName": "team/agent",
		"repositoryUri": "127.0.0.1:4566/team/agent", "imageTagMutability": "IMMUTABLE"} {
		if at(r, k) != want {
			t.Error(k, at(r, k))
		}
	}
	if at(r, "imageScanningConfiguration", "scanOnPush") != true || at(r, "encryptionConfiguration", "encryptionType") != "AES256" {
		t.Error(r)
	}
	c.fails(root, "RepositoryAlreadyExistsException", "The repository with name 'team/agent' already exists in the registry with id '111122223333'", "CreateRepository", in{"repositoryName": "team/agent"})
	c.fails(root, "InvalidParameterException", "'repositoryName'", "CreateRepository", in{"repositoryName": "UPPER"})
	c.fails(root, "RepositoryNotFoundException", "The repository with name 'none' does not exist in the registry with id '111122223333'", "DescribeRepositories", in{"repositoryNames": []string{"none"}})
	c.ok(root, "CreateRepository", in{"repositoryName": "second"})
	if out := c.ok(root, "DescribeRepositories", in{"repositoryNames": []string{"team/agent", "second"}}); len(at(out, "repositories").([]any)) != 2 {
		t.Error(out)
	}
	first := c.ok(root, "DescribeRepositories", in{"maxResults": 1})
	second := c.ok(root, "DescribeRepositories", in{"maxResults": 1, "nextToken": first["nextToken"]})
	if at(first, "repositories", 0, "repositoryName") != "second" || at(second, "repositories", 0, "repositoryName") != "team/agent" || second["nextToken"] != nil {
		t.Error(first, second)
	}
	arn := at(r, "repositoryArn")
	c.ok(root, "TagResource", in{"resourceArn": arn, "tags": []in{{"Key": "a", "Value": "1"}}})
	c.ok(root, "UntagResource", in{"resourceArn": arn, "tagKeys": []string{"team"}})
	if out := c.ok(root, "ListTagsForResource", in{"resourceArn": arn}); at(out, "tags", 0, "Key") != "a" || at(out, "tags", 1) != nil {
		t.Error(out)
	}
	c.fails(root, "InvalidParameterException", "ARN", "ListTagsForResource", in{"resourceArn": "x"})
	if out := c.ok(root, "PutImageTagMutability", in{"repositoryName": "second", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
		"imageTagMutabilityExclusionFilters": []in{{"filterType": "WILDCARD", "filter": "dev*"}}}); at(out, "imageTagMutabilityExclusionFilters", 0, "filter") != "dev*" {
		t.Error(out)
	}
	if out := c.ok(root, "PutImageScanningConfiguration", in{"repositoryName": "second", "imageScanningConfiguration": in{"scanOnPush": true}}); at(out, "imageScanningConfiguration", "scanOnPush") != true {
		t.Error(out)
	}
	if out := c.ok(root, "DescribeRegistry", in{}); out["registryId"] != account || at(out, "replicationConfiguration", "rules") == nil {
		t.Error(out)
	}
	c.ok(root, "DeleteRepository", in{"repositoryName": "second"})
	c.fails(root, "RepositoryNotFoundException", "'second'", "DeleteRepository", in{"repositoryName": "second"})
}

func TestPolicies(t *testing.T) {
	c := newClient(t)
	c.ok(root, "CreateRepository", in{"repositoryName": "agent"})
	name := func(more in) in {
		m := in{"repositoryName": "agent"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	const lifecycle = `{"rules":[{"rulePriority":1,"description":"old","selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	c.fails(root, "LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name 'agent' in the registry with id '111122223333'", "GetLifecyclePolicy", name(nil))
	c.ok(root, "PutLifecyclePolicy", name(in{"lifecyclePolicyText": lifecycle}))
	if out := c.ok(root, "GetLifecyclePolicy", name(nil)); out["lifecyclePolicyText"] != lifecycle {
		t.Error(out)
	}
	c.ok(root, "DeleteLifecyclePolicy", name(nil))
	ann := c.user("ann", "")
	policy := `{"Version":"2008-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"` + ann.ARN + `"},"Action":["ecr:DescribeImages"]}]}`
	c.fails(root, "RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name 'agent' in the registry with id '111122223333'", "GetRepositoryPolicy", name(nil))
	c.fails(ann, "AccessDeniedException", "ecr:DescribeImages on resource: arn:aws:ecr:us-west-2:111122223333:repository/agent because no identity-based policy", "DescribeImages", name(nil))
	c.ok(root, "SetRepositoryPolicy", name(in{"policyText": policy}))
	c.ok(ann, "DescribeImages", name(nil))
	if out := c.ok(root, "GetRepositoryPolicy", name(nil)); out["policyText"] != policy {
		t.Error(out)
	}
	for _, bad := range []string{"{", `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Principal":"*","Action":"*"}]}`, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`} {
		c.fails(root, "InvalidParameterException", "Invalid repository policy provided", "SetRepositoryPolicy", name(in{"policyText": bad}))
	}
	lockout := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:SetRepositoryPolicy"}]}`
	c.fails(root, "InvalidParameterException", "lock you out", "SetRepositoryPolicy", name(in{"policyText": lockout}))
	c.ok(root, "SetRepositoryPolicy", name(in{"policyText": lockout, "force": true}))
	c.fails(root, "AccessDeniedException", "explicit deny in a resource-based policy", "SetRepositoryPolicy", name(in{"policyText": policy}))
	c.ok(root, "DeleteRepositoryPolicy", name(nil))
}

// push uploads a layer through the API and returns its digest.
func (c *client) push(repository, content string) string {
	c.t.Helper()
	begun := c.ok(root, "InitiateLayerUpload", in{"repositoryName": repository})
	id, d := begun["uploadId"], registry.Digest([]byte(content))
	half := len(content) / 2
	c.ok(root, "UploadLayerPart", in{"repositoryName": repository, "uploadId": id, "partFirstByte": 0, "partLastByte": half - 1, "layerPartBlob": []byte(content[:half])})
	c.fails(root, "InvalidLayerPartException", "", "UploadLayerPart", in{"repositoryName": repository, "uploadId": id, "partFirstByte": half + 1, "partLastByte": half + 1, "layerPartBlob": []byte("x")})
	out := c.ok(root, "UploadLayerPart", in{"repositoryName": repository, "uploadId": id, "partFirstByte": half, "partLastByte": len(content) - 1, "layerPartBlob": []byte(content[half:])})
	if out["lastByteReceived"] != float64(len(content)-1) {
		c.t.Error(out)
	}
	if out := c.ok(root, "CompleteLayerUpload", in{"repositoryName": repository, "uploadId": id, "layerDigests": []string{d}}); out["layerDigest"] != d {
		c.t.Error(out)
	}
	return d
}

func TestImagesThroughTheAPI(t *testing.T) {
	c := newClient(t)
	c.ok(root, "CreateRepository", in{"repositoryName": "agent"})
	const config, layer = `{"os":"linux"}`, "a layer of text"
	configDigest, layerDigest := c.push("agent", config), c.push("agent", layer)
	again := c.ok(root, "InitiateLayerUpload", in{"repositoryName": "agent"})["uploadId"]
	c.fails(root, "LayerAlreadyExistsException", layerDigest, "CompleteLayerUpload", in{"repositoryName": "agent", "uploadId": again, "layerDigests": []string{layerDigest}})
	c.fails(root, "EmptyUploadException", "", "CompleteLayerUpload", in{"repositoryName": "agent", "uploadId": again, "layerDigests": []string{registry.Digest(nil)}})
	c.fails(root, "UploadNotFoundException", "", "UploadLayerPart", in{"repositoryName": "agent", "uploadId": "11111111-1111-1111-1111-111111111111", "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": []byte("x")})
	out := c.ok(root, "BatchCheckLayerAvailability", in{"repositoryName": "agent", "layerDigests": []string{layerDigest, registry.Digest([]byte("?")), "x", ""}})
	if at(out, "layers", 0, "layerAvailability") != "AVAILABLE" || at(out, "layers", 0, "layerSize") != float64(len(layer)) || at(out, "layers", 1, "layerAvailability") != "UNAVAILABLE" ||
		at(out, "failures", 0, "failureCode") != "InvalidLayerDigest" || at(out, "failures", 1, "failureCode") != "MissingLayerDigest" {
		t.Error(out)
	}
	manifest := func(config string) string {
		return `{"schemaVersion":2,"mediaType":"` + registry.DockerManifest + `","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"` + config + `","size":14},"layers":[{"mediaType":"x","digest":"` +
			layerDigest + `","size":15}]}`
	}
	c.fails(root, "LayersNotFoundException", "", "PutImage", in{"repositoryName": "agent", "imageManifest": manifest(registry.Digest(nil))})
	text := manifest(configDigest)
	d := registry.Digest([]byte(text))
	put := c.ok(root, "PutImage", in{"repositoryName": "agent", "imageManifest": text, "imageTag": "v1"})
	if at(put, "image", "imageId", "imageDigest") != d || at(put, "image", "imageId", "imageTag") != "v1" || at(put, "image", "imageManifestMediaType") != registry.DockerManifest {
		t.Error(put)
	}
	c.fails(root, "ImageAlreadyExistsException", "Image with digest '"+d+"' and tag 'v1' already exists in the repository with name 'agent' in registry with id '111122223333'", "PutImage",
		in{"repositoryName": "agent", "imageManifest": text, "imageTag": "v1"})
	c.ok(root, "PutImage", in{"repositoryName": "agent", "imageManifest": text, "imageTag": "v2"})
	got := c.ok(root, "BatchGetImage", in{"repositoryName": "agent", "imageIds": []in{{"imageTag": "v1"}, {"imageTag": "none"}, {"imageDigest": "x"}, {}}})
	if at(got, "images", 0, "imageManifest") != text || at(got, "failures", 0, "failureCode") != "ImageNotFound" || at(got, "failures", 1, "failureCode") != "InvalidImageDigest" ||
		at(got, "failures", 2, "failureCode") != "MissingDigestAndTag" {
		t.Error(got)
	}
	described := c.ok(root, "DescribeImages", in{"repositoryName": "agent", "imageIds": []in{{"imageTag": "v1"}, {"imageDigest": d}}})
	if at(described, "imageDetails", 0, "imageSizeInBytes") != float64(29) || at(described, "imageDetails", 0, "imageTags", 1) != "v2" || at(described, "imageDetails", 1) != nil ||
		at(described, "imageDetails", 0, "lastRecordedPullTime") == nil {
		t.Error(described)
	}
	c.fails(root, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'agent' in the registry with id '111122223333'",
		"DescribeImages", in{"repositoryName": "agent", "imageIds": []in{{"imageTag": "none"}}})
	if out := c.ok(root, "DescribeImages", in{"repositoryName": "agent", "filter": in{"tagStatus": "UNTAGGED"}}); at(out, "imageDetails", 0) != nil {
		t.Error(out)
	}
	first := c.ok(root, "ListImages", in{"repositoryName": "agent", "maxResults": 1})
	second := c.ok(root, "ListImages", in{"repositoryName": "agent", "maxResults": 1, "nextToken": first["nextToken"]})
	if at(first, "imageIds", 0, "imageTag") != "v1" || at(second, "imageIds", 0, "imageTag") != "v2" {
		t.Error(first, second)
	}
	c.fails(root, "RepositoryNotEmptyException", "The repository with name 'agent' in registry with id '111122223333' cannot be deleted because it still contains images", "DeleteRepository", in{"repositoryName": "agent"})
	gone := c.ok(root, "BatchDeleteImage", in{"repositoryName": "agent", "imageIds": []in{{"imageTag": "v1"}, {"imageDigest": d}, {"imageTag": "none"}}})
	if at(gone, "imageIds", 0, "imageTag") != "v1" || at(gone, "imageIds", 1, "imageTag") != "v2" || at(gone, "failures", 0, "failureCode") != "ImageNotFound" {
		t.Error(gone)
	}
	c.ok(root, "DeleteRepository", in{"repositoryName": "agent"})
}

func TestAuthorizationToken(t *testing.T) {
	c := newClient(t)
	out := c.ok(root, "GetAuthorizationToken", in{})
	text, _ := at(out, "authorizationData", 0, "authorizationToken").(string)
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	password, ok := strings.CutPrefix(string(decoded), "AWS:")
	pass, err := c.registry.Verify(password)
	if !ok || err != nil || pass.AccessKeyID != "AKIAROOT" || pass.Scope != (registry.Scope{Account: account, Region: region}) {
		t.Error(pass, err)
	}
	if at(out, "authorizationData", 0, "proxyEndpoint") != "http://127.0.0.1:4566" {
		t.Error(out)
	}
	if out := c.ok(root, "GetAuthorizationToken", in{"registryIds": []string{account, "999999999999"}}); at(out, "authorizationData", 1) == nil {
		t.Error(out)
	}
	c.fails(c.user("ann", ""), "AccessDeniedException", "ecr:GetAuthorizationToken on resource: *", "GetAuthorizationToken", in{})
}

func TestURLOfALayer(t *testing.T) {
	c := newClient(t)
	c.ok(root, "CreateRepository", in{"repositoryName": "agent"})
	d := c.push("agent", "a layer")
	out := c.ok(root, "GetDownloadUrlForLayer", in{"repositoryName": "agent", "layerDigest": d})
	url, _ := out["downloadUrl"].(string)
	token, ok := strings.CutPrefix(url, "http://127.0.0.1:4566"+oci.LayerPath(""))
	got, err := c.registry.VerifyDownload(token)
	if !ok || err != nil || got.Digest != d || got.ID.Name != "agent" {
		t.Error(url, got, err)
	}
	c.fails(root, "LayersNotFoundException", "", "GetDownloadUrlForLayer", in{"repositoryName": "agent", "layerDigest": registry.Digest(nil)})
}

func TestEveryOperationSaysWhatItActsOn(t *testing.T) {
	c := newClient(t)
	if names := c.wire.Undeclared(); len(names) > 0 {
		t.Error(names)
	}
	nobody := c.user("nobody", "")
	for _, o := range c.wire.Operations {
		body := in{"repositoryName": "agent", "policyText": "{}", "lifecyclePolicyText": strings.Repeat(" ", 100), "layerDigest": "x", "layerDigests": []string{"x"}, "uploadId": "x", "partFirstByte": 0,
			"partLastByte": 0, "layerPartBlob": []byte("x"), "imageManifest": "{}", "imageIds": []in{{}}, "imageTagMutability": "MUTABLE", "imageScanningConfiguration": in{},
			"resourceArn": "arn:aws:ecr:us-west-2:111122223333:repository/agent"}
		if o.Name == "TagResource" {
			body["tags"] = []in{}
		}
		if o.Name == "UntagResource" {
			body["tagKeys"] = []string{}
		}
		c.fails(nobody, "AccessDeniedException", "ecr:"+o.Name, o.Name, body)
	}
}

func TestAttackDescribingWhatOneMayNot(t *testing.T) {
	c := newClient(t)
	for _, name := range []string{"mine", "yours"} {
		c.ok(root, "CreateRepository", in{"repositoryName": name, "tags": []in{{"Key": "owner", "Value": name}}})
	}
	ann := c.user("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"arn:aws:ecr:us-west-2:111122223333:repository/mine"},
		{"Effect":"Allow","Action":"ecr:ListImages","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"mine"}}}]}`)
	c.ok(ann, "DescribeRepositories", in{"repositoryNames": []string{"mine"}})
	c.fails(ann, "AccessDeniedException", "repository/yours", "DescribeRepositories", in{"repositoryNames": []string{"mine", "yours"}})
	c.fails(ann, "AccessDeniedException", "repository/none", "DescribeRepositories", in{"repositoryNames": []string{"none"}})
	c.fails(ann, "AccessDeniedException", "", "DescribeRepositories", in{})
	c.ok(ann, "ListImages", in{"repositoryName": "mine"})
	c.fails(ann, "AccessDeniedException", "", "ListImages", in{"repositoryName": "yours"})
	c.fails(ann, "AccessDeniedException", "999999999999", "DescribeRepositories", in{"registryId": "999999999999", "repositoryNames": []string{"mine"}})
}
