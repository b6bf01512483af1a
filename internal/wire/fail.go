package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// statuses are the HTTP statuses of the exceptions, where they are not 400. Sources: the botocore models of bedrock-agentcore, and the AWS common errors.
var statuses = map[fault.Code]int{
	fault.ServiceQuota:           http.StatusPaymentRequired,
	fault.AccessDenied:           http.StatusForbidden,
	"AccessDenied":               http.StatusForbidden,
	fault.ResourceNotFound:       http.StatusNotFound,
	fault.UnknownOperation:       http.StatusNotFound,
	fault.Conflict:               http.StatusConflict,
	fault.RequestTooLarge:        http.StatusRequestEntityTooLarge,
	fault.Throttling:             http.StatusTooManyRequests,
	fault.Internal:               http.StatusInternalServerError,
	"InternalFailure":            http.StatusInternalServerError,
	"ServiceUnavailable":         http.StatusServiceUnavailable,
	fault.MissingAuth:            http.StatusForbidden,
	"MissingAuthenticationToken": http.StatusForbidden,
	fault.InvalidSignature:       http.StatusForbidden,
	"SignatureDoesNotMatch":      http.StatusForbidden,
	fault.UnrecognizedClient:     http.StatusForbidden,
	"InvalidClientTokenId":       http.StatusForbidden,
	"InvalidAccessKeyId":         http.StatusForbidden,
	fault.ExpiredToken:           http.StatusForbidden,
	"ExpiredToken":               http.StatusForbidden,
	"RequestTimeTooSkewed":       http.StatusForbidden,
}

// Status is the HTTP status of an exception.
func Status(c fault.Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusBadRequest
}

// queryCodes are the names that the query services have for the exceptions that the JSON services call otherwise. Source: the AWS common errors of both families.
var queryCodes = map[fault.Code]fault.Code{
	fault.Validation:         "ValidationError",
	fault.AccessDenied:       "AccessDenied",
	fault.Throttling:         "Throttling",
	fault.Internal:           "InternalFailure",
	fault.MissingAuth:        "MissingAuthenticationToken",
	fault.InvalidSignature:   "SignatureDoesNotMatch",
	fault.UnrecognizedClient: "InvalidClientTokenId",
	fault.ExpiredToken:       "ExpiredToken",
}

// statusError is an error whose HTTP status is not its code's usual one.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// AtStatus gives an error an HTTP status of its own.
func AtStatus(err error, status int) error { return &statusError{err, status} }

// status is the HTTP status of an error: its own, the service's for its code, or the code's usual one.
func (s *Service) status(err error, c fault.Code) int {
	if own, ok := errors.AsType[*statusError](err); ok {
		return own.status
	}
	if status, ok := s.Statuses[c]; ok {
		return status
	}
	return Status(c)
}

type errorBody struct {
	Type      string       `aws:"__type"`
	Message   string       `aws:"message" required:"true"`
	Reason    string       `aws:"reason"`
	FieldList []errorField `aws:"fieldList"`
}

type errorField struct {
	Name    string `aws:"name" required:"true"`
	Message string `aws:"message" required:"true"`
}

// FailUnrouted answers with an error before it is known which service is asked: in the protocol that the request looks like.
func FailUnrouted(w http.ResponseWriter, r *http.Request, err error) {
	(&Service{Protocol: Guess(r)}).Fail(w, r, err)
}

// Guess tells from its headers which protocol a request speaks.
func Guess(r *http.Request) Protocol {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return AWSJSON
	case r.Method == http.MethodPost && r.URL.Path == "/", r.URL.Query().Has("Action"):
		return Query
	}
	return RestJSON
}

// Fail answers with an error as the service's protocol has it.
func (s *Service) Fail(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.From(err)
	h, status := w.Header(), s.status(err, e.Code)
	h.Del("Content-Length")
	if s.Protocol == Query {
		h.Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = w.Write(s.errorXML(e, status, RequestOf(r.Context()).ID))
		return
	}
	body := errorOf(e)
	if s.Protocol == AWSJSON {
		body.Type = string(e.Code)
		h.Set("Content-Type", "application/x-amz-json-1.1")
	} else {
		h.Set("Content-Type", "application/json")
	}
	h.Set("X-Amzn-ErrorType", string(e.Code))
	w.WriteHeader(status)
	_, _ = w.Write(encode(body)) // a client that has gone is not told; the caller logs the error itself
}

func errorOf(e *fault.Error) errorBody {
	b := errorBody{Message: e.Message}
	if e.Code == fault.Validation { // the models require a reason there and have it nowhere else
		b.Reason = orElse(string(e.Reason), string(fault.FieldValidationFailed))
		for _, f := range e.Fields {
			b.FieldList = append(b.FieldList, errorField(f))
		}
	}
	return b
}

func (s *Service) errorXML(e *fault.Error, status int, requestID string) []byte {
	kind := "Sender"
	if status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	code := e.Code
	if name, ok := queryCodes[code]; ok {
		code = name
	}
	var b bytes.Buffer
	b.WriteString("<ErrorResponse")
	if s.Namespace != "" {
		b.WriteString(` xmlns="` + s.Namespace + `"`)
	}
	b.WriteString("><Error><Type>" + kind + "</Type><Code>" + string(code) + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(e.Message))
	b.WriteString("</Message></Error><RequestId>" + requestID + "</RequestId></ErrorResponse>")
	return b.Bytes()
}
