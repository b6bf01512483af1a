// Command sunaba-guest is PID 1 of every sandbox: see internal/guest/agent.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/sunaba-dev/sunaba/internal/guest/agent"
)

// memory is a soft limit of the guest's own heap: a hundred idle sandboxes must not pay for one that once moved a large file.
const memory = 24 << 20

func main() {
	socket := flag.String("socket", "/.sunaba/ctl.sock", "the host's socket")
	boot := flag.String("boot", "/.sunaba/boot.json", "file with the first configuration")
	flag.Parse()
	debug.SetGCPercent(-1) // nothing is collected while everybody waits
	runtime.GOMAXPROCS(1)  // what the guest does is passing on, and waking another thread costs more in a sandbox than the work
	// PID 1 ends with its sandbox. The signals are received and dropped, not ignored: children would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	a := agent.New(agent.Options{Socket: *socket, Init: os.Getpid() == 1, Version: "1", Log: log})
	if err := a.Boot(*boot); err != nil {
		log.Warn("the sandbox could not be set up yet", "error", err) // the host says it all again, and gets the answer
	}
	debug.SetMemoryLimit(memory)
	debug.SetGCPercent(50)
	a.Run(context.Background())
}
