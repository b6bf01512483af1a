package wire

import (
	"bytes"
	"context"
	"encoding/xml"
	"reflect"
	"strconv"
)

// answerXML builds an answer of the query protocol: <OpResponse><OpResult>members</OpResult><ResponseMetadata/></OpResponse>.
func (s *Service) answerXML(ctx context.Context, op *Operation, out any) []byte {
	var b bytes.Buffer
	b.WriteString(`<` + op.Name + `Response xmlns="` + s.Namespace + `">`)
	if out != nil {
		open(&b, op.Name+"Result")
		writeXML(&b, op.out, reflect.ValueOf(out).Elem())
		shut(&b, op.Name+"Result")
	}
	b.WriteString("<ResponseMetadata><RequestId>" + RequestOf(ctx).ID + "</RequestId></ResponseMetadata></" + op.Name + "Response>")
	return b.Bytes()
}

// writeXML writes the content of an element.
func writeXML(b *bytes.Buffer, s *shape, v reflect.Value) {
	switch s.kind {
	case kindStruct:
		for _, f := range s.fields {
			fv := v.Field(f.index)
			if f.place != inBody || f.omitted(fv) {
				continue
			}
			fv = reflect.Indirect(fv)
			if f.flattened && f.shape.kind == kindList {
				for i := range fv.Len() {
					element(b, f.name, f.shape.elem, reflect.Indirect(fv.Index(i)))
				}
				continue
			}
			element(b, f.name, f.shape, fv)
		}
	case kindList:
		for i := range v.Len() {
			element(b, "member", s.elem, reflect.Indirect(v.Index(i)))
		}
	case kindMap:
		for _, k := range sortedKeys(v) {
			open(b, "entry")
			open(b, "key")
			_ = xml.EscapeText(b, []byte(k.String()))
			shut(b, "key")
			element(b, "value", s.elem, reflect.Indirect(v.MapIndex(k)))
			shut(b, "entry")
		}
	default:
		_ = xml.EscapeText(b, []byte(text(s, v))) // a bytes.Buffer does not fail
	}
}

func element(b *bytes.Buffer, name string, s *shape, v reflect.Value) {
	open(b, name)
	writeXML(b, s, v)
	shut(b, name)
}

func open(b *bytes.Buffer, name string) { b.WriteString("<" + name + ">") }
func shut(b *bytes.Buffer, name string) { b.WriteString("</" + name + ">") }

func itoa(n int) string { return strconv.Itoa(n) }
