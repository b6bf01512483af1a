// Command sunaba is Amazon Bedrock AgentCore on one machine: the server, its command line, and the gVisor runtime that isolates the sandboxes, in one file.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sunaba: "+err.Error())
		os.Exit(1)
	}
}
