package policy

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// condition is one operator with one key.
type condition struct {
	key      string // in lower case
	op       operator
	quantity quantifier
	ifExists bool
	negated  bool
	null     bool // the operator Null: isNull says which
	isNull   []bool
	values   []operand
}

// quantifier says how the several values of a key count.
type quantifier int

const (
	single quantifier = iota
	forAll
	forAny
)

// operand is one value of the document, ready to be compared: only the field that the operator needs is set.
type operand struct {
	pattern pattern
	arn     arnPattern
	binary  []byte
	literal any // parsed number, time, address or bool when it has no variables
}

// operator compares one value of the request with one of the document.
type operator struct {
	compile func(text string, variables bool) (operand, bool)
	match   func(have string, want *operand, c Context) bool
}

// operators has the positive operators, and the negated ones as the positive with a flag.
var operators = map[string]struct {
	op      operator
	negated bool
}{
	"StringEquals":              {stringOp(false, false), false},
	"StringNotEquals":           {stringOp(false, false), true},
	"StringEqualsIgnoreCase":    {stringOp(false, true), false},
	"StringNotEqualsIgnoreCase": {stringOp(false, true), true},
	"StringLike":                {stringOp(true, false), false},
	"StringNotLike":             {stringOp(true, false), true},
	"ArnEquals":                 {arnOp, false}, // ArnEquals and ArnLike are the same (User Guide, ARN condition operators)
	"ArnLike":                   {arnOp, false},
	"ArnNotEquals":              {arnOp, true},
	"ArnNotLike":                {arnOp, true},
	"NumericEquals":             {numericOp(func(c int) bool { return c == 0 }), false},
	"NumericNotEquals":          {numericOp(func(c int) bool { return c == 0 }), true},
	"NumericLessThan":           {numericOp(func(c int) bool { return c < 0 }), false},
	"NumericLessThanEquals":     {numericOp(func(c int) bool { return c <= 0 }), false},
	"NumericGreaterThan":        {numericOp(func(c int) bool { return c > 0 }), false},
	"NumericGreaterThanEquals":  {numericOp(func(c int) bool { return c >= 0 }), false},
	"DateEquals":                {dateOp(func(c int) bool { return c == 0 }), false},
	"DateNotEquals":             {dateOp(func(c int) bool { return c == 0 }), true},
	"DateLessThan":              {dateOp(func(c int) bool { return c < 0 }), false},
	"DateLessThanEquals":        {dateOp(func(c int) bool { return c <= 0 }), false},
	"DateGreaterThan":           {dateOp(func(c int) bool { return c > 0 }), false},
	"DateGreaterThanEquals":     {dateOp(func(c int) bool { return c >= 0 }), false},
	"Bool":                      {boolOp, false},
	"BinaryEquals":              {binaryOp, false},
	"IpAddress":                 {addressOp, false},
	"NotIpAddress":              {addressOp, true},
}

// compileCondition reads an operator's name, such as ForAnyValue:StringLikeIfExists, and the values of a key.
func compileCondition(name, key string, values []string, variables bool) (condition, bool) {
	c := condition{key: strings.ToLower(key)}
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		name, c.quantity = rest, forAll
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		name, c.quantity = rest, forAny
	}
	if name == "Null" {
		c.null = true
		for _, v := range values {
			b, err := strconv.ParseBool(strings.ToLower(v))
			if err != nil || len(v) == 1 {
				return c, false
			}
			c.isNull = append(c.isNull, b)
		}
		return c, true
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	o, ok := operators[name]
	if !ok {
		return c, false
	}
	c.op, c.negated = o.op, o.negated
	for _, v := range values {
		operand, ok := o.op.compile(v, variables)
		if !ok {
			return c, false
		}
		c.values = append(c.values, operand)
	}
	return c, true
}

func isOperator(name string) bool {
	_, ok := compileCondition(name, "", nil, false)
	return ok
}

// holds evaluates the condition. A key that the request does not have makes a positive operator false and a negated one true.
func (c *condition) holds(ctx Context) bool {
	have, ok := ctx[c.key]
	if c.null {
		for _, want := range c.isNull {
			if want != (ok && len(have) > 0) {
				return true
			}
		}
		return false
	}
	if !ok || len(have) == 0 {
		switch {
		case c.ifExists, c.quantity == forAll:
			return true
		case c.quantity == forAny:
			return false
		}
		return c.negated
	}
	switch c.quantity {
	case forAll:
		for _, v := range have {
			if c.any(v, ctx) == c.negated {
				return false
			}
		}
		return true
	case forAny:
		for _, v := range have {
			if c.any(v, ctx) != c.negated {
				return true
			}
		}
		return false
	}
	for _, v := range have {
		if c.any(v, ctx) {
			return !c.negated
		}
	}
	return c.negated
}

// any reports whether a value of the request matches one of the document's.
func (c *condition) any(have string, ctx Context) bool {
	for i := range c.values {
		if c.op.match(have, &c.values[i], ctx) {
			return true
		}
	}
	return false
}

func stringOp(wildcards, fold bool) operator {
	return operator{
		compile: func(text string, variables bool) (operand, bool) {
			return operand{pattern: compilePattern(text, wildcards, variables)}, true
		},
		match: func(have string, want *operand, c Context) bool {
			text, ok := want.pattern.expand(c)
			switch {
			case !ok:
				return false
			case wildcards:
				return matchGlob(text, have)
			case fold:
				return strings.EqualFold(text, have)
			}
			return text == have
		},
	}
}

var arnOp = operator{
	compile: func(text string, variables bool) (operand, bool) {
		return operand{arn: compileARN(text, variables)}, text == "*" || strings.HasPrefix(text, "arn:") || strings.ContainsAny(text, "*$")
	},
	match: func(have string, want *operand, c Context) bool { return want.arn.match(have, c) },
}

var binaryOp = operator{
	compile: func(text string, _ bool) (operand, bool) {
		b, err := base64.StdEncoding.DecodeString(text)
		return operand{binary: b}, err == nil
	},
	match: func(have string, want *operand, _ Context) bool {
		b, err := base64.StdEncoding.DecodeString(have)
		return err == nil && bytes.Equal(b, want.binary)
	},
}

// literalOp is an operator on values of a type that has to be parsed. A value that cannot be is equal to nothing.
func literalOp[T any](parse func(string) (T, bool), match func(have, want T) bool) operator {
	return operator{
		compile: func(text string, variables bool) (operand, bool) {
			p := compilePattern(text, false, variables)
			if p.parts != nil {
				return operand{pattern: p}, true
			}
			v, ok := parse(p.glob)
			return operand{literal: v}, ok
		},
		match: func(have string, want *operand, c Context) bool {
			h, ok := parse(have)
			if !ok {
				return false
			}
			w, ok := want.literal.(T)
			if !ok {
				text, known := want.pattern.expand(c)
				if w, ok = parse(text); !known || !ok {
					return false
				}
			}
			return match(h, w)
		},
	}
}

func numericOp(holds func(int) bool) operator {
	return literalOp(parseNumber, func(have, want float64) bool {
		switch {
		case have < want:
			return holds(-1)
		case have > want:
			return holds(1)
		}
		return holds(0)
	})
}

func parseNumber(s string) (float64, bool) {
	if strings.ContainsAny(s, "xXpP_nNiI") { // hexadecimal, infinite and no numbers are not numbers here
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func dateOp(holds func(int) bool) operator {
	return literalOp(parseDate, func(have, want time.Time) bool { return holds(have.Compare(want)) })
}

// parseDate reads the profiles of ISO 8601 that the User Guide lists, and seconds since 1970.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if len(s) < 5 || len(s) > 12 { // years are four digits
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

func epoch(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

var boolOp = literalOp(func(s string) (bool, bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}, func(have, want bool) bool { return have == want })

var addressOp = literalOp(parseNetwork, func(have, want netip.Prefix) bool {
	return want.Bits() <= have.Bits() && want.Contains(have.Addr())
})

func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}
