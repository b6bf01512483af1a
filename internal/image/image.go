// Package image keeps the root file systems that sandboxes start from: a content-addressed store of unpacked images in a cache folder, the recipe of
// the default interpreter image, and the import of OCI images.
//
// A store looks like this:
//
//	<cache>/images/                       mode 0700: images hold files of any owner and mode
//	<cache>/images/names.json             names and the ids they stand for
//	<cache>/images/<id>/image.json        what the image is
//	<cache>/images/<id>/rootfs/           its root file system
//	<cache>/images/partial-<id>/          an image being made; becomes <id> by one rename
//	<cache>/images/removed-<id>-<random>/ an image being removed
//
// Folders double as locks (flock): whoever makes an image holds its partial folder, whoever uses an image shares a lock on its folder. The kernel drops a lock with
// its process, so what a crash left behind is recognised, and removed by the next build or import.
package image

import (
	"errors"
	"time"
)

// DefaultName is the name of the interpreter image that [Store.Build] makes.
const DefaultName = "default"

// Errors that callers tell apart, with errors.Is.
var (
	ErrNotFound     = errors.New("no such image")
	ErrInUse        = errors.New("the image is in use")
	ErrInvalid      = errors.New("invalid image")                    // the source is damaged, hostile, or no image at all
	ErrArchitecture = errors.New("the image is for another machine") // no variant for this operating system and processor
	ErrNeedsRoot    = errors.New("needs root")
	ErrMissingTool  = errors.New("a program is missing on this host")
)

// Image is one unpacked image.
type Image struct {
	ID           string            `json:"id"` // 64 hexadecimal digits: the recipe's SHA-256, or the digest of the OCI image's configuration
	Names        []string          `json:"-"`  // sorted
	Root         string            `json:"-"`  // absolute path of the root file system, to be shared read-only
	Env          map[string]string `json:"env,omitempty"`
	Size         int64             `json:"size"` // bytes on disk
	Created      time.Time         `json:"created"`
	Source       string            `json:"source"`       // "recipe", or the reference it was imported from
	Architecture string            `json:"architecture"` // as GOARCH spells it
	Digest       string            `json:"digest,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	User         string            `json:"user,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"` // "8080/tcp", sorted
	Notes        []string          `json:"notes,omitempty"`        // what was left out while unpacking, for people
}

// Step is progress of a build or an import, for people. One step is reported many times while its detail changes.
type Step struct {
	Index  int    // from 1
	Count  int    // how many steps there are
	Title  string // what the step does: "Debian packages"
	Detail string // what it does now; may be empty
}

// reporter tells a progress function about the steps, in order.
type reporter struct {
	progress func(Step)
	step     Step
}

func newReporter(progress func(Step), count int) *reporter {
	if progress == nil {
		progress = func(Step) {}
	}
	return &reporter{progress: progress, step: Step{Count: count}}
}

func (r *reporter) next(title string) {
	r.step = Step{Index: r.step.Index + 1, Count: r.step.Count, Title: title}
	r.progress(r.step)
}

func (r *reporter) detail(text string) {
	if text == r.step.Detail {
		return
	}
	r.step.Detail = text
	r.progress(r.step)
}
