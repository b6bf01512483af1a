package sigv4

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Kind is what was wrong with a request, whatever its service calls it.
type Kind string

// The kinds of failure.
const (
	MissingAuth          Kind = "missing authentication"      // neither an AWS Authorization header nor X-Amz-* query parameters
	MultipleAuth         Kind = "multiple authentication"     // header and query at once, or one of them twice
	MalformedHeader      Kind = "malformed header"            // the Authorization header cannot be read, or lacks a part
	BadDate              Kind = "bad date"                    // no X-Amz-Date and no Date, or not one that can be read
	MalformedQuery       Kind = "malformed query"             // the same of a presigned request
	UnsupportedAlgorithm Kind = "unsupported algorithm"       // Signature Version 2, SigV4A, anything but AWS4-HMAC-SHA256
	BadScope             Kind = "bad scope"                   // the credential scope contradicts the date, or has another terminator
	BadQueryScope        Kind = "bad query scope"             // the same of a presigned request
	UnknownKey           Kind = "unknown key"                 // no such access key
	InvalidToken         Kind = "invalid token"               // the session token is not the key's
	ExpiredToken         Kind = "expired token"               // temporary credentials past their time
	UnsignedHeaders      Kind = "unsigned headers"            // host or an x-amz-* header is not covered by the signature
	Skewed               Kind = "clock skew"                  // the date is too far from the server's
	NotYetValid          Kind = "not yet valid"               // a presigned request from the future
	Expired              Kind = "expired"                     // a presigned request past X-Amz-Expires
	Mismatch             Kind = "signature mismatch"          // request, chunk or trailer signature
	MissingPayloadHash   Kind = "missing payload hash"        // S3 without x-amz-content-sha256
	InvalidPayloadHash   Kind = "invalid payload hash"        // x-amz-content-sha256 is no hash and no mode
	UnsupportedPayload   Kind = "unsupported payload signing" // a mode that exists on AWS and not for this service or request
	PayloadMismatch      Kind = "payload mismatch"            // the body is not the one that was signed
	MissingLength        Kind = "missing length"              // an aws-chunked body without x-amz-decoded-content-length
	IncompleteBody       Kind = "incomplete body"             // the body ended early, or its length or chunk framing is not what was said
	SmallChunk           Kind = "small chunk"                 // a chunk below 8 KiB that is not the last
	MalformedTrailer     Kind = "malformed trailer"           // trailers other than those announced, or not well formed
	UnsupportedTrailer   Kind = "unsupported trailer"         // x-amz-trailer names something that is no known checksum
	BadDigest            Kind = "bad digest"                  // a trailing checksum is not the body's
	TooLarge             Kind = "too large"                   // the body is larger than the caller takes
)

// Failure is the cause inside every *fault.Error of this package but server faults.
type Failure struct {
	Kind   Kind
	Status int    // HTTP status that the service's family gives it
	Detail string // for the log, may be ""
	cause  error
}

func (f *Failure) Error() string {
	if f.Detail == "" {
		return string(f.Kind)
	}
	return string(f.Kind) + ": " + f.Detail
}

// Unwrap returns what the key store or the connection said, if it did.
func (f *Failure) Unwrap() error { return f.cause }

// Family is a group of services that name their failures alike.
type Family int

// The families.
const (
	JSON  Family = iota // restJson1 and awsJson: codes end in Exception
	Query               // awsQuery: STS, IAM, CloudFormation, ...
	S3
)

// FamilyOf returns the family of a service, by its name in credential scopes.
func FamilyOf(service string) Family {
	switch service {
	case "s3", "s3express", "s3-outposts", "s3-object-lambda":
		return S3
	case "sts", "iam", "cloudformation", "sns", "ec2", "autoscaling", "elasticloadbalancing", "rds", "monitoring", "elasticache", "redshift",
		"ses", "sdb", "elasticbeanstalk":
		return Query
	}
	return JSON
}

// refusal is a failure before it is known, or said, for which family: text is for JSON and Query, s3 for S3; "" means the kind's own message.
type refusal struct {
	kind     Kind
	text, s3 string
	detail   string
	cause    error
}

func refuse(k Kind) *refusal { return &refusal{kind: k} }

func refusef(k Kind, format string, args ...any) *refusal {
	s := fmt.Sprintf(format, args...)
	return &refusal{kind: k, text: s}
}

func (r *refusal) forS3(format string, args ...any) *refusal {
	r.s3 = fmt.Sprintf(format, args...)
	return r
}

func (r *refusal) because(err error) *refusal {
	r.cause = err
	if err != nil {
		r.detail = err.Error()
	}
	return r
}

// as turns a refusal into the error of a family.
func (r *refusal) as(f Family) *fault.Error {
	a := answers[r.kind][f]
	if a.code == "" {
		a = answers[r.kind][S3]
	}
	text := a.message
	switch {
	case f == S3 && r.s3 != "":
		text = r.s3
	case f != S3 && r.text != "":
		text = r.text
	}
	e := fault.New(a.code, "%s", text)
	if a.code == fault.Validation {
		e.Reason = fault.CannotParse
	}
	return e.With(&Failure{Kind: r.kind, Status: a.status, Detail: r.detail, cause: r.cause})
}

// clip makes a piece of a hostile request fit for a message and a log: short, valid UTF-8, printable.
func clip(s string) string {
	const limit = 128
	more := ""
	if len(s) > limit {
		s, more = strings.ToValidUTF8(s[:limit], ""), "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s) + more
}

type answer struct {
	code    fault.Code
	message string
	status  int
}

// The messages that several answers have.
const (
	noMatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
		"Consult the service documentation for details."
	noMatchS3  = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	badToken   = "The security token included in the request is invalid."
	oldToken   = "The security token included in the request is expired"
	manyAuth   = "The request must be authenticated once: by one Authorization header, or by X-Amz-* query parameters, not by both."
	manyAuthS3 = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header " +
		"should be specified"
	hashMode     = "This service takes a SHA-256 in x-amz-content-sha256, or none; UNSIGNED-PAYLOAD and STREAMING payloads are Amazon S3's."
	bodyCut      = "The request body terminated unexpectedly."
	bodyCutS3    = "The request body terminated unexpectedly"
	tooLarge     = "The request body is too large."
	onlyV4S3     = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
	badTrailerS3 = "The request contained trailing data that was not well-formed or did not conform to our published schema."
)

const (
	badRequest = http.StatusBadRequest
	forbidden  = http.StatusForbidden
)

// answers names every failure per family: JSON, Query, S3. What only S3 has (the payload modes of other services are refused before) is only there.
// An empty message is one that always comes with the refusal.
var answers = map[Kind][3]answer{
	MissingAuth: {{fault.MissingAuth, "Missing Authentication Token", forbidden},
		{"MissingAuthenticationToken", "Request is missing Authentication Token", forbidden}, {"AccessDenied", "Access Denied", forbidden}},
	MultipleAuth: {{fault.IncompleteSignature, manyAuth, badRequest}, {"IncompleteSignature", manyAuth, badRequest}, {"InvalidArgument", manyAuthS3, badRequest}},
	MalformedHeader: {{fault.IncompleteSignature, "", badRequest}, {"IncompleteSignature", "", badRequest},
		{"AuthorizationHeaderMalformed", "The authorization header that you provided is not valid.", badRequest}},
	BadDate: {{fault.IncompleteSignature, "", badRequest}, {"IncompleteSignature", "", badRequest},
		{"AccessDenied", "AWS authentication requires a valid Date or x-amz-date header", forbidden}},
	MalformedQuery: {{fault.IncompleteSignature, "", badRequest}, {"IncompleteSignature", "", badRequest},
		{"AuthorizationQueryParametersError", "The authorization query parameters that you provided are not valid.", badRequest}},
	UnsupportedAlgorithm: {{fault.IncompleteSignature, "", badRequest}, {"IncompleteSignature", "", badRequest}, {"InvalidRequest", onlyV4S3, badRequest}},
	BadScope: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden},
		{"AuthorizationHeaderMalformed", "", badRequest}},
	BadQueryScope: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden}, {"AuthorizationQueryParametersError", "", badRequest}},
	UnknownKey: {{fault.UnrecognizedClient, badToken, forbidden}, {"InvalidClientTokenId", badToken, forbidden},
		{"InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", forbidden}},
	InvalidToken: {{fault.UnrecognizedClient, badToken, forbidden}, {"InvalidClientTokenId", badToken, forbidden},
		{"InvalidToken", "The provided token is malformed or otherwise invalid.", badRequest}},
	ExpiredToken: {{fault.ExpiredToken, oldToken, forbidden}, {"ExpiredToken", oldToken, forbidden},
		{"ExpiredToken", "The provided token has expired.", badRequest}},
	UnsignedHeaders: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden},
		{"AccessDenied", "There were headers present in the request which were not signed", forbidden}},
	Skewed: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden},
		{"RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", forbidden}},
	NotYetValid: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden},
		{"AccessDenied", "Request is not yet valid", forbidden}},
	Expired: {{fault.InvalidSignature, "", forbidden}, {"SignatureDoesNotMatch", "", forbidden}, {"AccessDenied", "Request has expired", forbidden}},
	Mismatch: {{fault.InvalidSignature, noMatch, forbidden}, {"SignatureDoesNotMatch", noMatch, forbidden},
		{"SignatureDoesNotMatch", noMatchS3, forbidden}},
	MissingPayloadHash: {{fault.InvalidSignature, noMatch, forbidden}, {"SignatureDoesNotMatch", noMatch, forbidden},
		{"InvalidRequest", "Missing required header for this request: x-amz-content-sha256", badRequest}},
	InvalidPayloadHash: {{fault.InvalidSignature, hashMode, forbidden}, {"SignatureDoesNotMatch", hashMode, forbidden},
		{"InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, " +
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.", badRequest}},
	UnsupportedPayload: {{fault.InvalidSignature, hashMode, forbidden}, {"SignatureDoesNotMatch", hashMode, forbidden},
		{"NotImplemented", "A header you provided implies functionality that is not implemented: this payload mode of x-amz-content-sha256.",
			http.StatusNotImplemented}},
	PayloadMismatch: {{fault.InvalidSignature, noMatch, forbidden}, {"SignatureDoesNotMatch", noMatch, forbidden},
		{"XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", badRequest}},
	MissingLength: {S3: {"MissingContentLength", "You must provide the Content-Length HTTP header.", http.StatusLengthRequired}},
	IncompleteBody: {{fault.Validation, bodyCut, badRequest}, {"MalformedInput", bodyCut, badRequest},
		{"IncompleteBody", bodyCutS3, badRequest}},
	SmallChunk:         {S3: {"InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than 8192 bytes", forbidden}},
	MalformedTrailer:   {S3: {"MalformedTrailerError", badTrailerS3, badRequest}},
	UnsupportedTrailer: {S3: {"InvalidRequest", "The value specified in the x-amz-trailer header is not supported", badRequest}},
	BadDigest:          {S3: {"BadDigest", "The checksum you specified did not match what we received.", badRequest}},
	TooLarge: {{fault.RequestTooLarge, tooLarge, http.StatusRequestEntityTooLarge}, {"RequestEntityTooLarge", tooLarge, http.StatusRequestEntityTooLarge},
		{"EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", badRequest}},
}
