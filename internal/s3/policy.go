package s3

import (
	"encoding/json"
	"strings"
)

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
