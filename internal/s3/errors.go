package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"syscall"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// The codes of errors that are answered here. Source: the API reference of Amazon S3, error responses.
const (
	codeAccessDenied      fault.Code = "AccessDenied"
	codeNoSuchBucket      fault.Code = "NoSuchBucket"
	codeInvalidBucketName fault.Code = "InvalidBucketName"
	codeInvalidArgument   fault.Code = "InvalidArgument"
	codeInvalidRequest    fault.Code = "InvalidRequest"
	codeMalformedXML      fault.Code = "MalformedXML"
	codeMalformedPolicy   fault.Code = "MalformedPolicy"
	codeMissingLength     fault.Code = "MissingContentLength"
	codeNotImplemented    fault.Code = "NotImplemented"
	codeNoSuchPolicy      fault.Code = "NoSuchBucketPolicy"
	codeIllegalLocation   fault.Code = "IllegalLocationConstraintException"
	codeInvalidLocation   fault.Code = "InvalidLocationConstraint"
	codeMethodNotAllowed  fault.Code = "MethodNotAllowed"
	codeStorageFull       fault.Code = "InsufficientStorage"
	codeBadDigest         fault.Code = "BadDigest"
	codeNoSuchUpload      fault.Code = "NoSuchUpload"
	codeInternal          fault.Code = "InternalError"
)

var statuses = map[fault.Code]int{
	codeAccessDenied:      http.StatusForbidden,
	fault.AccessDenied:    http.StatusForbidden,
	codeNoSuchBucket:      http.StatusNotFound,
	codeInvalidBucketName: http.StatusBadRequest,
	codeInvalidArgument:   http.StatusBadRequest,
	codeInvalidRequest:    http.StatusBadRequest,
	codeMalformedXML:      http.StatusBadRequest,
	codeMalformedPolicy:   http.StatusBadRequest,
	codeMissingLength:     http.StatusLengthRequired,
	codeNotImplemented:    http.StatusNotImplemented,
	codeNoSuchPolicy:      http.StatusNotFound,
	codeIllegalLocation:   http.StatusBadRequest,
	codeInvalidLocation:   http.StatusBadRequest,
	codeMethodNotAllowed:  http.StatusMethodNotAllowed,
	codeStorageFull:       http.StatusInsufficientStorage,
	codeBadDigest:         http.StatusBadRequest,
	codeNoSuchUpload:      http.StatusNotFound,

	"BadRequest":                            http.StatusBadRequest,
	"InvalidTag":                            http.StatusBadRequest,
	"NoSuchPublicAccessBlockConfiguration":  http.StatusNotFound,
	"NoSuchLifecycleConfiguration":          http.StatusNotFound,
	"ReplicationConfigurationNotFoundError": http.StatusNotFound,
	"InvalidAccessKeyId":                    http.StatusForbidden,
	"SignatureDoesNotMatch":                 http.StatusForbidden,
	"InvalidToken":                          http.StatusBadRequest,
	"ExpiredToken":                          http.StatusBadRequest,
	"KeyTooLongError":                       http.StatusBadRequest,
	"EntityTooLarge":                        http.StatusBadRequest,
	"IncompleteBody":                        http.StatusBadRequest,
}

func errNoSuchBucket(bucket string) error {
	return &bucketError{bucket, fault.New(codeNoSuchBucket, "The specified bucket does not exist")}
}

// bucketError is an error that names a bucket in an element of its own.
type bucketError struct {
	bucket string
	fault  *fault.Error
}

func (e *bucketError) Error() string { return e.fault.Error() + ": " + e.bucket }

// Unwrap returns the fault.
func (e *bucketError) Unwrap() error { return e.fault }

// errorDocument is an S3 error on the wire.
type errorDocument struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	Message    string
	BucketName string `xml:",omitempty"`
	Resource   string `xml:",omitempty"`
	RequestID  string `xml:"RequestId"`
	HostID     string `xml:"HostId"`
}

// classify turns any error into a code, a message for the client, and an HTTP status.
func classify(err error) (code fault.Code, message string, status int) {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return codeStorageFull, "The server's disk has no space left for this.", http.StatusInsufficientStorage
	}
	f := fault.From(err)
	if refused, ok := errors.AsType[*sigv4.Failure](err); ok {
		return f.Code, f.Message, refused.Status
	}
	if f.Code == fault.AccessDenied {
		return codeAccessDenied, f.Message, http.StatusForbidden
	}
	if status, ok := statuses[f.Code]; ok {
		return f.Code, f.Message, status
	}
	return codeInternal, "We encountered an internal error. The server's log has the cause under this request id.", http.StatusInternalServerError
}

// fail answers a request with an error and returns its status.
func fail(w http.ResponseWriter, r *http.Request, err error) int {
	code, message, status := classify(err)
	id := requestID(w)
	h := w.Header()
	if h.Get("x-amz-id-2") == "" {
		h.Set("x-amz-id-2", id)
	}
	if r.Method == http.MethodHead || status == http.StatusNotModified {
		w.WriteHeader(status)
		return status
	}
	doc := errorDocument{Code: string(code), Message: message, Resource: r.URL.Path, RequestID: id, HostID: id}
	if e, ok := errors.AsType[*bucketError](err); ok {
		doc.BucketName, doc.Resource = e.bucket, ""
	}
	writeXML(w, status, doc)
	return status
}

// requestID returns the id in the answer's headers, and puts one there if there is none.
func requestID(w http.ResponseWriter) string {
	h := w.Header()
	if id := h.Get("x-amz-request-id"); id != "" {
		return id
	}
	id := h.Get("X-Amzn-Requestid")
	if id == "" {
		id = uuid.NewString()
	}
	h.Set("x-amz-request-id", id)
	return id
}

// writeXML answers with a document.
func writeXML(w http.ResponseWriter, status int, doc any) {
	body, err := xml.Marshal(doc)
	if err != nil { // a struct of ours that cannot be marshalled is a programming error
		panic(err)
	}
	writeRawXML(w, status, body)
}

func writeRawXML(w http.ResponseWriter, status int, body []byte) {
	requestID(w)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(xml.Header))
	_, _ = w.Write(body)
}
