// Command sunaba is Amazon Bedrock AgentCore on one machine: the server, its command line, and the gVisor runtime that isolates the sandboxes, in one file.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sunaba-dev/sunaba/internal/runsc"
)

func main() {
	if runsc.Requested() {
		runsc.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sunaba: "+err.Error())
		os.Exit(1)
	}
}
