package main

import "github.com/spf13/cobra"

func sessionCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{Use: "session", Short: "Look at live sessions, and change what they may connect to"}
	cmd.AddCommand(sessionConnectionsCommand(s), sessionEgressCommand(s))
	return cmd
}
