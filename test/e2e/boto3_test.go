//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// python runs a program of the folder clients, which must print so many checks and no failure.
func python(t *testing.T, checks int, name string, args ...string) {
	t.Helper()
	out, err := shared.run(t, t.TempDir(), filepath.Join(clients(t), "venv/bin/python"), append([]string{script(t, name)}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out, "ok   "); n < checks {
		t.Errorf("only %d checks ran:\n%s", n, out)
	}
	t.Log("\n" + out)
}

func TestS3ThroughBoto3(t *testing.T) { python(t, 190, "s3.py") }

func TestMalformedPoliciesThroughBoto3(t *testing.T) {
	python(t, len(malformedPolicies(t)), "policies.py")
}

// The file is not a part of this repository: the test is there where the folder is beside the checkout, and says so where it is not.
func TestTheToolFunctionVerbatimNeedsTheFolderSharedSeedApp(t *testing.T) {
	app, err := filepath.Abs("../../../shared/seed-app")
	if err != nil {
		t.Fatal(err)
	}
	agent, program := filepath.Join(app, "lib/app_tools/agent.py"), filepath.Join(app, "script/generate_csv.py")
	if _, err := os.Stat(agent); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("e2e: not run: the tool function of ../shared/seed-app/lib/app_tools/agent.py, because there is no such file beside the checkout; TestTheArticlesToolFunction does the same with a function of its own")
		return
	}
	t.Run("execute_command of "+filepath.Base(agent), func(t *testing.T) { python(t, 10, "verbatim.py", agent, program) })
}

func TestNetworkModesThroughBoto3(t *testing.T) {
	python(t, 19, "network.py", binary, shared.Data)
}

func TestServicesThroughBoto3(t *testing.T) { python(t, 30, "services.py") }
