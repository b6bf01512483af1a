package wire

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// kind is how a Go type looks on the wire.
type kind int

const (
	kindStruct kind = iota
	kindString
	kindBool
	kindInt
	kindFloat
	kindBlob
	kindTime
	kindList
	kindMap
	kindEvents
	kindHeaders // of the whole request
	kindRaw
)

// place is where a member travels.
type place int

const (
	inBody place = iota
	inURI
	inQuery
	inHeader
	inStream
	inPayload
	inHeaders
	inRaw
)

// shape is a Go type compiled for encoding and decoding.
type shape struct {
	kind   kind
	typ    reflect.Type // without the pointer
	fields []*field
	byName map[string]*field // body members
	elem   *shape            // of lists and maps
	key    *check            // of a map's keys
	item   *check            // of a list's or map's values
}

type field struct {
	name      string
	index     int
	place     place
	required  bool
	flattened bool
	pointer   bool
	shape     *shape
	check     *check
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	eventsType = reflect.TypeFor[Events]()
)

// shapeOf compiles a type. It panics on a declaration that makes no sense: that is a programming error, found when the service is assembled.
func shapeOf(t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &shape{typ: t}
	switch {
	case t == timeType:
		s.kind = kindTime
	case t == eventsType:
		s.kind = kindEvents
	case t == headersType:
		s.kind = kindHeaders
	case t == rawType:
		s.kind = kindRaw
	case t.Kind() == reflect.Struct:
		s.kind = kindStruct
		s.compileFields()
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Bool:
		s.kind = kindBool
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		s.kind = kindInt
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		s.kind = kindFloat
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.kind = kindBlob
	case t.Kind() == reflect.Slice:
		s.kind, s.elem, s.item = kindList, shapeOf(t.Elem()), typeRule(t.Elem())
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		s.kind, s.elem, s.item, s.key = kindMap, shapeOf(t.Elem()), typeRule(t.Elem()), typeRule(t.Key())
	default:
		panic(fmt.Sprintf("wire: %s has no form on the wire", t))
	}
	return s
}

func typeRule(t reflect.Type) *check {
	if c, ok := constrained(t); ok {
		return compile(c.Rule())
	}
	return nil
}

func (s *shape) compileFields() {
	s.byName = map[string]*field{}
	for i := range s.typ.NumField() {
		sf := s.typ.Field(i)
		f := &field{index: i, required: sf.Tag.Get("required") == "true", pointer: sf.Type.Kind() == reflect.Pointer}
		for _, at := range []struct {
			tag   string
			place place
		}{{"aws", inBody}, {"uri", inURI}, {"query", inQuery}, {"header", inHeader}, {"stream", inStream}, {"payload", inPayload}, {"headers", inHeaders}, {"raw", inRaw}} {
			tag, ok := sf.Tag.Lookup(at.tag)
			if !ok {
				continue
			}
			name, options, _ := strings.Cut(tag, ",")
			f.name, f.place, f.flattened = name, at.place, options == "flattened"
		}
		if f.name == "" {
			panic(fmt.Sprintf("wire: %s.%s has no location tag", s.typ, sf.Name))
		}
		f.shape, f.check = shapeOf(sf.Type), ruleOf(sf)
		s.fields = append(s.fields, f)
		if f.place == inBody {
			s.byName[f.name] = f
		}
	}
}

// body reports whether any member travels in the body.
func (s *shape) body() bool { return len(s.byName) > 0 }

// settable returns the value to fill for a field, allocating behind a pointer.
func (f *field) settable(parent reflect.Value) reflect.Value { return deref(parent.Field(f.index)) }

func deref(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return v.Elem()
	}
	return v
}
