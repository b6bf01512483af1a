package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// maxConfig bounds the configuration of an image that is read into memory.
const maxConfig = 16 << 20

// Image returns an image to run, read from the registry's folder and checked against its digests on the way. Of an index it is the image for a platform; an image that stands alone is
// returned whatever it was built for. It is readable for a grace period at least even if it is deleted meanwhile. ctx bounds this call, not the reading.
// ImageNotFound if there is none, with the platforms that there are.
func (s *Service) Image(ctx context.Context, id ID, ref Ref, platform v1.Platform) (v1.Image, error) {
	i, err := s.Pull(ctx, id, ref)
	if err != nil {
		return nil, err
	}
	m, _, err := ParseManifest(i.Manifest, i.MediaType)
	if err != nil {
		return nil, err
	}
	if m.Config == nil {
		digest, err := choose(id, ref, m, platform)
		if err != nil {
			return nil, err
		}
		if i, err = s.Find(ctx, id, Ref{Digest: digest}); err != nil {
			return nil, err
		}
		if m, _, err = ParseManifest(i.Manifest, i.MediaType); err != nil {
			return nil, err
		}
		if m.Config == nil {
			return nil, fault.New(ImageNotFound, "The image %s of the repository '%s' is an index in an index, which cannot be run.", digest, id.Name)
		}
	}
	image := &stored{s: s, id: id, image: i, manifest: m}
	return partial.CompressedToImage(image)
}

// choose finds the image of an index that runs on a platform.
func choose(id ID, ref Ref, m Manifest, want v1.Platform) (string, error) {
	var have []string
	for _, d := range m.Manifests {
		if d.Platform == nil {
			continue
		}
		p := v1.Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant}
		if p.Satisfies(want) {
			return d.Digest, nil
		}
		have = append(have, clip(p.String()))
	}
	return "", fault.New(ImageNotFound, "The image %s of the repository '%s' is not built for %s: it has %v.", ref.Tag+ref.Digest, id.Name, want.String(), have)
}

// stored is an image of a repository, as go-containerregistry reads images.
type stored struct {
	s        *Service
	id       ID
	image    Image
	manifest Manifest
}

var _ partial.CompressedImageCore = (*stored)(nil)

// RawManifest implements partial.CompressedImageCore.
func (i *stored) RawManifest() ([]byte, error) { return i.image.Manifest, nil }

// MediaType implements partial.CompressedImageCore.
func (i *stored) MediaType() (types.MediaType, error) {
	return types.MediaType(i.image.MediaType), nil
}

// RawConfigFile implements partial.CompressedImageCore.
func (i *stored) RawConfigFile() (content []byte, err error) {
	c := i.manifest.Config
	if c.Size > maxConfig {
		return nil, fmt.Errorf("the configuration of the image has %d bytes; %d are read at most", c.Size, maxConfig)
	}
	r, err := i.s.read(*c)
	if err != nil {
		return nil, err
	}
	content, err = io.ReadAll(io.LimitReader(r, maxConfig+1))
	if e := r.Close(); err == nil {
		err = e
	}
	return content, err
}

// LayerByDigest implements partial.CompressedImageCore.
func (i *stored) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if d := i.manifest.Config; d.Digest == h.String() {
		return layer{i.s, *d}, nil
	}
	for _, d := range i.manifest.Layers {
		if d.Digest == h.String() {
			return layer{i.s, d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

type layer struct {
	s *Service
	d Descriptor
}

// Digest implements partial.CompressedLayer.
func (l layer) Digest() (v1.Hash, error) { return v1.NewHash(l.d.Digest) }

// Compressed implements partial.CompressedLayer.
func (l layer) Compressed() (io.ReadCloser, error) { return l.s.read(l.d) }

// Size implements partial.CompressedLayer.
func (l layer) Size() (int64, error) { return l.d.Size, nil }

// MediaType implements partial.CompressedLayer.
func (l layer) MediaType() (types.MediaType, error) { return types.MediaType(l.d.MediaType), nil }

// read opens what a manifest of the registry names.
func (s *Service) read(d Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(s.blobPath(d.Digest))
	if err != nil {
		return nil, err
	}
	return &verified{File: f, sum: sha256.New(), want: d}, nil
}

// verified gives up at the end of a file that is not what its digest says.
type verified struct {
	*os.File
	sum  hash.Hash
	read int64
	want Descriptor
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.File.Read(p)
	v.sum.Write(p[:n])
	v.read += int64(n)
	if errors.Is(err, io.EOF) && (v.read != v.want.Size || "sha256:"+hex.EncodeToString(v.sum.Sum(nil)) != v.want.Digest) {
		return n, fmt.Errorf("the registry's copy of %s is damaged: push the image again", v.want.Digest)
	}
	return n, err
}

// WriteTo keeps io.Copy from reading past Read.
func (v *verified) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{v})
}
