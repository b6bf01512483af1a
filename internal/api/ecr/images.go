package ecr

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

type imageID struct {
	Digest string `aws:"imageDigest"`
	Tag    string `aws:"imageTag" max:"300"`
}

func (i imageID) ref() registry.Ref { return registry.Ref{Digest: i.Digest, Tag: i.Tag} }

type image struct {
	RegistryID string  `aws:"registryId"`
	Name       string  `aws:"repositoryName"`
	ID         imageID `aws:"imageId"`
	Manifest   string  `aws:"imageManifest"`
	MediaType  string  `aws:"imageManifestMediaType"`
}

func imageToShape(id registry.ID, i registry.Image, tag string) image {
	return image{RegistryID: id.Account, Name: id.Name, ID: imageID{Digest: i.Digest, Tag: tag}, Manifest: string(i.Manifest), MediaType: i.MediaType}
}

type imageFailure struct {
	ID     imageID `aws:"imageId"`
	Code   string  `aws:"failureCode"`
	Reason string  `aws:"failureReason"`
}

// failure makes one image's failure of an error, or returns the error if the whole operation fails with it.
func failure(id imageID, err error) (imageFailure, error) {
	f := imageFailure{ID: id}
	switch {
	case fault.Is(err, registry.ImageNotFound):
		f.Code, f.Reason = "ImageNotFound", "Requested image not found"
		if id.Digest != "" && id.Tag != "" {
			f.Code, f.Reason = "ImageTagDoesNotMatchDigest", "The image tag and digest do not match"
		}
	case fault.Is(err, registry.ImageReferenced):
		f.Code, f.Reason = string(registry.ImageReferenced), fault.From(err).Message
	case id == imageID{}:
		f.Code, f.Reason = "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
	case id.Digest != "" && !registry.ValidDigest(id.Digest):
		f.Code, f.Reason = "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
	case id.Tag != "" && !registry.ValidTag(id.Tag):
		f.Code, f.Reason = "InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"
	default:
		return f, err
	}
	return f, nil
}

type putImageInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Manifest   string     `aws:"imageManifest" required:"true" min:"1" max:"4194304"`
	MediaType  string     `aws:"imageManifestMediaType"`
	Tag        string     `aws:"imageTag" min:"1" max:"300"`
	Digest     string     `aws:"imageDigest"`
}

func (in *putImageInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type putImageOutput struct {
	Image image `aws:"image"`
}

func (a *API) putImage(ctx context.Context, in *putImageInput) (*putImageOutput, error) {
	id := in.repository(ctx)
	if err := registry.CheckName(id.Name); err != nil {
		return nil, err
	}
	i, err := a.Registry.Put(ctx, id, registry.NewImage{Manifest: []byte(in.Manifest), MediaType: in.MediaType, Tag: in.Tag, Digest: in.Digest})
	return &putImageOutput{imageToShape(id, i, in.Tag)}, err
}

type batchGetInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	IDs        []imageID  `aws:"imageIds" required:"true" min:"1" max:"100"`
	Accepted   []string   `aws:"acceptedMediaTypes" min:"1" max:"100"` // manifests are given as they were pushed, whatever is accepted: another form has another digest
}

func (in *batchGetInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type batchGetOutput struct {
	Images   []image        `aws:"images"`
	Failures []imageFailure `aws:"failures"`
}

func (a *API) batchGetImage(ctx context.Context, in *batchGetInput) (*batchGetOutput, error) {
	id := in.repository(ctx)
	if _, err := a.Registry.Repository(ctx, id); err != nil {
		return nil, err
	}
	out := &batchGetOutput{Images: []image{}, Failures: []imageFailure{}}
	for _, want := range in.IDs {
		i, err := a.Registry.Pull(ctx, id, want.ref())
		if err == nil {
			out.Images = append(out.Images, imageToShape(id, i, want.Tag))
			continue
		}
		f, err := failure(want, err)
		if err != nil {
			return nil, err
		}
		out.Failures = append(out.Failures, f)
	}
	return out, nil
}

type batchDeleteInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	IDs        []imageID  `aws:"imageIds" required:"true" min:"1" max:"100"`
}

func (in *batchDeleteInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type batchDeleteOutput struct {
	IDs      []imageID      `aws:"imageIds"`
	Failures []imageFailure `aws:"failures"`
}

func (a *API) batchDeleteImage(ctx context.Context, in *batchDeleteInput) (*batchDeleteOutput, error) {
	id := in.repository(ctx)
	if _, err := a.Registry.Repository(ctx, id); err != nil {
		return nil, err
	}
	out := &batchDeleteOutput{IDs: []imageID{}, Failures: []imageFailure{}}
	for _, want := range in.IDs {
		gone, err := a.Registry.Remove(ctx, id, want.ref(), true)
		if err != nil {
			f, err := failure(want, err)
			if err != nil {
				return nil, err
			}
			out.Failures = append(out.Failures, f)
			continue
		}
		for _, g := range gone {
			out.IDs = append(out.IDs, imageID(g))
		}
	}
	return out, nil
}

type imageFilter struct {
	TagStatus   string `aws:"tagStatus" enum:"TAGGED,UNTAGGED,ANY"`
	ImageStatus string `aws:"imageStatus" enum:"ACTIVE,ARCHIVED,ACTIVATING,ANY"`
}

func (f *imageFilter) tags() registry.TagStatus {
	if f == nil {
		return registry.Any
	}
	return registry.TagStatus(f.TagStatus)
}

// nothing reports whether a filter asks for states that no image here is in: all are active.
func (f *imageFilter) nothing() bool {
	return f != nil && (f.ImageStatus == "ARCHIVED" || f.ImageStatus == "ACTIVATING")
}

type describeImagesInput struct {
	RegistryID registryID   `aws:"registryId"`
	Name       string       `aws:"repositoryName" required:"true"`
	IDs        []imageID    `aws:"imageIds" min:"1" max:"100"`
	Token      string       `aws:"nextToken"`
	Max        *int         `aws:"maxResults" min:"1" max:"1000"`
	Filter     *imageFilter `aws:"filter"`
}

func (in *describeImagesInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type imageDetail struct {
	RegistryID   string     `aws:"registryId"`
	Name         string     `aws:"repositoryName"`
	Digest       string     `aws:"imageDigest"`
	Tags         []string   `aws:"imageTags"`
	Size         int64      `aws:"imageSizeInBytes"`
	PushedAt     time.Time  `aws:"imagePushedAt"`
	MediaType    string     `aws:"imageManifestMediaType"`
	ArtifactType string     `aws:"artifactMediaType"`
	PulledAt     *time.Time `aws:"lastRecordedPullTime"`
	Subject      string     `aws:"subjectManifestDigest"`
	Status       string     `aws:"imageStatus"`
}

func detailToShape(id registry.ID, i registry.Image) imageDetail {
	d := imageDetail{RegistryID: id.Account, Name: id.Name, Digest: i.Digest, Size: i.Size, PushedAt: i.PushedAt, MediaType: i.MediaType, ArtifactType: i.ArtifactType,
		PulledAt: at(i.PulledAt), Subject: i.Subject, Status: "ACTIVE"}
	if len(i.Tags) > 0 {
		d.Tags = i.Tags
	}
	return d
}

type describeImagesOutput struct {
	Details []imageDetail `aws:"imageDetails"`
	Token   string        `aws:"nextToken"`
}

func (a *API) describeImages(ctx context.Context, in *describeImagesInput) (*describeImagesOutput, error) {
	id := in.repository(ctx)
	if _, err := a.Registry.Repository(ctx, id); err != nil {
		return nil, err
	}
	out := &describeImagesOutput{Details: []imageDetail{}}
	if in.Filter.nothing() {
		return out, nil
	}
	if len(in.IDs) > 0 {
		if in.Token != "" || in.Max != nil {
			return nil, fault.New(registry.InvalidParameter, "Invalid parameter: nextToken and maxResults cannot be used with imageIds")
		}
		seen := map[string]bool{}
		for _, want := range in.IDs {
			i, err := a.Registry.Find(ctx, id, want.ref())
			if err != nil {
				return nil, err
			}
			if !seen[i.Digest] {
				seen[i.Digest] = true
				out.Details = append(out.Details, detailToShape(id, i))
			}
		}
		return out, nil
	}
	found, next, err := a.Registry.Images(ctx, id, in.Filter.tags(), page(in.Token, in.Max))
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		out.Details = append(out.Details, detailToShape(id, i))
	}
	out.Token = next
	return out, nil
}

type listImagesInput struct {
	RegistryID registryID   `aws:"registryId"`
	Name       string       `aws:"repositoryName" required:"true"`
	Token      string       `aws:"nextToken"`
	Max        *int         `aws:"maxResults" min:"1" max:"1000"`
	Filter     *imageFilter `aws:"filter"`
}

func (in *listImagesInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type listImagesOutput struct {
	IDs   []imageID `aws:"imageIds"`
	Token string    `aws:"nextToken"`
}

func (a *API) listImages(ctx context.Context, in *listImagesInput) (*listImagesOutput, error) {
	out := &listImagesOutput{IDs: []imageID{}}
	found, next, err := a.Registry.Refs(ctx, in.repository(ctx), in.Filter.tags(), page(in.Token, in.Max))
	if err != nil || in.Filter.nothing() {
		return out, err
	}
	for _, r := range found {
		out.IDs = append(out.IDs, imageID(r))
	}
	out.Token = next
	return out, nil
}
