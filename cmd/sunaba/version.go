package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/runsc"
)

// version is set by the Makefile.
var version = "dev"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Sunaba, gVisor and Go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sunaba %s\ngvisor %s\n%s %s/%s\n", version, runsc.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
