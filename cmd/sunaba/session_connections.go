package main

import (
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func sessionConnectionsCommand(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "connections ID",
		Short: "List what a live session connected to, and what it was refused",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct {
				Connections []struct {
					Began    time.Time `json:"began"`
					Name     string    `json:"name"`
					Address  string    `json:"address"`
					Verdict  string    `json:"verdict"`
					Reason   string    `json:"reason"`
					Sent     int64     `json:"bytesSent"`
					Received int64     `json:"bytesReceived"`
					Seconds  float64   `json:"seconds"`
				} `json:"connections"`
			}
			text, err := call(cmd.Context(), s, http.MethodGet, "/sunaba/sessions/"+url.PathEscape(args[0])+"/connections", nil, &out)
			if err != nil {
				return err
			}
			if asJSON {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), string(text))
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "TIME\tVERDICT\tADDRESS\tNAME\tSENT\tRECEIVED\tREASON")
			for _, c := range out.Connections {
				began := c.Began.Local().Format("15:04:05.000")
				fmt.Fprintf(w, "%s\t%s\t%s\t%q\t%s\t%s\t%s\n", began, c.Verdict, c.Address, c.Name, humanize.IBytes(uint64(c.Sent)), humanize.IBytes(uint64(c.Received)), c.Reason)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the API's own answer")
	return cmd
}
