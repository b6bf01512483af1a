package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/image"
)

func imageRemoveCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME-OR-ID...",
		Aliases: []string{"remove"},
		Short:   "Remove images that no session uses",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store := image.New(s.cacheDir)
			var errs []error
			for _, name := range args {
				errs = append(errs, store.Remove(cmd.Context(), name))
			}
			return errors.Join(errs...)
		},
	}
}
