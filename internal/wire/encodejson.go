package wire

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// appendJSON appends the body members of a struct as a JSON object. Absent members are left out: nil pointers, lists and maps, zero times, and empty strings that are not required.
func appendJSON(dst []byte, s *shape, v reflect.Value, epoch bool) []byte {
	switch s.kind {
	case kindStruct:
		dst = append(dst, '{')
		first := true
		for _, f := range s.fields {
			fv := v.Field(f.index)
			if f.place != inBody || f.omitted(fv) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendString(dst, f.name), ':')
			dst = appendJSON(dst, f.shape, reflect.Indirect(fv), epoch)
		}
		return append(dst, '}')
	case kindList:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, s.elem, reflect.Indirect(v.Index(i)), epoch)
		}
		return append(dst, ']')
	case kindMap:
		dst = append(dst, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, k.String()), ':')
			dst = appendJSON(dst, s.elem, reflect.Indirect(v.MapIndex(k)), epoch)
		}
		return append(dst, '}')
	case kindBlob:
		b := v.Bytes()
		dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(len(b))+2)
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
	case kindTime:
		if t := v.Interface().(time.Time); epoch {
			return strconv.AppendFloat(dst, float64(t.UnixMilli())/1000, 'f', -1, 64)
		}
		return appendString(dst, text(s, v))
	case kindString:
		return appendString(dst, v.String())
	}
	return append(dst, text(s, v)...)
}

// appendString appends a JSON string. What is not UTF-8 becomes U+FFFD: JSON has no other way, and what programs print may be anything.
func appendString(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		out, _ = jsontext.AppendQuote(dst, validUTF8(s))
	}
	return out
}

func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func (f *field) omitted(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0 && !f.required
	case reflect.Struct:
		return f.shape.kind == kindTime && v.IsZero()
	}
	return false
}

// text returns a scalar as headers, query parameters and XML elements carry it.
func text(s *shape, v reflect.Value) string {
	switch s.kind {
	case kindBool:
		return strconv.FormatBool(v.Bool())
	case kindInt:
		return strconv.FormatInt(v.Int(), 10)
	case kindFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case kindTime:
		return v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05.000Z")
	case kindBlob:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	}
	return v.String()
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return keys
}
