package egress

import (
	"fmt"
	"slices"
	"strings"
)

// MaxNames is how many entries a list may have.
const MaxNames = 200

const (
	maxName  = 253
	maxLabel = 63
)

// Names is a list of the names that a session may connect to. The zero value, and only it, allows every name; an empty list that was parsed allows none.
type Names struct {
	listed   bool
	exact    []string
	suffixes []string // with their leading dot
}

// ParseNames reads a list such as "index.example, *.wheels.example". An entry is a name, or "*." or "." and a name, which is every name below that one but not the name itself.
// "*" alone lets every name pass; "none" alone lets none.
func ParseNames(text string) (Names, error) {
	entries := fields(text)
	n := NoNames()
	if len(entries) == 1 && entries[0] == "*" {
		return Names{}, nil
	}
	if len(entries) == 1 && strings.EqualFold(entries[0], "none") {
		return n, nil
	}
	if len(entries) == 0 {
		return Names{}, fmt.Errorf("the list of names is empty: write \"none\" to allow no connections, or \"*\" to allow all")
	}
	if len(entries) > MaxNames {
		return Names{}, fmt.Errorf("the list has %d names; %d are allowed", len(entries), MaxNames)
	}
	for _, e := range entries {
		name, below := strings.CutPrefix(e, "*.")
		if !below { // as tags must have it, whose values have no asterisk
			name, below = strings.CutPrefix(e, ".")
		}
		name, ok := CleanName(name)
		if !ok || !strings.Contains(name, ".") {
			return Names{}, fmt.Errorf("%q is no name such as index.example or .wheels.example", e)
		}
		if below {
			n.suffixes = append(n.suffixes, "."+name)
		} else {
			n.exact = append(n.exact, name)
		}
	}
	return n, nil
}

// NoNames is the list that allows nothing.
func NoNames() Names { return Names{listed: true} }

// Listed reports whether there is a list at all.
func (n Names) Listed() bool { return n.listed }

// Allow reports whether a name, as [CleanName] gives it, is on the list.
func (n Names) Allow(name string) bool {
	if !n.listed {
		return true
	}
	return slices.Contains(n.exact, name) || slices.ContainsFunc(n.suffixes, func(s string) bool { return len(name) > len(s) && strings.HasSuffix(name, s) })
}

// String writes the list as [ParseNames] reads it.
func (n Names) String() string {
	if !n.listed {
		return "*"
	}
	all := slices.Clone(n.exact)
	for _, s := range n.suffixes {
		all = append(all, "*"+s)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// CleanName returns a host's name in lower case without the dot at its end, if it is one that could be of a host: labels of letters, digits, hyphens and underscores.
// What looks like an IPv4 address, in any of the ways that programs understand, is none.
func CleanName(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxName {
		return "", false
	}
	last := ""
	for l := range strings.SplitSeq(name, ".") {
		if l == "" || len(l) > maxLabel || l[0] == '-' || l[len(l)-1] == '-' {
			return "", false
		}
		for _, c := range []byte(l) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
		}
		last = l
	}
	if last[0] >= '0' && last[0] <= '9' { // no top-level domain begins with a digit, and "0x7f.1" is an address
		return "", false
	}
	return name, true
}
