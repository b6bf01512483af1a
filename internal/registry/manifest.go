package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The media types of manifests.
const (
	OCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	OCIIndex       = "application/vnd.oci.image.index.v1+json"
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Bounds of a manifest.
const (
	MaxManifest    = 4 << 20 // bytes; imageManifest in the botocore model
	maxDescriptors = 4200    // ECR's quota of layers of an image
)

// Descriptor names content by its digest.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls"`
	ArtifactType string            `json:"artifactType"`
	Annotations  map[string]string `json:"annotations"`
	Platform     *Platform         `json:"platform"`
}

// Platform is what an image of an index runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// Manifest is the part of an image's or index's manifest that the registry works with.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     []Descriptor      `json:"manifests"`
	Subject       *Descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// Digest returns the digest of content: "sha256:" and its sum in hexadecimal digits.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func badManifest(format string, args ...any) error {
	return fault.New(InvalidParameter, "Invalid parameter at 'ImageManifest' failed to satisfy constraint: '%s'", fmt.Sprintf(format, args...))
}

// ParseManifest reads a manifest that a client sent as contentType, "" if it did not say; the media type it returns is never empty. Anything that could be read in two ways (members
// named twice, both layers and manifests, a media type that is not the one announced) is refused: two readers of one digest must see one image.
func ParseManifest(content []byte, contentType string) (m Manifest, mediaType string, err error) {
	if len(content) > MaxManifest {
		return m, "", badManifest("Member must have length less than or equal to %d", MaxManifest)
	}
	// Readers that fold case exist, Go's own among them: names that differ in case only count as named twice.
	if err := json.Unmarshal(content, &m, json.MatchCaseInsensitiveNames(true)); err != nil {
		return m, "", fault.From(badManifest("Invalid JSON syntax")).With(err)
	}
	if m.SchemaVersion != 2 {
		return m, "", badManifest("schemaVersion must be 2")
	}
	if contentType != "" {
		t, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return m, "", badManifest("the media type cannot be read")
		}
		contentType = t
	}
	switch mediaType = m.MediaType; {
	case mediaType == "":
		mediaType = contentType
	case contentType != "" && contentType != mediaType:
		return m, "", badManifest("the manifest's media type is not the one that it was sent with")
	}
	if mediaType == "" {
		if mediaType = OCIManifest; m.Config == nil {
			mediaType = OCIIndex
		}
	}
	switch mediaType {
	case OCIManifest, DockerManifest:
		if m.Manifests != nil || m.Config == nil {
			return m, "", badManifest("an image has a config and layers and no manifests")
		}
	case OCIIndex, DockerList:
		if m.Layers != nil || m.Config != nil {
			return m, "", badManifest("an index has manifests, and neither a config nor layers")
		}
	default:
		return m, "", badManifest("the media type %s is not supported", clip(mediaType))
	}
	return m, mediaType, m.check()
}

func (m *Manifest) check() error {
	all := slices.Concat(m.Layers, m.Manifests)
	if len(all) > maxDescriptors {
		return badManifest("an image has at most %d layers", maxDescriptors)
	}
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	if m.Subject != nil {
		all = append(all, *m.Subject)
	}
	for _, d := range all {
		if !ValidDigest(d.Digest) {
			return badManifest("the digest %s is not valid", clip(d.Digest))
		}
		if d.Size < 0 {
			return badManifest("the size of %s is negative", d.Digest)
		}
	}
	return nil
}

// foreign reports whether a layer lies elsewhere, as base layers of Windows do.
func (d *Descriptor) foreign() bool {
	return len(d.URLs) > 0 && (strings.Contains(d.MediaType, "foreign") || strings.Contains(d.MediaType, "nondistributable"))
}

// blobs returns the blobs that a repository must have for the manifest.
func (m *Manifest) blobs() []Blob {
	sizes := map[string]int64{}
	var out []Blob
	add := func(d Descriptor) {
		if size, twice := sizes[d.Digest]; twice && size == d.Size {
			return
		}
		sizes[d.Digest] = d.Size
		out = append(out, Blob{Digest: d.Digest, Size: d.Size})
	}
	if m.Config != nil {
		add(*m.Config)
	}
	for _, l := range m.Layers {
		if !l.foreign() {
			add(l)
		}
	}
	return out
}

// artifactType is how referrers are told apart: the manifest's own, or the media type of its config.
func (m *Manifest) artifactType() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

// clip shortens what a client sent, for a message.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100]
	}
	return strings.ToValidUTF8(s, "?")
}
