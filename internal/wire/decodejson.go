package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// decodeJSON fills the body members of v (a struct) from a JSON document. An empty body is an empty object. Rules are checked on the way; only
// syntax errors are returned at once, all else is collected in bad.
func decodeJSON(body []byte, s *shape, v reflect.Value, bad *violations, epoch bool) error {
	d := jsonDecoder{dec: jsontext.NewDecoder(bytes.NewBuffer(body)), bad: bad, epoch: epoch}
	if len(bytes.TrimSpace(body)) == 0 {
		return d.absent(s, v, nil, "")
	}
	if k := d.dec.PeekKind(); k != '{' && k != 0 {
		return unparsable("expected a JSON object, found %s", kindName(k))
	}
	if err := d.object(s, v, ""); err != nil {
		return syntax(err)
	}
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return unparsable("there is more after the JSON object")
	}
	return nil
}

func syntax(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return unparsable("the JSON document ends too early")
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return unparsable("invalid JSON at byte %d: %v", s.ByteOffset, s.Err)
	}
	return unparsable("invalid JSON")
}

type jsonDecoder struct {
	dec   *jsontext.Decoder
	bad   *violations
	epoch bool // timestamps are numbers of seconds (awsJson) rather than ISO 8601 strings (restJson of the AgentCore models)
}

func (d *jsonDecoder) object(s *shape, v reflect.Value, path string) error {
	if _, err := d.dec.ReadToken(); err != nil { // {
		return err
	}
	seen := make(map[string]bool, len(s.byName))
	for d.dec.PeekKind() != '}' {
		tok, err := d.dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		f := s.byName[name]
		if f == nil || d.dec.PeekKind() == 'n' { // unknown members are ignored, null is absent: as AWS does
			if err := d.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		seen[name] = true
		if err := d.value(f.shape, f.settable(v), f.check, join(path, name)); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil { // }
		return err
	}
	return d.absent(s, v, seen, path)
}

// absent reports the required body members that were not seen.
func (d *jsonDecoder) absent(s *shape, _ reflect.Value, seen map[string]bool, path string) error {
	for _, f := range s.fields {
		if f.place == inBody && f.required && !seen[f.name] {
			d.bad.missing(join(path, f.name))
		}
	}
	return nil
}

func (d *jsonDecoder) value(s *shape, v reflect.Value, c *check, path string) error {
	k := d.dec.PeekKind()
	if want := s.wants(d.epoch); k != 0 && !want.has(k) {
		d.bad.mistyped(path, want.name, kindName(k))
		return d.dec.SkipValue()
	}
	switch s.kind {
	case kindStruct:
		return d.object(s, v, path)
	case kindList:
		return d.list(s, v, c, path)
	case kindMap:
		return d.mapping(s, v, c, path)
	case kindBlob:
		return d.blob(v, c, path)
	}
	tok, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() == '"' && s.kind == kindString {
		text := tok.String()
		d.bad.add(path, c.text(text))
		v.SetString(text)
		return nil
	}
	if s.kind == kindBool {
		v.SetBool(tok.Bool())
		return nil
	}
	setText(s, v, tok.String(), c, path, d.bad)
	return nil
}

func (d *jsonDecoder) list(s *shape, v reflect.Value, c *check, path string) error {
	if _, err := d.dec.ReadToken(); err != nil { // [
		return err
	}
	v.Set(reflect.MakeSlice(s.typ, 0, 0))
	for n := 1; d.dec.PeekKind() != ']'; n++ {
		at := join(path, strconv.Itoa(n)+".member")
		if d.dec.PeekKind() == 'n' {
			d.bad.missing(at)
			if err := d.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		elem := reflect.New(s.typ.Elem()).Elem()
		if err := d.value(s.elem, deref(elem), s.item, at); err != nil {
			return err
		}
		v.Set(reflect.Append(v, elem))
	}
	d.bad.add(path, c.size(v.Len()))
	_, err := d.dec.ReadToken() // ]
	return err
}

func (d *jsonDecoder) mapping(s *shape, v reflect.Value, c *check, path string) error {
	if _, err := d.dec.ReadToken(); err != nil { // {
		return err
	}
	v.Set(reflect.MakeMap(s.typ))
	for d.dec.PeekKind() != '}' {
		tok, err := d.dec.ReadToken()
		if err != nil {
			return err
		}
		key := tok.String()
		d.bad.add(join(path, key), s.key.text(key))
		if d.dec.PeekKind() == 'n' {
			if err := d.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		elem := reflect.New(s.typ.Elem()).Elem()
		if err := d.value(s.elem, deref(elem), s.item, join(path, key)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(s.typ.Key()), elem)
	}
	d.bad.add(path, c.size(v.Len()))
	_, err := d.dec.ReadToken() // }
	return err
}

// blob decodes base64 straight from the document: a payload of 100 MB must not be copied once more as a string.
func (d *jsonDecoder) blob(v reflect.Value, c *check, path string) error {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return err
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // only needed for an escaped slash, which some encoders write
		if text, err = jsontext.AppendUnquote(nil, raw); err != nil {
			return err
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, malformed := base64.StdEncoding.Decode(out, text)
	if malformed != nil {
		d.bad.mistyped(path, "base64", "invalid base64")
		return nil // the document itself is well formed, and is read on
	}
	d.bad.add(path, c.size(n))
	v.SetBytes(out[:n])
	return nil
}

// setText fills a scalar from its text, as it stands in a JSON number or string, a URI, a query parameter, a header or a form.
func setText(s *shape, v reflect.Value, text string, c *check, path string, bad *violations) {
	switch s.kind {
	case kindString:
		bad.text(path, text, c.text(text))
		v.SetString(text)
	case kindBool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			bad.mistyped(path, "a boolean", strconv.Quote(clip(text)))
		}
		v.SetBool(b)
	case kindInt:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			bad.text(path, text, orElse(c.value(math.Copysign(math.MaxFloat64, sign(text))), "Member must be an integer of "+strconv.Itoa(v.Type().Bits())+" bits"))
			return
		}
		if f, ferr := strconv.ParseFloat(text, 64); err != nil && ferr == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 { // 9e2, 900.0
			n, err = int64(f), nil
			if v.OverflowInt(n) {
				bad.mistyped(path, "an integer", clip(text))
				return
			}
		}
		if err != nil {
			bad.mistyped(path, "an integer", strconv.Quote(clip(text)))
			return
		}
		bad.text(path, text, c.value(float64(n)))
		v.SetInt(n)
	case kindFloat:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			bad.mistyped(path, "a number", strconv.Quote(clip(text)))
			return
		}
		bad.text(path, text, c.value(n))
		v.SetFloat(n)
	case kindTime:
		t, err := parseTime(text)
		if err != nil {
			bad.mistyped(path, "a timestamp", strconv.Quote(clip(text)))
			return
		}
		v.Set(reflect.ValueOf(t))
	case kindBlob:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			bad.mistyped(path, "base64", "invalid base64")
			return
		}
		bad.add(path, c.size(len(b)))
		v.SetBytes(b)
	}
}

func parseTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e12 {
		return time.Time{}, fmt.Errorf("neither RFC 3339 nor seconds since 1970")
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
}

type expectation struct {
	name  string
	kinds string
}

func (e expectation) has(k jsontext.Kind) bool { return bytes.IndexByte([]byte(e.kinds), byte(k)) >= 0 }

func (s *shape) wants(epoch bool) expectation {
	switch s.kind {
	case kindStruct, kindMap:
		return expectation{"an object", "{"}
	case kindList:
		return expectation{"a list", "["}
	case kindBool:
		return expectation{"a boolean", "tf"}
	case kindInt:
		return expectation{"an integer", "0"}
	case kindFloat:
		return expectation{"a number", "0"}
	case kindTime:
		if epoch {
			return expectation{"a number of seconds", "0"}
		}
		return expectation{"a timestamp", "\"0"}
	}
	return expectation{"a string", "\""}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "invalid JSON"
}

// clip keeps a hostile value from filling the answer and the log.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

func sign(text string) float64 {
	if len(text) > 0 && text[0] == '-' {
		return -1
	}
	return 1
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
