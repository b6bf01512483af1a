package filter

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// condition is a tree of comparisons: either one comparison, or several conditions of which all or one must hold.
type condition struct {
	of   []condition
	all  bool
	test *comparison
}

// holds evaluates the tree.
func (c *condition) holds(test func(*comparison) bool) bool {
	if c.test != nil {
		return test(c.test)
	}
	for i := range c.of {
		if c.of[i].holds(test) != c.all {
			return !c.all
		}
	}
	return c.all
}

// comparison compares one value of the event.
type comparison struct {
	path  []step // JSON patterns: where the value is
	field string // field patterns: its name
	op    operator
	want  operand
}

type operator int

const (
	equal operator = iota
	unequal
	less
	greater
	atMost
	atLeast
	isNull
	isTrue
	isFalse
	notExists
)

// The longer ones come first: each begins with another.
var operators = []struct {
	text string
	op   operator
}{{"!=", unequal}, {"<=", atMost}, {">=", atLeast}, {"=", equal}, {"<", less}, {">", greater}}

// operand is what a value is compared with.
type operand struct {
	pieces []string // a text, cut at its wildcards
	number float64
	isNum  bool
	re     *regexp.Regexp
}

// subject reads what a comparison is about.
type subject func(*comparison) error

// condition reads alternatives. An "and" binds more tightly than an "or".
func (s *scanner) condition(read subject) (condition, error) {
	return s.several("||", false, func() (condition, error) {
		return s.several("&&", true, func() (condition, error) { return s.primary(read) })
	})
}

func (s *scanner) several(between string, all bool, read func() (condition, error)) (condition, error) {
	first, err := read()
	list := []condition{first}
	for err == nil {
		if s.blank(); !s.take(between) {
			break
		}
		var next condition
		next, err = read()
		list = append(list, next)
	}
	if len(list) == 1 {
		return first, err
	}
	return condition{of: list, all: all}, err
}

func (s *scanner) primary(read subject) (condition, error) {
	s.blank()
	if s.take("(") {
		if s.depth++; s.depth > maxDepth {
			return condition{}, s.fail("parentheses are nested too deeply")
		}
		c, err := s.condition(read)
		if err != nil {
			return c, err
		}
		s.depth--
		if s.blank(); !s.take(")") {
			return c, s.fail("a parenthesis is not closed")
		}
		return c, nil
	}
	c := &comparison{}
	if err := read(c); err != nil {
		return condition{}, err
	}
	return condition{test: c}, s.operation(c)
}

// operation reads the operator and what is compared with.
func (s *scanner) operation(c *comparison) error {
	s.blank()
	for _, o := range operators {
		if !s.take(o.text) {
			continue
		}
		c.op = o.op
		var err error
		if c.want, err = s.operand(); err != nil {
			return err
		}
		if o.op > unequal && !c.want.isNum {
			return s.fail("only numbers can be compared with %s", o.text)
		}
		return nil
	}
	first := strings.ToUpper(s.while(unicode.IsLetter))
	s.blank()
	switch second := strings.ToUpper(s.while(unicode.IsLetter)); first + " " + second {
	case "IS NULL":
		c.op = isNull
	case "IS TRUE":
		c.op = isTrue
	case "IS FALSE":
		c.op = isFalse
	case "NOT EXISTS":
		c.op = notExists
	default:
		return s.fail("a comparison is expected")
	}
	return nil
}

func (s *scanner) operand() (operand, error) {
	s.blank()
	switch s.peek() {
	case '"':
		text, err := s.quoted('"')
		return operand{pieces: strings.Split(text, "*")}, err
	case '%':
		re, err := s.regex()
		if err == nil && s.regexes > maxRegexes {
			err = s.fail("there are more than %d regular expressions", maxRegexes)
		}
		return operand{re: re}, err
	}
	text := s.while(func(r rune) bool {
		return r >= utf8.RuneSelf || !isBlank(byte(r)) && !strings.ContainsRune("(){}[],&|=<>!\"%", r)
	})
	if text == "" {
		return operand{}, s.fail("a value is expected")
	}
	o := operand{pieces: strings.Split(text, "*")}
	o.number, o.isNum = number(text)
	return o, nil
}

// number reads a decimal number: what JSON has, and a sign. Go's other forms, such as 0x1p4 and Inf, are texts.
func number(text string) (float64, bool) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) }) {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// accepts compares with a text of the event.
func (c *comparison) accepts(text string) bool {
	switch c.op {
	case equal, unequal:
		return c.want.matches(text) == (c.op == equal)
	case less, greater, atMost, atLeast:
		f, ok := number(text)
		return ok && c.compare(f)
	}
	return false
}

func (c *comparison) compare(f float64) bool {
	switch c.op {
	case less:
		return f < c.want.number
	case greater:
		return f > c.want.number
	case atMost:
		return f <= c.want.number
	}
	return f >= c.want.number
}

func (o *operand) matches(text string) bool {
	if o.re != nil {
		return o.re.MatchString(text)
	}
	if o.isNum {
		if f, ok := number(text); ok {
			return f == o.number
		}
	}
	return glob(o.pieces, text)
}

// glob reports whether a text consists of the pieces in their order with anything between them. Each is looked for as far to the left as it can be, so that the time is linear in both.
func glob(pieces []string, text string) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return text == first
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, p := range pieces[1 : len(pieces)-1] {
		_, rest, found := strings.Cut(text, p)
		if !found {
			return false
		}
		text = rest
	}
	return true
}
