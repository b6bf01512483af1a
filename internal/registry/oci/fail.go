package oci

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

// The error codes of the OCI distribution specification.
const (
	blobUnknown         = "BLOB_UNKNOWN"
	uploadInvalid       = "BLOB_UPLOAD_INVALID"
	uploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	digestInvalid       = "DIGEST_INVALID"
	manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	manifestInvalid     = "MANIFEST_INVALID"
	manifestUnknown     = "MANIFEST_UNKNOWN"
	nameInvalid         = "NAME_INVALID"
	nameUnknown         = "NAME_UNKNOWN"
	sizeInvalid         = "SIZE_INVALID"
	tagInvalid          = "TAG_INVALID"
	unauthorized        = "UNAUTHORIZED"
	denied              = "DENIED"
	unsupported         = "UNSUPPORTED"
	tooMany             = "TOOMANYREQUESTS"
	unknown             = "UNKNOWN"
)

// refusal is an error as the specification has it.
type refusal struct {
	status        int
	code, message string
	cause         error
}

func (e *refusal) Error() string {
	if e.cause != nil {
		return e.code + ": " + e.cause.Error()
	}
	return e.code + ": " + e.message
}

func (e *refusal) Unwrap() error { return e.cause }

func refuse(status int, code, message string) error {
	return &refusal{status: status, code: code, message: message}
}

var errMethod = refuse(http.StatusMethodNotAllowed, unsupported, "the registry does not support this method here")

// answers are the statuses and codes of the registry's faults.
var answers = map[fault.Code]refusal{
	fault.AccessDenied:                {status: http.StatusForbidden, code: denied},
	registry.RepositoryNotFound:       {status: http.StatusNotFound, code: nameUnknown},
	registry.ImageNotFound:            {status: http.StatusNotFound, code: manifestUnknown},
	registry.LayersNotFound:           {status: http.StatusNotFound, code: blobUnknown},
	registry.UploadNotFound:           {status: http.StatusNotFound, code: uploadUnknown},
	registry.InvalidLayer:             {status: http.StatusBadRequest, code: digestInvalid},
	registry.InvalidLayerPart:         {status: http.StatusRequestedRangeNotSatisfiable, code: uploadInvalid},
	registry.ReferencedImagesNotFound: {status: http.StatusBadRequest, code: manifestBlobUnknown},
	registry.ImageDigestDoesNotMatch:  {status: http.StatusBadRequest, code: digestInvalid},
	registry.ImageTagAlreadyExists:    {status: http.StatusBadRequest, code: tagInvalid},
	registry.ImageReferenced:          {status: http.StatusConflict, code: denied},
	registry.LimitExceeded:            {status: http.StatusTooManyRequests, code: tooMany},
	registry.InvalidParameter:         {status: http.StatusBadRequest, code: digestInvalid},
}

func isCode(err error, c fault.Code) bool { return fault.Is(err, c) }

// as gives a fault another status and code than its usual ones.
func as(err error, c fault.Code, status int, code string) error {
	if !isCode(err, c) {
		return err
	}
	return &refusal{status: status, code: code, message: fault.From(err).Message, cause: err}
}

// fail answers with an error, unless the answer has begun.
func (q *request) fail(err error) {
	if q.w.(*patient).status != 0 {
		return
	}
	e, ok := errors.AsType[*refusal](err)
	if !ok {
		f := fault.From(err)
		known, ok := answers[f.Code]
		if !ok {
			known = refusal{status: http.StatusInternalServerError, code: unknown}
		}
		e = &refusal{status: known.status, code: known.code, message: f.Message}
	}
	h := q.w.Header()
	for _, k := range []string{"Content-Length", "Content-Range", "ETag", "Docker-Content-Digest"} {
		h.Del(k)
	}
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="https://`+realm(q.r.Host)+`/",service="ecr.amazonaws.com"`)
	}
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]one{"errors": {{e.code, e.message}}})
	if err != nil { // strings are always encoded
		body = nil
	}
	h.Set("Content-Type", "application/json")
	q.w.WriteHeader(e.status)
	_, _ = q.w.Write(body) // a client that has gone is not told
}

// realm is a host as it may stand in a quoted string.
func realm(host string) string {
	for _, c := range host {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != ':' && c != '[' && c != ']' {
			return "registry"
		}
	}
	return host
}
