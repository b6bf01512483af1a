package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/store"
)

const (
	defaultListen = "127.0.0.1:4566"
	defaultRegion = "us-west-2"
)

func envCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print the environment that makes AWS tools use this server",
		Long:  "Prints export lines for a shell: the endpoint, the root key and a region.\n\n  eval \"$(sunaba env)\"",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := installation.Open(s.dataDir)
			if err != nil {
				return err
			}
			key, found, err := dir.Key()
			if err != nil {
				return err
			}
			if !found { // the server may be starting this very moment, or be started later
				if key, err = firstKey(cmd.Context(), dir); err != nil {
					return err
				}
			}
			endpoint := "http://" + defaultListen
			if server, ok := dir.Server(); ok {
				endpoint = server.Endpoint
			} else if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "note: no server is running on the data folder %s yet; start it with: %s up\n", dir.Path(), os.Args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "export AWS_ENDPOINT_URL=%s\nexport AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_REGION=%s\nexport AWS_DEFAULT_REGION=%s\nunset AWS_SESSION_TOKEN AWS_PROFILE\n",
				endpoint, key.ID, key.Secret, defaultRegion, defaultRegion)
			return err
		},
	}
}

func firstKey(ctx context.Context, dir *installation.Dir) (k installation.Key, err error) {
	db, err := store.Open(ctx, dir.StorePath())
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return rootKey(ctx, db, dir)
}

// rootKey returns the account's root key, which is made on first use, and sees that its file is there.
func rootKey(ctx context.Context, db *store.DB, dir *installation.Dir) (installation.Key, error) {
	k, err := db.EnsureRootKey(ctx, installation.Account, installation.RootARN)
	if err != nil {
		return installation.Key{}, err
	}
	key := installation.Key{ID: k.ID, Secret: k.Secret}
	return key, dir.WriteKey(key)
}
