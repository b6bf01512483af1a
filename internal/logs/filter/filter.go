// Package filter has the pattern language of CloudWatch Logs, by which FilterLogEvents, live tail and metric filters choose events.
//
// A pattern is a list of terms (ERROR, "a phrase", -excluded, ?optional, %regular expression%), a condition on JSON in braces ({ $.status >= 500 && $.path = "/api/*" }), or a list of the fields of a
// line in brackets ([ip, user, ..., status = 5*, size > 1000]). Patterns come from outside: they are short, nest to a limit, and their regular expressions run in linear time. Source: "Filter pattern
// syntax for metric filters, subscription filters, filter log events, and Live Tail" in the user guide of CloudWatch Logs.
package filter

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is the most characters of a pattern.
const MaxLength = 1024

const (
	maxDepth     = 32 // parentheses
	maxRegexes   = 2  // of a JSON or field pattern
	maxWildcards = 3  // [*] and .* of all selectors of a pattern
)

// Pattern decides about events. A nil Pattern matches all.
type Pattern struct {
	m matcher
}

// matcher is one of the three kinds of patterns.
type matcher interface {
	match(message []byte) bool
}

// Match reports whether a message matches.
func (p *Pattern) Match(message []byte) bool { return p == nil || p.m.match(message) }

// Parse reads a pattern; one of blanks only is nil. The error says what is wrong, for who wrote the pattern.
func Parse(text string) (*Pattern, error) {
	if utf8.RuneCountInString(text) > MaxLength {
		return nil, fmt.Errorf("the filter pattern has more than %d characters", MaxLength)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the filter pattern is not UTF-8")
	}
	s := &scanner{text: text}
	var m matcher
	var err error
	switch s.blank(); s.peek() {
	case 0:
		return nil, nil
	case '{':
		m, err = s.json()
	case '[':
		m, err = s.fields()
	default:
		m, err = s.terms()
	}
	if err != nil {
		return nil, err
	}
	return &Pattern{m}, nil
}

// scanner reads a pattern from left to right.
type scanner struct {
	text      string
	at        int
	depth     int
	regexes   int
	wildcards int
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) blank() {
	for s.at < len(s.text) && isBlank(s.text[s.at]) {
		s.at++
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// take consumes a text if it is next.
func (s *scanner) take(text string) bool {
	if strings.HasPrefix(s.text[s.at:], text) {
		s.at += len(text)
		return true
	}
	return false
}

// while consumes the characters that ok accepts.
func (s *scanner) while(ok func(rune) bool) string {
	from := s.at
	for s.at < len(s.text) {
		r, n := utf8.DecodeRuneInString(s.text[s.at:])
		if !ok(r) {
			break
		}
		s.at += n
	}
	return s.text[from:s.at]
}

func (s *scanner) fail(format string, args ...any) error {
	return fmt.Errorf("Invalid filter pattern: "+format+" at character %d", append(args, utf8.RuneCountInString(s.text[:s.at])+1)...) //nolint:revive,staticcheck // AWS's words, for the caller
}

// quoted reads what is between quotes; a backslash makes the next quote or backslash an ordinary character.
func (s *scanner) quoted(quote byte) (string, error) {
	s.at++
	var b strings.Builder
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == quote:
			s.at++
			return b.String(), nil
		case c == '\\' && s.at+1 < len(s.text) && (s.text[s.at+1] == quote || s.text[s.at+1] == '\\'):
			s.at++
			b.WriteByte(s.text[s.at])
		default:
			b.WriteByte(c)
		}
		s.at++
	}
	return "", s.fail("a quote is not closed")
}

// regex reads what is between percent signs. The characters that are allowed are those of the documentation: no groups, nothing beyond ASCII.
func (s *scanner) regex() (*regexp.Regexp, error) {
	s.at++
	from := s.at
	for ; s.at < len(s.text) && s.text[s.at] != '%'; s.at++ {
		if c := s.text[s.at]; c == '\\' && s.at+1 < len(s.text) && s.text[s.at+1] < utf8.RuneSelf {
			s.at++ // what is escaped may be anything
		} else if !isRegex(c) {
			return nil, s.fail("the character %q is not supported in a regular expression", rune(c))
		}
	}
	if s.at >= len(s.text) {
		return nil, s.fail("a regular expression is not closed by %%")
	}
	text := s.text[from:s.at]
	s.at++
	if text == "" {
		return nil, s.fail("a regular expression is empty")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, s.fail("the regular expression %q is not valid", text)
	}
	s.regexes++
	return re, nil
}

func isRegex(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte(`:_#=@/;,- ^$?[]{}|\*+.`, c) >= 0
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// terms are words of which all, or one of the optional ones, are in the message, and none of the excluded ones.
type terms struct {
	all, any, none []term
}

// term is a text or a regular expression.
type term struct {
	text []byte
	re   *regexp.Regexp
}

func (t term) in(message []byte) bool {
	if t.re != nil {
		return t.re.Match(message)
	}
	return bytes.Contains(message, t.text)
}

func (s *scanner) terms() (matcher, error) {
	var t terms
	for s.blank(); s.peek() != 0; s.blank() {
		list := &t.all
		switch {
		case s.take("-"):
			list = &t.none
		case s.take("?"):
			list = &t.any
		}
		one, err := s.term()
		if err != nil {
			return nil, err
		}
		*list = append(*list, one)
	}
	return t, nil
}

func (s *scanner) term() (term, error) {
	switch s.peek() {
	case '"':
		text, err := s.quoted('"')
		return term{text: []byte(text)}, err
	case '%':
		re, err := s.regex()
		return term{re: re}, err
	}
	word := s.while(func(r rune) bool { return r >= utf8.RuneSelf || !isBlank(byte(r)) })
	if word == "" || strings.ContainsFunc(word, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}) {
		return term{}, fmt.Errorf("Invalid character(s) in term '%s'", word) //nolint:revive,staticcheck // AWS's words, for the caller
	}
	return term{text: []byte(word)}, nil
}

// match follows the documentation: optional terms only count where there are no others.
func (t terms) match(message []byte) bool {
	for _, one := range t.all {
		if !one.in(message) {
			return false
		}
	}
	for _, one := range t.none {
		if one.in(message) {
			return false
		}
	}
	if len(t.any) == 0 || len(t.all)+len(t.none) > 0 {
		return true
	}
	for _, one := range t.any {
		if one.in(message) {
			return true
		}
	}
	return false
}
