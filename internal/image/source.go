package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// source is an image that was found but not yet read.
type source struct {
	image  v1.Image
	name   string  // where it is from, for people
	digest v1.Hash // of its manifest
}

// open finds the image for this machine that a reference names. scratch is an empty folder for what must be unpacked first.
func (s *Store) open(ctx context.Context, ref, scratch string) (source, error) {
	file, tag := ref, ""
	info, err := os.Stat(file)
	if i := strings.LastIndexByte(ref, ':'); err != nil && i > 0 {
		if at, e := os.Stat(ref[:i]); e == nil {
			file, tag, info, err = ref[:i], ref[i+1:], at, nil
		}
	}
	switch {
	case err == nil && info.IsDir():
		return openLayout(file, file, tag)
	case err == nil:
		return s.openArchive(ctx, file, tag, scratch)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid):
		return source{}, err
	case looksLikePath(ref):
		return source{}, fmt.Errorf("%w: no such file or folder", ErrNotFound)
	}
	return openRemote(ctx, ref)
}

func looksLikePath(ref string) bool {
	for _, prefix := range []string{"/", "./", "../", "~"} {
		if strings.HasPrefix(ref, prefix) {
			return true
		}
	}
	return strings.HasSuffix(ref, ".tar") || strings.HasSuffix(ref, ".tar.gz") || strings.HasSuffix(ref, ".tgz")
}

func openRemote(ctx context.Context, ref string) (source, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return source{}, fmt.Errorf("neither a file, nor a folder, nor an image in a registry: %w", err)
	}
	d, err := remote.Get(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		if refused, ok := errors.AsType[*transport.Error](err); ok && refused.StatusCode == http.StatusNotFound {
			return source{}, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		return source{}, err
	}
	if d.MediaType.IsIndex() {
		index, err := d.ImageIndex()
		if err != nil {
			return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return choose(index, parsed.Name(), "")
	}
	img, err := d.Image()
	if err != nil {
		return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return source{image: img, name: parsed.Name(), digest: d.Digest}, nil
}

func openLayout(dir, shown, tag string) (source, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return source{}, fmt.Errorf("%w: the folder has no index.json, so it is no OCI layout", ErrInvalid)
	}
	if err != nil {
		return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return choose(index, shown, tag)
}

// openArchive opens a docker-archive as it lies there, and an OCI archive by unpacking it into scratch.
func (s *Store) openArchive(ctx context.Context, file, tag, scratch string) (source, error) {
	open := func() (io.ReadCloser, error) { return openTar(file) }
	docker, oci, err := s.archiveKind(ctx, open)
	switch {
	case err != nil:
		return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case docker:
		return openDocker(open, file, tag)
	case !oci:
		return source{}, fmt.Errorf("%w: the archive has neither manifest.json (docker save) nor index.json (OCI)", ErrInvalid)
	}
	in, err := open()
	if err != nil {
		return source{}, err
	}
	defer func() { _ = in.Close() }()
	u, err := newUnpacker(scratch, s.Limits)
	if err != nil {
		return source{}, err
	}
	defer u.close()
	if err := u.apply(ctx, in); err != nil {
		return source{}, err
	}
	return openLayout(scratch, file, tag)
}

// archiveKind looks for the files that tell the kinds of image archives apart. `docker save` writes both since version 25.
func (s *Store) archiveKind(ctx context.Context, open func() (io.ReadCloser, error)) (docker, oci bool, err error) {
	in, err := open()
	if err != nil {
		return false, false, err
	}
	defer func() { _ = in.Close() }()
	archive := tar.NewReader(io.LimitReader(in, s.Limits.Bytes))
	for !docker {
		if err := ctx.Err(); err != nil {
			return false, false, err
		}
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, false, err
		}
		switch path.Clean(h.Name) {
		case "manifest.json":
			docker = true
		case "index.json":
			oci = true
		}
	}
	return docker, oci, nil
}

func openDocker(open tarball.Opener, file, tag string) (source, error) {
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return source{}, fmt.Errorf("%w: manifest.json: %w", ErrInvalid, err)
	}
	var all []string
	var chosen *name.Tag
	for _, m := range manifest {
		for _, full := range m.RepoTags {
			all = append(all, full)
			if tag != "" && (full == tag || strings.HasSuffix(full, ":"+tag)) && chosen == nil {
				t, err := name.NewTag(full)
				if err != nil {
					return source{}, fmt.Errorf("%w: manifest.json: %w", ErrInvalid, err)
				}
				chosen = &t
			}
		}
	}
	if chosen == nil && (tag != "" || len(manifest) != 1) {
		return source{}, severalImages(file, all)
	}
	img, err := tarball.Image(open, chosen)
	if err != nil {
		return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return source{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return source{image: img, name: file, digest: digest}, nil
}

func severalImages(file string, tags []string) error {
	return fmt.Errorf("%w: name one of the images that it holds as %s:TAG; there are: %s", ErrNotFound, file, strings.Join(tags, ", "))
}

// candidate is one image of an index.
type candidate struct {
	source
	tag, platform string
}

// maxDepth is how deep indexes may lie in indexes. Builders nest two.
const maxDepth = 4

// choose picks the image for this machine from an index, and of several tagged ones that with the tag.
func choose(index v1.ImageIndex, shown, tag string) (source, error) {
	all, err := candidates(index, shown, "", maxDepth)
	if err != nil {
		return source{}, err
	}
	var platforms, tags []string
	var fit []candidate
	for _, c := range all {
		if tag != "" && c.tag != tag && !strings.HasSuffix(c.tag, ":"+tag) {
			tags = append(tags, c.tag)
			continue
		}
		platforms = append(platforms, c.platform)
		if c.platform == "linux/"+runtime.GOARCH {
			fit = append(fit, c)
			tags = append(tags, c.tag)
		}
	}
	switch {
	case len(fit) == 0 && len(platforms) > 0:
		return source{}, wrongArchitecture(platforms)
	case len(fit) == 0 && len(tags) > 0:
		return source{}, severalImages(shown, tags)
	case len(fit) == 0:
		return source{}, fmt.Errorf("%w: the index lists no image", ErrInvalid)
	}
	for _, c := range fit[1:] {
		if c.tag != fit[0].tag { // variants of one image are listed best first, under one tag
			return source{}, severalImages(shown, tags)
		}
	}
	return fit[0].source, nil
}

// candidates lists the images of an index and of the indexes in it.
func candidates(index v1.ImageIndex, shown, tag string, depth int) ([]candidate, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: indexes within indexes, more than %d deep", ErrInvalid, maxDepth)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrInvalid, err)
	}
	const most = 1000
	if len(manifest.Manifests) > most {
		return nil, fmt.Errorf("%w: an index of more than %d images", ErrInvalid, most)
	}
	var all []candidate
	for _, d := range manifest.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "" { // an attestation about another entry
			continue
		}
		its := tag
		if t := d.Annotations["org.opencontainers.image.ref.name"]; t != "" {
			its = t
		}
		switch {
		case d.MediaType.IsIndex():
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			if raw, err := inner.RawManifest(); err != nil || !matches(raw, d.Digest) {
				return nil, fmt.Errorf("%w: the index does not match its digest %s", ErrInvalid, d.Digest)
			}
			found, err := candidates(inner, shown, its, depth-1)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		case d.MediaType.IsImage():
			c := candidate{tag: its}
			if d.Platform != nil {
				c.platform = d.Platform.OS + "/" + d.Platform.Architecture
				if c.platform != "linux/"+runtime.GOARCH { // a registry need not be asked for it
					all = append(all, c)
					continue
				}
			}
			img, err := index.Image(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			if c.platform == "" {
				config, err := img.ConfigFile()
				if err != nil {
					return nil, fmt.Errorf("%w: configuration: %w", ErrInvalid, err)
				}
				c.platform = config.OS + "/" + config.Architecture
			}
			c.source = source{image: img, name: shown, digest: d.Digest}
			all = append(all, c)
		}
	}
	return all, nil
}

// scratch makes a folder that is removed by release, or by the next clean after a crash.
func (s *Store) scratch(ctx context.Context) (dir string, release func(), err error) {
	dir, err = os.MkdirTemp(s.dir, partialPrefix+"scratch-")
	if err != nil {
		return "", nil, err
	}
	lock, err := waitDir(ctx, dir) // new: nobody holds it for longer than a look
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		_ = removeTree(dir) // what cannot be removed now is found by the next clean
		_ = lock.Close()
	}, nil
}

// openTar opens a tar file, compressed with gzip or not.
func openTar(file string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(f)
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return readCloser{in, f}, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return readCloser{z, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
