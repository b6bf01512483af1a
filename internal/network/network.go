package network

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sunaba-dev/sunaba/internal/egress"
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
	listenContainer = "container"
	listenResolver  = "dns"
	listenDatagrams = "dns-udp"
	listenOutside   = "outside"
)

// Options configure a Network.
type Options struct {
	// CA signs the certificates of the endpoints, and is what sandboxes are told to trust.
	CA *CA
	// Handler serves what sandboxes ask of AWS endpoints, as they ask it: Host and signature are theirs.
	Handler http.Handler
	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
	// Resolve finds the IPv4 addresses of a name outside, an absolute one without the dot at its end; nil asks the host's resolver. It is asked for no name that this server
	// answers for, and for none that a session's list leaves out.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Roots are the authorities that hosts outside must have a certificate of, where a session's requests get secrets; nil is the system's.
	Roots *x509.CertPool
	// Observe is told of every connection that has ended and of every attempt that was refused; nil tells nobody. It must not block.
	Observe func(Connection)
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
	// Buckets narrows S3; nil leaves it to the role's policies. See [ParseBuckets].
	Buckets *Buckets
	// MaxConnections is how many relayed connections the session may have at once, and how many to the outside besides; 0 means 256.
	MaxConnections int
	// Outside is what the session reaches besides; nil is SANDBOX mode, where all else is unreachable at once.
	Outside *Outside
	// MetadataV1 answers requests without a token, as old clients make them.
	MetadataV1 bool
	// ContainerCredentials serves the role's credentials as containers find them too: see [Session.Environment].
	ContainerCredentials bool
}

// Outside is where a session may connect to.
type Outside struct {
	Policy egress.Policy
	Names  egress.Names // see [Session.SetNames]
	// Injections are headers of requests to some hosts, by HTTPS to port 443, that the host side adds.
	Injections Injections
	Secrets    Secrets // has the values of Injections; nil has none, and such requests are refused
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
	open    map[string]*Session // by their policies' names
}

const defaultConnections = 256

// New returns a network. It must be closed.
func New(o Options) *Network {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resolve == nil {
		o.Resolve = HostResolver("")
	}
	n := &Network{o: o, open: map[string]*Session{}}
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

// Session is what one session sees. What it serves ends with the connections of the session's sandbox; [Session.Close] makes the network forget it.
type Session struct {
	n        *Network
	policy   Policy
	slots    chan struct{}
	metadata *metadata // nil without a role
	outside  *outside  // nil in SANDBOX mode
	log      ring
	lines    *rate.Limiter // of the log, about refusals
}

// Open returns what a session sees under a policy.
func (n *Network) Open(p Policy) *Session {
	if p.MaxConnections == 0 {
		p.MaxConnections = defaultConnections
	}
	s := &Session{n: n, policy: p, slots: make(chan struct{}, p.MaxConnections), lines: rate.NewLimiter(refusalRate, refusalBurst)}
	if p.Outside != nil {
		s.outside = newOutside(s, *p.Outside)
	}
	if p.Credentials != nil {
		s.metadata = newMetadata(p, rand.Text(), n.o.Log)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[p.Session] = s
	return s
}

// Session returns an open session by its policy's name; nil when there is none.
func (n *Network) Session(name string) *Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open[name]
}

// Close makes the network forget the session, and its connections to the outside end.
func (s *Session) Close() {
	s.n.mu.Lock()
	if s.n.open[s.policy.Session] == s { // and not one of the same name that came after it
		delete(s.n.open, s.policy.Session)
	}
	s.n.mu.Unlock()
	if s.outside != nil {
		s.outside.close()
	}
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
		if s.policy.ContainerCredentials {
			add(containerAddress, proto.Listener{Name: listenContainer, Address: containerAddress + ":80"})
		}
	}
	if s.outside != nil {
		c.Outside = listenOutside
	}
	return c
}
