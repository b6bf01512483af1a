package wire

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Handle answers one authenticated request. body is the whole request body, whose hash the signature has vouched for. The error that it returns has been sent
// to the client already: it is for the log.
func (s *Service) Handle(w http.ResponseWriter, r *http.Request, body []byte) error {
	ctx := r.Context()
	var form url.Values
	if s.Protocol == Query {
		var err error
		if form, err = parseForm(r, body); err != nil {
			s.Fail(w, r, err)
			return err
		}
	}
	op, labels, err := s.find(r, form)
	if err != nil {
		s.Fail(w, r, err)
		return err
	}
	RequestOf(ctx).Operation = op.Name
	in := reflect.New(op.in.typ)
	if err := s.decode(op, in.Elem(), r, labels, form, body); err != nil {
		s.Fail(w, r, err)
		return err
	}
	if err := s.authorize(ctx, op, in.Interface()); err != nil {
		s.Fail(w, r, err)
		return err
	}
	out, err := op.call(ctx, in.Interface())
	if err != nil {
		s.Fail(w, r, err)
		return err
	}
	return s.respond(ctx, w, op, out)
}

func parseForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.New("MalformedQueryString", "The form in the request body cannot be parsed.").With(err)
	}
	for k, v := range r.URL.Query() {
		form[k] = append(form[k], v...)
	}
	return form, nil
}

func (s *Service) decode(op *Operation, in reflect.Value, r *http.Request, labels map[string]string, form url.Values, body []byte) error {
	bad := &violations{query: s.Protocol == Query}
	query := r.URL.Query()
	for _, f := range op.in.fields {
		var values []string
		switch f.place {
		case inURI:
			if label, ok := labels[f.name]; ok {
				values = []string{label}
			}
		case inQuery:
			values = query[f.name]
		case inHeader:
			values = r.Header.Values(f.name)
		case inPayload, inHeaders:
			decodeWhole(f, in, r, body, bad)
			continue
		default:
			continue
		}
		if len(values) == 0 {
			if f.required {
				bad.missing(f.name)
			}
			continue
		}
		v := f.settable(in)
		if f.shape.kind != kindList {
			setText(f.shape, v, values[0], f.check, f.name, bad)
			continue
		}
		for _, text := range values {
			elem := reflect.New(f.shape.typ.Elem()).Elem()
			setText(f.shape.elem, elem, text, f.shape.item, f.name, bad)
			v.Set(reflect.Append(v, elem))
		}
		bad.add(f.name, f.check.size(len(values)))
	}
	switch {
	case s.Protocol == Query:
		decodeForm(form, op.in, in, "", "", bad)
	case op.in.body():
		if err := decodeJSON(body, op.in, in, bad, s.Protocol == AWSJSON); err != nil {
			return err
		}
	}
	return bad.err()
}

func (s *Service) respond(ctx context.Context, w http.ResponseWriter, op *Operation, out any) error {
	h := w.Header()
	if s.Protocol == Query {
		h.Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusOK)
		_, err := w.Write(s.answerXML(ctx, op, out))
		return err
	}
	v := reflect.Zero(op.out.typ)
	if out != nil {
		v = reflect.ValueOf(out).Elem()
	}
	for _, f := range op.out.fields {
		fv := v.Field(f.index)
		switch {
		case f.place == inHeader && !f.omitted(fv):
			h.Set(f.name, text(f.shape, reflect.Indirect(fv)))
		case f.place == inStream:
			return writeEvents(w, fv.Interface().(Events))
		case f.place == inRaw:
			return writeRaw(w, op.status, fv.Interface().(Raw))
		}
	}
	status := http.StatusOK
	if s.Protocol == RestJSON {
		status = op.status
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status) // no body at all: one would break the client's kept-alive connection
		return nil
	}
	h.Set("Content-Type", s.contentType())
	w.WriteHeader(status)
	_, err := w.Write(appendJSON(nil, op.out, v, s.Protocol == AWSJSON))
	return err
}

func (s *Service) contentType() string {
	if s.Protocol == AWSJSON {
		return "application/x-amz-json-1.1"
	}
	return "application/json"
}

// decodeForm reads body members of the query protocol: Name=, List.member.1=, Map.entry.1.key=.
func decodeForm(form url.Values, s *shape, v reflect.Value, prefix, path string, bad *violations) {
	for _, f := range s.fields {
		if f.place != inBody {
			continue
		}
		decodeFormMember(form, f, v, prefix+f.name, join(path, f.name), bad)
	}
}

const maxFormList = 1000 // members of one list: more is not a request that any operation takes

func decodeFormMember(form url.Values, f *field, parent reflect.Value, key, path string, bad *violations) {
	if !formHas(form, key) {
		if f.required {
			bad.missing(path)
		}
		return
	}
	v := f.settable(parent)
	switch f.shape.kind {
	case kindStruct:
		decodeForm(form, f.shape, v, key+".", path, bad)
	case kindList:
		v.Set(reflect.MakeSlice(f.shape.typ, 0, 0))
		base := key + ".member."
		if f.flattened {
			base = key + "."
		}
		for i := 1; i <= maxFormList && formHas(form, base+itoa(i)); i++ {
			elem := reflect.New(f.shape.typ.Elem()).Elem()
			setForm(form, f.shape.elem, deref(elem), f.shape.item, base+itoa(i), join(path, itoa(i)+".member"), bad)
			v.Set(reflect.Append(v, elem))
		}
		bad.add(path, f.check.size(v.Len()))
	case kindMap:
		v.Set(reflect.MakeMap(f.shape.typ))
		base := key + ".entry."
		if f.flattened {
			base = key + "."
		}
		for i := 1; i <= maxFormList && formHas(form, base+itoa(i)); i++ {
			name := form.Get(base + itoa(i) + ".key")
			bad.add(join(path, name), f.shape.key.text(name))
			elem := reflect.New(f.shape.typ.Elem()).Elem()
			setForm(form, f.shape.elem, deref(elem), f.shape.item, base+itoa(i)+".value", join(path, name), bad)
			v.SetMapIndex(reflect.ValueOf(name).Convert(f.shape.typ.Key()), elem)
		}
		bad.add(path, f.check.size(v.Len()))
	default:
		setText(f.shape, v, form.Get(key), f.check, path, bad)
	}
}

func setForm(form url.Values, s *shape, v reflect.Value, c *check, key, path string, bad *violations) {
	if s.kind == kindStruct {
		decodeForm(form, s, v, key+".", path, bad)
		return
	}
	setText(s, v, form.Get(key), c, path, bad)
}

// formHas reports whether the form has the key itself or members below it.
func formHas(form url.Values, key string) bool {
	if _, ok := form[key]; ok {
		return true
	}
	for k := range form {
		if strings.HasPrefix(k, key) && len(k) > len(key) && k[len(key)] == '.' {
			return true
		}
	}
	return false
}
