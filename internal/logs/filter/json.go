package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode"
)

// step is one step of a selector: a member, an element, or any of either.
type step struct {
	name    string
	index   int
	element bool
	any     bool
}

// jsonPattern is a condition on a JSON document.
type jsonPattern struct {
	condition
}

func (s *scanner) json() (matcher, error) {
	s.at++
	c, err := s.condition(s.selector)
	if err != nil {
		return nil, err
	}
	if s.blank(); !s.take("}") {
		return nil, s.fail("} is expected")
	}
	if s.blank(); s.peek() != 0 {
		return nil, s.fail("nothing is expected after }")
	}
	return &jsonPattern{c}, nil
}

// selector reads $.member[0]['member'].* and the like.
func (s *scanner) selector(c *comparison) error {
	s.blank()
	if !s.take("$") {
		return s.fail("a selector that begins with $ is expected")
	}
	for {
		var next step
		var err error
		switch {
		case s.take(".["), s.take("["):
			next, err = s.bracket()
		case s.take(".*"):
			next, err = s.wildcard()
		case s.take("."):
			if next.name = s.while(isMember); next.name == "" {
				err = s.fail("the name of a member is expected")
			}
		default:
			if len(c.path) == 0 {
				return s.fail("a selector is expected after $")
			}
			return nil
		}
		if err != nil {
			return err
		}
		c.path = append(c.path, next)
	}
}

func isMember(r rune) bool {
	return r == '_' || r == '-' || r == '@' || r == ':' || r == '/' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (s *scanner) wildcard() (step, error) {
	if s.wildcards++; s.wildcards > maxWildcards {
		return step{}, s.fail("there are more than %d wildcard selectors", maxWildcards)
	}
	return step{any: true}, nil
}

// bracket reads the rest of [0], [*] or ['member'].
func (s *scanner) bracket() (st step, err error) {
	switch c := s.peek(); c {
	case '\'', '"':
		st.name, err = s.quoted(c)
	case '*':
		s.at++
		st, err = s.wildcard()
	default:
		st.element = true
		if st.index, err = strconv.Atoi(s.while(unicode.IsDigit)); err != nil {
			err = s.fail("the index of an element is expected")
		}
	}
	if err == nil && !s.take("]") {
		err = s.fail("] is expected")
	}
	return st, err
}

func (p *jsonPattern) match(message []byte) bool {
	document, ok := decode(message)
	if !ok {
		return false
	}
	return p.holds(func(c *comparison) bool { return c.inJSON(document) })
}

func decode(message []byte) (document any, ok bool) {
	if trimmed := bytes.TrimLeft(message, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return document, errors.Is(err, io.EOF)
}

// inJSON reports whether one of the values that the selector finds is as wanted, or whether there is none where none is wanted.
func (c *comparison) inJSON(document any) bool {
	if c.op == notExists {
		return !reach(document, c.path, func(any) bool { return true })
	}
	return reach(document, c.path, c.acceptsValue)
}

// reach gives the values at a path to f until it returns true.
func reach(v any, path []step, f func(any) bool) bool {
	if len(path) == 0 {
		return f(v)
	}
	st, rest := path[0], path[1:]
	switch v := v.(type) {
	case map[string]any:
		if st.any {
			for _, member := range v {
				if reach(member, rest, f) {
					return true
				}
			}
			return false
		}
		member, ok := v[st.name]
		return ok && !st.element && reach(member, rest, f)
	case []any:
		if st.any {
			for _, element := range v {
				if reach(element, rest, f) {
					return true
				}
			}
			return false
		}
		return st.element && st.index < len(v) && reach(v[st.index], rest, f)
	}
	return false
}

func (c *comparison) acceptsValue(v any) bool {
	switch c.op {
	case isNull:
		return v == nil
	case isTrue, isFalse:
		b, ok := v.(bool)
		return ok && b == (c.op == isTrue)
	case less, greater, atMost, atLeast:
		n, ok := v.(json.Number)
		return ok && c.accepts(n.String())
	}
	switch v := v.(type) {
	case nil:
		return c.op == unequal
	case string:
		return c.accepts(v)
	case json.Number:
		return c.accepts(v.String())
	case bool:
		return c.accepts(strconv.FormatBool(v))
	}
	text, err := json.Marshal(v) // an object or a list: "*" says that it is there
	return err == nil && c.accepts(string(text))
}
