package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/registry/oci"
	"github.com/sunaba-dev/sunaba/internal/s3"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/guestbin"
	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// memoryTarget makes the garbage collector work harder above it: large bodies must not double in garbage.
const memoryTarget = 512 << 20

// drainTime is how long requests may go on after SIGTERM.
const drainTime = 20 * time.Second

// stopTime bounds the whole stop: destroying a sandbox whose disk is full takes seconds.
const stopTime = 2 * time.Minute

func upCommand(s *settings) *cobra.Command {
	var listen, imageName, metricsListen string
	var out egressFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the server until SIGTERM or Ctrl-C",
		Long: "Serves the AWS API and runs sandboxes. Prints one line that begins with \"ready \" and the endpoint when it answers; logs go to standard error.\n" +
			"On SIGTERM running requests get 20 seconds to end, then every sandbox is destroyed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := s.logger()
			if err != nil {
				return err
			}
			u := &up{s: s, log: log, listen: listen, imageName: imageName, egress: out, metrics: metricsListen}
			return u.run(cmd.Context(), func(endpoint string) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "ready %s\n", endpoint)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address and port to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&imageName, "image", image.DefaultName, "image that Code Interpreter sessions start from")
	cmd.Flags().StringVar(&metricsListen, "metrics-listen", "", "address and port to serve Prometheus metrics on, at /metrics, to anyone who can reach it (default none)")
	out.add(cmd.Flags())
	return cmd
}

// up is one run of the server.
type up struct {
	s         *settings
	log       *slog.Logger
	listen    string
	imageName string
	egress    egressFlags
	metrics   string                        // address to serve them on; empty serves none
	cleanup   []func(context.Context) error // undoes the start, last first
}

func (u *up) run(ctx context.Context, ready func(endpoint string) error) (err error) {
	defer func() { err = errors.Join(err, u.stop()) }()
	debug.SetMemoryLimit(memoryTarget)
	dir, err := installation.Open(u.s.dataDir)
	if err != nil {
		return err
	}
	unlock, err := dir.Lock()
	if err != nil {
		return err
	}
	u.later(func(context.Context) error { unlock(); return nil })
	db, err := store.Open(ctx, dir.StorePath())
	if err != nil {
		return err
	}
	u.later(func(context.Context) error { return db.Close() })
	if _, err := rootKey(ctx, db, dir); err != nil {
		return err
	}
	// The port before the sandboxes: a taken one must not cost a start.
	listener, err := listenOn(ctx, u.listen)
	if err != nil {
		return err
	}
	u.later(func(context.Context) error { return ignoreClosed(listener.Close()) })
	driver, err := u.driver(ctx, dir)
	if err != nil {
		return err
	}
	u.later(driver.Close)
	endpoint := endpointOf(listener)
	d := domains{who: identities{iam.New(iam.Options{Store: db, Log: u.log})}, endpoint: endpoint}
	u.later(d.who.Close)
	if n, err := d.who.endSessions(ctx); err != nil {
		return err
	} else if n > 0 {
		u.log.Info("credentials of an earlier run's sessions are void", "sessions", n)
	}
	if err := errors.Join(u.stores(ctx, dir, db, &d), u.registry(ctx, dir, db, &d)); err != nil {
		return err
	}
	var srv *server.Server // what sandboxes ask of AWS comes back to it
	figures := newMetrics()
	if err := figures.serve(ctx, u, u.metrics); err != nil {
		return err
	}
	connect, err := u.network(dir, d.who, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.ServeHTTP(w, r) }), figures.connection)
	if err != nil {
		return err
	}
	limits := hostLimits(dir.Path())
	d.network = connect.network
	connect.secrets = d.secrets
	d.interpreters, err = codeinterpreter.New(ctx, codeinterpreter.Options{Store: db, Driver: driver, Image: u.image(), Limits: limits,
		Quota: codeinterpreter.DefaultQuota, Log: u.log, CheckRole: d.who.checkRole, CheckNetwork: connect.outside.check, Connect: connect.connect,
		NewID: func() string { return strings.ToLower(ulid.Make().String()) }})
	if err != nil {
		return err
	}
	u.later(d.interpreters.Close)
	if err := u.runtimes(ctx, &d, driver, connect, limits, db); err != nil {
		return err
	}
	if err := os.MkdirAll(dir.RunDir(), 0o700); err != nil {
		return err
	}
	buckets, err := s3.New(ctx, s3.Options{Dir: dir.S3Dir(), RunDir: dir.RunDir(), Region: defaultRegion, Authority: bucketAuthority{d.who}, Log: u.log})
	if err != nil {
		return err
	}
	u.later(buckets.Close)
	srv = server.New(server.Options{S3: buckets, IsRegistry: isRegistry, Registry: oci.New(oci.Options{Registry: d.registry, Authority: registryAuthority{d.who}, Log: u.log}),
		Services: d.services(), Verifier: &sigv4.Verifier{Keys: d.who}, Admit: d.who.admit, ServiceOf: serviceOfHost, Log: u.log, Version: version})
	u.later(func(ctx context.Context) error { return u.drain(ctx, srv) })
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	if err := dir.SetServer(&installation.Server{PID: os.Getpid(), Endpoint: endpoint}); err != nil {
		return err
	}
	u.later(func(context.Context) error { return dir.SetServer(nil) })
	if err := ready(endpoint); err != nil {
		return err
	}
	u.warn(listener)
	u.log.Info("serving", "endpoint", endpoint, "data", dir.Path(), "version", version)
	select {
	case <-ctx.Done():
		u.log.Info("stopping: running requests may end; a second signal cuts them off", "at most", drainTime)
		return nil
	case err := <-failed:
		return err
	}
}

func (u *up) later(f func(context.Context) error) { u.cleanup = append(u.cleanup, f) }

// stop undoes the start in reverse order; what fails does not keep the rest from being undone.
func (u *up) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var errs []error
	for i := len(u.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, u.cleanup[i](ctx))
	}
	return errors.Join(errs...)
}

// drain lets running requests end, for a while and until a second signal.
func (u *up) drain(ctx context.Context, srv *server.Server) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM)
	defer stop()
	cut, err := srv.Shutdown(ctx)
	if cut {
		u.log.Warn("requests that were still running were cut off")
	}
	return err
}

func listenOn(ctx context.Context, address string) (net.Listener, error) {
	if _, err := strconv.Atoi(address); err == nil {
		return nil, fmt.Errorf("--listen wants an address and a port: write --listen 127.0.0.1:%s", address)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program; try --listen 127.0.0.1:0, which takes a free port", address)
	}
	return l, err
}

// endpointOf is the URL that clients on this host use.
func endpointOf(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "http://" + l.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// warn says at the start what would only be found out later.
func (u *up) warn(l net.Listener) {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		u.log.Warn("listening beyond this machine without TLS: requests are signed, but anyone on the way can read them", "address", l.Addr().String())
	}
	if _, err := image.New(u.s.cacheDir).Resolve(u.imageName); err != nil {
		u.log.Warn("sessions cannot start yet", "error", err)
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// driver starts the sandbox driver and removes what an earlier run of the server left behind.
func (u *up) driver(ctx context.Context, dir *installation.Dir) (sandbox.Driver, error) {
	guest, err := guestbin.Binary()
	if err != nil {
		return nil, err
	}
	d, err := gvisor.New(gvisor.Options{RunDir: dir.RunDir(), DataDir: dir.SandboxDir(), Guest: guest, Log: u.log})
	if err != nil {
		return nil, err
	}
	reaped, err := d.Reap(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("remove the sandboxes of an earlier run: %w", err), d.Close(ctx))
	}
	if len(reaped) > 0 {
		u.log.Warn("sandboxes of an earlier run were removed", "sandboxes", len(reaped))
	}
	return d, nil
}

// image finds the image when a session starts: it may be built while the server runs. Images that sessions were started from stay in use, and so cannot be removed, until the server stops.
func (u *up) image() func(context.Context) (sandbox.Image, error) {
	images := image.New(u.s.cacheDir)
	var mu sync.Mutex
	inUse := map[string]func(){}
	u.later(func(context.Context) error {
		for _, release := range inUse {
			release()
		}
		return nil
	})
	return func(context.Context) (sandbox.Image, error) {
		mu.Lock()
		defer mu.Unlock()
		i, err := images.Resolve(u.imageName)
		if err != nil {
			fix := "sunaba image build"
			if u.imageName != image.DefaultName {
				fix = "sunaba image import REFERENCE --name " + u.imageName
			}
			return sandbox.Image{}, fault.New(fault.ResourceNotFound, "The server has no interpreter image %q: run `%s` on its host.", u.imageName, fix).With(err)
		}
		if inUse[i.ID] == nil {
			if inUse[i.ID], err = images.Use(i.ID); err != nil {
				return sandbox.Image{}, err
			}
		}
		return sandbox.Image{Root: i.Root, Env: i.Env}, nil
	}
}
