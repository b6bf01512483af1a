//go:build e2e

package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	randomimage "github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A foreign client of registries pushes an image with the password of get-authorization-token, which survives a kill of the server, and pulls it again. The aws CLI does the rest.
func TestImagesThroughARegistryClient(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	cli := func(args ...string) string {
		t.Helper()
		out, err := s.run(t, t.TempDir(), clients(t)+"/venv/bin/aws", append(args, "--output", "text")...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	uri := cli("ecr", "create-repository", "--repository-name", "agents/one", "--query", "repository.repositoryUri")
	token, err := base64.StdEncoding.DecodeString(cli("ecr", "get-authorization-token", "--query", "authorizationData[0].authorizationToken"))
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(token), ":")
	auth := remote.WithAuth(&authn.Basic{Username: user, Password: password})
	address := strings.TrimPrefix(s.Endpoint, "http://")
	tag, err := name.NewTag(address+"/agents/one:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := randomimage.Image(1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, auth); err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := cli("ecr", "describe-images", "--repository-name", "agents/one", "--query", "imageDetails[0].imageDigest"); got != want.String() {
		t.Errorf("the registry has %s, want %s (%s)", got, want, uri)
	}
	if err := remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: user, Password: password[:len(password)-4] + "AAAA"})); !answered(err, http.StatusUnauthorized) {
		t.Errorf("a wrong password: %v", err)
	}
	none, err := name.NewTag(address+"/agents/none:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(none, image, auth); err == nil || !strings.Contains(fmt.Sprint(err), "does not exist") {
		t.Errorf("a repository that nobody made: %v", err)
	}

	s.Kill()
	again := start(t, data)
	tag, err = name.NewTag(strings.TrimPrefix(again.Endpoint, "http://")+"/agents/one:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	back, err := remote.Image(tag, auth)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := back.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := back.Digest(); err != nil || got != want || len(layers) != 3 {
		t.Errorf("pulled %s with %d layers, want %s with 3: %v", got, len(layers), want, err)
	}
}

// answered reports whether a registry's answer had this status.
func answered(err error, code int) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && e.StatusCode == code
}
