package wire

import (
	"context"
	"errors"
	"maps"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Target is what a request acts on, as policies see it: a resource, the action, and the condition keys that the request brings. A request that acts on more than one resource, or needs more than
// one action, has the others in Also: the tags of a new resource are an action of their own, a role that is handed over needs iam:PassRole, a batch acts on each of its members. All of them must be
// allowed.
type Target struct {
	Resource string              // ARN; "*" for operations that act on no resource in particular
	Context  map[string][]string // condition keys of this request, such as aws:RequestTag/team
	Action   string              // "iam:PassRole"; "" is the action that has the operation's name
	Also     []Target            // what must be allowed besides
}

// With returns the target with a condition key; without values it is the same. The target that it is called on is not changed.
func (t Target) With(key string, values ...string) Target {
	if len(values) == 0 {
		return t
	}
	keys := make(map[string][]string, len(t.Context)+1)
	maps.Copy(keys, t.Context)
	keys[key] = values
	t.Context = keys
	return t
}

// And returns the target with further ones that must be allowed besides.
func (t Target) And(also ...Target) Target {
	t.Also = append(t.Also[:len(t.Also):len(t.Also)], also...)
	return t
}

// Needing returns the target with a further action, such as "iam:TagRole", that must be allowed on the same resource under the same keys.
func (t Target) Needing(action string) Target {
	return t.And(Target{Action: action, Resource: t.Resource, Context: t.Context})
}

// On declares what an operation acts on, for the decision whether the caller may. It runs before the handler, with the input checked; its errors are answered like the handler's. What it looks up
// must not show in its errors: the caller may not be allowed to know.
func On[I any](o Operation, on func(context.Context, *I) (Target, error)) Operation {
	o.on = func(ctx context.Context, in any) (Target, error) { return on(ctx, in.(*I)) }
	return o
}

// Exempt declares that policies do not decide about an operation as such, and why: AWS lets everyone call it, or the domain decides with more than the caller's policies.
func Exempt(o Operation, why string) Operation {
	o.exempt = why
	return o
}

// Undeclared returns the names of the operations that neither say what they act on nor why that does not matter.
func (s *Service) Undeclared() []string {
	var names []string
	for _, o := range s.Operations {
		if o.on == nil && o.exempt == "" {
			names = append(names, o.Name)
		}
	}
	return names
}

// Exempted returns the operations that policies do not decide about, with the reasons.
func (s *Service) Exempted() map[string]string {
	reasons := map[string]string{}
	for _, o := range s.Operations {
		if o.exempt != "" {
			reasons[o.Name] = o.exempt
		}
	}
	return reasons
}

// What is wrong with a declaration is the server's own fault, and nothing is allowed.
var (
	errUndeclared = errors.New("the operation does not declare what it acts on")
	errNoResource = errors.New("the operation's declaration names no resource")
)

// authorize decides about all that an operation's request acts on.
func (s *Service) authorize(ctx context.Context, op *Operation, in any) error {
	if s.Authorize == nil || op.exempt != "" {
		return nil
	}
	if op.on == nil {
		return fault.Wrap(errUndeclared, "operation %s", op.Name)
	}
	t, err := op.on(ctx, in)
	if err != nil {
		return err
	}
	return s.decide(ctx, s.Name+":"+op.Name, t)
}

// decide asks about a target and all that it has besides. What those do not name an action for is under that of the operation.
func (s *Service) decide(ctx context.Context, action string, t Target) error {
	if t.Resource == "" {
		return fault.Wrap(errNoResource, "action %s", action)
	}
	own, also := action, t.Also
	if t.Action != "" {
		own = t.Action
	}
	t.Action, t.Also = "", nil
	if err := s.Authorize(ctx, own, t); err != nil {
		return err
	}
	for _, other := range also {
		if err := s.decide(ctx, action, other); err != nil {
			return err
		}
	}
	return nil
}
