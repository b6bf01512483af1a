package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/image"
)

func imageImportCommand(s *settings) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "import REFERENCE --name NAME",
		Short: "Import an image of your own",
		Long: "Imports an OCI layout folder, a tar made by `docker save` or `podman save`, an OCI archive, or an image in a registry, under a name.\n\n" +
			"  sunaba image import ./my-image.tar --name mine\n  sunaba image import registry.example.com/team/image:1 --name mine\n  sunaba up --image mine",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := newProgress(os.Stderr)
			i, err := image.New(s.cacheDir).Import(cmd.Context(), args[0], name, p.step)
			p.done()
			if err != nil {
				return err
			}
			for _, note := range i.Notes {
				if _, err := fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "imported: %s\n", describe(i))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the image on this host")
	_ = cmd.MarkFlagRequired("name") // fails only for a flag that does not exist
	return cmd
}
