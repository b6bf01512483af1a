package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Image is one manifest of a repository: an image, an artifact, or an index of such.
type Image struct {
	Digest       string
	MediaType    string
	ArtifactType string
	Manifest     []byte // not in lists
	ManifestSize int64  // bytes of the manifest
	Size         int64  // bytes of config and layers; of an index, of the largest image in it
	Subject      string // digest of the image that this one is about
	Annotations  map[string]string
	Tags         []string // in lexical order
	PushedAt     time.Time
	PulledAt     time.Time // zero: never

	Needs    []Blob   // what the manifest names; set when an image is put
	Children []string // digests of an index's images; set when an image is put
}

// TagStatus selects images by whether they have tags.
type TagStatus string

// The tag statuses; the zero value selects all, as Any does.
const (
	Tagged   TagStatus = "TAGGED"
	Untagged TagStatus = "UNTAGGED"
	Any      TagStatus = "ANY"
)

// pullStep is how exactly pulls are recorded: ECR promises once in 24 hours.
const pullStep = 24 * time.Hour

// NoImage is the answer to a reference that names no image of a repository.
func NoImage(id ID, ref Ref) error {
	or := func(s string) string {
		if s == "" {
			return "null"
		}
		return s
	}
	return fault.New(ImageNotFound, "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		or(ref.Digest), or(ref.Tag), id.Name, id.Account)
}

// NoLayer is the answer to a digest that a repository has no blob of.
func NoLayer(id ID, digest string) error {
	return fault.New(LayersNotFound, "Layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'", digest, id.Name, id.Account)
}

// NoChild is the answer to an index of images that are not in the repository.
func NoChild(id ID, digest string) error {
	return fault.New(ReferencedImagesNotFound, "Images with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
		digest, id.Name, id.Account)
}

// NewImage is an image to put.
type NewImage struct {
	Manifest  []byte
	MediaType string // as it was sent; "" leaves it to the manifest
	Tag       string // "" puts it without one
	Digest    string // if set, what the manifest must have
	Twice     bool   // putting what is there already is no error
}

// Put stores an image whose blobs the repository has. Errors: InvalidParameter, LayersNotFound, ReferencedImagesNotFound, ImageDigestDoesNotMatch, ImageTagAlreadyExists (the tag is
// pinned to another image), and ImageAlreadyExists unless Twice.
func (s *Service) Put(ctx context.Context, id ID, n NewImage) (Image, error) {
	m, mediaType, err := ParseManifest(n.Manifest, n.MediaType)
	if err != nil {
		return Image{}, err
	}
	if n.Tag != "" && !ValidTag(n.Tag) {
		return Image{}, fault.New(InvalidParameter, "%s", "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''")
	}
	i := Image{Digest: Digest(n.Manifest), MediaType: mediaType, ArtifactType: m.artifactType(), Manifest: n.Manifest, ManifestSize: int64(len(n.Manifest)),
		Annotations: m.Annotations, PushedAt: now(), Needs: m.blobs()}
	if n.Digest != "" && n.Digest != i.Digest {
		return Image{}, fault.New(ImageDigestDoesNotMatch, "The digest of the image is '%s' and not '%s'", i.Digest, clip(n.Digest))
	}
	if m.Subject != nil {
		i.Subject = m.Subject.Digest
	}
	for _, b := range i.Needs {
		if i.Size += b.Size; i.Size < 0 {
			return Image{}, badManifest("the sizes of the layers are too large")
		}
	}
	seen := map[string]bool{}
	for _, d := range m.Manifests {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		i.Children = append(i.Children, d.Digest)
		child, err := s.o.Store.Image(ctx, id, Ref{Digest: d.Digest})
		if fault.Is(err, ImageNotFound) {
			return Image{}, NoChild(id, d.Digest)
		}
		if err != nil {
			return Image{}, err
		}
		if d.Size != int64(len(child.Manifest)) {
			return Image{}, badManifest("the size of %s is %d", d.Digest, len(child.Manifest))
		}
		i.Size = max(i.Size, child.Size)
	}
	err = s.o.Store.PutImage(ctx, id, i, n.Tag, func(r Repository, current string, known bool) error {
		switch {
		case n.Tag != "" && current != "" && current != i.Digest && r.Pinned(n.Tag):
			return fault.New(ImageTagAlreadyExists, "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", n.Tag, id.Name)
		case !n.Twice && known && (n.Tag == "" || current == i.Digest):
			return fault.New(ImageAlreadyExists, "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
				i.Digest, n.Tag, id.Name, id.Account)
		}
		return nil
	})
	if n.Tag != "" {
		i.Tags = []string{n.Tag}
	}
	return i, err
}

// checkRef returns InvalidParameter for a reference that names nothing, or in a form that it cannot have.
func checkRef(ref Ref) error {
	switch {
	case ref == Ref{}:
		return fault.New(InvalidParameter, "Invalid request parameters: both tag and digest cannot be null")
	case ref.Digest != "" && !ValidDigest(ref.Digest):
		return fault.New(InvalidParameter, "Invalid parameter at 'imageDigest' failed to satisfy constraint: 'Invalid image digest: %s'", clip(ref.Digest))
	case ref.Tag != "" && !ValidTag(ref.Tag):
		return fault.New(InvalidParameter, "Invalid parameter at 'imageTag' failed to satisfy constraint: 'Invalid image tag: %s'", clip(ref.Tag))
	}
	return nil
}

// Find returns an image with its manifest; ImageNotFound if a tag does not have the digest that is given with it.
func (s *Service) Find(ctx context.Context, id ID, ref Ref) (Image, error) {
	if err := CheckName(id.Name); err != nil {
		return Image{}, err
	}
	if err := checkRef(ref); err != nil {
		return Image{}, err
	}
	return s.o.Store.Image(ctx, id, ref)
}

// Pull is Find for a reader of the image: it is recorded.
func (s *Service) Pull(ctx context.Context, id ID, ref Ref) (Image, error) {
	i, err := s.Find(ctx, id, ref)
	if at := now(); err == nil && at.Sub(i.PulledAt) > pullStep {
		if err := s.o.Store.RecordPull(ctx, id, i.Digest, at); err != nil {
			return Image{}, fmt.Errorf("record a pull: %w", err)
		}
	}
	return i, err
}

// Images lists a repository's images, in the order of their digests.
func (s *Service) Images(ctx context.Context, id ID, f TagStatus, p Page) ([]Image, string, error) {
	if err := CheckName(id.Name); err != nil {
		return nil, "", err
	}
	return s.o.Store.Images(ctx, id, f, p)
}

// Refs lists a repository's tags, and its images without one.
func (s *Service) Refs(ctx context.Context, id ID, f TagStatus, p Page) ([]Ref, string, error) {
	if err := CheckName(id.Name); err != nil {
		return nil, "", err
	}
	return s.o.Store.Refs(ctx, id, f, p)
}

// TagNames lists a repository's tags in lexical order, at most limit of those after one.
func (s *Service) TagNames(ctx context.Context, id ID, after string, limit int) ([]string, error) {
	if err := CheckName(id.Name); err != nil {
		return nil, err
	}
	return s.o.Store.Tags(ctx, id, after, limit)
}

// Referrers lists the images that are about an image, which need not be there.
func (s *Service) Referrers(ctx context.Context, id ID, subject string) ([]Image, error) {
	if err := CheckName(id.Name); err != nil {
		return nil, err
	}
	return s.o.Store.Referrers(ctx, id, subject)
}

// Remove deletes an image with all its tags, or a tag, and with lastTag the image that has no other. It returns what is gone: ECR names each tag.
// ImageNotFound, or ImageReferenced if an index needs the image.
func (s *Service) Remove(ctx context.Context, id ID, ref Ref, lastTag bool) ([]Ref, error) {
	if err := CheckName(id.Name); err != nil {
		return nil, err
	}
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	return s.o.Store.DeleteImage(ctx, id, ref, lastTag)
}
