package secrets

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// FilterKey is what a filter looks at.
type FilterKey string

// The keys of filters. Source: API reference, Filter.
const (
	ByDescription   FilterKey = "description"
	ByName          FilterKey = "name"
	ByTagKey        FilterKey = "tag-key"
	ByTagValue      FilterKey = "tag-value"
	ByPrimaryRegion FilterKey = "primary-region"
	ByOwningService FilterKey = "owning-service"
	ByAll           FilterKey = "all"
)

// Filter keeps secrets that match one of its values. Values begin what they are compared with; one with a "!" before it keeps secrets that do not match.
type Filter struct {
	Key    FilterKey
	Values []string
}

// Sort is the order of a list.
type Sort string

// The orders. Source: the botocore model.
const (
	ByCreated  Sort = "created-date"
	ByAccessed Sort = "last-accessed-date"
	ByChanged  Sort = "last-changed-date"
	ByTheName  Sort = "name"
)

// List is what ListSecrets takes.
type List struct {
	Filters   []Filter
	Deleted   bool // also those that are marked for deletion
	Sort      Sort // "" is ByCreated
	Ascending bool
	Limit     int
	Token     string
}

// List returns a page of secrets, and the token of the next page ("" if there is none).
func (s *Service) List(ctx context.Context, scope Scope, l List) (page []Secret, next string, err error) {
	all, err := s.o.Store.Secrets(ctx, scope)
	if err != nil {
		return nil, "", err
	}
	all = slices.DeleteFunc(all, func(x Secret) bool {
		return s.purged(&x) || !l.Deleted && !x.DeletedAt.IsZero() || !matches(&x, l.Filters)
	})
	return cut(all, l.Limit, l.Token, !l.Ascending, func(x *Secret) string { return l.Sort.key(x) })
}

// Versions returns a page of a secret's versions, the oldest first: those with stages, or with deprecated all.
func (s *Service) Versions(ctx context.Context, scope Scope, id string, deprecated bool, limit int, token string) (x Secret, page []Version, next string, err error) {
	if x, err = s.Secret(ctx, scope, id); err != nil {
		return x, nil, "", err
	}
	all := slices.DeleteFunc(slices.Clone(x.Versions), func(v Version) bool { return !deprecated && len(v.Stages) == 0 })
	page, next, err = cut(all, limit, token, false, func(v *Version) string { return stamp(v.CreatedAt) + v.ID })
	return x, page, next, err
}

// key orders secrets: as text, and never the same for two of one account and region.
func (o Sort) key(x *Secret) string {
	switch o {
	case ByTheName:
		return x.Name
	case ByAccessed:
		return stamp(x.AccessedAt) + x.Name
	case ByChanged:
		return stamp(x.ChangedAt) + x.Name
	}
	return stamp(x.CreatedAt) + x.Name
}

func stamp(t time.Time) string { return fmt.Sprintf("%020d", max(0, t.UnixMicro())) }

// cut sorts items and returns the page after a token, which is the key of the last item of the page before.
func cut[T any](all []T, limit int, token string, descending bool, key func(*T) string) (page []T, next string, err error) {
	order := func(a, b string) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}
	slices.SortFunc(all, func(a, b T) int { return order(key(&a), key(&b)) })
	if token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", fault.New(InvalidNextToken, "The NextToken is not one of this list.")
		}
		i := slices.IndexFunc(all, func(x T) bool { return order(key(&x), string(after)) > 0 })
		if i < 0 {
			return nil, "", nil
		}
		all = all[i:]
	}
	if len(all) <= limit {
		return all, "", nil
	}
	return all[:limit], base64.RawURLEncoding.EncodeToString([]byte(key(&all[limit-1]))), nil
}

func matches(x *Secret, filters []Filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(v string) bool {
			if without, negated := strings.CutPrefix(v, "!"); negated {
				return !f.Key.matches(x, without)
			}
			return f.Key.matches(x, v)
		}) {
			return false
		}
	}
	return true
}

func (k FilterKey) matches(x *Secret, value string) bool {
	begins := func(s string) bool { return strings.HasPrefix(s, value) }
	switch k {
	case ByName:
		return begins(x.Name)
	case ByDescription:
		return words(value).allBegin(words(x.Description))
	case ByTagKey:
		for key := range x.Tags {
			if begins(key) {
				return true
			}
		}
		return false
	case ByTagValue:
		for _, v := range x.Tags {
			if begins(v) {
				return true
			}
		}
		return false
	case ByPrimaryRegion:
		return begins(x.Region)
	case ByAll:
		text := []string{x.Name, x.Description}
		for key, v := range x.Tags {
			text = append(text, key, v)
		}
		return words(value).allBegin(words(strings.Join(text, " ")))
	}
	return value == "" // no secret here is owned by a service
}

type wordList []string

// words are the parts of a text between what is neither letter nor digit, in lower case.
func words(text string) wordList {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// allBegin says that each word begins a word of a text.
func (w wordList) allBegin(text wordList) bool {
	return !slices.ContainsFunc(w, func(word string) bool {
		return !slices.ContainsFunc(text, func(have string) bool { return strings.HasPrefix(have, word) })
	})
}
