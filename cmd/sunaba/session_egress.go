package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func sessionEgressCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "egress ID [NAME...]",
		Short: "Show which names a live session may connect to, or change them",
		Long: "Names are those of the tag sunaba:egress: index.example, *.wheels.example (in a tag: .wheels.example), `none` for nothing, `*` for everything. Connections that a new list does not allow are cut off.\n" +
			"The interpreter keeps its tag: sessions that start later get what it says.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method, in := http.MethodGet, any(nil)
			if len(args) > 1 {
				method, in = http.MethodPut, map[string]string{"egress": strings.Join(args[1:], " ")}
			}
			var out struct {
				Egress string `json:"egress"`
			}
			if _, err := call(cmd.Context(), s, method, "/sunaba/sessions/"+url.PathEscape(args[0])+"/egress", in, &out); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), out.Egress)
			return err
		},
	}
}
