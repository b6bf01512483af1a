// Package registry keeps container images for each account and region: repositories, their images and tags, the blobs that images consist of, and uploads that are under way.
//
// Records lie behind [Store]; blobs lie in a folder, each under the SHA-256 of its content, once for all repositories. Whether a repository has a blob is a record, its link: who knows a
// digest reads nothing with it from a repository that does not have the blob.
//
// The two libraries that could have done this were looked at. The storage of distribution v3.1.2 collects garbage with the registry stopped, keeps tags in files of their own, so that
// neither immutable tags nor a manifest's references can be decided in one step, has no referrers, and its handlers bring Redis, gorilla and logrus. The registry of
// go-containerregistry holds manifests and uploads in memory, and its blobs belong to no repository. Both would have to be mended where it matters; go-containerregistry is what
// images are read with.
//
// Safety against crashes: what is acknowledged is on disk (files are synced, then renamed, then recorded in one transaction). Safety against concurrent pushes: see [Service.Sweep].
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The exceptions of ECR. Source: the botocore model of ecr (2015-09-21).
const (
	InvalidParameter         fault.Code = "InvalidParameterException"
	InvalidTagParameter      fault.Code = "InvalidTagParameterException"
	TooManyTags              fault.Code = "TooManyTagsException"
	RepositoryAlreadyExists  fault.Code = "RepositoryAlreadyExistsException"
	RepositoryNotFound       fault.Code = "RepositoryNotFoundException"
	RepositoryNotEmpty       fault.Code = "RepositoryNotEmptyException"
	RepositoryPolicyNotFound fault.Code = "RepositoryPolicyNotFoundException"
	LifecyclePolicyNotFound  fault.Code = "LifecyclePolicyNotFoundException"
	LimitExceeded            fault.Code = "LimitExceededException"
	ImageNotFound            fault.Code = "ImageNotFoundException"
	ImageAlreadyExists       fault.Code = "ImageAlreadyExistsException"
	ImageTagAlreadyExists    fault.Code = "ImageTagAlreadyExistsException"
	ImageDigestDoesNotMatch  fault.Code = "ImageDigestDoesNotMatchException"
	ReferencedImagesNotFound fault.Code = "ReferencedImagesNotFoundException"
	LayersNotFound           fault.Code = "LayersNotFoundException"
	LayerAlreadyExists       fault.Code = "LayerAlreadyExistsException"
	UploadNotFound           fault.Code = "UploadNotFoundException"
	InvalidLayer             fault.Code = "InvalidLayerException"
	InvalidLayerPart         fault.Code = "InvalidLayerPartException"
	EmptyUpload              fault.Code = "EmptyUploadException"

	// ImageReferenced is a failure code of BatchDeleteImage rather than an exception.
	ImageReferenced fault.Code = "ImageReferencedByManifestList"
)

// Limits of one installation.
type Limits struct {
	Repositories int           // of an account and region
	Uploads      int           // under way in a repository
	Layer        int64         // bytes of one blob
	Grace        time.Duration // how long a blob that no image needs stays: pushes ask for a blob first and name it in a manifest later
	Idle         time.Duration // how long an upload may rest
}

// DefaultLimits are ECR's, where it has any. Source: ECR User Guide, service quotas.
var DefaultLimits = Limits{Repositories: 100_000, Uploads: 1000, Layer: 52_000 << 20, Grace: 2 * time.Hour, Idle: 24 * time.Hour}

// Options configure a Service.
type Options struct {
	Store  Store
	Dir    string // the registry's own; made if it is missing
	Limits Limits // the zero value means DefaultLimits
	// CheckPolicy returns an error with the reason for what is not the policy of a resource.
	CheckPolicy func(text []byte) error
	// NewID returns a new UUID, for uploads.
	NewID func() string
}

// Service is the registry of every account and region of an installation. One process at a time works on a folder.
type Service struct {
	o     Options
	locks [64]sync.Mutex // by a digest's first byte: a blob is not swept while it is put in place

	mu      sync.Mutex
	uploads map[string]*progress // those that this process has seen a part of

	*Tokens
}

// New opens the registry in its folder.
func New(o Options) (*Service, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	for _, dir := range []string{o.Dir, filepath.Join(o.Dir, "uploads"), filepath.Join(o.Dir, "blobs", "sha256")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open the registry: %w", err)
		}
	}
	key, err := loadKey(filepath.Join(o.Dir, "token.key"))
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	return &Service{o: o, uploads: map[string]*progress{}, Tokens: newTokens(key)}, nil
}

// loadKey reads the key that tokens are sealed with, or makes one.
func loadKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == keySize {
		return key, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%s has %d bytes instead of %d: remove it, and clients log in again", path, len(key), keySize)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	return key, writeFile(path, key)
}

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Page asks for a part of a list.
type Page struct {
	Token string
	Limit int
}

// Store keeps the records of the registry. Every call is one transaction. A repository that does not exist is RepositoryNotFound everywhere.
type Store interface {
	// CreateRepository returns RepositoryAlreadyExists, or LimitExceeded if the account has limit repositories in the region.
	CreateRepository(ctx context.Context, r Repository, limit int) error
	Repository(ctx context.Context, id ID) (Repository, error)
	// Repositories are in the order of their names.
	Repositories(ctx context.Context, s Scope, p Page) (items []Repository, next string, err error)
	// ChangeRepository stores what change makes of a repository, unless that fails.
	ChangeRepository(ctx context.Context, id ID, change func(*Repository) error) (Repository, error)
	// DeleteRepository deletes a repository with all that is in it; one with images only by force, otherwise it returns RepositoryNotEmpty.
	DeleteRepository(ctx context.Context, id ID, force bool, at time.Time) (Repository, error)

	// CreateUpload returns LimitExceeded if the repository has limit uploads.
	CreateUpload(ctx context.Context, id ID, u Upload, limit int) error
	// Upload returns UploadNotFound for what is not an upload of the repository.
	Upload(ctx context.Context, id ID, uploadID string) (Upload, error)
	DeleteUpload(ctx context.Context, uploadID string) error
	// Uploads returns the ids of all uploads that began before a time.
	Uploads(ctx context.Context, before time.Time) ([]string, error)

	// Link records that a repository has a blob, which is in its place, and forgets the upload that it came by.
	Link(ctx context.Context, id ID, b Blob, uploadID string, at time.Time) error
	// Mount links a blob of one repository to another; LayersNotFound if the first does not have it.
	Mount(ctx context.Context, from, to ID, digest string, at time.Time) (Blob, error)
	// Blob returns a blob of a repository, or LayersNotFound.
	Blob(ctx context.Context, id ID, digest string) (Blob, error)
	// Touch is Blob, and keeps the blob from being swept for a grace period from at.
	Touch(ctx context.Context, id ID, digest string, at time.Time) (Blob, error)

	// PutImage stores an image and, if tag is not empty, lets the tag point to it. check decides first: current is the digest that the tag has ("" if none), known whether the image is there.
	// LayersNotFound and ReferencedImagesNotFound if the repository does not have what the manifest names.
	PutImage(ctx context.Context, id ID, i Image, tag string, check func(r Repository, current string, known bool) error) error
	// Image returns an image with its manifest, or ImageNotFound.
	Image(ctx context.Context, id ID, ref Ref) (Image, error)
	// Images are in the order of their digests, without manifests.
	Images(ctx context.Context, id ID, f TagStatus, p Page) (items []Image, next string, err error)
	// Refs returns one reference for each tag, and one for each image without tags, in the order of digests and tags.
	Refs(ctx context.Context, id ID, f TagStatus, p Page) (items []Ref, next string, err error)
	// Tags are in lexical order, beginning after one.
	Tags(ctx context.Context, id ID, after string, limit int) ([]string, error)
	// Referrers returns the images whose subject is a digest.
	Referrers(ctx context.Context, id ID, subject string) ([]Image, error)
	// DeleteImage deletes what a reference names: with a digest, the image and all its tags; with a tag alone, the tag, and with lastTag the image too if it was its last one.
	// ImageReferenced if a manifest list needs the image.
	DeleteImage(ctx context.Context, id ID, ref Ref, lastTag bool) (gone []Ref, err error)
	RecordPull(ctx context.Context, id ID, digest string, at time.Time) error

	// Unlink forgets the links that no image needs and that were not touched since a time.
	Unlink(ctx context.Context, before, at time.Time) error
	// Orphans returns digests of blobs that no repository has and that were not touched since a time.
	Orphans(ctx context.Context, before time.Time, limit int) ([]string, error)
	// DeleteOrphan forgets a blob if it still is an orphan.
	DeleteOrphan(ctx context.Context, digest string, before time.Time) (bool, error)
	// HasBlob reports whether there is a record of a blob.
	HasBlob(ctx context.Context, digest string) (bool, error)
}
