// Package guestbin carries the guest's binary inside this one. `make build` puts it in the folder bin before it builds sunaba; a plain `go build` works without it, and says so at run time.
package guestbin

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed all:bin
var bin embed.FS

// ErrMissing says that this binary was built without the guest.
var ErrMissing = errors.New("this binary was built without the sandbox's guest: build it with `make build`")

// Binary returns the guest's static executable.
func Binary() ([]byte, error) {
	b, err := bin.ReadFile("bin/sunaba-guest")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	return b, err
}
