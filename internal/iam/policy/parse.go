package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Malformed is why a document is not one, in the words that AWS has for it where it has some.
type Malformed struct{ Reason string }

// Error implements error.
func (e *Malformed) Error() string { return e.Reason }

func malformed(format string, args ...any) error { return &Malformed{fmt.Sprintf(format, args...)} }

func syntax(format string, args ...any) error {
	return malformed("Syntax errors in policy. (%s)", fmt.Sprintf(format, args...))
}

// MaxSize bounds the text of a document: the longest that any operation takes.
const MaxSize = 131072

// The versions of the language. The old one, which documents without a version have, knows no variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Parse compiles a document. Its error is a *Malformed.
func Parse(text []byte, t Type) (*Document, error) {
	if len(text) > MaxSize {
		return nil, malformed("The policy is longer than %d bytes.", MaxSize)
	}
	top, err := object(text, "the policy", "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	variables := false
	if raw, ok := top["Version"]; ok {
		version, ok := text1(raw)
		if !ok || (version != version2008 && version != version2012) {
			return nil, syntax("Version must be %s or %s", version2012, version2008)
		}
		variables = version == version2012
	}
	if raw, ok := top["Id"]; ok {
		if _, ok := text1(raw); !ok {
			return nil, syntax("Id must be a string")
		}
	}
	raw, ok := top["Statement"]
	if !ok {
		return nil, syntax("the policy has no Statement")
	}
	statements := []jsontext.Value{raw}
	if raw.Kind() == '[' {
		if err := json.Unmarshal(raw, &statements); err != nil {
			return nil, malformed("This policy contains invalid Json")
		}
	}
	if len(statements) == 0 {
		return nil, syntax("Statement is empty")
	}
	d := &Document{}
	sids := map[string]bool{}
	for i, raw := range statements {
		p := parser{typ: t, variables: variables, at: fmt.Sprintf("statement %d", i+1)}
		s, err := p.statement(raw, sids)
		if err != nil {
			return nil, err
		}
		d.statements = append(d.statements, s)
	}
	return d, nil
}

// object reads a JSON object; members beyond the known ones are an error when there are known ones, and so are members that occur twice.
func object(text []byte, what string, known ...string) (map[string]jsontext.Value, error) {
	var m map[string]jsontext.Value
	if err := json.Unmarshal(text, &m); err != nil {
		if _, ok := errors.AsType[*json.SemanticError](err); ok {
			return nil, syntax("%s must be an object", what)
		}
		return nil, malformed("This policy contains invalid Json")
	}
	if m == nil {
		return nil, syntax("%s must be an object", what)
	}
	for name := range m {
		if known != nil && !slices.Contains(known, name) {
			return nil, syntax("%s cannot have the element %q", what, clip(name))
		}
	}
	return m, nil
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

func text1(raw jsontext.Value) (string, bool) {
	var s string
	return s, raw.Kind() == '"' && json.Unmarshal(raw, &s) == nil
}

// list reads a string or a list of strings; scalars lets numbers and booleans stand for their text, as values of conditions may.
func list(raw jsontext.Value, scalars bool) ([]string, bool) {
	all := []jsontext.Value{raw}
	if raw.Kind() == '[' && json.Unmarshal(raw, &all) != nil {
		return nil, false
	}
	out := make([]string, 0, len(all))
	for _, v := range all {
		if s, ok := text1(v); ok {
			out = append(out, s)
			continue
		}
		switch v.Kind() {
		case '0', 't', 'f':
			if scalars {
				out = append(out, string(v))
				continue
			}
		}
		return nil, false
	}
	return out, true
}

// parser reads the statements of one document.
type parser struct {
	typ       Type
	variables bool
	at        string
}

var sid = regexp.MustCompile(`\A[0-9A-Za-z]*\z`)

func (p *parser) statement(raw jsontext.Value, sids map[string]bool) (s statement, err error) {
	m, err := object(raw, p.at, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, err
	}
	if err := p.sid(m["Sid"], sids); err != nil {
		return s, err
	}
	effect, _ := text1(m["Effect"])
	switch effect {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return s, syntax("%s: Effect must be Allow or Deny", p.at)
	}
	err = first(
		func() error { return p.principals(m, &s) },
		func() error { return p.actions(m, &s) },
		func() error { return p.resources(m, &s) },
		func() error { return p.conditions(m["Condition"], &s) },
	)
	return s, err
}

// first returns the first error of several steps.
func first(steps ...func() error) error {
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) sid(raw jsontext.Value, seen map[string]bool) error {
	if raw == nil {
		return nil
	}
	id, ok := text1(raw)
	switch {
	case !ok:
		return syntax("%s: Sid must be a string", p.at)
	case p.typ == Identity && !sid.MatchString(id):
		return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	case id != "" && seen[id]:
		return malformed("Statement IDs (SID) in a single policy must be unique.")
	}
	seen[id] = true
	return nil
}

// pick returns one of two elements that exclude each other, and whether it is the second.
func (p *parser) pick(m map[string]jsontext.Value, name, not string) (jsontext.Value, bool, error) {
	a, b := m[name], m[not]
	if a != nil && b != nil {
		return nil, false, syntax("%s: %s and %s exclude each other", p.at, name, not)
	}
	if b != nil {
		return b, true, nil
	}
	return a, false, nil
}

func (p *parser) principals(m map[string]jsontext.Value, s *statement) error {
	raw, not, err := p.pick(m, "Principal", "NotPrincipal")
	switch {
	case err != nil:
		return err
	case p.typ == Identity && raw != nil:
		return malformed("Policy document should not specify a principal.")
	case p.typ == Identity:
		return nil
	case raw == nil:
		return malformed("Missing required field Principal")
	case p.typ == Trust && not:
		return malformed("Has prohibited field NotPrincipal")
	}
	s.principals = &principals{not: not}
	if text, ok := text1(raw); ok {
		if text != "*" {
			return malformed("Invalid principal in policy: %q", clip(text))
		}
		s.principals.everyone = true
		return nil
	}
	kinds, err := object(raw, p.at+": Principal")
	if err != nil {
		return err
	}
	if len(kinds) == 0 {
		return malformed("Missing required field Principal cannot be empty!")
	}
	for kind, raw := range kinds {
		values, ok := list(raw, false)
		if !ok || len(values) == 0 {
			return syntax("%s: Principal %q must be a string or a list of strings", p.at, clip(kind))
		}
		for _, v := range values {
			if !s.principals.add(kind, v) {
				return malformed("Invalid principal in policy: %q:%q", strings.ToUpper(clip(kind)), clip(v))
			}
		}
	}
	return nil
}

var action = regexp.MustCompile(`\A[a-zA-Z0-9-]+:[a-zA-Z0-9*?-]+\z`)

func (p *parser) actions(m map[string]jsontext.Value, s *statement) error {
	raw, not, err := p.pick(m, "Action", "NotAction")
	if err != nil {
		return err
	}
	values, ok := list(raw, false)
	switch {
	case raw == nil || (ok && len(values) == 0):
		return malformed("Policy statement must contain actions.")
	case !ok:
		return syntax("%s: Action must be a string or a list of strings", p.at)
	}
	s.notAction = not
	for _, v := range values {
		switch {
		case v != "*" && !action.MatchString(v):
			return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (%s: %q)", p.at, clip(v))
		case p.typ == Trust && (!strings.HasPrefix(strings.ToLower(v), "sts:") || not):
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
		s.actions = append(s.actions, compilePattern(strings.ToLower(v), true, false))
	}
	return nil
}

func (p *parser) resources(m map[string]jsontext.Value, s *statement) error {
	raw, not, err := p.pick(m, "Resource", "NotResource")
	if err != nil {
		return err
	}
	if p.typ == Trust {
		if raw != nil {
			return malformed("Has prohibited field Resource")
		}
		return nil
	}
	values, ok := list(raw, false)
	switch {
	case raw == nil || (ok && len(values) == 0):
		return malformed("Policy statement must contain resources.")
	case !ok:
		return syntax("%s: Resource must be a string or a list of strings", p.at)
	}
	s.noResource = not
	for _, v := range values {
		r := resource{any: v == "*"}
		if !r.any {
			fields := splitARN(v)
			if fields[0] != "arn" && !strings.HasPrefix(v, "*") || len(fields) < 3 && !strings.Contains(v, "*") {
				return malformed("Resource %s must be in ARN format or \"*\".", clip(v))
			}
			if len(fields) > 1 && strings.Trim(fields[1], "abcdefghijklmnopqrstuvwxyz-*?") != "" {
				return malformed("Partition %q is not valid for resource %q.", clip(fields[1]), clip(v))
			}
			r.arn = compileARN(v, p.variables)
		}
		s.resources = append(s.resources, r)
	}
	return nil
}

func (p *parser) conditions(raw jsontext.Value, s *statement) error {
	if raw == nil {
		return nil
	}
	operators, err := object(raw, p.at+": Condition")
	if err != nil {
		return err
	}
	for name, raw := range operators {
		if !isOperator(name) {
			return malformed("Invalid Condition type : %s.", clip(name))
		}
		keys, err := object(raw, p.at+": "+name)
		if err != nil {
			return err
		}
		for key, raw := range keys {
			values, ok := list(raw, true)
			if !ok {
				return syntax("%s: %s of %q must be a value or a list of values", p.at, name, clip(key))
			}
			if !strings.Contains(key, ":") {
				return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (%s: %q)", p.at, clip(key))
			}
			c, ok := compileCondition(name, key, values, p.variables)
			if !ok {
				return syntax("%s: a value of %s for %q cannot be compared by it", p.at, name, clip(key))
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}
