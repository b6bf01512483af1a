// Command sunaba is Amazon Bedrock AgentCore on one machine: the server, its command line, and the gVisor runtime that isolates the sandboxes.
package main

import (
	"github.com/sunaba-dev/sunaba/internal/runsc"
)

func main() {
	if runsc.Requested() {
		runsc.Main()
	}
}
