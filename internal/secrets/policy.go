package secrets

import (
	"context"
	"encoding/json"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// PutPolicy attaches a resource policy, whose form the caller has checked. With block, one that lets everyone in is PublicPolicy.
func (s *Service) PutPolicy(ctx context.Context, scope Scope, id, document string, block bool) (Secret, error) {
	if block && public(document) {
		return Secret{}, fault.New(PublicPolicy, "The resource policy lets everyone use the secret, and BlockPublicPolicy is set.")
	}
	return s.setPolicy(ctx, scope, id, document)
}

// DeletePolicy takes the resource policy away; without one nothing changes.
func (s *Service) DeletePolicy(ctx context.Context, scope Scope, id string) (Secret, error) {
	return s.setPolicy(ctx, scope, id, "")
}

func (s *Service) setPolicy(ctx context.Context, scope Scope, id, document string) (Secret, error) {
	return s.change(ctx, scope, id, func(x *Secret, _ func(string) ([]byte, error)) error {
		x.Policy = document
		return nil
	})
}

// public says that a statement allows any principal without a condition. A text that is not a policy is not public: it allows nobody.
func public(document string) bool {
	var p struct {
		Statement json.RawMessage
	}
	if json.Unmarshal([]byte(document), &p) != nil {
		return false
	}
	type statement struct {
		Effect    string
		Principal json.RawMessage
		Condition map[string]json.RawMessage
	}
	var all []statement
	if json.Unmarshal(p.Statement, &all) != nil {
		var one statement
		if json.Unmarshal(p.Statement, &one) != nil {
			return false
		}
		all = []statement{one}
	}
	for _, st := range all {
		if st.Effect == "Allow" && len(st.Condition) == 0 && everyone(st.Principal) {
			return true
		}
	}
	return false
}

// everyone says that a Principal element is "*", {"AWS": "*"} or {"AWS": [..., "*"]}.
func everyone(principal json.RawMessage) bool {
	var text string
	if json.Unmarshal(principal, &text) == nil {
		return text == "*"
	}
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return false
	}
	for _, raw := range kinds {
		var list []string
		if json.Unmarshal(raw, &list) != nil {
			list = []string{""}
			if json.Unmarshal(raw, &list[0]) != nil {
				continue
			}
		}
		for _, p := range list {
			if p == "*" {
				return true
			}
		}
	}
	return false
}
