package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

const maxTagPage = 1000

var errReference = refuse(http.StatusNotFound, manifestUnknown, "the reference is neither a tag nor a digest of sha256")

// manifest serves GET and HEAD of a manifest.
func (q *request) manifest() error {
	if err := q.may(q.id, "BatchGetImage"); err != nil {
		return err
	}
	ref, ok := registry.RefOf(q.arg)
	if !ok {
		return errReference
	}
	find := q.o.Registry.Pull
	if q.r.Method == http.MethodHead {
		find = q.o.Registry.Find
	}
	i, err := find(q.ctx, q.id, ref)
	if isCode(err, registry.ImageNotFound) { // ECR's message here
		return &refusal{status: http.StatusNotFound, code: manifestUnknown, message: "Requested image not found", cause: err}
	}
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", i.MediaType)
	h.Set("Docker-Content-Digest", i.Digest)
	h.Set("ETag", `"`+i.Digest+`"`)
	http.ServeContent(q.w, q.r, "", i.PushedAt, bytes.NewReader(i.Manifest))
	return nil
}

func (q *request) putManifest() error {
	if err := q.may(q.id, "PutImage"); err != nil {
		return err
	}
	ref, ok := registry.RefOf(q.arg)
	if !ok {
		return refuse(http.StatusBadRequest, tagInvalid, "the reference is neither a tag nor a digest of sha256")
	}
	content, err := io.ReadAll(http.MaxBytesReader(q.w, struct {
		io.Reader
		io.Closer
	}{q.body(), q.r.Body}, registry.MaxManifest))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return refuse(http.StatusRequestEntityTooLarge, manifestInvalid, "a manifest has at most "+strconv.Itoa(registry.MaxManifest)+" bytes")
	}
	if err != nil {
		return err
	}
	i, err := q.o.Registry.Put(q.ctx, q.id, registry.NewImage{Manifest: content, MediaType: q.r.Header.Get("Content-Type"), Tag: ref.Tag, Digest: ref.Digest, Twice: true})
	switch {
	case isCode(err, registry.InvalidParameter):
		return as(err, registry.InvalidParameter, http.StatusBadRequest, manifestInvalid)
	case isCode(err, registry.LayersNotFound):
		return as(err, registry.LayersNotFound, http.StatusBadRequest, manifestBlobUnknown)
	case err != nil:
		return err
	}
	if i.Subject != "" {
		q.w.Header().Set("OCI-Subject", i.Subject)
	}
	q.created("manifests", i.Digest)
	return nil
}

// deleteManifest deletes an image, or a tag, which leaves the image.
func (q *request) deleteManifest() error {
	if err := q.may(q.id, "BatchDeleteImage"); err != nil {
		return err
	}
	ref, ok := registry.RefOf(q.arg)
	if !ok {
		return errReference
	}
	if _, err := q.o.Registry.Remove(q.ctx, q.id, ref, false); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusAccepted)
	return nil
}

// tags lists tags in pages of n, each after the last one of the page before.
func (q *request) tags() error {
	if err := q.may(q.id, "ListImages"); err != nil {
		return err
	}
	query := q.r.URL.Query()
	n := maxTagPage
	if s := query.Get("n"); s != "" {
		asked, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return refuse(http.StatusBadRequest, unsupported, "n must be a number of tags")
		}
		n = min(int(asked), maxTagPage)
	}
	names := []string{}
	if n > 0 {
		found, err := q.o.Registry.TagNames(q.ctx, q.id, query.Get("last"), n+1)
		if err != nil {
			return err
		}
		if len(found) > n {
			found = found[:n]
			q.w.Header().Set("Link", "</v2/"+q.id.Name+"/tags/list?n="+strconv.Itoa(n)+"&last="+url.QueryEscape(found[n-1])+`>; rel="next"`)
		}
		names = append(names, found...)
	}
	return q.json("application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.id.Name, names})
}

// referrers lists the images that are about a digest, as an index.
func (q *request) referrers() error {
	if err := q.may(q.id, "BatchGetImage"); err != nil {
		return err
	}
	if !registry.ValidDigest(q.arg) {
		return refuse(http.StatusBadRequest, digestInvalid, "the digest must be sha256 and 64 hexadecimal digits")
	}
	items, err := q.o.Registry.Referrers(q.ctx, q.id, q.arg)
	if err != nil {
		return err
	}
	type descriptor struct {
		MediaType    string            `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	only := q.r.URL.Query().Get("artifactType")
	found := []descriptor{}
	for _, i := range items {
		if only == "" || only == i.ArtifactType {
			found = append(found, descriptor{i.MediaType, i.Digest, i.ManifestSize, i.ArtifactType, i.Annotations})
		}
	}
	if only != "" {
		q.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return q.json(registry.OCIIndex, struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, registry.OCIIndex, found})
}

func (q *request) json(mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", mediaType)
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, err = q.w.Write(body)
	return ignoreGone(err)
}
