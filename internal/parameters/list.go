package parameters

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Page is which part of a list is asked for.
type Page struct {
	Limit int
	Token string
}

func (p Page) after() (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Token)
	if err != nil {
		return "", fault.New(InvalidNextToken, "The NextToken is not one of this list.")
	}
	return string(b), nil
}

func token(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// ByPath is what GetParametersByPath takes.
type ByPath struct {
	Scope
	Path      string
	Recursive bool // also what is below the next level
	Filters   []Filter
	Decrypt   bool
	Page      Page
}

// ByPath returns the parameters below a path, in the order of their names. With a filter by label it is the labelled versions.
func (s *Service) ByPath(ctx context.Context, in ByPath) (page []Found, next string, err error) {
	prefix, err := checkPath(in.Path)
	if err != nil {
		return nil, "", err
	}
	if err := checkFilters(in.Filters, byPathKeys); err != nil {
		return nil, "", err
	}
	labels := labelsOf(in.Filters)
	err = s.page(ctx, in.Scope, below(prefix), in.Page, len(labels) > 0, &next, func(p Parameter) (bool, error) {
		if !in.Recursive && !oneLevel(p.Name, prefix) {
			return false, nil
		}
		v, selector := p.Last(), ""
		if len(labels) > 0 {
			v = nil
			for _, l := range labels {
				if has := p.labelled(l); v == nil && has != nil {
					v, selector = has, ":"+l
				}
			}
		}
		if v == nil || !matches(&p, v, in.Filters) {
			return false, nil
		}
		f, err := s.found(p, *v, selector, in.Decrypt)
		page = append(page, f)
		return true, err
	})
	return page, next, err
}

// below is the prefix of the names below a path. Names without a slash are below the root too.
func below(prefix string) string {
	if prefix == "/" {
		return ""
	}
	return prefix
}

// oneLevel says that a name is right below a path, not deeper.
func oneLevel(name, prefix string) bool {
	if prefix == "/" {
		name = strings.TrimPrefix(name, "/")
	} else {
		name = strings.TrimPrefix(name, prefix)
	}
	return !strings.Contains(name, "/")
}

// Describe returns parameters that match all filters, in the order of their names, with their latest version.
func (s *Service) Describe(ctx context.Context, scope Scope, filters []Filter, p Page) (page []Parameter, next string, err error) {
	if err := checkFilters(filters, describeKeys); err != nil {
		return nil, "", err
	}
	err = s.page(ctx, scope, "", p, false, &next, func(x Parameter) (bool, error) {
		if !matches(&x, x.Last(), filters) {
			return false, nil
		}
		page = append(page, x)
		return true, nil
	})
	return page, next, err
}

// page walks over parameters until a page is full; take says whether one is on it. next is set when there is one more that would be.
func (s *Service) page(ctx context.Context, scope Scope, prefix string, p Page, versions bool, next *string, take func(Parameter) (bool, error)) error {
	after, err := p.after()
	if err != nil {
		return err
	}
	var taken int
	var last string
	var failed error
	err = s.o.Store.Parameters(ctx, scope, prefix, after, versions, func(x Parameter) bool {
		if taken == p.Limit {
			*next = token(last)
			return false
		}
		on, err := take(x)
		if err != nil {
			failed = err
			return false
		}
		if on {
			taken, last = taken+1, x.Name
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

// History returns a page of a parameter's versions, the oldest first.
func (s *Service) History(ctx context.Context, r Reference, decrypt bool, p Page) (page []Found, next string, err error) {
	after, err := p.after()
	if err != nil {
		return nil, "", err
	}
	var from int64
	if after != "" {
		if from, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", fault.New(InvalidNextToken, "The NextToken is not one of this list.")
		}
	}
	x, err := s.Parameter(ctx, r)
	if err != nil {
		return nil, "", err
	}
	for _, v := range x.Versions {
		if v.Number <= from {
			continue
		}
		if len(page) == p.Limit {
			return page, token(strconv.FormatInt(page[len(page)-1].Version.Number, 10)), nil
		}
		f, err := s.found(x, v, "", decrypt)
		if err != nil {
			return nil, "", err
		}
		page = append(page, f)
	}
	return page, "", nil
}
