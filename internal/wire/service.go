package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Protocol is an AWS wire protocol.
type Protocol int

// The protocols.
const (
	RestJSON Protocol = iota // restJson1: verbs and paths, JSON bodies
	Query                    // awsQuery: POSTed forms with an Action, XML answers
	AWSJSON                  // awsJson1.0 and 1.1: POST / with X-Amz-Target, JSON both ways
)

// Service is one declared AWS service.
type Service struct {
	Name         string // also the prefix of its IAM actions and its name in credential scopes
	Protocol     Protocol
	Version      string // Query: the API version, as in the xmlns of answers
	Namespace    string // Query: the xmlns of answers
	TargetPrefix string // AWSJSON: X-Amz-Target is TargetPrefix.Operation
	Operations   []Operation
	Statuses     map[fault.Code]int // HTTP statuses of the service's own exceptions, where they are not 400
	// Authorize decides whether the caller may do an action ("bedrock-agentcore:GetCodeInterpreter") to a target; the target's Action and Also have been taken apart already. With it set, an
	// operation that does not say what it acts on is refused. Nil decides nothing: that is for tests of shapes, never for a service that is served.
	Authorize func(ctx context.Context, action string, t Target) error
}

// Operation is one operation of a service; see [Op].
type Operation struct {
	Name   string
	method string
	path   []segment
	status int
	in     *shape
	out    *shape
	call   func(context.Context, any) (any, error)
	on     func(context.Context, any) (Target, error)
	exempt string
}

type segment struct {
	literal string
	label   string // set for {label}
}

// Op declares an operation: its name, its HTTP binding ("PUT /things/{id} 202"; empty for protocols that have none), and its handler.
func Op[I, O any](name, binding string, handle func(context.Context, *I) (*O, error)) Operation {
	o := Operation{Name: name, status: http.StatusOK, in: shapeOf(reflect.TypeFor[I]()), out: shapeOf(reflect.TypeFor[O]()),
		call: func(ctx context.Context, in any) (any, error) {
			out, err := handle(ctx, in.(*I))
			if err != nil || out == nil {
				return nil, err
			}
			return out, nil
		}}
	if binding == "" {
		return o
	}
	parts := strings.Fields(binding)
	if len(parts) != 3 {
		panic(fmt.Sprintf("wire: operation %s: binding %q is not \"METHOD /path STATUS\"", name, binding))
	}
	status, err := strconv.Atoi(parts[2])
	if err != nil {
		panic(fmt.Sprintf("wire: operation %s: status %q", name, parts[2]))
	}
	o.method, o.status = parts[0], status
	for _, p := range splitPath(parts[1]) {
		if label, ok := strings.CutPrefix(p, "{"); ok {
			o.path = append(o.path, segment{label: strings.TrimSuffix(label, "}")})
		} else {
			o.path = append(o.path, segment{literal: p})
		}
	}
	return o
}

// splitPath cuts an escaped path at its slashes; a trailing slash makes no difference (runtime URIs have one, interpreter URIs do not).
func splitPath(p string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimPrefix(p, "/"), "/"), "/")
}

// find picks the operation that a request asks for, and the raw labels of its path.
func (s *Service) find(r *http.Request, form url.Values) (*Operation, map[string]string, error) {
	switch s.Protocol {
	case Query:
		action := form.Get("Action")
		if i := s.index(action); i >= 0 {
			return &s.Operations[i], nil, nil
		}
		if action == "" {
			return nil, nil, fault.New("MissingAction", "The request is missing an action or a required parameter.")
		}
		return nil, nil, fault.New(fault.InvalidAction, "The action %s is not valid for this web service.", clip(action))
	case AWSJSON:
		target := r.Header.Get("X-Amz-Target")
		if name, ok := strings.CutPrefix(target, s.TargetPrefix+"."); ok {
			if i := s.index(name); i >= 0 {
				return &s.Operations[i], nil, nil
			}
		}
		return nil, nil, fault.New(fault.UnknownOperation, "The operation %q is not known to the service %s.", clip(target), s.Name)
	}
	segments := splitPath(r.URL.EscapedPath())
	for i := range s.Operations {
		o := &s.Operations[i]
		if o.method != r.Method || len(o.path) != len(segments) {
			continue
		}
		if labels, ok := o.match(segments); ok {
			return o, labels, nil
		}
	}
	return nil, nil, fault.New(fault.UnknownOperation, "The service %s has no operation with the method %s and the path %s here; docs/compatibility.md lists what is served.", s.Name, clip(r.Method), clip(r.URL.EscapedPath()))
}

// Claims reports whether a request that names no service looks like one of this service's: by its X-Amz-Target, or by the first segment of its path. The query protocol has its operation in the
// body, and claims nothing.
func (s *Service) Claims(r *http.Request) bool {
	switch s.Protocol {
	case AWSJSON:
		return strings.HasPrefix(r.Header.Get("X-Amz-Target"), s.TargetPrefix+".")
	case RestJSON:
		first := splitPath(r.URL.EscapedPath())[0]
		for i := range s.Operations {
			if path := s.Operations[i].path; first != "" && len(path) > 0 && path[0].literal == first {
				return true
			}
		}
	}
	return false
}

func (s *Service) index(name string) int {
	for i := range s.Operations {
		if s.Operations[i].Name == name {
			return i
		}
	}
	return -1
}

// match compares escaped segments: a label may hold an ARN whose slashes travel as %2F.
func (o *Operation) match(segments []string) (map[string]string, bool) {
	var labels map[string]string
	for i, want := range o.path {
		if want.label == "" {
			if want.literal != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[want.label] = value
	}
	return labels, true
}
