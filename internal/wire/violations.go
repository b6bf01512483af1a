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
}

const maxViolations = 20 // more would only make the answer as large as a hostile request

func (v *violations) add(path, rule string) {
	if rule == "" {
		return
	}
	v.put(path, rule, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", path, rule), fault.FieldValidationFailed)
}

func (v *violations) missing(path string) {
	const rule = "Member must not be null"
	v.put(path, rule, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: %s", path, rule), fault.FieldValidationFailed)
}

// mistyped says that a member could not be read as what it must be.
func (v *violations) mistyped(path, want, got string) {
	v.put(path, "expected "+want+", found "+got, fmt.Sprintf("Value at '%s' cannot be parsed: expected %s, found %s", path, want, got), fault.CannotParse)
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
