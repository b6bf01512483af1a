package parameters

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// validLabel has what labels are made of; they begin neither with a number nor with aws or ssm. Source: API reference of LabelParameterVersion.
var validLabel = regexp.MustCompile(`\A[a-zA-Z_.-][a-zA-Z0-9_.-]{0,99}\z`)

func reservedLabel(label string) bool {
	lower := strings.ToLower(label)
	return strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "ssm")
}

func (p *Parameter) labelled(label string) *Version {
	for i := range p.Versions {
		if slices.Contains(p.Versions[i].Labels, label) {
			return &p.Versions[i]
		}
	}
	return nil
}

// Label attaches labels to a version (0 is the latest) and takes them from the versions that have them. It returns the version, and the labels that cannot be one, which are left out.
func (s *Service) Label(ctx context.Context, r Reference, number int64, labels []string) (version int64, invalid []string, err error) {
	err = s.change(ctx, r, func(p *Parameter) error {
		v := p.Last()
		if number != 0 {
			v = p.version(number)
		}
		if v == nil {
			return noVersion(number, p.Name)
		}
		version, invalid = v.Number, nil
		for _, label := range labels {
			if !validLabel.MatchString(label) || reservedLabel(label) {
				invalid = append(invalid, label)
				continue
			}
			if has := p.labelled(label); has == v {
				continue
			} else if has != nil {
				has.Labels = slices.DeleteFunc(slices.Clone(has.Labels), func(l string) bool { return l == label })
			}
			v.Labels = append(slices.Clone(v.Labels), label)
		}
		if len(v.Labels) > MaxLabels {
			return fault.New(LabelLimitExceeded, "An error occurred (ParameterVersionLabelLimitExceeded) when calling the LabelParameterVersion operation: "+
				"A parameter version can have maximum %d labels.Move one or more labels to another version and try again.", MaxLabels)
		}
		return nil
	})
	return version, invalid, err
}

// Unlabel takes labels from a version. It returns those that it took, and those that the version did not have.
func (s *Service) Unlabel(ctx context.Context, r Reference, number int64, labels []string) (removed, invalid []string, err error) {
	err = s.change(ctx, r, func(p *Parameter) error {
		v := p.version(number)
		if v == nil {
			return noVersion(number, p.Name)
		}
		removed, invalid = nil, nil
		for _, label := range labels {
			i := slices.Index(v.Labels, label)
			if i < 0 {
				invalid = append(invalid, label)
				continue
			}
			v.Labels = slices.Delete(slices.Clone(v.Labels), i, i+1)
			removed = append(removed, label)
		}
		return nil
	})
	return removed, invalid, err
}

// change changes a parameter that exists.
func (s *Service) change(ctx context.Context, r Reference, f func(*Parameter) error) error {
	p, err := s.Parameter(ctx, r)
	if err != nil {
		return err
	}
	_, err = s.o.Store.ChangeParameter(ctx, p.Scope, p.Name, MaxParameters, func(p *Parameter) error {
		if len(p.Versions) == 0 { // deleted since
			return notFound(p.Name)
		}
		return f(p)
	})
	return err
}

// Tag adds tags, or gives existing ones new values.
func (s *Service) Tag(ctx context.Context, r Reference, tags map[string]string) error {
	err := s.change(ctx, r, func(p *Parameter) error {
		if p.Tags == nil {
			p.Tags = map[string]string{}
		}
		maps.Copy(p.Tags, tags)
		return checkTags(p.Tags)
	})
	return taggable(err)
}

// Untag removes tags; those that are not there are no error.
func (s *Service) Untag(ctx context.Context, r Reference, keys []string) error {
	err := s.change(ctx, r, func(p *Parameter) error {
		for _, k := range keys {
			delete(p.Tags, k)
		}
		return nil
	})
	return taggable(err)
}

// Tags returns a parameter's tags.
func (s *Service) Tags(ctx context.Context, r Reference) (map[string]string, error) {
	p, err := s.Parameter(ctx, r)
	return p.Tags, taggable(err)
}

// taggable gives a parameter that is not there the exception that the operations about tags have.
func taggable(err error) error {
	if fault.Is(err, NotFound) {
		return fault.New(InvalidResourceID, "Invalid Resource Id: there is no such parameter.").With(err)
	}
	return err
}

func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fault.New(TooManyTags, "The parameter would have %d tags, and can have at most %d.", len(tags), MaxTags)
	}
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.New(fault.Validation, "Tag keys that begin with aws: are reserved for AWS.")
		}
	}
	return nil
}
