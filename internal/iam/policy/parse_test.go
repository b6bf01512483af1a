package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

func TestMalformed(t *testing.T) {
	statement := one
	for _, c := range []struct {
		name, doc string
		typ       policy.Type
		reason    string
	}{
		{"empty", "", policy.Identity, "This policy contains invalid Json"},
		{"not JSON", "{", policy.Identity, "This policy contains invalid Json"},
		{"a list", "[]", policy.Identity, "Syntax errors in policy."},
		{"null", "null", policy.Identity, "Syntax errors in policy."},
		{"member twice", `{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}`, policy.Identity, "This policy contains invalid Json"},
		{"not UTF-8", "{\"Id\":\"\xff\"}", policy.Identity, "This policy contains invalid Json"},
		{"unknown element", `{"Versions":"2012-10-17","Statement":[]}`, policy.Identity, "Versions"},
		{"unknown version", `{"Version":"2012-10-18","Statement":[]}`, policy.Identity, "Version must be"},
		{"no statement", `{"Version":"2012-10-17"}`, policy.Identity, "no Statement"},
		{"no statements", `{"Version":"2012-10-17","Statement":[]}`, policy.Identity, "Statement is empty"},
		{"statement is a text", `{"Statement":["x"]}`, policy.Identity, "statement 1"},
		{"no effect", statement(`"Action":"*","Resource":"*"`), policy.Identity, "Effect must be"},
		{"effect in another case", statement(`"Effect":"allow","Action":"*","Resource":"*"`), policy.Identity, "Effect must be"},
		{"no action", statement(`"Effect":"Allow","Resource":"*"`), policy.Identity, "must contain actions"},
		{"empty actions", statement(`"Effect":"Allow","Action":[],"Resource":"*"`), policy.Identity, "must contain actions"},
		{"action is a number", statement(`"Effect":"Allow","Action":1,"Resource":"*"`), policy.Identity, "Action must be"},
		{"action without a vendor", statement(`"Effect":"Allow","Action":"GetObject","Resource":"*"`), policy.Identity, "prefaced by a vendor"},
		{"Action and NotAction", statement(`"Effect":"Allow","Action":"*","NotAction":"s3:*","Resource":"*"`), policy.Identity, "exclude each other"},
		{"no resource", statement(`"Effect":"Allow","Action":"*"`), policy.Identity, "must contain resources"},
		{"empty resources", statement(`"Effect":"Allow","Action":"*","Resource":[]`), policy.Identity, "must contain resources"},
		{"resource is no ARN", statement(`"Effect":"Allow","Action":"*","Resource":"bucket"`), policy.Identity, `must be in ARN format or "*"`},
		{"bad partition", statement(`"Effect":"Allow","Action":"*","Resource":"arn:AWS1:s3:::b"`), policy.Identity, "Partition"},
		{"principal in an identity policy", statement(`"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"`), policy.Identity, "should not specify a principal"},
		{"unknown operator", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqual":{"aws:x":"a"}}`), policy.Identity, "Invalid Condition type : StringEqual."},
		{"operator twice negated", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:ForAnyValue:StringEquals":{"aws:x":"a"}}`), policy.Identity, "Invalid Condition type"},
		{"NullIfExists", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:x":"true"}}`), policy.Identity, "Invalid Condition type"},
		{"condition is a list", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":[]`), policy.Identity, "must be an object"},
		{"key without a vendor", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"x":"a"}}`), policy.Identity, "prefaced by a vendor"},
		{"value is an object", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:x":{}}}`), policy.Identity, "must be a value"},
		{"not a number", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"aws:x":"ten"}}`), policy.Identity, "cannot be compared"},
		{"not an address", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"300.0.0.1"}}`), policy.Identity, "cannot be compared"},
		{"not a date", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateEquals":{"aws:x":"yesterday"}}`), policy.Identity, "cannot be compared"},
		{"not a boolean", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:x":"yes"}}`), policy.Identity, "cannot be compared"},
		{"Null of a text", statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:x":"yes"}}`), policy.Identity, "cannot be compared"},
		{"sid twice", `{"Statement":[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]}`, policy.Identity, "must be unique"},
		{"sid with a space", statement(`"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"`), policy.Identity, "alpha-numeric"},
		{"no principal", statement(`"Effect":"Allow","Action":"s3:*","Resource":"*"`), policy.Resource, "Missing required field Principal"},
		{"principal is another text", statement(`"Effect":"Allow","Principal":"me","Action":"s3:*","Resource":"*"`), policy.Resource, "Invalid principal in policy"},
		{"principal with a wildcard", statement(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},"Action":"s3:*","Resource":"*"`), policy.Resource, `Invalid principal in policy: "AWS"`},
		{"principal of an unknown kind", statement(`"Effect":"Allow","Principal":{"Aws":"*"},"Action":"s3:*","Resource":"*"`), policy.Resource, "Invalid principal in policy"},
		{"no principals", statement(`"Effect":"Allow","Principal":{},"Action":"s3:*","Resource":"*"`), policy.Resource, "cannot be empty"},
		{"trust with a resource", statement(`"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"`), policy.Trust, "Has prohibited field Resource"},
		{"trust with another action", statement(`"Effect":"Allow","Principal":"*","Action":"s3:*"`), policy.Trust, "may only specify STS AssumeRole actions"},
		{"trust without a principal", statement(`"Effect":"Allow","Action":"sts:AssumeRole"`), policy.Trust, "Missing required field Principal"},
		{"trust with NotPrincipal", statement(`"Effect":"Deny","NotPrincipal":"*","Action":"sts:AssumeRole"`), policy.Trust, "Has prohibited field NotPrincipal"},
		{"trust of a strange service", statement(`"Effect":"Allow","Principal":{"Service":"evil.example.com"},"Action":"sts:AssumeRole"`), policy.Trust, `Invalid principal in policy: "SERVICE"`},
		{"too long", `{"Id":"` + strings.Repeat("x", policy.MaxSize) + `"}`, policy.Identity, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(c.doc), c.typ)
			m, ok := errors.AsType[*policy.Malformed](err)
			if !ok || !strings.Contains(m.Reason, c.reason) {
				t.Errorf("%v, want %q", err, c.reason)
			}
		})
	}
}

// Whatever the bytes are, parsing and evaluating end, and only what can be read is evaluated.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(one(`"Effect":"Allow","Action":["s3:*"],"NotResource":"arn:aws:s3:::${aws:username}/*","Condition":{"ForAllValues:StringLike":{"aws:TagKeys":["a*"]},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)), "s3:GetObject", object, "ann")
	f.Add([]byte(one(`"Effect":"Deny","NotPrincipal":{"AWS":["111122223333"]},"NotAction":"*","Resource":"*"`)), "*", "*", "\xff")
	f.Add([]byte(one(`"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"Null":{"sts:ExternalId":true},"DateLessThan":{"aws:CurrentTime":"${aws:x, '2026'}"}}`)), "sts:AssumeRole", "", "")
	f.Fuzz(func(t *testing.T, text []byte, action, resource, value string) {
		for _, typ := range []policy.Type{policy.Identity, policy.Resource, policy.Trust} {
			d, err := policy.Parse(text, typ)
			if err != nil {
				if _, ok := errors.AsType[*policy.Malformed](err); !ok {
					t.Fatalf("not a *Malformed: %v", err)
				}
				continue
			}
			ctx := policy.NewContext(keys{"aws:username": {value}, "aws:TagKeys": {value, "b"}, "aws:SourceIp": {value}, "aws:x": {value}})
			for _, who := range []policy.Who{root, user, session, agentcore, anonymous} {
				r := &policy.Request{Action: action, Resource: resource, Who: who, Context: ctx}
				decision, by := d.Evaluate(r)
				again, byAgain := d.Evaluate(r)
				if decision != again || by != byAgain {
					t.Fatalf("two decisions about one request: %d %d", decision, again)
				}
			}
		}
	})
}

// Without variables, nothing that a request says can match a pattern that has no wildcards but its own text.
func FuzzLiteralsMatchThemselvesOnly(f *testing.F) {
	f.Add("bucket/a", "bucket/b")
	f.Add("a", "\xff")
	f.Fuzz(func(t *testing.T, name, asked string) {
		if strings.ContainsAny(name, "*?$\"\\") || strings.ToValidUTF8(name, "") != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
			return
		}
		d, err := policy.Parse([]byte(one(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::`+name+`"`)), policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + asked})
		if (got == policy.Allow) != (name == asked) {
			t.Errorf("%q and %q: %d", name, asked, got)
		}
	})
}
