package network

import (
	"maps"
	"runtime"
	"slices"
	"strings"
)

// architecture is the host's, as instance documents spell it.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

// list names what is below a folder of the metadata tree, folders with a slash at the end.
func (m *metadata) list(path string) []string {
	prefix := ""
	if path != "" {
		prefix = path + "/"
	}
	var names []string
	for _, leaf := range append(slices.Collect(maps.Keys(m.leaves)), "meta-data/iam/security-credentials/") {
		rest, ok := strings.CutPrefix(leaf, prefix)
		if !ok || rest == "" {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
