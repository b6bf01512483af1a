package agentruntime

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// maxTags is how many tags a resource may have.
const maxTags = 50

// tagged is a resource that has tags.
type tagged struct {
	runtime, endpoint string
	workload          string
}

// IsTaggable reports whether an ARN is of a kind of resource that this package has.
func IsTaggable(resource string) bool {
	a, err := arn.Parse(resource)
	return err == nil && (strings.HasPrefix(a.Resource, "runtime/") || strings.HasPrefix(a.Resource, "workload-identity-directory/"))
}

// taggable takes an ARN apart.
func taggable(scope Scope, resource string) (t tagged, err error) {
	a, err := arn.Parse(resource)
	if err != nil {
		return t, fault.Invalid("resourceArn", "Member must be the ARN of a taggable resource")
	}
	p := strings.Split(a.Resource, "/")
	switch {
	case a.Service != service || a.Region != scope.Region || a.AccountID != scope.Account:
	case len(p) == 2 && p[0] == "runtime":
		return tagged{runtime: p[1]}, nil
	case len(p) == 4 && p[0] == "runtime" && p[2] == "runtime-endpoint":
		return tagged{runtime: p[1], endpoint: p[3]}, nil
	case len(p) == 4 && p[0] == "workload-identity-directory" && p[1] == "default" && p[2] == "workload-identity":
		return tagged{workload: p[3]}, nil
	}
	return t, NotFound("resource", resource)
}

// Tags returns the tags of the runtime, endpoint or workload identity with an ARN.
func (s *Service) Tags(ctx context.Context, scope Scope, resource string) (map[string]string, error) {
	t, err := taggable(scope, resource)
	if err != nil {
		return nil, err
	}
	switch {
	case t.workload != "":
		w, err := s.o.Store.Workload(ctx, scope, t.workload)
		return w.Tags, err
	case t.endpoint != "":
		e, err := s.o.Store.Endpoint(ctx, scope, t.runtime, t.endpoint)
		return e.Tags, err
	}
	r, err := s.o.Store.Runtime(ctx, scope, t.runtime, 0)
	return r.Tags, err
}

// Tag adds tags to the resource with an ARN, or replaces the values of those it has.
func (s *Service) Tag(ctx context.Context, scope Scope, resource string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.changeTags(ctx, scope, resource, func(have map[string]string) error {
		maps.Copy(have, tags)
		if len(have) > maxTags {
			return fault.New(fault.ServiceQuota, "A resource can have %d tags at most.", maxTags)
		}
		return nil
	})
}

// Untag removes tags from the resource with an ARN; keys that it does not have are ignored.
func (s *Service) Untag(ctx context.Context, scope Scope, resource string, keys []string) error {
	return s.changeTags(ctx, scope, resource, func(have map[string]string) error {
		for _, k := range keys {
			delete(have, k)
		}
		return nil
	})
}

func (s *Service) changeTags(ctx context.Context, scope Scope, resource string, change func(map[string]string) error) error {
	t, err := taggable(scope, resource)
	if err != nil {
		return err
	}
	switch {
	case t.workload != "":
		_, err = s.o.Store.ChangeWorkload(ctx, scope, t.workload, func(w *Workload) error {
			w.Tags, w.UpdatedAt = orEmpty(w.Tags), time.Now().UTC()
			return change(w.Tags)
		})
		return err
	case t.endpoint != "":
		_, err = s.o.Store.ChangeEndpoint(ctx, scope, t.runtime, t.endpoint, func(e *Endpoint) error {
			e.Tags = orEmpty(e.Tags)
			return change(e.Tags)
		})
		return err
	}
	r, err := s.o.Store.Runtime(ctx, scope, t.runtime, 0)
	if err != nil {
		return err
	}
	return s.o.Store.ChangeRuntimeTags(ctx, scope, t.runtime, func(tags map[string]string) error {
		if err := change(tags); err != nil || s.o.CheckNetwork == nil {
			return err
		}
		r.Tags = tags
		return s.o.CheckNetwork(r)
	})
}

func orEmpty(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// checkTags refuses the keys that AWS keeps for itself.
func checkTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.Invalid("tags", "the key %q begins with aws:, which is reserved", k)
		}
	}
	return nil
}
