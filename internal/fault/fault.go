// Package fault has the coded errors that domain packages return and that map one to one on AWS exceptions.
//
// A fault says what went wrong in the caller's terms. How it looks on the wire (HTTP status, header or XML element) is the wire package's matter;
// what caused it stays wrapped for the log and never reaches the client.
package fault

import (
	"errors"
	"fmt"
)

// Code is the name of an AWS exception, as the service models spell it.
type Code string

// The exceptions that more than one service has. Sources: the botocore models of bedrock-agentcore and bedrock-agentcore-control, and the AWS common errors.
const (
	Validation          Code = "ValidationException"
	AccessDenied        Code = "AccessDeniedException"
	ResourceNotFound    Code = "ResourceNotFoundException"
	Conflict            Code = "ConflictException"
	ServiceQuota        Code = "ServiceQuotaExceededException"
	Throttling          Code = "ThrottlingException"
	Internal            Code = "InternalServerException"
	UnknownOperation    Code = "UnknownOperationException"
	InvalidAction       Code = "InvalidAction"
	RequestTooLarge     Code = "RequestEntityTooLargeException"
	MissingAuth         Code = "MissingAuthenticationTokenException"
	InvalidSignature    Code = "InvalidSignatureException"
	IncompleteSignature Code = "IncompleteSignatureException"
	UnrecognizedClient  Code = "UnrecognizedClientException"
	ExpiredToken        Code = "ExpiredTokenException"
	RequestExpired      Code = "RequestExpired"
)

// Reason is the `reason` member of a ValidationException.
type Reason string

// The reasons that the AgentCore models list.
const (
	CannotParse            Reason = "CannotParse"
	FieldValidationFailed  Reason = "FieldValidationFailed"
	IdempotentMismatch     Reason = "IdempotentParameterMismatchException"
	EventInOtherSession    Reason = "EventInOtherSession"
	ResourceConflictReason Reason = "ResourceConflict"
)

// Field names one request member that broke a rule, and the rule.
type Field struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Error is a coded error. Message is for the client; the wrapped cause is for the log.
type Error struct {
	Code    Code
	Message string
	Reason  Reason  // ValidationException only
	Fields  []Field // ValidationException only
	cause   error
}

// New returns an error with a code and a formatted message for the client.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns a ValidationException about one field: reason FieldValidationFailed, and fieldList with that field.
func Invalid(field, format string, args ...any) *Error {
	m := fmt.Sprintf(format, args...)
	return &Error{Code: Validation, Message: fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", field, m),
		Reason: FieldValidationFailed, Fields: []Field{{Name: field, Message: m}}}
}

// Wrap returns an InternalServerException around a cause that the client must not see.
func Wrap(cause error, format string, args ...any) *Error {
	return &Error{Code: Internal, Message: "An internal error occurred. The server's log has the cause under this request id.", cause: fmt.Errorf(format+": %w", append(args, cause)...)}
}

// With returns the error with a cause for the log.
func (e *Error) With(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error returns code and message, and the cause if there is one: it is written for the log.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s (%v)", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// From returns the coded error in err's chain, or an InternalServerException around err.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Wrap(err, "unclassified")
}

// Is reports whether err carries the code.
func Is(err error, code Code) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}
