package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/image"
)

func imageListCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images on this host",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			images, err := image.New(s.cacheDir).List(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "NAME\tID\tSIZE\tCREATED\tSOURCE")
			for _, i := range images {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", strings.Join(i.Names, ","), i.ID[:12], humanize.IBytes(uint64(i.Size)), humanize.Time(i.Created), i.Source)
			}
			return w.Flush()
		},
	}
}
