// Package structure has the tests of the source tree itself: who may import whom, and that every package says what it is.
package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sunaba-dev/sunaba/"

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// allowed lists, for each package (or folder of packages, ending in /), the packages of this module that it may import. Domain packages never import each other, HTTP or SQL;
// only the command wires everything together.
var allowed = map[string][]string{
	"internal/fault":                   {},
	"internal/runsc":                   {},
	"internal/idempotency":             {"internal/fault"},
	"internal/resourceid":              {},
	"internal/installation":            {},
	"internal/doctor":                  {},
	"internal/image":                   {},
	"internal/guest/proto":             {},
	"internal/guest/agent":             {"internal/guest/proto", "internal/guest/client"}, // client: the multiplexer's configuration, shared by both sides
	"internal/guest/client":            {"internal/guest/proto"},
	"internal/sandbox":                 {"internal/guest/client", "internal/guest/proto"},
	"internal/sandbox/gvisor":          {"internal/sandbox", "internal/guest/client", "internal/guest/proto", "internal/runsc", "internal/sandbox/gvisor/cgroup", "internal/sandbox/gvisor/console"},
	"internal/sandbox/gvisor/console":  {},
	"internal/sandbox/gvisor/cgroup":   {},
	"internal/sandbox/gvisor/guestbin": {},
	"internal/sandbox/sandboxtest":     {"internal/sandbox", "internal/guest/client", "internal/guest/proto"},
	"internal/codeinterpreter":         {"internal/fault", "internal/idempotency", "internal/resourceid", "internal/sandbox", "internal/guest/client", "internal/guest/proto"},
	"internal/store":                   {"internal/fault", "internal/idempotency", "internal/codeinterpreter", "internal/iam", "internal/secrets", "internal/parameters", "internal/registry", "internal/logs", "internal/agentruntime"},
	"internal/agentruntime":            {"internal/fault", "internal/idempotency", "internal/resourceid"},
	"internal/agentruntime/container":  {"internal/fault", "internal/agentruntime", "internal/sandbox", "internal/guest/proto"},
	"internal/agentruntime/agenttest":  {"internal/agentruntime/container", "internal/guest/client", "internal/guest/proto", "internal/sandbox"},
	"internal/sealed":                  {},
	"internal/secrets":                 {"internal/fault"},
	"internal/parameters":              {"internal/fault"},
	"internal/logs":                    {"internal/fault", "internal/logs/filter", "internal/logs/journal"},
	"internal/logs/filter":             {"internal/fault"},
	"internal/logs/journal":            {},
	"internal/registry":                {"internal/fault"},
	"internal/registry/oci":            {"internal/fault", "internal/registry"},
	"internal/egress":                  {"internal/fault"},
	"internal/api/secretsmanager":      {"internal/fault", "internal/wire", "internal/secrets"},
	"internal/api/ssm":                 {"internal/fault", "internal/wire", "internal/parameters"},
	"internal/api/logs":                {"internal/fault", "internal/wire", "internal/logs"},
	"internal/api/apitest":             {"internal/wire", "internal/iam"},
	"internal/api/ecr":                 {"internal/fault", "internal/wire", "internal/registry"},
	"internal/iam":                     {"internal/fault", "internal/iam/policy"},
	"internal/network":                 {"internal/guest/proto", "internal/sigv4", "internal/egress"},
	"internal/network/inside":          {},
	"internal/s3":                      {"internal/fault", "internal/sigv4"},
	"internal/iam/policy":              {},
	"internal/api/iam":                 {"internal/fault", "internal/wire", "internal/iam"},
	"internal/sigv4":                   {"internal/fault"},
	"internal/wire":                    {"internal/fault"},
	"internal/api/agentcore":           {"internal/fault", "internal/wire", "internal/codeinterpreter", "internal/agentruntime"},
	"internal/api/sunaba":              {"internal/fault", "internal/wire", "internal/network", "internal/egress"},
	"internal/api/sts":                 {"internal/fault", "internal/wire", "internal/iam"},
	"internal/server":                  {"internal/fault", "internal/wire", "internal/sigv4"},
	"cmd/sunaba":                       {"*"},
	"cmd/sunaba-runsc":                 {},
	"cmd/sunaba-guest":                 {"internal/guest/agent", "internal/guest/proto"},
	"examples/":                        {},
	"test/":                            {"*"},
	"bench":                            {"*"},
}

// domains know nothing of how requests travel or where records lie.
var domains = []string{"internal/codeinterpreter", "internal/iam", "internal/iam/policy", "internal/sandbox", "internal/fault",
	"internal/secrets", "internal/parameters", "internal/logs", "internal/registry", "internal/egress", "internal/agentruntime"}

var forbiddenInDomains = []string{"net/http", "database/sql"}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-tags", "e2e", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "test/") { // test-only packages have their doc in a _test.go file
			continue
		}
		if p.Doc == "" {
			t.Errorf("%s has no package doc: say in one sentence what it is", p.ImportPath)
		}
	}
}

func rule(path string) ([]string, bool) {
	if r, ok := allowed[path]; ok {
		return r, true
	}
	for prefix, r := range allowed {
		if strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
			return r, true
		}
	}
	return nil, false
}

func TestImportDirections(t *testing.T) {
	for _, p := range packages(t) {
		may, ok := rule(p.ImportPath)
		if !ok {
			t.Errorf("%s has no rule: add it to the table with what it may import", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if own, ours := strings.CutPrefix(i, module); ours && !slices.Contains(may, own) && !slices.Contains(may, "*") {
				t.Errorf("%s must not import %s", p.ImportPath, own)
			}
			if slices.Contains(domains, p.ImportPath) && slices.Contains(forbiddenInDomains, i) {
				t.Errorf("the domain package %s must not import %s", p.ImportPath, i)
			}
		}
	}
}
