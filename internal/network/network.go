package network

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// The addresses inside. All are link-local, so that no image has a use of its own for them.
const (
	metadataAddress = "169.254.169.254"
	endpointAddress = "169.254.171.2"
	resolverAddress = "169.254.171.53"
)

// The names of the listeners inside. The guest says them back with each connection.
const (
	listenHTTPS     = "https"
	listenHTTP      = "http"
	listenLocal     = "http-4566" // the port of this server outside, and of other emulators
	listenMetadata  = "metadata"
	listenResolver  = "dns"
	listenDatagrams = "dns-udp"
)

// Options configure a Network.
type Options struct {
	// CA signs the certificates of the endpoints, and is what sandboxes are told to trust.
	CA *CA
	// Handler serves what sandboxes ask of AWS endpoints, as they ask it: Host and signature are theirs.
	Handler http.Handler
	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// Policy is what one session may see.
type Policy struct {
	Session string // names the session in logs, to the handler, and in its instance's documents
	Account string
	Region  string
	// Services are those whose endpoints resolve and answer, by the names that signatures have: "s3". AnyService stands for all.
	Services []string
	// Credentials are of the session's role; nil for a session without one, which then has no metadata service.
	Credentials Credentials
	RoleARN     string // of the same role
	// MaxConnections is how many relayed connections the session may have at once; 0 means 256.
	MaxConnections int
}

// Key is a set of temporary credentials.
type Key struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Updated         time.Time // when they were made
	Expires         time.Time
}

// Credentials makes credentials of a session's role. It is asked again when those that it gave last are about to expire.
type Credentials interface {
	Credentials(ctx context.Context) (Key, error)
}

// Network is what the sandboxes of a server see of AWS.
type Network struct {
	o       Options
	front   *front
	mu      sync.Mutex
	closed  bool
	ctx     context.Context // ends with the network
	cancel  context.CancelFunc
	relayed sync.WaitGroup
}

const defaultConnections = 256

// New returns a network. It must be closed.
func New(o Options) *Network {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{o: o}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.front = newFront(o)
	return n
}

// Close cuts off all relayed connections and returns when everything that served them has ended.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	n.cancel()
	n.mu.Unlock()
	err := n.front.close()
	n.relayed.Wait()
	return err
}

// Session is what one session sees. It needs no end of its own: what it serves ends with the connections of the session's sandbox.
type Session struct {
	n        *Network
	policy   Policy
	slots    chan struct{}
	metadata *metadata // nil without a role
}

// Open returns what a session sees under a policy.
func (n *Network) Open(p Policy) *Session {
	if p.MaxConnections == 0 {
		p.MaxConnections = defaultConnections
	}
	s := &Session{n: n, policy: p, slots: make(chan struct{}, p.MaxConnections)}
	if p.Credentials != nil {
		s.metadata = newMetadata(p, rand.Text(), n.o.Log)
	}
	return s
}

// Configure is what the session's guest is to be told.
func (s *Session) Configure() *proto.Network {
	c := &proto.Network{Nameserver: resolverAddress, Trust: &proto.Trust{Certificate: s.n.o.CA.Certificate(), Hash: s.n.o.CA.Hash()}}
	add := func(address string, listeners ...proto.Listener) {
		c.Addresses = append(c.Addresses, address+"/32")
		c.Listeners = append(c.Listeners, listeners...)
	}
	add(resolverAddress, proto.Listener{Name: listenResolver, Address: resolverAddress + ":53"}, proto.Listener{Name: listenDatagrams, Address: resolverAddress + ":53", Datagrams: true})
	if len(s.policy.Services) > 0 {
		add(endpointAddress, proto.Listener{Name: listenHTTPS, Address: endpointAddress + ":443"}, proto.Listener{Name: listenHTTP, Address: endpointAddress + ":80"},
			proto.Listener{Name: listenLocal, Address: endpointAddress + ":4566"})
	}
	if s.metadata != nil {
		add(metadataAddress, proto.Listener{Name: listenMetadata, Address: metadataAddress + ":80"})
	}
	return c
}
