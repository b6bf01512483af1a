package policy

import (
	"strings"
	"unicode/utf8"
)

// Wildcards are bytes that valid UTF-8 has not, so that neither a literal of a document nor the value of a variable can be taken for one.
const (
	star     = 0xff // any number of characters
	question = 0xfe // exactly one
)

// pattern is a text with wildcards and variables.
type pattern struct {
	glob  string // when there are no variables
	parts []part
	// What every text that matches begins and ends with: most patterns are told from a text by it, without looking at variables.
	prefix, suffix string
}

// part is a glob, or a variable.
type part struct {
	glob     string
	variable string // key in lower case
	fallback *string
}

// compilePattern reads a pattern. Variables are text in documents of the version 2008-10-17; wildcards are text in values that are compared as a whole.
func compilePattern(text string, wildcards, variables bool) pattern {
	var parts []part
	var b strings.Builder
	for text != "" {
		if variables && strings.HasPrefix(text, "${") {
			if end := strings.IndexByte(text, '}'); end > 0 {
				name := text[2:end]
				text = text[end+1:]
				switch name {
				case "*", "?", "$": // the escapes
					b.WriteString(name)
				default:
					parts = append(parts, part{glob: b.String()}, variableOf(name))
					b.Reset()
				}
				continue
			}
		}
		switch c := text[0]; {
		case wildcards && c == '*':
			b.WriteByte(star)
		case wildcards && c == '?':
			b.WriteByte(question)
		default:
			b.WriteByte(c)
		}
		text = text[1:]
	}
	if parts == nil {
		return pattern{glob: b.String(), prefix: literal(b.String()), suffix: tail(b.String())}
	}
	return pattern{parts: append(parts, part{glob: b.String()}), prefix: literal(parts[0].glob), suffix: tail(b.String())}
}

// literal returns a glob's text up to its first wildcard.
func literal(glob string) string {
	for i := range len(glob) {
		if glob[i] == star || glob[i] == question {
			return glob[:i]
		}
	}
	return glob
}

// tail returns a glob's text behind its last wildcard.
func tail(glob string) string {
	for i := len(glob) - 1; i >= 0; i-- {
		if glob[i] == star || glob[i] == question {
			return glob[i+1:]
		}
	}
	return glob
}

// variableOf reads what is between the braces: a key, and a default in quotes after a comma.
func variableOf(text string) part {
	name, fallback, found := strings.Cut(text, ",")
	p := part{variable: strings.ToLower(strings.TrimSpace(name))}
	if fallback = strings.TrimSpace(fallback); found && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'' {
		fallback = fallback[1 : len(fallback)-1]
		p.fallback = &fallback
	}
	return p
}

// expand puts in the variables. A variable that the request does not have, or has several values of, makes the pattern match nothing.
func (p *pattern) expand(c Context) (glob string, ok bool) {
	if p.parts == nil {
		return p.glob, true
	}
	b, ok := p.appendTo(nil, c)
	return string(b), ok
}

// appendTo appends the pattern with the variables put in.
func (p *pattern) appendTo(b []byte, c Context) (glob []byte, ok bool) {
	for i := range p.parts {
		q := &p.parts[i]
		if q.variable == "" {
			b = append(b, q.glob...)
			continue
		}
		v, ok := c[q.variable]
		switch {
		case ok && len(v) == 1 && utf8.ValidString(v[0]):
			b = append(b, v[0]...)
		case !ok && q.fallback != nil:
			b = append(b, *q.fallback...)
		default:
			return nil, false
		}
	}
	return b, true
}

// exact reports whether the pattern is a text that stands for itself only.
func (p *pattern) exact() bool {
	return p.parts == nil && len(p.prefix) == len(p.glob)
}

func (p *pattern) match(text string, c Context) bool {
	if !strings.HasPrefix(text, p.prefix) || !strings.HasSuffix(text, p.suffix) {
		return false
	}
	if p.parts == nil {
		return matchGlob(p.glob, text)
	}
	var onStack [256]byte // longer ones are rare, and allocated
	glob, ok := p.appendTo(onStack[:0], c)
	return ok && matchGlob(glob, text)
}

// matchGlob goes back to the last star only: that is enough, and keeps hostile patterns from taking exponential time.
func matchGlob[G string | []byte](glob G, text string) bool {
	g, t := 0, 0
	back, from := -1, 0
	for t < len(text) {
		switch {
		case g < len(glob) && glob[g] == star:
			back, from = g, t
			g++
		case g < len(glob) && glob[g] == question:
			_, n := utf8.DecodeRuneInString(text[t:])
			g, t = g+1, t+n
		case g < len(glob) && glob[g] == text[t]:
			g, t = g+1, t+1
		case back >= 0:
			_, n := utf8.DecodeRuneInString(text[from:])
			from += n
			g, t = back+1, from
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == star {
		g++
	}
	return g == len(glob)
}

// arnFields is how many fields an ARN has; the last may hold colons.
const arnFields = 6

// arnPattern is a pattern for each field of an ARN: a wildcard does not reach across the colon that ends its field.
type arnPattern [arnFields]pattern

// compileARN reads the pattern of an ARN. Fields that are missing at the end match anything, as IAM completes them.
func compileARN(text string, variables bool) arnPattern {
	fields := splitARN(text)
	var p arnPattern
	for i := range p {
		if i < len(fields) {
			p[i] = compilePattern(fields[i], true, variables)
		} else {
			p[i] = compilePattern("*", true, false)
		}
	}
	return p
}

// splitARN cuts at colons that are not inside a variable.
func splitARN(text string) []string {
	var fields []string
	from, depth := 0, 0
	for i := 0; i < len(text) && len(fields) < arnFields-1; i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}' && depth > 0:
			depth--
		case text[i] == ':' && depth == 0:
			fields = append(fields, text[from:i])
			from = i + 1
		}
	}
	return append(fields, text[from:])
}

// cutARN cuts an ARN into its fields; ok is false for what is none.
func cutARN(arn string) (fields [arnFields]string, ok bool) {
	for i := range arnFields - 1 {
		if fields[i], arn, ok = strings.Cut(arn, ":"); !ok {
			return fields, false
		}
	}
	fields[arnFields-1] = arn
	return fields, true
}

func (p *arnPattern) match(arn string, c Context) bool {
	fields, ok := cutARN(arn)
	return ok && p.matchFields(&fields, c)
}

// matchFields looks at the last field first: it is the one that tells most resources apart.
func (p *arnPattern) matchFields(fields *[arnFields]string, c Context) bool {
	for i := arnFields - 1; i >= 0; i-- {
		if !p[i].match(fields[i], c) {
			return false
		}
	}
	return true
}

// resource is an element of Resource or NotResource.
type resource struct {
	any bool
	arn arnPattern
}

func (e *resource) match(r *Request) bool {
	return e.any || r.isARN && e.arn.matchFields(&r.arn, r.Context)
}
