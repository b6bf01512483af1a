package wire

import (
	"fmt"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// violations collects what is wrong with a request, so that one answer names it all.
type violations struct {
	fields   []fault.Field
	messages []string
	reason   fault.Reason
	query    bool // names and texts are those of the query services
}

const maxViolations = 20 // more would only make the answer as large as a hostile request

func (v *violations) add(path, rule string) {
	if rule == "" {
		return
	}
	v.put(path, rule, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", v.name(path), rule), fault.FieldValidationFailed)
}

// text says that a text, as it came, breaks a rule. The query services repeat it: "Value 'a b' at 'roleSessionName' failed to satisfy constraint: ..."; long ones are cut here.
func (v *violations) text(path, text, rule string) {
	if rule == "" || !v.query {
		v.add(path, rule)
		return
	}
	v.put(path, rule, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: %s", excerpt(text), v.name(path), rule), fault.FieldValidationFailed)
}

// excerpt keeps a text whole that could be a name, and not more: an answer must not become as large as a hostile request.
func excerpt(text string) string {
	const longest = 256
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}

// name is how messages call a member: as the path says, and for the query services with a small first letter in each part (RoleName is 'roleName', as AWS writes it).
func (v *violations) name(path string) string {
	if !v.query {
		return path
	}
	parts := strings.Split(path, ".")
	for i, p := range parts {
		if p != "" && 'A' <= p[0] && p[0] <= 'Z' {
			parts[i] = string(p[0]+'a'-'A') + p[1:]
		}
	}
	return strings.Join(parts, ".")
}

func (v *violations) missing(path string) {
	const rule = "Member must not be null"
	v.put(path, rule, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: %s", v.name(path), rule), fault.FieldValidationFailed)
}

// mistyped says that a member could not be read as what it must be.
func (v *violations) mistyped(path, want, got string) {
	v.put(path, "expected "+want+", found "+got, fmt.Sprintf("Value at '%s' cannot be parsed: expected %s, found %s", v.name(path), want, got), fault.CannotParse)
}

func (v *violations) put(path, rule, message string, reason fault.Reason) {
	if len(v.fields) >= maxViolations {
		return
	}
	v.fields = append(v.fields, fault.Field{Name: path, Message: rule})
	v.messages = append(v.messages, message)
	if v.reason != fault.CannotParse {
		v.reason = reason
	}
}

func (v *violations) err() error {
	if len(v.fields) == 0 {
		return nil
	}
	noun := "errors"
	if len(v.fields) == 1 {
		noun = "error"
	}
	e := fault.New(fault.Validation, "%d validation %s detected: %s", len(v.fields), noun, strings.Join(v.messages, "; "))
	e.Reason, e.Fields = v.reason, v.fields
	return e
}

// unparsable says that the body as a whole cannot be read.
func unparsable(format string, args ...any) error {
	e := fault.New(fault.Validation, "The request body cannot be parsed: "+format, args...)
	e.Reason, e.Fields = fault.CannotParse, []fault.Field{{Name: "body", Message: fmt.Sprintf(format, args...)}}
	return e
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
