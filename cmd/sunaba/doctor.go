package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/doctor"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/guestbin"
)

// errUnfit is doctor's failure: the list has said it all.
var errUnfit = errors.New("this host is not ready: see the lines marked fail")

func doctorCommand(s *settings) *cobra.Command {
	var listen string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that this host can run sandboxes, and say what to do where it cannot",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := installation.Open(s.dataDir)
			if err != nil {
				return err
			}
			if _, running := dir.Server(); running {
				listen = "" // the server itself has the port
			}
			images := image.New(s.cacheDir)
			results := doctor.Check(cmd.Context(), doctor.Options{CacheDir: s.cacheDir, DataDir: dir.Path(), Listen: listen,
				Image: func(context.Context) (string, error) {
					i, err := images.Resolve(image.DefaultName)
					if err != nil {
						return "", err
					}
					return describe(i), nil
				},
				TryStart: func(ctx context.Context) error { return tryStart(ctx, images) },
			})
			if err := report(cmd.OutOrStdout(), results, asJSON); err != nil {
				return err
			}
			for _, r := range results {
				if r.Status == doctor.Fail {
					return errUnfit
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address that the server will listen on")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func report(w io.Writer, results []doctor.Result, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(results)
	}
	colours := map[doctor.Status]string{doctor.OK: "32", doctor.Warn: "33", doctor.Fail: "31"}
	f, isFile := w.(*os.File)
	tty := isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	for _, r := range results {
		status := fmt.Sprintf("%-4s", r.Status)
		if tty {
			status = "\x1b[" + colours[r.Status] + "m" + status + "\x1b[0m"
		}
		if _, err := fmt.Fprintf(w, "%s  %-18s %s\n", status, r.Name, r.Detail); err != nil {
			return err
		}
		if r.Fix != "" {
			if _, err := fmt.Fprintf(w, "      %-18s to fix it: %s\n", "", r.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}

// tryStart boots a sandbox, with a driver of its own so that a running server is not disturbed, and lets its guest answer once.
func tryStart(ctx context.Context, images *image.Store) (err error) {
	guest, err := guestbin.Binary()
	if err != nil {
		return err
	}
	i, err := images.Resolve(image.DefaultName)
	if err != nil {
		return err
	}
	id := strings.ToLower(ulid.Make().String())
	runDir := filepath.Join("/run/sunaba", "doctor-"+id[len(id)-8:])
	dataDir, err := os.MkdirTemp("", "sunaba-doctor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dataDir)) }()
	d, err := gvisor.New(gvisor.Options{RunDir: runDir, DataDir: dataDir, Guest: guest, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(context.WithoutCancel(ctx))) }()
	box, err := d.Create(ctx, sandbox.Config{ID: id, Image: sandbox.Image{Root: i.Root, Env: i.Env}, Limits: hostLimits(dataDir),
		Guest: proto.Configure{User: proto.User{Name: "doctor", UID: 992, GID: 992}, Dir: codeinterpreter.WorkDir, Env: i.Env, Hostname: "localhost"}})
	if err != nil {
		return err
	}
	return errors.Join(box.Guest().Ping(ctx), box.Destroy(ctx))
}
