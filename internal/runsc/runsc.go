// Package runsc carries gVisor's runtime (cmd/sunaba-runsc) inside this binary, so that one file is both the server and the sandboxes it starts. `make build` puts it in the folder bin before it
// builds sunaba; a plain `go build` works without it, and says so at run time.
package runsc

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"embed"
	"errors"
	"io/fs"
	"os/exec"
)

//go:embed all:bin
var bin embed.FS

// ErrMissing says that this binary was built without gVisor.
var ErrMissing = errors.New("this binary was built without gVisor: build it with `make build`")

// Binary returns the runtime's static executable.
func Binary() ([]byte, error) {
	b, err := bin.ReadFile("bin/sunaba-runsc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	return b, err
}

// Command returns a command that runs the runtime, which has been written to path, with args. It has an environment of its own: the server's may hold secrets.
func Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, path)
	c.Args = append([]string{"runsc"}, args...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return c
}

// Version returns the version of gVisor's module in the runtime.
func Version() string {
	b, err := Binary()
	if err != nil {
		return "missing"
	}
	info, err := buildinfo.Read(bytes.NewReader(b))
	if err != nil {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "gvisor.dev/gvisor" {
			return m.Version
		}
	}
	return "unknown"
}
