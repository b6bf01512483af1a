package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sunaba-dev/sunaba/internal/installation"
)

// settings are the flags that several verbs share.
type settings struct {
	dataDir  string
	cacheDir string
	logLevel string
}

func rootCommand() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:           "sunaba",
		Short:         "Amazon Bedrock AgentCore on your own machine",
		Long:          "Sunaba serves the Amazon Bedrock AgentCore API on this machine and runs what it is asked to run in gVisor sandboxes.\nEvery flag can also be given as an environment variable: --data-dir as SUNABA_DATA_DIR.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			if err := s.complete(); err != nil {
				return err
			}
			_, err := s.level()
			return err
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&s.dataDir, "data-dir", "", "folder of what Sunaba keeps (default ~/.local/share/sunaba)")
	f.StringVar(&s.cacheDir, "cache-dir", "", "folder of what Sunaba can build again: images (default ~/.cache/sunaba)")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(upCommand(s), envCommand(s), imageCommand(s), sessionCommand(s), doctorCommand(s), versionCommand())
	return root
}

// fromEnvironment sets the flags that were not given from their SUNABA_ variables.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "SUNABA_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("the environment variable %s: %w", name, err))
		}
	})
	return errors.Join(errs...)
}

func (s *settings) complete() (err error) {
	if s.dataDir == "" {
		if s.dataDir, err = installation.DefaultData(); err != nil {
			return err
		}
	}
	if s.cacheDir == "" {
		if s.cacheDir, err = installation.DefaultCache(); err != nil {
			return err
		}
	}
	// Absolute, since the S3 backend changes the working folder.
	s.cacheDir, err = filepath.Abs(s.cacheDir)
	return err
}

// logger logs to standard error: for people on a terminal, as JSON otherwise.
func (s *settings) logger() (*slog.Logger, error) {
	level, err := s.level()
	if err != nil {
		return nil, err
	}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""})), nil
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readable})), nil
}

func (s *settings) level() (level slog.Level, err error) {
	if level.UnmarshalText([]byte(s.logLevel)) != nil {
		return level, fmt.Errorf("--log-level %q is none of debug, info, warn, error", s.logLevel)
	}
	return level, nil
}

// readable gives durations their unit: as a number they would be nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}
