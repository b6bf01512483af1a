// Package runsc links gVisor's runtime into this binary, so that one file is both the server and the sandbox it starts.
//
// runsc starts itself again for the sandbox's kernel ("boot"), for the file proxy ("gofer") and for small helpers ("umount"), always as
// /proc/self/exe. The binary's main therefore asks [Requested] before anything else and hands over to [Main], and the sandbox driver starts
// runsc with [Command].
package runsc

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"gvisor.dev/gvisor/runsc/cli"
	"gvisor.dev/gvisor/runsc/cmd"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"
)

// self is the running binary's own inode: it stays valid when the file on disk is replaced by an upgrade.
const self = "/proc/self/exe"

// Requested reports whether this process was started as runsc rather than as sunaba: under the name runsc (also runsc-sandbox and the like,
// which runsc gives to its children) or as /proc/self/exe, which is how runsc starts its helpers.
func Requested() bool {
	return os.Args[0] == self || strings.HasPrefix(filepath.Base(os.Args[0]), "runsc")
}

// Main runs the process as runsc and does not return.
//
// Only the commands that the sandbox driver uses are linked. gVisor's own main would also bring a 47 MB prebuilt helper for checkpoints in
// cloud storage.
func Main() {
	const user, internal = "", "internal use only"
	cli.Run(nil, map[util.SubCommand]string{
		new(cmd.Checkpoint):   user,
		new(cmd.Create):       user,
		new(cmd.Delete):       user,
		new(cmd.Exec):         user,
		new(cmd.Kill):         user,
		new(cmd.List):         user,
		new(cmd.Restore):      user,
		new(cmd.Run):          user,
		new(cmd.Start):        user,
		new(cmd.State):        user,
		new(cmd.Wait):         user,
		new(sentrycmd.Boot):   internal,
		new(cmd.Gofer):        internal,
		new(sentrycmd.Umount): internal,
		new(cmd.CPUFeatures):  internal,
	}, nil)
}

// Command returns a command that runs the linked runsc with args.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, self)
	c.Args = append([]string{"runsc"}, args...)
	return c
}

// Static fails if the running binary needs a dynamic loader: gVisor starts it again where there is none.
func Static() error {
	f, err := elf.Open(self)
	if err != nil {
		return fmt.Errorf("read this binary: %w", err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("this binary was built with cgo and cannot start sandboxes: build it with `make build`, or with CGO_ENABLED=0")
		}
	}
	return nil
}

// Version returns the version of the linked gVisor module.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "gvisor.dev/gvisor" {
			return m.Version
		}
	}
	return "unknown"
}
