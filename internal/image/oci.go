package image

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ErrNoProgram says that an image's configuration names neither an entrypoint nor a command, so that nothing can be started from it.
var ErrNoProgram = errors.New("the image has no program to start")

// Add unpacks an image that the caller has at hand, from a registry for one, to run its program. source says where it is from, for people. The image gets no name: it is found by
// its ID, which is the digest of its configuration and with it of its platform and all of its layers, and an image that is there already is not unpacked again, whichever
// manifest led to it. [Store.Use] keeps it from being removed; call it at once.
//
// All content is checked against its digests. Add fails with [ErrArchitecture] for another machine's image, before anything is unpacked; with [ErrNoProgram] for one without
// entrypoint and command; and with [ErrInvalid] for one that is damaged, hostile, or above the store's limits. Emulation does not help an image of another architecture: gVisor's
// kernel runs its programs, and knows nothing of the emulators that are registered with the host's.
func (s *Store) Add(ctx context.Context, img v1.Image, source string) (Image, error) {
	added, err := s.add(ctx, img, source)
	if err != nil {
		return Image{}, fmt.Errorf("adding %s: %w", source, err)
	}
	return added, nil
}

func (s *Store) add(ctx context.Context, img v1.Image, from string) (Image, error) {
	digest, err := img.Digest()
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	src := source{image: img, name: from, digest: digest}
	config, _, err := src.check()
	if err != nil {
		return Image{}, err
	}
	if len(config.Config.Entrypoint)+len(config.Config.Cmd) == 0 {
		return Image{}, fmt.Errorf("%w: set ENTRYPOINT or CMD in its Dockerfile", ErrNoProgram)
	}
	if err := s.makeDir(); err != nil {
		return Image{}, err
	}
	if err := s.clean(); err != nil {
		return Image{}, err
	}
	id, err := s.keep(ctx, src, newReporter(nil, 0))
	if err != nil {
		return Image{}, err
	}
	added, err := s.Resolve(id)
	if err != nil {
		return Image{}, err
	}
	added.Digest = digest.String() // that of the caller's manifest, which need not be the one that came first
	return added, nil
}

// Choose returns the image for this machine from an index of several platforms. It fails with [ErrArchitecture], which names those that there are, and with [ErrInvalid].
func Choose(index v1.ImageIndex, source string) (v1.Image, error) {
	chosen, err := choose(index, source, "")
	if err != nil {
		return nil, fmt.Errorf("choosing from %s: %w", source, err)
	}
	return chosen.image, nil
}

// Argv is the program that the image starts with its arguments: entrypoint and command. It is empty for an image that was not added but built or imported, and has neither.
func (i Image) Argv() []string { return slices.Concat(i.Entrypoint, i.Cmd) }
