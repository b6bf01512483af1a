package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// one is a document of one statement.
func one(statement string) string {
	return `{"Version":"2012-10-17","Statement":[{` + statement + `}]}`
}

func parse(t *testing.T, text string, typ policy.Type) *policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(text), typ)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

const object = "arn:aws:s3:::bucket/a/b.txt"

// Actions, resources and how statements combine.
func TestIdentityPolicies(t *testing.T) {
	allow := func(action, resource string) string {
		return one(`"Effect":"Allow","Action":` + action + `,"Resource":` + resource)
	}
	for _, c := range []struct {
		name, doc, action, resource string
		want                        policy.Decision
	}{
		{"exact", allow(`"s3:GetObject"`, `"`+object+`"`), "s3:GetObject", object, policy.Allow},
		{"another action", allow(`"s3:GetObject"`, `"*"`), "s3:PutObject", object, policy.NoMatch},
		{"a prefix is not the action", allow(`"s3:GetObject"`, `"*"`), "s3:GetObjectAcl", object, policy.NoMatch},
		{"action in another case", allow(`"S3:getobject"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"action star", allow(`"s3:*"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"action star of another service", allow(`"iam:*"`, `"*"`), "s3:GetObject", object, policy.NoMatch},
		{"every action", allow(`"*"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"action prefix", allow(`"s3:Get*"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"action infix", allow(`"s3:*Object"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"action infix, more after it", allow(`"s3:*Object"`, `"*"`), "s3:GetObjectAcl", object, policy.NoMatch},
		{"action question mark", allow(`"s3:?etObject"`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"a question mark is one character", allow(`"s3:Get?Object"`, `"*"`), "s3:GetObject", object, policy.NoMatch},
		{"list of actions", allow(`["iam:GetRole","s3:GetObject"]`, `"*"`), "s3:GetObject", object, policy.Allow},
		{"list of resources", allow(`"s3:GetObject"`, `["arn:aws:s3:::other/*","arn:aws:s3:::bucket/*"]`), "s3:GetObject", object, policy.Allow},
		{"bucket is not its objects", allow(`"s3:*"`, `"arn:aws:s3:::bucket"`), "s3:GetObject", object, policy.NoMatch},
		{"objects are not the bucket", allow(`"s3:*"`, `"arn:aws:s3:::bucket/*"`), "s3:ListBucket", "arn:aws:s3:::bucket", policy.NoMatch},
		{"star reaches across slashes", allow(`"s3:*"`, `"arn:aws:s3:::bucket/*.txt"`), "s3:GetObject", object, policy.Allow},
		{"star in the bucket's name", allow(`"s3:*"`, `"arn:aws:s3:::buck*"`), "s3:GetObject", object, policy.Allow},
		{"a longer bucket's name", allow(`"s3:*"`, `"arn:aws:s3:::bucket/*"`), "s3:GetObject", "arn:aws:s3:::bucket2/a", policy.NoMatch},
		{"resources are case-sensitive", allow(`"s3:*"`, `"arn:aws:s3:::Bucket/*"`), "s3:GetObject", object, policy.NoMatch},
		{"incomplete ARN", allow(`"s3:*"`, `"arn:aws:s3"`), "s3:GetObject", object, policy.Allow},
		{"incomplete ARN of another service", allow(`"s3:*"`, `"arn:aws:iam"`), "s3:GetObject", object, policy.NoMatch},
		{"ARN with stars for fields", allow(`"*"`, `"arn:*:bedrock-agentcore:*:*:code-interpreter-custom/a-1"`), "bedrock-agentcore:InvokeCodeInterpreter", "arn:aws:bedrock-agentcore:us-west-2:111122223333:code-interpreter-custom/a-1", policy.Allow},
		{"a star stays in its field", allow(`"*"`, `"arn:aws:bedrock-agentcore:*:code-interpreter-custom/a-1"`), "bedrock-agentcore:InvokeCodeInterpreter", "arn:aws:bedrock-agentcore:us-west-2:111122223333:code-interpreter-custom/a-1", policy.NoMatch},
		{"colons in the last field", allow(`"*"`, `"arn:aws:logs:us-west-2:111122223333:log-group:a:*"`), "logs:PutLogEvents", "arn:aws:logs:us-west-2:111122223333:log-group:a:log-stream:b", policy.Allow},
		{"another interpreter", allow(`"*"`, `"arn:aws:bedrock-agentcore:us-west-2:111122223333:code-interpreter-custom/a-1"`), "bedrock-agentcore:InvokeCodeInterpreter", "arn:aws:bedrock-agentcore:us-west-2:111122223333:code-interpreter-custom/a-12", policy.NoMatch},
		{"another region", allow(`"*"`, `"arn:aws:bedrock-agentcore:us-west-2:111122223333:*"`), "bedrock-agentcore:GetCodeInterpreter", "arn:aws:bedrock-agentcore:us-east-1:111122223333:code-interpreter-custom/a", policy.NoMatch},
		{"another account", allow(`"*"`, `"arn:aws:bedrock-agentcore:us-west-2:111122223333:*"`), "bedrock-agentcore:GetCodeInterpreter", "arn:aws:bedrock-agentcore:us-west-2:444455556666:code-interpreter-custom/a", policy.NoMatch},
		{"actions without a resource need a star", allow(`"s3:ListAllMyBuckets"`, `"arn:aws:s3:::*"`), "s3:ListAllMyBuckets", "*", policy.NoMatch},
		{"actions without a resource", allow(`"s3:ListAllMyBuckets"`, `"*"`), "s3:ListAllMyBuckets", "*", policy.Allow},
		{"hostile object name with wildcards", allow(`"s3:*"`, `"arn:aws:s3:::bucket/x"`), "s3:GetObject", "arn:aws:s3:::bucket/*", policy.NoMatch},
		{"object name with the marker bytes", allow(`"s3:*"`, `"arn:aws:s3:::bucket/?"`), "s3:GetObject", "arn:aws:s3:::bucket/\xff\xfe", policy.NoMatch},
		{"a question mark is one rune", allow(`"s3:*"`, `"arn:aws:s3:::bucket/?"`), "s3:GetObject", "arn:aws:s3:::bucket/砂", policy.Allow},
		{"NotAction leaves out", one(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`), "iam:GetRole", "*", policy.NoMatch},
		{"NotAction lets the rest", one(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`), "s3:GetObject", object, policy.Allow},
		{"NotAction with a list", one(`"Effect":"Allow","NotAction":["iam:*","s3:*"],"Resource":"*"`), "s3:GetObject", object, policy.NoMatch},
		{"NotResource leaves out", one(`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::bucket/*"`), "s3:GetObject", object, policy.NoMatch},
		{"NotResource lets the rest", one(`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::other/*"`), "s3:GetObject", object, policy.Allow},
		{"deny with NotResource", one(`"Effect":"Deny","Action":"s3:*","NotResource":["arn:aws:s3:::mine","arn:aws:s3:::mine/*"]`), "s3:GetObject", object, policy.Deny},
		{"deny with NotAction", one(`"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"`), "s3:PutObject", object, policy.Deny},
		{"deny with NotAction spares", one(`"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"`), "s3:GetObject", object, policy.NoMatch},
		{"deny before allow", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`, "s3:GetObject", object, policy.Deny},
		{"deny after allow", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}]}`, "s3:GetObject", object, policy.Deny},
		{"deny of something else", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}]}`, "s3:GetObject", object, policy.Allow},
		{"one statement without a list", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "s3:GetObject", object, policy.Allow},
		{"no version", `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "s3:GetObject", object, policy.Allow},
		{"old version", `{"Version":"2008-10-17","Id":"x","Statement":{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "s3:GetObject", object, policy.Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, c.doc, policy.Identity)
			if got, _ := d.Evaluate(&policy.Request{Action: c.action, Resource: c.resource}); got != c.want {
				t.Errorf("decision %d, want %d", got, c.want)
			}
		})
	}
}

type keys = map[string][]string

func TestConditions(t *testing.T) {
	const yes, no = policy.Allow, policy.NoMatch
	for _, c := range []struct {
		name, condition string
		context         keys
		want            policy.Decision
	}{
		{"StringEquals", `"StringEquals":{"aws:x":"a"}`, keys{"aws:x": {"a"}}, yes},
		{"StringEquals differs", `"StringEquals":{"aws:x":"a"}`, keys{"aws:x": {"b"}}, no},
		{"StringEquals is case-sensitive", `"StringEquals":{"aws:x":"a"}`, keys{"aws:x": {"A"}}, no},
		{"StringEquals has no wildcards", `"StringEquals":{"aws:x":"a*"}`, keys{"aws:x": {"ab"}}, no},
		{"StringEquals star is text", `"StringEquals":{"aws:x":"a*"}`, keys{"aws:x": {"a*"}}, yes},
		{"StringEquals any value", `"StringEquals":{"aws:x":["a","b"]}`, keys{"aws:x": {"b"}}, yes},
		{"StringEquals missing key", `"StringEquals":{"aws:x":"a"}`, nil, no},
		{"StringEquals empty value", `"StringEquals":{"aws:x":""}`, keys{"aws:x": {""}}, yes},
		{"keys are not case-sensitive", `"StringEquals":{"AWS:X":"a"}`, keys{"aws:x": {"a"}}, yes},
		{"keys of the request are not case-sensitive", `"StringEquals":{"aws:x":"a"}`, keys{"Aws:X": {"a"}}, yes},
		{"StringEqualsIfExists missing", `"StringEqualsIfExists":{"aws:x":"a"}`, nil, yes},
		{"StringEqualsIfExists differs", `"StringEqualsIfExists":{"aws:x":"a"}`, keys{"aws:x": {"b"}}, no},
		{"StringNotEquals", `"StringNotEquals":{"aws:x":"a"}`, keys{"aws:x": {"b"}}, yes},
		{"StringNotEquals same", `"StringNotEquals":{"aws:x":"a"}`, keys{"aws:x": {"a"}}, no},
		{"StringNotEquals none of several", `"StringNotEquals":{"aws:x":["a","b"]}`, keys{"aws:x": {"b"}}, no},
		{"StringNotEquals missing key", `"StringNotEquals":{"aws:x":"a"}`, nil, yes},
		{"StringEqualsIgnoreCase", `"StringEqualsIgnoreCase":{"aws:x":"aB"}`, keys{"aws:x": {"Ab"}}, yes},
		{"StringNotEqualsIgnoreCase", `"StringNotEqualsIgnoreCase":{"aws:x":"aB"}`, keys{"aws:x": {"Ab"}}, no},
		{"StringLike", `"StringLike":{"aws:x":"a*c"}`, keys{"aws:x": {"abbc"}}, yes},
		{"StringLike question mark", `"StringLike":{"aws:x":"a?c"}`, keys{"aws:x": {"abc"}}, yes},
		{"StringLike too long", `"StringLike":{"aws:x":"a?c"}`, keys{"aws:x": {"abbc"}}, no},
		{"StringLike star needs the key", `"StringLike":{"aws:x":"*"}`, nil, no},
		{"StringNotLike", `"StringNotLike":{"aws:x":"a*"}`, keys{"aws:x": {"b"}}, yes},
		{"StringNotLike same", `"StringNotLike":{"aws:x":"a*"}`, keys{"aws:x": {"abc"}}, no},
		{"StringNotLikeIfExists missing", `"StringNotLikeIfExists":{"aws:x":"a*"}`, nil, yes},
		{"s3:prefix", `"StringLike":{"s3:prefix":["","home/*"]}`, keys{"s3:prefix": {"home/me"}}, yes},
		{"s3:prefix other", `"StringLike":{"s3:prefix":["","home/*"]}`, keys{"s3:prefix": {"other/me"}}, no},

		{"ArnEquals", `"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}`, keys{"aws:SourceArn": {"arn:aws:s3:::b"}}, yes},
		{"ArnEquals has wildcards", `"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::*"}`, keys{"aws:SourceArn": {"arn:aws:s3:::b"}}, yes},
		{"ArnLike", `"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:us-west-2:111122223333:*"}`, keys{"aws:SourceArn": {"arn:aws:bedrock-agentcore:us-west-2:111122223333:code-interpreter-custom/a"}}, yes},
		{"ArnLike other account", `"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:us-west-2:111122223333:*"}`, keys{"aws:SourceArn": {"arn:aws:bedrock-agentcore:us-west-2:444455556666:code-interpreter-custom/a"}}, no},
		{"ArnLike star stays in its field", `"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:topic"}`, keys{"aws:SourceArn": {"arn:aws:sns:us-west-2:111122223333:topic"}}, no},
		{"ArnLike not an ARN", `"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}`, keys{"aws:SourceArn": {"bucket"}}, no},
		{"ArnLike missing", `"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}`, nil, no},
		{"ArnNotEquals", `"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::b"}`, keys{"aws:SourceArn": {"arn:aws:s3:::c"}}, yes},
		{"ArnNotLike", `"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::*"}`, keys{"aws:SourceArn": {"arn:aws:s3:::c"}}, no},
		{"ArnNotLike missing", `"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::*"}`, nil, yes},

		{"NumericEquals", `"NumericEquals":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"10.0"}}, yes},
		{"NumericEquals without quotes", `"NumericEquals":{"s3:max-keys":10}`, keys{"s3:max-keys": {"10"}}, yes},
		{"NumericNotEquals", `"NumericNotEquals":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"11"}}, yes},
		{"NumericNotEquals same", `"NumericNotEquals":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"10"}}, no},
		{"NumericLessThan", `"NumericLessThan":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"9"}}, yes},
		{"NumericLessThan equal", `"NumericLessThan":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"10"}}, no},
		{"NumericLessThanEquals", `"NumericLessThanEquals":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"10"}}, yes},
		{"NumericGreaterThan", `"NumericGreaterThan":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"10.5"}}, yes},
		{"NumericGreaterThan is not by text", `"NumericGreaterThan":{"s3:max-keys":"9"}`, keys{"s3:max-keys": {"10"}}, yes},
		{"NumericGreaterThanEquals", `"NumericGreaterThanEquals":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"9"}}, no},
		{"Numeric not a number", `"NumericLessThan":{"s3:max-keys":"10"}`, keys{"s3:max-keys": {"NaN"}}, no},
		{"Numeric missing", `"NumericLessThan":{"s3:max-keys":"10"}`, nil, no},
		{"Numeric IfExists missing", `"NumericLessThanIfExists":{"s3:max-keys":"10"}`, nil, yes},

		{"DateEquals", `"DateEquals":{"aws:CurrentTime":"2026-01-02T03:04:05Z"}`, keys{"aws:CurrentTime": {"2026-01-02T04:04:05+01:00"}}, yes},
		{"DateNotEquals", `"DateNotEquals":{"aws:CurrentTime":"2026-01-02T03:04:05Z"}`, keys{"aws:CurrentTime": {"2026-01-02T03:04:06Z"}}, yes},
		{"DateLessThan", `"DateLessThan":{"aws:CurrentTime":"2026-01-02"}`, keys{"aws:CurrentTime": {"2026-01-01T23:59:59Z"}}, yes},
		{"DateLessThan equal", `"DateLessThan":{"aws:CurrentTime":"2026-01-02"}`, keys{"aws:CurrentTime": {"2026-01-02T00:00:00Z"}}, no},
		{"DateLessThanEquals", `"DateLessThanEquals":{"aws:CurrentTime":"2026-01-02"}`, keys{"aws:CurrentTime": {"2026-01-02T00:00:00Z"}}, yes},
		{"DateGreaterThan", `"DateGreaterThan":{"aws:CurrentTime":"2026-01-02T00:00:00Z"}`, keys{"aws:CurrentTime": {"2026-01-03T00:00:00Z"}}, yes},
		{"DateGreaterThanEquals", `"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-02T00:00:00Z"}`, keys{"aws:CurrentTime": {"2026-01-01T00:00:00Z"}}, no},
		{"Date as seconds", `"DateGreaterThan":{"aws:EpochTime":"1700000000"}`, keys{"aws:EpochTime": {"1700000001"}}, yes},
		{"Date not a date", `"DateGreaterThan":{"aws:CurrentTime":"2026-01-02"}`, keys{"aws:CurrentTime": {"soon"}}, no},

		{"Bool", `"Bool":{"aws:SecureTransport":"true"}`, keys{"aws:SecureTransport": {"true"}}, yes},
		{"Bool without quotes", `"Bool":{"aws:SecureTransport":true}`, keys{"aws:SecureTransport": {"true"}}, yes},
		{"Bool differs", `"Bool":{"aws:SecureTransport":"false"}`, keys{"aws:SecureTransport": {"true"}}, no},
		{"Bool missing", `"Bool":{"aws:SecureTransport":"false"}`, nil, no},
		{"BoolIfExists missing", `"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}`, nil, yes},
		{"Bool in another case", `"Bool":{"aws:SecureTransport":"True"}`, keys{"aws:SecureTransport": {"true"}}, yes},

		{"BinaryEquals", `"BinaryEquals":{"kms:x":"QmluYXJ5"}`, keys{"kms:x": {"QmluYXJ5"}}, yes},
		{"BinaryEquals differs", `"BinaryEquals":{"kms:x":"QmluYXJ5"}`, keys{"kms:x": {"AAAA"}}, no},

		{"IpAddress", `"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys{"aws:SourceIp": {"203.0.113.7"}}, yes},
		{"IpAddress outside", `"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys{"aws:SourceIp": {"203.0.114.7"}}, no},
		{"IpAddress exact", `"IpAddress":{"aws:SourceIp":"203.0.113.7"}`, keys{"aws:SourceIp": {"203.0.113.7"}}, yes},
		{"IpAddress mapped into IPv6", `"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys{"aws:SourceIp": {"::ffff:203.0.113.7"}}, yes},
		{"IpAddress IPv6", `"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`, keys{"aws:SourceIp": {"2001:db8::1"}}, yes},
		{"IpAddress any of several", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}`, keys{"aws:SourceIp": {"10.1.2.3"}}, yes},
		{"IpAddress missing", `"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, nil, no},
		{"IpAddress not an address", `"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, keys{"aws:SourceIp": {"localhost"}}, no},
		{"NotIpAddress", `"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys{"aws:SourceIp": {"203.0.114.7"}}, yes},
		{"NotIpAddress inside", `"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, keys{"aws:SourceIp": {"203.0.113.7"}}, no},
		{"NotIpAddress missing", `"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, nil, yes},

		{"Null true, missing", `"Null":{"sts:ExternalId":"true"}`, nil, yes},
		{"Null true, there", `"Null":{"sts:ExternalId":"true"}`, keys{"sts:ExternalId": {"a"}}, no},
		{"Null false, missing", `"Null":{"sts:ExternalId":"false"}`, nil, no},
		{"Null false, there", `"Null":{"sts:ExternalId":false}`, keys{"sts:ExternalId": {"a"}}, yes},

		{"ForAllValues all", `"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`, keys{"aws:TagKeys": {"a", "b"}}, yes},
		{"ForAllValues some", `"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`, keys{"aws:TagKeys": {"a", "c"}}, no},
		{"ForAllValues missing", `"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`, nil, yes},
		{"ForAllValues empty", `"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`, keys{"aws:TagKeys": {}}, yes},
		{"ForAllValues and Null", `"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}`, nil, no},
		{"ForAllValues NotEquals", `"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}`, keys{"aws:TagKeys": {"b", "c"}}, yes},
		{"ForAllValues NotEquals one", `"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}`, keys{"aws:TagKeys": {"b", "a"}}, no},
		{"ForAnyValue one", `"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}`, keys{"aws:TagKeys": {"c", "b"}}, yes},
		{"ForAnyValue none", `"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}`, keys{"aws:TagKeys": {"c", "d"}}, no},
		{"ForAnyValue missing", `"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`, nil, no},
		{"ForAnyValue NotEquals", `"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}`, keys{"aws:TagKeys": {"a", "b"}}, yes},
		{"ForAnyValue StringLike", `"ForAnyValue:StringLike":{"aws:TagKeys":"team-*"}`, keys{"aws:TagKeys": {"x", "team-1"}}, yes},
		{"ForAnyValue IfExists missing", `"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":"team-*"}`, nil, yes},

		{"operators are all needed", `"StringEquals":{"aws:x":"a"},"Bool":{"aws:y":"true"}`, keys{"aws:x": {"a"}, "aws:y": {"false"}}, no},
		{"keys are all needed", `"StringEquals":{"aws:x":"a","aws:y":"b"}`, keys{"aws:x": {"a"}}, no},
		{"both hold", `"StringEquals":{"aws:x":"a","aws:y":"b"}`, keys{"aws:x": {"a"}, "aws:y": {"b"}}, yes},
		{"several values of a single operator", `"StringEquals":{"aws:x":"a"}`, keys{"aws:x": {"b", "a"}}, yes},
		{"no values match nothing", `"StringEquals":{"aws:x":[]}`, keys{"aws:x": {"a"}}, no},

		{"variable", `"StringEquals":{"aws:x":"${aws:username}"}`, keys{"aws:x": {"ann"}, "aws:username": {"ann"}}, yes},
		{"variable missing", `"StringEquals":{"aws:x":"${aws:username}"}`, keys{"aws:x": {""}}, no},
		{"variable missing, negated", `"StringNotEquals":{"aws:x":"${aws:username}"}`, keys{"aws:x": {"b"}}, yes},
		{"variable with several values", `"StringEquals":{"aws:x":"${aws:TagKeys}"}`, keys{"aws:x": {"a"}, "aws:TagKeys": {"a", "b"}}, no},
		{"variable's default", `"StringEquals":{"aws:x":"${aws:PrincipalTag/team, 'all'}"}`, keys{"aws:x": {"all"}}, yes},
		{"variable before its default", `"StringEquals":{"aws:x":"${aws:PrincipalTag/team, 'all'}"}`, keys{"aws:x": {"red"}, "aws:PrincipalTag/team": {"red"}}, yes},
		{"variable in the middle", `"StringLike":{"s3:prefix":"home/${aws:username}/*"}`, keys{"s3:prefix": {"home/ann/x"}, "aws:username": {"ann"}}, yes},
		{"a star in a variable is text", `"StringLike":{"s3:prefix":"home/${aws:username}/x"}`, keys{"s3:prefix": {"home/bob/x"}, "aws:username": {"*"}}, no},
		{"marker bytes in a variable are refused", `"StringLike":{"s3:prefix":"home/${aws:username}/x"}`, keys{"s3:prefix": {"home/bob/x"}, "aws:username": {"\xff"}}, no},
		{"escaped star", `"StringLike":{"aws:x":"a${*}"}`, keys{"aws:x": {"ab"}}, no},
		{"escaped star is a star", `"StringLike":{"aws:x":"a${*}${?}${$}"}`, keys{"aws:x": {"a*?$"}}, yes},
		{"variable in an ARN", `"ArnLike":{"aws:SourceArn":"arn:aws:sns:us-west-2:${aws:PrincipalAccount}:*"}`, keys{"aws:SourceArn": {"arn:aws:sns:us-west-2:111122223333:t"}, "aws:PrincipalAccount": {"111122223333"}}, yes},
		{"variable in a number", `"NumericLessThan":{"s3:max-keys":"${aws:PrincipalTag/max}"}`, keys{"s3:max-keys": {"5"}, "aws:PrincipalTag/max": {"6"}}, yes},
		{"an open variable is text", `"StringEquals":{"aws:x":"${aws:username"}`, keys{"aws:x": {"${aws:username"}, "aws:username": {"ann"}}, yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, one(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+c.condition+`}`), policy.Identity)
			got, _ := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: object, Context: policy.NewContext(c.context)})
			if got != c.want {
				t.Errorf("decision %d, want %d", got, c.want)
			}
		})
	}
}

func TestVariablesInResources(t *testing.T) {
	d := parse(t, one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home-${aws:PrincipalTag/Team}/${aws:username}/*"`), policy.Identity)
	old := parse(t, strings.Replace(one(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"`), "2012", "2008", 1), policy.Identity)
	ctx := policy.NewContext(keys{"aws:PrincipalTag/team": {"red"}, "aws:username": {"ann"}})
	for resource, want := range map[string]policy.Decision{
		"arn:aws:s3:::home-red/ann/x":  policy.Allow,
		"arn:aws:s3:::home-red/bob/x":  policy.NoMatch,
		"arn:aws:s3:::home-blue/ann/x": policy.NoMatch,
		"arn:aws:s3:::home-red/ann":    policy.NoMatch,
	} {
		if got, _ := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: resource, Context: ctx}); got != want {
			t.Errorf("%s: %d", resource, got)
		}
	}
	if got, _ := old.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::home/ann/x", Context: ctx}); got != policy.NoMatch {
		t.Error("the version 2008-10-17 has no variables")
	}
	if got, _ := old.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::home/${aws:username}/x", Context: ctx}); got != policy.Allow {
		t.Error("in the version 2008-10-17 they are text")
	}
}

// A pattern of many stars must not take exponential time: the test would not end.
func TestAttackPatternOfManyStars(t *testing.T) {
	d := parse(t, one(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::`+strings.Repeat("*a", 2000)+`b"`), policy.Identity)
	if got, _ := d.Evaluate(&policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + strings.Repeat("a", 4000)}); got != policy.NoMatch {
		t.Error(got)
	}
}

func TestSetTime(t *testing.T) {
	c := policy.NewContext(nil)
	c.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)))
	if c["aws:currenttime"][0] != "2026-01-02T02:04:05Z" || c["aws:epochtime"][0] != "1767319445" {
		t.Error(c)
	}
}
