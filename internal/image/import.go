package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Import unpacks an OCI image for this machine's architecture and gives it a name. The reference is one of
//
//   - a folder with an OCI layout;
//   - a tar file, possibly compressed with gzip, made by `docker save` or `podman save` (docker-archive), or an OCI archive;
//   - either of these followed by ":TAG", if it holds more than one image;
//   - an image in a registry, as `docker pull` would take it. Credentials come from Docker's or Podman's configuration. Registries on loopback and in
//     private networks may speak plain HTTP.
//
// An empty name is derived from the reference. An image whose content is there already only gets the name. All content is checked against its digests. It fails
// with [ErrNotFound], with [ErrInvalid] for a damaged or hostile image, and with [ErrArchitecture]. Without root all files belong to the caller.
func (s *Store) Import(ctx context.Context, ref, name string, progress func(Step)) (Image, error) {
	if name == "" {
		name = nameFor(ref)
	}
	if err := checkName(name); err != nil {
		return Image{}, err
	}
	img, err := s.importOCI(ctx, ref, newReporter(progress, 3))
	if err == nil {
		err = s.editNames(ctx, func(names map[string]string) { names[name] = img })
	}
	if err != nil {
		return Image{}, fmt.Errorf("importing %s: %w", ref, err)
	}
	return s.Resolve(img)
}

// importOCI makes sure that the referenced image is in the store, and returns its id.
func (s *Store) importOCI(ctx context.Context, ref string, report *reporter) (string, error) {
	report.next("Reading")
	if err := s.makeDir(); err != nil {
		return "", err
	}
	if err := s.clean(); err != nil {
		return "", err
	}
	scratch, release, err := s.scratch(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	src, err := s.open(ctx, ref, scratch)
	if err != nil {
		return "", err
	}
	return s.keep(ctx, src, report)
}

// keep makes sure that a source's image is in the store, and returns its id.
func (s *Store) keep(ctx context.Context, src source, report *reporter) (string, error) {
	config, id, err := src.check()
	if err != nil {
		return "", err
	}
	st, err := s.stage(ctx, id, func() { report.detail("waiting for another import") })
	if st == nil || err != nil {
		return id, err
	}
	defer st.abandon()
	report.next("Unpacking")
	notes, err := s.unpackLayers(ctx, src.image, config, st.root, report.detail)
	if err != nil {
		return "", err
	}
	if err := finish(st.root); err != nil {
		return "", err
	}
	report.next("Saving")
	return id, st.commit(describe(src, config, notes))
}

// describe takes over what the image's configuration says.
func describe(src source, config *v1.ConfigFile, notes []string) Image {
	c := config.Config
	img := Image{
		Created: time.Now().UTC().Truncate(time.Second), Source: src.name, Architecture: config.Architecture, Digest: src.digest.String(), Entrypoint: c.Entrypoint,
		Cmd: c.Cmd, User: c.User, WorkingDir: c.WorkingDir, Labels: c.Labels, Notes: notes,
	}
	for _, entry := range c.Env {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			if img.Env == nil {
				img.Env = map[string]string{}
			}
			img.Env[key] = value
		}
	}
	for port := range c.ExposedPorts {
		img.ExposedPorts = append(img.ExposedPorts, port)
	}
	slices.Sort(img.ExposedPorts)
	return img
}

// check verifies manifest and configuration against their digests, and that the image is for this machine. It returns the id that the image is stored under.
func (src source) check() (*v1.ConfigFile, string, error) {
	manifest, err := src.image.Manifest()
	if err != nil {
		return nil, "", fmt.Errorf("%w: manifest: %w", ErrInvalid, err)
	}
	if raw, err := src.image.RawManifest(); err != nil || !matches(raw, src.digest) {
		return nil, "", fmt.Errorf("%w: the manifest does not match its digest %s", ErrInvalid, src.digest)
	}
	raw, err := src.image.RawConfigFile()
	if err != nil {
		return nil, "", fmt.Errorf("%w: configuration: %w", ErrInvalid, err)
	}
	if !matches(raw, manifest.Config.Digest) {
		return nil, "", fmt.Errorf("%w: the configuration does not match its digest %s", ErrInvalid, manifest.Config.Digest)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, "", fmt.Errorf("%w: configuration: %w", ErrInvalid, err)
	}
	// An image that does not state its platform, as simple tools make them, is taken for one of this machine's.
	if (config.OS != "" && config.OS != "linux") || (config.Architecture != "" && config.Architecture != runtime.GOARCH) {
		return nil, "", wrongArchitecture([]string{config.OS + "/" + config.Architecture})
	}
	return config, manifest.Config.Digest.Hex, nil
}

func wrongArchitecture(have []string) error {
	return fmt.Errorf("%w: it is for %s, and this machine runs linux/%[3]s; build it with --platform linux/%[3]s", ErrArchitecture, strings.Join(have, ", "), runtime.GOARCH)
}

func matches(data []byte, digest v1.Hash) bool {
	return digest.Algorithm == "sha256" && fmt.Sprintf("%x", sha256.Sum256(data)) == digest.Hex
}

// unpackLayers applies the layers to root from the bottom up, as container engines do, so that links into lower layers find their targets. It returns what was left out.
func (s *Store) unpackLayers(ctx context.Context, img v1.Image, config *v1.ConfigFile, root string, detail func(string)) ([]string, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("%w: layers: %w", ErrInvalid, err)
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%w: %d layers, but digests of %d", ErrInvalid, len(layers), len(config.RootFS.DiffIDs))
	}
	u, err := newUnpacker(root, s.Limits)
	if err != nil {
		return nil, err
	}
	defer u.close()
	for i, layer := range layers {
		u.progress = func() {
			detail(fmt.Sprintf("layer %d of %d, %s so far", i+1, len(layers), humanize.IBytes(uint64(u.streamed))))
		}
		u.progress()
		if err := applyLayer(ctx, u, layer, config.RootFS.DiffIDs[i]); err != nil {
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return u.finish()
}

// applyLayer unpacks one layer and checks what was read, to its last byte, against the digest in the image's configuration.
func applyLayer(ctx context.Context, u *unpacker, layer v1.Layer, want v1.Hash) error {
	if want.Algorithm != "sha256" {
		return fmt.Errorf("%w: unknown digest %s", ErrInvalid, want)
	}
	content, err := layer.Uncompressed()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer func() { _ = content.Close() }()
	v := &verifier{ctx: ctx, in: content, sum: sha256.New(), u: u}
	err = u.apply(ctx, v)
	if err == nil {
		_, err = io.Copy(io.Discard, v) // padding after the archive's end
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case v.failed != nil && !errors.Is(v.failed, ErrInvalid): // of the source, whatever was made of it
		return fmt.Errorf("%w: reading: %w", ErrInvalid, v.failed)
	case err != nil:
		return err
	case fmt.Sprintf("%x", v.sum.Sum(nil)) != want.Hex:
		return fmt.Errorf("%w: the content does not match its digest %s", ErrInvalid, want)
	}
	return nil
}

// verifier sums up and bounds what is read of a layer.
type verifier struct {
	ctx    context.Context // of the import: a reader has no other way to learn of its end
	in     io.Reader
	sum    hash.Hash
	u      *unpacker
	failed error
}

func (v *verifier) Read(p []byte) (int, error) {
	if err := v.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := v.in.Read(p)
	v.sum.Write(p[:n])
	v.u.streamed += int64(n)
	if err == nil && v.u.streamed > v.u.limits.Bytes {
		err = tooLarge(v.u.limits)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		v.failed = err
	}
	return n, err
}

// nameFor derives a name from a reference: "registry.example.com/team/app:1.2" gives "app:1.2", "./my-image.tar.gz" gives "my-image".
func nameFor(ref string) string {
	name, _, _ := strings.Cut(strings.TrimRight(ref, "/"), "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	for _, suffix := range []string{".gz", ".tgz", ".tar", ".oci"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return strings.ToLower(strings.TrimSuffix(name, ":latest"))
}
