package s3

import (
	"encoding/json"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// checkTargets refuses a bucket policy with statements that can never be about the bucket, as AWS does: a resource of another bucket, or an action of another
// service. The authority knows what a policy is; which bucket it is put on is known here. A document that cannot be read is the authority's to refuse.
func checkTargets(bucket, policy string) error {
	var document struct{ Statement oneOrMany[statement] }
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		return nil
	}
	for _, s := range document.Statement {
		for _, r := range s.Resource {
			if !aboutBucket(bucket, r) {
				return fault.New(codeMalformedPolicy, "Policy has invalid resource")
			}
		}
		for _, a := range s.Action {
			if service, _, _ := strings.Cut(a, ":"); a != "*" && !strings.EqualFold(service, "s3") {
				return fault.New(codeMalformedPolicy, "Policy has invalid action")
			}
		}
	}
	return nil
}

// aboutBucket says whether a resource of a policy, with wildcards and variables, can be the bucket or something in it.
func aboutBucket(bucket, resource string) bool {
	if resource == "*" {
		return true
	}
	fields := strings.SplitN(resource, ":", 6)
	if len(fields) < 6 || fields[2] != "s3" {
		return false
	}
	pattern, _, _ := strings.Cut(fields[5], "/")
	return strings.Contains(pattern, "${") || matches(pattern, bucket)
}

// matches compares a name with a pattern of * and ?.
func matches(pattern, name string) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // the last star takes one more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// isPublic says whether a bucket policy lets everyone in: an Allow for the principal *, without a condition that names fixed values of where requests come from.
// Source: Amazon S3 user guide, "The meaning of public". A policy that cannot be read counts as public: it can only be refused for it.
func isPublic(policy string) bool {
	if policy == "" {
		return false
	}
	var document struct{ Statement oneOrMany[statement] }
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		return true
	}
	for _, s := range document.Statement {
		if s.Effect == "Allow" && (s.NotPrincipal != nil || s.everyone()) && !s.narrowed() {
			return true
		}
	}
	return false
}

type statement struct {
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       oneOrMany[string]
	Resource     oneOrMany[string]
	Condition    map[string]map[string]oneOrMany[any]
}

func (s statement) everyone() bool {
	var name string
	if json.Unmarshal(s.Principal, &name) == nil {
		return name == "*"
	}
	var kinds map[string]oneOrMany[string]
	if json.Unmarshal(s.Principal, &kinds) != nil {
		return true
	}
	for _, names := range kinds {
		for _, n := range names {
			if n == "*" {
				return true
			}
		}
	}
	return false
}

// narrowing are the condition keys whose fixed values make a statement for everyone one for some.
var narrowing = map[string]bool{"aws:sourcearn": true, "aws:sourceaccount": true, "aws:sourceip": true, "aws:sourcevpc": true, "aws:sourcevpce": true,
	"aws:sourceowner": true, "aws:userid": true, "aws:principalorgid": true, "aws:principalorgpaths": true, "aws:principalarn": true,
	"aws:principalaccount": true, "aws:principaltag": true, "s3:x-amz-server-side-encryption-aws-kms-key-id": true, "s3:dataaccesspointarn": true,
	"s3:dataaccesspointaccount": true}

func (s statement) narrowed() bool {
	for operator, keys := range s.Condition {
		lower := strings.ToLower(operator)
		if strings.Contains(lower, "not") || strings.HasSuffix(lower, "ifexists") || lower == "null" {
			continue
		}
		for key, values := range keys {
			name, _, _ := strings.Cut(strings.ToLower(key), "/")
			if narrowing[name] && fixed(values) {
				return true
			}
		}
	}
	return false
}

func fixed(values []any) bool {
	for _, v := range values {
		s, ok := v.(string)
		if !ok || strings.Trim(s, "*?:") == "" || strings.Contains(s, "${") || s == "0.0.0.0/0" || s == "::/0" {
			return false
		}
	}
	return len(values) > 0
}

// oneOrMany is a list that may be written as its only element.
type oneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	var many []T
	if err := json.Unmarshal(data, &many); err == nil {
		*l = many
		return nil
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = oneOrMany[T]{one}
	return nil
}
