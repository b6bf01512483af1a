package wire

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rule is what a member's value must satisfy.
type Rule struct {
	Min, Max *float64 // length of strings (in characters), blobs, lists and maps; value of numbers
	Pattern  string   // a regular expression the whole string must match
	Enum     []string
}

// Constrained is a named type that carries its own rule, as the named shapes of an AWS model do.
type Constrained interface{ Rule() Rule }

// Length returns the rule of a string, list or map of min to max elements.
func Length(min, max float64) Rule { return Rule{Min: &min, Max: &max} }

// Matching returns the rule with a pattern added.
func (r Rule) Matching(pattern string) Rule { r.Pattern = pattern; return r }

// OneOf returns the rule of an enumeration.
func OneOf(values ...string) Rule { return Rule{Enum: values} }

// check is a compiled Rule.
type check struct {
	min, max *float64
	pattern  *regexp.Regexp
	source   string // the pattern as the model has it
	enum     []string
}

func compile(r Rule) *check {
	c := &check{min: r.Min, max: r.Max, source: r.Pattern, enum: r.Enum}
	if r.Pattern != "" {
		c.pattern = regexp.MustCompile(`\A(?:` + r.Pattern + `)\z`)
	}
	if c.min == nil && c.max == nil && c.pattern == nil && c.enum == nil {
		return nil
	}
	return c
}

// ruleOf reads a field's rule from its tags, or else from its type. The type's rule may sit behind a pointer.
func ruleOf(f reflect.StructField) *check {
	var r Rule
	if t, ok := constrained(f.Type); ok {
		r = t.Rule()
	}
	number := func(key string) *float64 {
		s, ok := f.Tag.Lookup(key)
		if !ok {
			return nil
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(fmt.Sprintf("wire: field %s: %s is not a number: %q", f.Name, key, s))
		}
		return &n
	}
	if n := number("min"); n != nil {
		r.Min = n
	}
	if n := number("max"); n != nil {
		r.Max = n
	}
	if p, ok := f.Tag.Lookup("pattern"); ok {
		r.Pattern = p
	}
	if e, ok := f.Tag.Lookup("enum"); ok {
		r.Enum = strings.Split(e, ",")
	}
	return compile(r)
}

func constrained(t reflect.Type) (Constrained, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	c, ok := reflect.Zero(t).Interface().(Constrained)
	return c, ok
}

func (c *check) text(s string) string {
	if c == nil {
		return ""
	}
	if c.min != nil || c.max != nil {
		if m := c.size(utf8.RuneCountInString(s)); m != "" {
			return m
		}
	}
	if c.enum != nil && !slices.Contains(c.enum, s) {
		return "Member must satisfy enum value set: [" + strings.Join(c.enum, ", ") + "]"
	}
	if c.pattern != nil && !c.pattern.MatchString(s) {
		return "Member must satisfy regular expression pattern: " + c.source
	}
	return ""
}

func (c *check) size(n int) string {
	if c == nil {
		return ""
	}
	return c.bounds(float64(n), "length")
}

func (c *check) value(n float64) string { return c.bounds(n, "value") }

func (c *check) bounds(n float64, what string) string {
	switch {
	case c == nil:
		return ""
	case c.min != nil && n < *c.min:
		return fmt.Sprintf("Member must have %s greater than or equal to %s", what, strconv.FormatFloat(*c.min, 'f', -1, 64))
	case c.max != nil && n > *c.max:
		return fmt.Sprintf("Member must have %s less than or equal to %s", what, strconv.FormatFloat(*c.max, 'f', -1, 64))
	}
	return ""
}
