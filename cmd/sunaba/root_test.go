package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sunaba runs the command line in this process.
func sunaba(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestFlagsComeFromTheEnvironmentToo(t *testing.T) {
	byEnvironment, byFlag := filepath.Join(t.TempDir(), "env"), filepath.Join(t.TempDir(), "flag")
	t.Setenv("SUNABA_DATA_DIR", byEnvironment)
	if _, err := sunaba(t, "env"); err != nil {
		t.Fatal(err)
	}
	if _, err := sunaba(t, "env", "--data-dir", byFlag); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{byEnvironment, byFlag} {
		if _, err := os.Stat(filepath.Join(dir, "credentials")); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("SUNABA_LISTEN", "x")
	t.Setenv("SUNABA_JSON", "perhaps")
	if _, err := sunaba(t, "doctor"); err == nil || !strings.Contains(err.Error(), "SUNABA_JSON") {
		t.Errorf("a bad value: %v", err)
	}
}

func TestEnvPrintsTheSameKeyEveryTime(t *testing.T) {
	dir := t.TempDir()
	first, err := sunaba(t, "env", "--data-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := sunaba(t, "env", "--data-dir", dir)
	if err != nil || first != second {
		t.Errorf("%v\n%s%s", err, first, second)
	}
	for _, want := range []string{"export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n", "export AWS_ACCESS_KEY_ID=AKIA", "export AWS_SECRET_ACCESS_KEY=", "export AWS_REGION=us-west-2\n", "unset AWS_SESSION_TOKEN AWS_PROFILE\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in\n%s", want, first)
		}
	}
}

func TestUnknownVerbsAndWordsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"dance"}, {"up", "now"}, {"image", "import"}, {"image", "import", "x"}, {"image", "rm"}, {"version", "x"}} {
		if _, err := sunaba(t, args...); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
