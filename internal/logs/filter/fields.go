package filter

import (
	"bytes"
	"unicode"
)

// field is one field of a pattern in brackets: with a condition, or only its place.
type field struct {
	name string
	cond *condition
}

// fieldPattern compares the fields of a line. With rest, the line has any number of fields between head and tail.
type fieldPattern struct {
	head, tail []field
	rest       bool
}

// fields reads [name, name = value && name != value, ..., name].
func (s *scanner) fields() (matcher, error) {
	s.at++
	p := &fieldPattern{}
	for {
		s.blank()
		if s.take("...") {
			if p.rest {
				return nil, s.fail("there is more than one ...")
			}
			p.rest = true
		} else {
			f, err := s.field()
			if err != nil {
				return nil, err
			}
			if p.rest {
				p.tail = append(p.tail, f)
			} else {
				p.head = append(p.head, f)
			}
		}
		s.blank()
		switch {
		case s.take(","):
			continue
		case !s.take("]"):
			return nil, s.fail(", or ] is expected")
		}
		if s.blank(); s.peek() != 0 {
			return nil, s.fail("nothing is expected after ]")
		}
		return p, nil
	}
}

// field reads a name, and its condition if there is one. A condition speaks of one field only.
func (s *scanner) field() (field, error) {
	from := s.at
	name := s.while(isFieldName)
	if s.blank(); name != "" && (s.peek() == ',' || s.peek() == ']') {
		return field{name: name}, nil
	}
	s.at = from
	name = ""
	cond, err := s.condition(func(c *comparison) error {
		s.blank()
		c.field = s.while(isFieldName)
		switch {
		case c.field == "":
			return s.fail("the name of a field is expected")
		case name != "" && c.field != name:
			return s.fail("the condition of the field %s speaks of %s", name, c.field)
		}
		name = c.field
		return nil
	})
	return field{name, &cond}, err
}

func isFieldName(r rune) bool {
	return r == '_' || r == '-' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (p *fieldPattern) match(message []byte) bool {
	texts := split(message)
	n := len(p.head) + len(p.tail)
	if len(texts) < n || len(texts) > n && !p.rest {
		return false
	}
	return hold(p.head, texts[:len(p.head)]) && hold(p.tail, texts[len(texts)-len(p.tail):])
}

func hold(fields []field, texts []string) bool {
	for i, f := range fields {
		if f.cond != nil && !f.cond.holds(func(c *comparison) bool { return c.accepts(texts[i]) }) {
			return false
		}
	}
	return true
}

// split cuts a line at its blanks. What is in quotes or brackets is one field.
func split(message []byte) []string {
	var texts []string
	for {
		if message = bytes.TrimLeft(message, " \t\r\n"); len(message) == 0 {
			return texts
		}
		closing := byte(0)
		switch message[0] {
		case '"':
			closing = '"'
		case '[':
			closing = ']'
		}
		if closing != 0 {
			if inside, after, found := bytes.Cut(message[1:], []byte{closing}); found {
				texts, message = append(texts, string(inside)), after
				continue
			}
		}
		end := bytes.IndexAny(message, " \t\r\n")
		if end < 0 {
			end = len(message)
		}
		texts, message = append(texts, string(message[:end])), message[end:]
	}
}
