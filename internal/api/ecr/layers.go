package ecr

import (
	"bytes"
	"context"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type checkLayersInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Digests    []string   `aws:"layerDigests" required:"true" min:"1" max:"100"`
}

func (in *checkLayersInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type layer struct {
	Digest       string `aws:"layerDigest"`
	Availability string `aws:"layerAvailability"`
	Size         *int64 `aws:"layerSize"`
}

type layerFailure struct {
	Digest string `aws:"layerDigest"`
	Code   string `aws:"failureCode"`
	Reason string `aws:"failureReason"`
}

type checkLayersOutput struct {
	Layers   []layer        `aws:"layers"`
	Failures []layerFailure `aws:"failures"`
}

func (a *API) batchCheckLayerAvailability(ctx context.Context, in *checkLayersInput) (*checkLayersOutput, error) {
	id := in.repository(ctx)
	if _, err := a.Registry.Repository(ctx, id); err != nil {
		return nil, err
	}
	out := &checkLayersOutput{Layers: []layer{}, Failures: []layerFailure{}}
	for _, d := range in.Digests {
		switch {
		case d == "":
			out.Failures = append(out.Failures, layerFailure{Code: "MissingLayerDigest", Reason: "The layer digest is missing"})
			continue
		case !registry.ValidDigest(d):
			out.Failures = append(out.Failures, layerFailure{Digest: d, Code: "InvalidLayerDigest", Reason: "The layer digest is not valid"})
			continue
		}
		b, err := a.Registry.Reserve(ctx, id, d)
		switch {
		case fault.Is(err, registry.LayersNotFound):
			out.Layers = append(out.Layers, layer{Digest: d, Availability: "UNAVAILABLE"})
		case err != nil:
			return nil, err
		default:
			out.Layers = append(out.Layers, layer{Digest: d, Availability: "AVAILABLE", Size: &b.Size})
		}
	}
	return out, nil
}

type downloadInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Digest     string     `aws:"layerDigest" required:"true"`
}

func (in *downloadInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type downloadOutput struct {
	URL    string `aws:"downloadUrl"`
	Digest string `aws:"layerDigest"`
}

// layerPath is where the HTTP face of the registry serves a token of DownloadToken.
const layerPath = "/v2/_layers/"

func (a *API) getDownloadURLForLayer(ctx context.Context, in *downloadInput) (*downloadOutput, error) {
	id := in.repository(ctx)
	b, err := a.Registry.Blob(ctx, id, in.Digest)
	if err != nil {
		return nil, err
	}
	token, err := a.Registry.DownloadToken(id, b.Digest)
	return &downloadOutput{URL: a.Endpoint(ctx, id.Scope) + layerPath + token, Digest: b.Digest}, err
}

// partSize is what ECR asks its clients to send at once, in bytes.
const partSize = 10 << 20

type initiateUploadOutput struct {
	UploadID string `aws:"uploadId"`
	PartSize int64  `aws:"partSize"`
}

// owner is who uploads: the same through this API and through /v2/.
func owner(ctx context.Context) string { return wire.RequestOf(ctx).Principal }

func (a *API) initiateLayerUpload(ctx context.Context, in *repositoryInput) (*initiateUploadOutput, error) {
	upload, err := a.Registry.Begin(ctx, in.repository(ctx), owner(ctx))
	return &initiateUploadOutput{UploadID: upload, PartSize: partSize}, err
}

type uploadPartInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	UploadID   string     `aws:"uploadId" required:"true"`
	First      int64      `aws:"partFirstByte" required:"true" min:"0"`
	Last       int64      `aws:"partLastByte" required:"true" min:"0"`
	Blob       []byte     `aws:"layerPartBlob" required:"true" max:"20971520"`
}

func (in *uploadPartInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type uploadPartOutput struct {
	RegistryID string `aws:"registryId"`
	Name       string `aws:"repositoryName"`
	UploadID   string `aws:"uploadId"`
	Last       int64  `aws:"lastByteReceived"`
}

func (a *API) uploadLayerPart(ctx context.Context, in *uploadPartInput) (*uploadPartOutput, error) {
	id := in.repository(ctx)
	if in.Last-in.First+1 != int64(len(in.Blob)) {
		return nil, fault.New(registry.InvalidLayerPart, "The layer part has %d bytes, and not those from %d to %d.", len(in.Blob), in.First, in.Last)
	}
	size, err := a.Registry.Append(ctx, id, owner(ctx), in.UploadID, in.First, bytes.NewReader(in.Blob))
	return &uploadPartOutput{RegistryID: id.Account, Name: id.Name, UploadID: in.UploadID, Last: size - 1}, err
}

type completeUploadInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	UploadID   string     `aws:"uploadId" required:"true"`
	Digests    []string   `aws:"layerDigests" required:"true" min:"1" max:"100"`
}

func (in *completeUploadInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type completeUploadOutput struct {
	RegistryID string `aws:"registryId"`
	Name       string `aws:"repositoryName"`
	UploadID   string `aws:"uploadId"`
	Digest     string `aws:"layerDigest"`
}

func (a *API) completeLayerUpload(ctx context.Context, in *completeUploadInput) (*completeUploadOutput, error) {
	id := in.repository(ctx)
	for _, d := range in.Digests {
		if !registry.ValidDigest(d) {
			continue // the domain says what is wrong with it
		}
		if _, err := a.Registry.Blob(ctx, id, d); err == nil {
			return nil, fault.New(registry.LayerAlreadyExists, "Layer with digest '%s' already exists in the repository with name '%s' in the registry with id '%s'", d, id.Name, id.Account)
		}
	}
	b, err := a.Registry.Finish(ctx, id, owner(ctx), in.UploadID, false, in.Digests...)
	return &completeUploadOutput{RegistryID: id.Account, Name: id.Name, UploadID: in.UploadID, Digest: b.Digest}, err
}
