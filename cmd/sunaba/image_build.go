package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/image"
)

func imageBuildCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build the default interpreter image, unless it is there already",
		Long: "Builds the image that Code Interpreter sessions start from: Debian packages with mmdebstrap (installed with apt if it is missing), Python packages, Node and Deno from PyPI.\n" +
			"It takes minutes and needs root and the package registries; afterwards it is in the cache folder and nothing needs a network.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := newProgress(os.Stderr)
			i, err := image.New(s.cacheDir).Build(cmd.Context(), p.step)
			p.done()
			if err != nil {
				return err
			}
			if p.shown.Index > 0 {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "built in %s: %s\n", p.elapsed(), describe(i))
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "up to date: %s\n", describe(i))
			}
			return err
		},
	}
}
