package policy

import "strings"

// Set is several identity policies that count together, such as all that are on a user. It knows which statements can be about an action, so that a decision looks at those only.
type Set struct {
	byAction  map[string][]*statement // "s3:getobject": those that name it
	byService map[string][]*statement // "s3": those with a wildcard behind the service's name
	others    []*statement            // "*", wildcards in the service's name, and all with NotAction
}

// NewSet returns the set of some documents.
func NewSet(documents ...*Document) *Set {
	s := &Set{byAction: map[string][]*statement{}, byService: map[string][]*statement{}}
	for _, d := range documents {
		for i := range d.statements {
			s.add(&d.statements[i])
		}
	}
	return s
}

// add puts a statement wherever an action of it could be looked for. One that is in two places is evaluated twice at most, with the same outcome.
func (s *Set) add(t *statement) {
	if t.notAction {
		s.others = append(s.others, t)
		return
	}
	services, open := map[string]bool{}, false
	for i := range t.actions {
		a := &t.actions[i]
		service, _, ok := strings.Cut(a.glob, ":")
		switch {
		case a.exact():
			s.byAction[a.glob] = append(s.byAction[a.glob], t)
		case ok && a.parts == nil && literal(service) == service:
			services[service] = true
		default:
			open = true
		}
	}
	if open {
		s.others = append(s.others, t)
		return
	}
	for service := range services {
		s.byService[service] = append(s.byService[service], t)
	}
}

// Evaluate returns the decision of the documents together: an explicit deny of any, or else an allow of any.
func (s *Set) Evaluate(r *Request) Decision {
	r.prepare()
	service, _, _ := strings.Cut(r.action, ":")
	decision := NoMatch
	for _, statements := range [...][]*statement{s.others, s.byService[service], s.byAction[r.action]} {
		for _, t := range statements {
			if _, ok := t.applies(r); !ok {
				continue
			}
			if t.deny {
				return Deny
			}
			decision = Allow
		}
	}
	return decision
}
