package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type copyInput struct {
	From string `aws:"from" required:"true"`
	To   string `aws:"to" required:"true"`
	Role string `aws:"role"`
}

// decided is what a service asks about a request.
type decided struct {
	Action, Resource string
	Context          map[string][]string
}

// copier has an operation on two resources, one that hands a role over, an exempt one, and one that is not declared. What it asks is kept; the action deny is refused.
func copier(asked *[]decided, deny string, ran *bool) *wire.Service {
	handle := func(context.Context, *copyInput) (*nothing, error) { *ran = true; return nil, nil }
	onCopy := func(_ context.Context, in *copyInput) (wire.Target, error) {
		if in.From == in.To {
			return wire.Target{}, fault.New(fault.Validation, "to itself")
		}
		t := wire.Target{Resource: in.To, Context: map[string][]string{"k": {"v"}}}.And(wire.Target{Action: "test:Read", Resource: in.From})
		if in.Role != "" {
			t = t.And(wire.Target{Action: "iam:PassRole", Resource: in.Role}.With("iam:PassedToService", "test.amazonaws.com"))
		}
		return t, nil
	}
	return &wire.Service{Name: "test", Protocol: wire.AWSJSON, TargetPrefix: "T",
		Authorize: func(_ context.Context, action string, t wire.Target) error {
			*asked = append(*asked, decided{action, t.Resource, t.Context})
			if t.Action != "" || t.Also != nil {
				return errors.New("the target has not been taken apart")
			}
			if action == deny {
				return fault.New(fault.AccessDenied, "not %s", action)
			}
			return nil
		},
		Operations: []wire.Operation{
			wire.On(wire.Op("Copy", "", handle), onCopy),
			wire.On(wire.Op("Nowhere", "", handle), func(context.Context, *copyInput) (wire.Target, error) { return wire.Target{}, nil }),
			wire.Exempt(wire.Op("Open", "", handle), "AWS says so"),
			wire.Op("Forgotten", "", handle),
		}}
}

func TestEveryTargetIsDecidedAboutBeforeTheHandler(t *testing.T) {
	both := []decided{{"test:Copy", "b", map[string][]string{"k": {"v"}}}, {"test:Read", "a", nil}}
	role := decided{"iam:PassRole", "r", map[string][]string{"iam:PassedToService": {"test.amazonaws.com"}}}
	for _, c := range []struct {
		name, operation, body, deny string
		status                      int
		text                        string
		asked                       []decided
	}{
		{"both allowed", "Copy", `{"from":"a","to":"b"}`, "", 200, "", both},
		{"with a role", "Copy", `{"from":"a","to":"b","role":"r"}`, "", 200, "", append(both[:2:2], role)},
		{"the first is denied", "Copy", `{"from":"a","to":"b","role":"r"}`, "test:Copy", 403, "not test:Copy", both[:1]},
		{"the second is denied", "Copy", `{"from":"a","to":"b","role":"r"}`, "test:Read", 403, "not test:Read", both},
		{"the role is denied", "Copy", `{"from":"a","to":"b","role":"r"}`, "iam:PassRole", 403, "not iam:PassRole", append(both[:2:2], role)},
		{"the target says no", "Copy", `{"from":"a","to":"a"}`, "", 400, "to itself", nil},
		{"bad input comes first", "Copy", `{"from":"a"}`, "", 400, "'to'", nil},
		{"no resource is nobody's", "Nowhere", `{"from":"a","to":"b"}`, "", 500, "InternalServerException", nil},
		{"exempt", "Open", `{"from":"a","to":"b"}`, "test:Open", 200, "", nil},
		{"undeclared is closed", "Forgotten", `{"from":"a","to":"b"}`, "", 500, "InternalServerException", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked []decided
			var ran bool
			w := ask(copier(&asked, c.deny, &ran), "POST", "/", c.body, "X-Amz-Target", "T."+c.operation)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || ran != (c.status == http.StatusOK) {
				t.Errorf("%d %s, handler ran: %v", w.Code, w.Body, ran)
			}
			if d := cmp.Diff(c.asked, asked); d != "" {
				t.Error(d)
			}
		})
	}
	s := copier(new([]decided), "", new(bool))
	if d := cmp.Diff([]string{"Forgotten"}, s.Undeclared()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"Open": "AWS says so"}, s.Exempted()); d != "" {
		t.Error(d)
	}
}

func TestTargetsAreValues(t *testing.T) {
	base := wire.Target{Resource: "r"}.With("a", "1")
	one, two := base.With("b", "2").Needing("x:One"), base.With("c", "3").Needing("x:Two").With("none")
	if d := cmp.Diff(wire.Target{Resource: "r", Context: map[string][]string{"a": {"1"}}}, base); d != "" {
		t.Error(d)
	}
	want := wire.Target{Resource: "r", Context: map[string][]string{"a": {"1"}, "b": {"2"}}}
	want.Also = []wire.Target{{Action: "x:One", Resource: "r", Context: want.Context}}
	if d := cmp.Diff(want, one); d != "" {
		t.Error(d)
	}
	if len(two.Also) != 1 || two.Also[0].Action != "x:Two" || len(two.Context) != 2 {
		t.Error(two)
	}
}

type queryInput struct {
	Name     token    `aws:"RoleName" required:"true"`
	Duration *int     `aws:"DurationSeconds" min:"900" max:"43200"`
	Status   string   `aws:"Status" enum:"Active,Inactive"`
	Tags     []tagged `aws:"Tags" max:"1"`
}

type tagged struct {
	Key token `aws:"Key" required:"true"`
}

// The texts are those that IAM and STS have been seen to give.
func TestValidationErrorsOfTheQueryServices(t *testing.T) {
	s := &wire.Service{Name: "iam", Protocol: wire.Query, Namespace: "urn:iam", Statuses: map[fault.Code]int{"NoSuchEntity": 404}, Operations: []wire.Operation{
		wire.Op("Do", "", func(_ context.Context, in *queryInput) (*nothing, error) {
			return nil, fault.New(fault.Code(in.Name), "from the handler")
		}),
		wire.Op("Find", "", func(context.Context, *nothing) (*nothing, error) { return nil, fault.New("NoSuchEntity", "gone") }),
		wire.Op("Refuse", "", func(context.Context, *nothing) (*nothing, error) { return nil, fault.New(fault.AccessDenied, "no") }),
		wire.Op("Break", "", func(context.Context, *nothing) (*nothing, error) { return nil, errors.New("boom") }),
		wire.Op("Invalid", "", func(context.Context, *nothing) (*nothing, error) { return nil, fault.Invalid("x", "bad") }),
	}}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		form         string
		status       int
		code, detail string
	}{
		{"Action=Do", 400, "ValidationError", "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null"},
		{"Action=Do&RoleName=a", 400, "ValidationError", "1 validation error detected: Value 'a' at 'roleName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"Action=Do&RoleName=", 400, "ValidationError", "Value '' at 'roleName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"Action=Do&RoleName=a%20b", 400, "ValidationError", "Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"},
		{"Action=Do&RoleName=abc&DurationSeconds=899", 400, "ValidationError", "Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		{"Action=Do&RoleName=abc&DurationSeconds=99999999999999999999", 400, "ValidationError", "at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		{"Action=Do&RoleName=abc&DurationSeconds=x", 400, "ValidationError", "'durationSeconds' cannot be parsed: expected an integer"},
		{"Action=Do&RoleName=abc&Status=active", 400, "ValidationError", "Value 'active' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"},
		{"Action=Do&Tags.member.1.Key=a", 400, "ValidationError", "2 validation errors detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null; Value 'a' at 'tags.1.member.key' failed"},
		{"Action=Do&RoleName=abc&Tags.member.1.Key=abc&Tags.member.2.Key=abc", 400, "ValidationError", "Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 1"},
		{"Action=Do&RoleName=" + long, 400, "ValidationError", "Value '" + long[:256] + "...' at 'roleName'"},
		{"Action=Do&RoleName=%ff%fe%3Cb%3E", 400, "ValidationError", "Value '?&lt;b&gt;' at 'roleName'"},
		{"Action=Do&RoleName=some", 400, "some", "from the handler"},
		{"Action=Find", 404, "NoSuchEntity", "gone"},
		{"Action=Refuse", 403, "AccessDenied", "no"},
		{"Action=Break", 500, "InternalFailure", "An internal error occurred."},
		{"Action=Invalid", 400, "ValidationError", "Value at 'x' failed to satisfy constraint: bad"},
	} {
		w := ask(s, "POST", "/", c.form)
		body := strings.NewReplacer("&#39;", "'", "&#34;", `"`).Replace(w.Body.String())
		if w.Code != c.status || !strings.Contains(body, "<Code>"+c.code+"</Code>") || !strings.Contains(body, c.detail) || len(body) > 2000 {
			t.Errorf("%.80s: %d %s", c.form, w.Code, body)
		}
		if !strings.HasPrefix(body, `<ErrorResponse xmlns="urn:iam"><Error>`) || strings.Contains(body, "boom") {
			t.Error(body)
		}
	}
}

func TestClaims(t *testing.T) {
	var got input
	rest, json, query := service(wire.RestJSON, &got, nil, nil), service(wire.AWSJSON, &got, nil, nil), service(wire.Query, &got, nil, nil)
	for _, c := range []struct {
		s            *wire.Service
		path, target string
		want         bool
	}{
		{rest, "/things", "", true},
		{rest, "/things/x/do", "", true},
		{rest, "/things%2Fx", "", false},
		{rest, "/thing", "", false},
		{rest, "/", "", false},
		{rest, "/", "Test_1.Do", false},
		{json, "/", "Test_1.Do", true},
		{json, "/", "Test_1.Other", true},
		{json, "/", "Test_10.Do", false},
		{json, "/things", "", false},
		{query, "/things", "", false},
		{query, "/?Action=Do", "", false},
	} {
		r := httptest.NewRequest(http.MethodPost, c.path, nil)
		r.Header.Set("X-Amz-Target", c.target)
		if c.s.Claims(r) != c.want {
			t.Errorf("%v %q %q: want %v", c.s.Protocol, c.path, c.target, c.want)
		}
	}
}
