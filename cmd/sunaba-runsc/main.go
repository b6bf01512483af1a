// Command sunaba-runsc is gVisor's runtime, with the commands that the sandbox driver uses. `make build` embeds it in sunaba.
//
// It is a program of its own because a sandbox's start runs it four times: as runsc, which starts the file proxy ("gofer"), the sandbox's kernel ("boot") and a small
// helper ("umount"), always as /proc/self/exe. Each run initialises all packages of the program, which took 6 ms here and 18 ms when gVisor was linked into sunaba, and costs the kernel and the file
// proxy of every sandbox the memory of what they never use.
//
// gVisor's own main would also bring a 47 MB prebuilt helper for checkpoints in cloud storage.
package main

import (
	"gvisor.dev/gvisor/runsc/cli"
	"gvisor.dev/gvisor/runsc/cmd"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"
)

func main() {
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
