package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type token string

func (token) Rule() wire.Rule { return wire.Length(3, 8).Matching(`[a-z]+`) }

type nested struct {
	Mode string  `aws:"mode" required:"true" enum:"A,B"`
	Ids  []token `aws:"ids" min:"1" max:"2"`
}

type input struct {
	ID      string            `uri:"id" pattern:"[^!]+"`
	Limit   *int              `query:"limit" min:"1" max:"10"`
	Keys    []token           `query:"keys"`
	Trace   string            `header:"X-Trace" max:"5"`
	Name    string            `aws:"name" required:"true" min:"2" max:"4"`
	Count   *int64            `aws:"count"`
	Ratio   float64           `aws:"ratio"`
	On      bool              `aws:"on"`
	At      time.Time         `aws:"at"`
	Data    []byte            `aws:"data" max:"4"`
	Nested  *nested           `aws:"nested"`
	Tags    map[token]string  `aws:"tags" max:"2"`
	Structs []nested          `aws:"structs"`
	Flat    []string          `aws:"Flat,flattened"`
	Env     map[string]nested `aws:"env"`
}

type output struct {
	Where  string            `header:"X-Where"`
	Name   string            `aws:"name" required:"true"`
	Empty  string            `aws:"empty"`
	Count  *int64            `aws:"count"`
	At     time.Time         `aws:"at"`
	Data   []byte            `aws:"data"`
	List   []nested          `aws:"list"`
	Flat   []string          `aws:"Flat,flattened"`
	Labels map[string]string `aws:"labels"`
	Flag   bool              `aws:"flag"`
}

type nothing struct{}

// service has one operation whose input is kept, and whose answer is out or err.
func service(p wire.Protocol, got *input, out *output, err error) *wire.Service {
	return &wire.Service{Name: "test", Protocol: p, Version: "2020-01-01", Namespace: "urn:test", TargetPrefix: "Test_1", Operations: []wire.Operation{
		wire.Op("Do", "PUT /things/{id}/do 201", func(_ context.Context, in *input) (*output, error) { *got = *in; return out, err }),
		wire.Op("Gone", "DELETE /things/{id} 204", func(context.Context, *struct {
			ID string `uri:"id"`
		}) (*nothing, error) {
			return nil, nil
		}),
	}}
}

func ask(s *wire.Service, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	_ = s.Handle(w, r.WithContext(wire.WithRequest(r.Context(), &wire.Request{ID: "req-1"})), []byte(body))
	return w
}

func TestRestJSONCarriesEveryLocationAndType(t *testing.T) {
	var got input
	n := int64(7)
	out := &output{Where: "here", Name: "", Count: &n, At: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Data: []byte{0xff}, List: []nested{{Mode: "A"}}, Labels: map[string]string{"b": "2", "a": "\x01<"}}
	w := ask(service(wire.RestJSON, &got, out, nil), "PUT", "/things/arn%3Aaws%2Fx/do?limit=3&keys=abc&keys=def", `{"name":"bob","count":-5,"ratio":1.5,"on":true,
		"at":"2026-01-02T03:04:05Z","data":"AQI=","nested":{"mode":"B","ids":["abc"]},"tags":{"key":"v"},"structs":[{"mode":"A"}],"unknown":{"deep":[1,2,{"x":null}]},"env":{"e":{"mode":"A"}}}`, "X-Trace", "t")
	if w.Code != 201 || w.Header().Get("X-Where") != "here" || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d %v", w.Code, w.Header())
	}
	limit, count := 3, int64(-5)
	want := input{ID: "arn:aws/x", Limit: &limit, Keys: []token{"abc", "def"}, Trace: "t", Name: "bob", Count: &count, Ratio: 1.5, On: true, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Data: []byte{1, 2}, Nested: &nested{Mode: "B", Ids: []token{"abc"}}, Tags: map[token]string{"key": "v"}, Structs: []nested{{Mode: "A"}}, Env: map[string]nested{"e": {Mode: "A"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	const wantBody = `{"name":"","count":7,"at":"2026-01-02T03:04:05.006Z","data":"/w==","list":[{"mode":"A"}],"labels":{"a":"\u0001<","b":"2"},"flag":false}`
	if w.Body.String() != wantBody {
		t.Errorf("body\n got %s\nwant %s", w.Body, wantBody)
	}
}

func TestNoContentHasNoBody(t *testing.T) {
	w := ask(service(wire.RestJSON, nil, nil, nil), "DELETE", "/things/x/", "")
	if w.Code != 204 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" {
		t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestBrokenRulesAreNamed(t *testing.T) {
	for _, c := range []struct {
		name, target, body, field, message string
		reason                             fault.Reason
	}{
		{"missing body", "/things/x/do", ``, "name", "Member must not be null", fault.FieldValidationFailed},
		{"null is absent", "/things/x/do", `{"name":null}`, "name", "Member must not be null", fault.FieldValidationFailed},
		{"too short", "/things/x/do", `{"name":"a"}`, "name", "Member must have length greater than or equal to 2", fault.FieldValidationFailed},
		{"empty is present", "/things/x/do", `{"name":""}`, "name", "Member must have length greater than or equal to 2", fault.FieldValidationFailed},
		{"length in characters", "/things/x/do", `{"name":"äöüßé"}`, "name", "Member must have length less than or equal to 4", fault.FieldValidationFailed},
		{"enum", "/things/x/do", `{"name":"bob","nested":{"mode":"C"}}`, "nested.mode", "Member must satisfy enum value set: [A, B]", fault.FieldValidationFailed},
		{"nested required", "/things/x/do", `{"name":"bob","nested":{}}`, "nested.mode", "Member must not be null", fault.FieldValidationFailed},
		{"list too long", "/things/x/do", `{"name":"bob","nested":{"mode":"A","ids":["abc","abd","abe"]}}`, "nested.ids", "Member must have length less than or equal to 2", fault.FieldValidationFailed},
		{"list empty", "/things/x/do", `{"name":"bob","nested":{"mode":"A","ids":[]}}`, "nested.ids", "Member must have length greater than or equal to 1", fault.FieldValidationFailed},
		{"list item", "/things/x/do", `{"name":"bob","nested":{"mode":"A","ids":["ABC"]}}`, "nested.ids.1.member", "Member must satisfy regular expression pattern: [a-z]+", fault.FieldValidationFailed},
		{"pattern is anchored", "/things/x/do", `{"name":"bob","nested":{"mode":"A","ids":["abc\n"]}}`, "nested.ids.1.member", "Member must satisfy regular expression pattern: [a-z]+", fault.FieldValidationFailed},
		{"null item", "/things/x/do", `{"name":"bob","structs":[null]}`, "structs.1.member", "Member must not be null", fault.FieldValidationFailed},
		{"map key", "/things/x/do", `{"name":"bob","tags":{"K":"v"}}`, "tags.K", "Member must have length greater than or equal to 3", fault.FieldValidationFailed},
		{"blob too long", "/things/x/do", `{"name":"bob","data":"AAAAAAA="}`, "data", "Member must have length less than or equal to 4", fault.FieldValidationFailed},
		{"query out of range", "/things/x/do?limit=11", `{"name":"bob"}`, "limit", "Member must have value less than or equal to 10", fault.FieldValidationFailed},
		{"query huge", "/things/x/do?limit=99999999999999999999", `{"name":"bob"}`, "limit", "Member must have value less than or equal to 10", fault.FieldValidationFailed},
		{"query no number", "/things/x/do?limit=ten", `{"name":"bob"}`, "limit", `expected an integer, found "ten"`, fault.CannotParse},
		{"path pattern", "/things/a%21/do", `{"name":"bob"}`, "id", "Member must satisfy regular expression pattern: [^!]+", fault.FieldValidationFailed},
		{"string for number", "/things/x/do", `{"name":"bob","count":"5"}`, "count", "expected an integer, found a string", fault.CannotParse},
		{"fraction for integer", "/things/x/do", `{"name":"bob","count":1.5}`, "count", `expected an integer, found "1.5"`, fault.CannotParse},
		{"number for string", "/things/x/do", `{"name":5}`, "name", "expected a string, found a number", fault.CannotParse},
		{"string for object", "/things/x/do", `{"name":"bob","nested":"x"}`, "nested", "expected an object, found a string", fault.CannotParse},
		{"object for list", "/things/x/do", `{"name":"bob","structs":{}}`, "structs", "expected a list, found an object", fault.CannotParse},
		{"bad base64", "/things/x/do", `{"name":"bob","data":"***"}`, "data", "expected base64, found invalid base64", fault.CannotParse},
		{"bad time", "/things/x/do", `{"name":"bob","at":"yesterday"}`, "at", `expected a timestamp, found "yesterday"`, fault.CannotParse},
		{"truncated", "/things/x/do", `{"name":"bo`, "body", "", fault.CannotParse},
		{"truncated object", "/things/x/do", `{"name":"bob"`, "body", "", fault.CannotParse},
		{"trailing garbage", "/things/x/do", `{"name":"bob"}}`, "body", "", fault.CannotParse},
		{"array", "/things/x/do", `[]`, "body", "", fault.CannotParse},
		{"not json", "/things/x/do", `name=bob`, "body", "", fault.CannotParse},
		{"invalid utf-8", "/things/x/do", "{\"name\":\"b\xff\"}", "body", "", fault.CannotParse},
		{"duplicate member", "/things/x/do", `{"name":"bob","name":"eve"}`, "body", "", fault.CannotParse},
		{"very deep", "/things/x/do", `{"name":"bob","unknown":` + strings.Repeat("[", 100_000), "body", "", fault.CannotParse},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got input
			w := ask(service(wire.RestJSON, &got, nil, nil), "PUT", c.target, c.body)
			var e struct {
				Message, Reason string
				FieldList       []fault.Field
			}
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 400 || w.Header().Get("X-Amzn-ErrorType") != "ValidationException" {
				t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
			if len(e.FieldList) != 1 || e.FieldList[0].Name != c.field || e.Reason != string(c.reason) || (c.message != "" && e.FieldList[0].Message != c.message) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestEveryViolationIsReportedOnceAndHostileOnesAreBounded(t *testing.T) {
	var got input
	w := ask(service(wire.RestJSON, &got, nil, nil), "PUT", "/things/x/do?limit=0", `{"nested":{"mode":"Z"}}`)
	if want := "3 validation errors detected"; !strings.Contains(w.Body.String(), want) {
		t.Errorf("%q is not in %s", want, w.Body)
	}
	w = ask(service(wire.RestJSON, &got, nil, nil), "PUT", "/things/x/do", `{"name":"bob","structs":[`+strings.Repeat("null,", 100_000)+`null]}`)
	if w.Code != 400 || w.Body.Len() > 8<<10 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestErrorsPerProtocol(t *testing.T) {
	quota := fault.New(fault.ServiceQuota, "too <many>").With(errors.New("secret cause"))
	var got input
	w := ask(service(wire.RestJSON, &got, nil, quota), "PUT", "/things/x/do", `{"name":"bob"}`)
	if w.Code != 402 || w.Header().Get("X-Amzn-ErrorType") != "ServiceQuotaExceededException" || w.Body.String() != `{"message":"too <many>"}` {
		t.Errorf("restJson: %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = ask(service(wire.AWSJSON, &got, nil, quota), "POST", "/", `{"name":"bob"}`, "X-Amz-Target", "Test_1.Do")
	if w.Code != 402 || w.Body.String() != `{"__type":"ServiceQuotaExceededException","message":"too <many>"}` {
		t.Errorf("awsJson: %d %s", w.Code, w.Body)
	}
	w = ask(service(wire.Query, &got, nil, quota), "POST", "/", "Action=Do&name=bob")
	if want := "<ErrorResponse xmlns=\"urn:test\"><Error><Type>Sender</Type><Code>ServiceQuotaExceededException</Code><Message>too &lt;many&gt;</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"; w.Body.String() != want {
		t.Errorf("query: %s", w.Body)
	}
	w = ask(service(wire.RestJSON, &got, nil, errors.New("boom at /etc/shadow")), "PUT", "/things/x/do", `{"name":"bob"}`)
	if w.Code != 500 || strings.Contains(w.Body.String(), "shadow") {
		t.Errorf("a cause reached the client: %d %s", w.Code, w.Body)
	}
}

func TestUnknownOperations(t *testing.T) {
	var got input
	for _, c := range []struct {
		protocol     wire.Protocol
		method, path string
		body         string
		header       string
		status       int
		want         string
	}{
		{wire.RestJSON, "GET", "/things/x/do", "", "", 404, "UnknownOperationException"},
		{wire.RestJSON, "PUT", "/things//do", "", "", 404, "UnknownOperationException"},
		{wire.RestJSON, "PUT", "/", "", "", 404, "UnknownOperationException"},
		{wire.AWSJSON, "POST", "/", "{}", "Test_1.Undo", 404, "UnknownOperationException"},
		{wire.AWSJSON, "POST", "/", "{}", "Do", 404, "UnknownOperationException"},
		{wire.Query, "POST", "/", "Action=Undo", "", 400, "<Code>InvalidAction</Code>"},
		{wire.Query, "POST", "/", "", "", 400, "<Code>MissingAction</Code>"},
		{wire.Query, "POST", "/", "%zz", "", 400, "<Code>MalformedQueryString</Code>"},
	} {
		w := ask(service(c.protocol, &got, nil, nil), c.method, c.path, c.body, "X-Amz-Target", c.header)
		if w.Code != c.status || !strings.Contains(w.Body.String()+w.Header().Get("X-Amzn-ErrorType"), c.want) {
			t.Errorf("%+v: %d %v %s", c, w.Code, w.Header(), w.Body)
		}
	}
}

func TestAWSJSONCountsSeconds(t *testing.T) {
	var got input
	w := ask(service(wire.AWSJSON, &got, &output{Name: "n", At: time.UnixMilli(1500)}, nil), "POST", "/", `{"name":"bob","at":1234.5}`, "X-Amz-Target", "Test_1.Do")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" || w.Body.String() != `{"name":"n","at":1.5,"flag":false}` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if want := time.UnixMilli(1234500); !got.At.Equal(want) {
		t.Errorf("at %v, want %v", got.At, want)
	}
}

func TestQueryFormsAndXML(t *testing.T) {
	var got input
	out := &output{Name: "a<b", List: []nested{{Mode: "A", Ids: []token{"x", "y"}}}, Flat: []string{"1", "2"}, Labels: map[string]string{"k": "v"}}
	w := ask(service(wire.Query, &got, out, nil), "POST", "/", "Action=Do&Version=2020-01-01&name=bob&on=true&nested.mode=A&nested.ids.member.1=abc&nested.ids.member.2=def"+
		"&structs.member.1.mode=B&Flat.1=x&Flat.2=y&tags.entry.1.key=key&tags.entry.1.value=v&env.entry.1.key=e&env.entry.1.value.mode=A")
	want := input{Name: "bob", On: true, Nested: &nested{Mode: "A", Ids: []token{"abc", "def"}}, Structs: []nested{{Mode: "B"}}, Flat: []string{"x", "y"},
		Tags: map[token]string{"key": "v"}, Env: map[string]nested{"e": {Mode: "A"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	const wantXML = `<DoResponse xmlns="urn:test"><DoResult><name>a&lt;b</name><list><member><mode>A</mode><ids><member>x</member><member>y</member></ids></member></list>` +
		`<Flat>1</Flat><Flat>2</Flat><labels><entry><key>k</key><value>v</value></entry></labels><flag>false</flag></DoResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></DoResponse>`
	if w.Body.String() != wantXML {
		t.Errorf("got %s\nwant %s", w.Body, wantXML)
	}
	var doc struct{ XMLName xml.Name }
	if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Error(err)
	}
}

type streamed struct {
	Session string      `header:"X-Session"`
	Stream  wire.Events `stream:"stream"`
}

func TestEventStreamFrames(t *testing.T) {
	s := &wire.Service{Name: "test", Protocol: wire.RestJSON, Operations: []wire.Operation{
		wire.Op("Run", "POST /run 200", func(context.Context, *nothing) (*streamed, error) {
			return &streamed{Session: "s1", Stream: func(yield func(wire.Event, error) bool) {
				if yield(wire.Event{Type: "result", Payload: nested{Mode: "A"}}, nil) {
					yield(wire.Event{}, fault.New(fault.Throttling, "slow down"))
				}
			}}, nil
		}),
	}}
	w := ask(s, "POST", "/run", "")
	if w.Header().Get("X-Session") != "s1" || w.Header().Get("Content-Type") != "application/vnd.amazon.eventstream" {
		t.Fatalf("headers %v", w.Header())
	}
	body := bytes.NewReader(w.Body.Bytes())
	for _, want := range []struct{ kind, nameHeader, name, payload string }{
		{"event", ":event-type", "result", `{"mode":"A"}`},
		{"exception", ":exception-type", "throttlingException", `{"message":"slow down"}`},
	} {
		m, err := eventstream.NewDecoder().Decode(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Headers.Get(":message-type").String() != want.kind || m.Headers.Get(want.nameHeader).String() != want.name || string(m.Payload) != want.payload {
			t.Errorf("got %v %s, want %+v", m.Headers, m.Payload, want)
		}
	}
}

func TestOutputThatIsNotUTF8StaysJSON(t *testing.T) {
	b := wire.Encode(struct {
		Text string `aws:"text"`
	}{"a\xffb\x00"})
	var v struct{ Text string }
	if err := json.Unmarshal(b, &v); err != nil || v.Text != "a\uFFFDb\x00" {
		t.Errorf("%s: %q %v", b, v.Text, err)
	}
}

func FuzzRestJSON(f *testing.F) {
	f.Add(`{"name":"bob","nested":{"mode":"B","ids":["abc"]},"tags":{"key":"v"},"data":"AQI="}`, "/things/x/do?limit=3")
	f.Add(`{"name":"\ud800","at":1e999,"count":1e400}`, "/things/%2F/do?keys=&keys=%00")
	f.Fuzz(func(t *testing.T, body, target string) {
		r, err := http.NewRequest(http.MethodPut, "http://h"+target, nil)
		if err != nil {
			return
		}
		var got input
		w := httptest.NewRecorder()
		_ = service(wire.RestJSON, &got, &output{Name: got.Name}, nil).Handle(w, r, []byte(body))
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("Action=Do&name=bob&nested.ids.member.1=abc&tags.entry.1.key=key&Flat.1=x")
	f.Add("Action=Do&structs.member.1.structs.member.1=&env.entry.1.value.mode.x.y.z=1")
	f.Fuzz(func(t *testing.T, body string) {
		var got input
		w := ask(service(wire.Query, &got, &output{Name: got.Name}, nil), "POST", "/", body)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzAWSJSON(f *testing.F) {
	f.Add(`{"name":"bob","at":1}`, "Test_1.Do")
	f.Fuzz(func(t *testing.T, body, target string) {
		var got input
		w := ask(service(wire.AWSJSON, &got, &output{Name: got.Name}, nil), "POST", "/", body, "X-Amz-Target", target)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
