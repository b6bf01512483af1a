package parameters

import (
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Filter keeps parameters that match one of its values. Source of keys and options: API reference, ParameterStringFilter.
type Filter struct {
	Key    string // Name, Type, KeyId, Path, Label, Tier, DataType or tag:KEY
	Option string // Equals, BeginsWith, Contains; for Path Recursive, OneLevel; "" is the key's default
	Values []string
}

// The keys that an operation takes.
var (
	byPathKeys   = []string{"Type", "KeyId", "Label"}
	describeKeys = []string{"Path", "Name", "Type", "KeyId", "Tier", "DataType"}
)

// enums are the keys that have a fixed set of values.
var enums = map[string][]string{
	"Type": {string(String), string(StringList), string(SecureString)},
	"Tier": {string(Standard), string(Advanced), string(Intelligent)},
}

// options are what a key can be compared by; the first is the default.
func options(key string) []string {
	switch key {
	case "Path":
		return []string{"OneLevel", "Recursive"}
	case "Name":
		return []string{"Equals", "BeginsWith", "Contains"}
	case "Label":
		return []string{"Equals"}
	}
	if strings.HasPrefix(key, "tag:") {
		return []string{"Equals"}
	}
	return []string{"Equals", "BeginsWith"}
}

// checkFilters refuses filters with the messages of the service, and fills in options.
func checkFilters(filters []Filter, keys []string) error {
	seen := map[string]bool{}
	for i := range filters {
		f := &filters[i]
		isTag := strings.HasPrefix(f.Key, "tag:") && slices.Contains(keys, "Name") // tags are for DescribeParameters only
		if !isTag && !slices.Contains(keys, f.Key) {
			return fault.New(InvalidFilterKey, "The following filter key is not valid: %s. Valid filter keys include: [%s].", clip(f.Key), strings.Join(keys, ", "))
		}
		if seen[f.Key] {
			return fault.New(InvalidFilterKey, "The following filter is duplicated in the request: %s. A request can contain only one occurrence of a specific filter.", clip(f.Key))
		}
		seen[f.Key] = true
		allowed := options(f.Key)
		if f.Option == "" {
			f.Option = allowed[0]
		}
		if !slices.Contains(allowed, f.Option) {
			return fault.New(InvalidFilterOption, "The following filter option is not valid: %s. Valid options include: [%s].", clip(f.Option), strings.Join(allowed, ", "))
		}
		if len(f.Values) == 0 && !isTag { // a tag without values is a tag with any
			return fault.New(InvalidFilterValue, "The following filter values are missing : null for filter key %s", clip(f.Key))
		}
		for _, v := range f.Values {
			if enum, ok := enums[f.Key]; ok && f.Option == "Equals" && !slices.Contains(enum, v) {
				return fault.New(InvalidFilterValue, "The following filter value is not valid: %s. Valid values include: [%s].", clip(v), strings.Join(enum, ", "))
			}
			if f.Key == "Path" {
				if _, err := checkPath(v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func labelsOf(filters []Filter) []string {
	for _, f := range filters {
		if f.Key == "Label" {
			return f.Values
		}
	}
	return nil
}

func matches(p *Parameter, v *Version, filters []Filter) bool {
	for i := range filters {
		if !filters[i].matches(p, v) {
			return false
		}
	}
	return true
}

func (f *Filter) matches(p *Parameter, v *Version) bool {
	if key, ok := strings.CutPrefix(f.Key, "tag:"); ok {
		value, has := p.Tags[key]
		return has && (len(f.Values) == 0 || slices.Contains(f.Values, value))
	}
	have := map[string]string{"Name": p.Name, "Type": string(v.Type), "KeyId": v.KeyID, "Tier": string(v.Tier), "DataType": v.DataType}[f.Key]
	return slices.ContainsFunc(f.Values, func(want string) bool {
		switch {
		case f.Key == "Label":
			return slices.Contains(v.Labels, want)
		case f.Key == "Path":
			prefix := want
			if !strings.HasSuffix(prefix, "/") {
				prefix += "/"
			}
			return strings.HasPrefix(p.Name, below(prefix)) && (f.Option == "Recursive" || oneLevel(p.Name, prefix))
		case f.Option == "BeginsWith":
			// A prefix without a slash finds names with one too.
			return strings.HasPrefix(have, want) || f.Key == "Name" && strings.HasPrefix(strings.TrimPrefix(have, "/"), want)
		case f.Option == "Contains":
			return strings.Contains(have, want)
		}
		return have == want
	})
}
