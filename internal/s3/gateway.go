package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// Options configure a Gateway.
type Options struct {
	Dir       string // the data; made if it is not there
	RunDir    string // of this run: for the socket; must exist
	Region    string // of buckets whose creation names none
	Authority Authority
	Log       *slog.Logger
}

// Limits against hostile or broken clients.
const (
	maxRequests = 1024             // at once, in versitygw
	maxDocument = 5 << 20          // bytes of a body that is not an object's: the parts of an upload of 10,000 are the longest
	stallRead   = 60 * time.Second // without a byte from the client
	slowestRate = 16 << 10         // bytes per second that a body must come in with, beyond stallRead
	lingerFor   = 10 * time.Second // taking in a body after it has been refused
	lingerStall = time.Second      // the same, without a byte
	stallWrite  = 60 * time.Second // without the client taking a piece of the answer
)

// innerRegion is the region of what is handed over: versitygw knows one. Clients never see it.
const innerRegion = "us-east-1"

const socketName = "s3.sock"

// Gateway is an S3 server. There can be one in a process.
type Gateway struct {
	o        Options
	backend  files
	settings *settingsStore
	verifier *sigv4.Verifier
	grants   *grants
	buckets  string // the folder
	socket   string
	server   *s3api.S3ApiServer
	served   chan error

	lifecycle sync.RWMutex // held while a bucket is made or deleted; who reads it waits until that is done
	closing   sync.Once
	closeErr  error
}

// New opens the data and starts versitygw.
//
// It changes the working folder of the process, for good: versitygw's posix backend works with relative paths. It also replaces os.Stdout for a moment. So it must be
// called while the command starts, before anything else runs, and nothing in the process may depend on the working folder.
func New(ctx context.Context, o Options) (*Gateway, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of S3's data: %w", err)
	}
	run, err := filepath.Abs(o.RunDir)
	if err != nil {
		return nil, fmt.Errorf("folder of S3's socket: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b, err := openBackend(dir)
	if err != nil {
		return nil, err
	}
	buckets := filepath.Join(dir, bucketsFolder)
	kept, err := openSettings(filepath.Join(dir, settingsFolder), func(bucket string) bool {
		info, err := os.Lstat(filepath.Join(buckets, bucket))
		return err == nil && info.IsDir()
	})
	if err != nil {
		b.Shutdown()
		return nil, err
	}
	g := &Gateway{o: o, backend: b, buckets: buckets, settings: kept, grants: newGrants(), socket: filepath.Join(run, socketName), served: make(chan error, 1)}
	g.verifier = &sigv4.Verifier{Keys: keys{o.Authority}, Guess: func(*http.Request) string { return "s3" },
		MaxBody: func(sigv4.Scope) int64 { return maxDocument }}
	if err := g.start(ctx); err != nil {
		b.Shutdown()
		return nil, err
	}
	return g, nil
}

// start lets versitygw listen, and waits until it does.
func (g *Gateway) start(ctx context.Context) error {
	if err := os.Remove(g.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("S3's socket of an earlier run: %w", err)
	}
	listening := make(chan struct{})
	// The admin routes are registered by an option that is not given; the root key is one that nobody knows.
	root := middlewares.RootUserConfig{Access: rand.Text(), Secret: rand.Text()}
	server, err := s3api.New(g.backend, root, innerRegion, g.grants, nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithConcurrencyLimiter(maxRequests, maxRequests), s3api.WithSocketPerm(0o600), s3api.WithMpMaxParts(10000),
		s3api.WithOnListen(func() { close(listening) }))
	if err != nil {
		return fmt.Errorf("start S3: %w", err)
	}
	g.server = server
	go func() { g.served <- server.ServeMultiPort([]string{g.socket}) }()
	select {
	case <-listening:
		return nil
	case err := <-g.served:
		return fmt.Errorf("start S3: %w", errors.Join(err, errors.New("versitygw did not listen")))
	case <-ctx.Done():
		return errors.Join(ctx.Err(), server.ShutDown())
	}
}

// Close stops versitygw. Requests that are under way have until ctx ends, and ten seconds at most.
func (g *Gateway) Close(ctx context.Context) error {
	g.closing.Do(func() {
		down := make(chan error, 1)
		go func() {
			err := g.server.ShutDown()
			g.o.Log.Debug("S3 has stopped", slog.Any("listener", <-g.served))
			g.backend.Shutdown()
			if e := os.Remove(g.socket); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
			down <- err
		}()
		select {
		case g.closeErr = <-down:
		case <-ctx.Done():
			g.closeErr = ctx.Err()
		}
	})
	return g.closeErr
}

// Owns returns the account that owns a bucket; the error has the code NoSuchBucket if there is none.
func (g *Gateway) Owns(_ context.Context, bucket string) (account string, err error) {
	s, ok := g.settings.get(bucket)
	if !ok {
		return "", errNoSuchBucket(bucket)
	}
	return s.Owner, nil
}

// Policy returns the policy of a bucket as it was put, nil if it has none; the error has the code NoSuchBucket if there is no bucket.
func (g *Gateway) Policy(bucket string) ([]byte, error) {
	s, ok := g.settings.get(bucket)
	if !ok {
		return nil, errNoSuchBucket(bucket)
	}
	if s.Policy == "" {
		return nil, nil
	}
	return []byte(s.Policy), nil
}

// authorize asks the authority, with what the bucket adds: its owner, its policy, and whether it is closed to the public.
func (g *Gateway) authorize(ctx context.Context, c caller, action, resource string, conditions map[string][]string) error {
	bucket := bucketOfARN(resource)
	var policy []byte
	if s, ok := g.settings.get(bucket); ok {
		if c.account != s.Owner && s.block().RestrictPublicBuckets && (c.anonymous() || isPublic(s.Policy)) {
			return fault.New(codeAccessDenied, "Access Denied")
		}
		if s.Policy != "" {
			policy = []byte(s.Policy)
		}
		conditions = with(conditions, map[string][]string{"aws:ResourceAccount": {s.Owner}, "s3:ResourceAccount": {s.Owner}})
	}
	return g.o.Authority.Authorize(ctx, c.principal, action, resource, conditions, policy)
}
