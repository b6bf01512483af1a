package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/time/rate"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	lookupTime      = 4 * time.Second  // shorter than the guest waits
	dialTime        = 10 * time.Second // for a connection, its proxy included
	destinationTime = 10 * time.Second // for the guest to say where to
	lookupRate      = 100              // names a second that a session may have asked for outside: nameservers are everybody's
	lookupBurst     = 200
)

// outside is what a session reaches besides what is served to it.
type outside struct {
	s        *Session
	policy   egress.Policy
	slots    chan struct{}
	lookups  *rate.Limiter
	resolved resolved

	injections Injections
	vault      vault

	mu     sync.Mutex
	names  egress.Names
	open   map[*outbound]struct{}
	closed bool
}

func newOutside(s *Session, o Outside) *outside {
	return &outside{s: s, policy: o.Policy, slots: make(chan struct{}, s.policy.MaxConnections), lookups: rate.NewLimiter(lookupRate, lookupBurst), names: o.Names,
		injections: o.Injections, vault: vault{from: o.Secrets}, open: map[*outbound]struct{}{}}
}

// SetNames changes which names the session may connect to, from now on. Connections that the new list does not allow are cut off. Sessions in SANDBOX mode have no list; for
// them it does nothing.
func (s *Session) SetNames(names egress.Names) {
	if s.outside == nil {
		return
	}
	o := s.outside
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = names
	for out := range o.open {
		if out.stillAllowed(names) != nil {
			out.cut(errChanged)
		}
	}
}

// close cuts all connections off; later ones are refused.
func (o *outside) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for out := range o.open {
		out.cut(errEnded)
	}
}

// Names returns the session's list; without an outside it allows nothing.
func (s *Session) Names() egress.Names {
	if s.outside == nil {
		return egress.NoNames()
	}
	return s.outside.list()
}

func (o *outside) list() egress.Names {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.names
}

// lookup resolves a name that this server does not answer for. Names that may not be connected to are asked of nobody, which leaves no tunnel through the nameservers of those
// that may; and addresses that may not be connected to are not handed out, so that no name can be moved to one.
func (o *outside) lookup(ctx context.Context, question string) ([]netip.Addr, dnsmessage.RCode) {
	began := time.Now()
	name, ok := egress.CleanName(question)
	if !ok || awsName(name) {
		return nil, dnsmessage.RCodeNameError
	}
	if !o.list().Allow(name) {
		o.s.record(Connection{Began: began, Name: name, Verdict: Refused, Reason: "the name is not on the session's list"})
		return nil, dnsmessage.RCodeNameError
	}
	if addresses, ok := o.resolved.answer(name, began); ok {
		return addresses, dnsmessage.RCodeSuccess
	}
	if !o.lookups.Allow() {
		return nil, dnsmessage.RCodeServerFailure
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := o.s.n.o.Resolve(ctx, name)
	switch {
	case unknownName(err):
		return nil, dnsmessage.RCodeNameError
	case err != nil:
		o.s.n.o.Log.Debug("a name was not resolved", "session", o.s.policy.Session, "name", clip(name), "error", err)
		return nil, dnsmessage.RCodeServerFailure
	}
	var addresses []netip.Addr
	var refusal error
	for _, a := range found {
		a = a.Unmap()
		if !a.Is4() || len(addresses) == answersPerQuery {
			continue
		}
		if err := o.policy.Near(a); err != nil {
			refusal = err
			continue
		}
		addresses = append(addresses, a)
	}
	if len(addresses) == 0 && refusal != nil {
		o.s.record(Connection{Began: began, Name: name, Verdict: Refused, Reason: "the name leads nowhere that may be reached: " + refusal.Error()})
		return nil, dnsmessage.RCodeNameError
	}
	o.resolved.add(name, addresses, began)
	return addresses, dnsmessage.RCodeSuccess
}

// awsName reports whether a name is AWS's, and so never asked of anybody outside.
func awsName(name string) bool {
	return strings.HasSuffix(name, ".amazonaws.com") || strings.HasSuffix(name, ".api.aws") || name == "amazonaws.com" || name == "api.aws"
}

// outbound is one connection to the outside.
type outbound struct {
	o     *outside
	c     *conn
	to    netip.AddrPort
	way   egress.Way
	names []string // that the address was resolved from

	through *terminated // where its TLS ends here; nil for all others

	mu       sync.Mutex
	said     string // name that the program itself has given, in its TLS hello or its Host header
	reason   string // why it was cut off or refused, "" for connections that ended by themselves
	verdict  Verdict
	sent     int64
	received int64
}

// serve judges and makes one connection, and returns when it has ended.
func (o *outside) serve(ctx context.Context, c *conn) {
	began := time.Now()
	if c.SetDeadline(began.Add(destinationTime)) != nil {
		return
	}
	to, err := proto.ReadDestination(c)
	if err != nil || c.SetDeadline(time.Time{}) != nil {
		return
	}
	out := &outbound{o: o, c: c, to: to, names: o.resolved.of(to.Addr()), verdict: Allowed}
	o.mu.Lock() // together with the list: no change of it falls between the judgement and the entry
	names := o.names
	out.way, err = o.policy.Route(to)
	if err == nil {
		err = out.resolvedFrom(names)
	}
	if err == nil && o.closed {
		err = errEnded
	}
	if err == nil {
		o.open[out] = struct{}{}
	}
	o.mu.Unlock()
	if err != nil {
		out.refuse(Refused, err)
	} else {
		out.carry(ctx, names)
		o.mu.Lock()
		delete(o.open, out)
		o.mu.Unlock()
	}
	defer func() { _ = c.Close() }() // whoever learns of the end finds it recorded
	out.mu.Lock()
	defer out.mu.Unlock()
	o.s.record(Connection{Began: began, Name: out.name(), Address: to, Subnet: out.way.Subnet, Verdict: out.verdict, Reason: out.reason, Sent: out.sent, Received: out.received})
}

var (
	errUnresolved = errors.New("the address was not resolved from a name on the session's list")
	errUnlisted   = errors.New("the name is not on the session's list")
	errChanged    = errors.New("the session's list was changed")
	errEnded      = errors.New("the session has ended")
)

// resolvedFrom refuses addresses that were not resolved from a name on the list, if there is one.
func (out *outbound) resolvedFrom(names egress.Names) error {
	if names.Listed() && !slices.ContainsFunc(out.names, names.Allow) {
		return errUnresolved
	}
	return nil
}

// stillAllowed judges an open connection by another list.
func (out *outbound) stillAllowed(names egress.Names) error {
	if err := out.resolvedFrom(names); err != nil {
		return err
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.said != "" && !names.Allow(out.said) {
		return errUnlisted
	}
	return nil
}

// refuse notes why a connection ends that has not ended by itself; the first reason stays.
func (out *outbound) refuse(v Verdict, why error) {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.reason == "" {
		out.verdict, out.reason = v, why.Error()
	}
}

// cut ends a connection that may not go on.
func (out *outbound) cut(why error) {
	out.refuse(Refused, why)
	_ = out.c.Close()
}

// speaks notes the name that the program gives, and refuses those that are not on the list as it is now.
func (out *outbound) speaks(name string) error {
	out.mu.Lock()
	out.said = name
	out.mu.Unlock()
	if !out.o.list().Allow(name) {
		out.refuse(Refused, errUnlisted)
		return errUnlisted
	}
	return nil
}

// name is the best that is known; the caller holds out.mu.
func (out *outbound) name() string {
	if out.said != "" || len(out.names) == 0 {
		return out.said
	}
	return out.names[len(out.names)-1]
}

// carry connects and copies until either side has ended.
func (out *outbound) carry(ctx context.Context, names egress.Names) {
	if names.Listed() && out.to.Port() == portHTTP {
		out.carryHTTP()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = out.c.Close() })()
	go func() { // a program that gives up, or a connection that is cut off, ends the attempt too
		select {
		case <-out.c.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	remote, err := dial(ctx, out.way, out.to)
	if err != nil {
		out.refuse(Failed, err)
		return
	}
	defer func() { _ = remote.Close() }()
	defer context.AfterFunc(ctx, func() { _ = remote.Close() })()
	if _, err := out.c.Write([]byte{proto.Connected}); err != nil {
		return
	}
	var first []byte
	judged := out.o.injects(out.to.Port())
	if judged {
		said, name, err := out.inspect()
		if err != nil {
			return
		}
		if wanted := out.o.injections.of(name); len(wanted) > 0 {
			out.c.said = said
			out.terminate(ctx, remote, name, wanted)
			return
		}
		first = said
	}
	received := make(chan int64, 1)
	go func() {
		received <- copyHalf(out.c.Conn, remote)
	}()
	sent, err := out.pass(remote, first, judged)
	if err != nil {
		_ = out.c.Close()
		_ = remote.Close()
	}
	got := <-received
	out.mu.Lock()
	defer out.mu.Unlock()
	out.sent, out.received = sent, got
}

// pass copies what the program says. Where there is a list, its first words are read before anybody else hears them, unless they have been judged already.
func (out *outbound) pass(remote net.Conn, first []byte, judged bool) (_ int64, err error) {
	if !judged && out.o.list().Listed() {
		if first, _, err = out.inspect(); err != nil {
			return 0, err
		}
	}
	if len(first) == 0 {
		return copyHalf(remote, out.c.Conn), nil
	}
	if _, err := remote.Write(first); err != nil {
		return 0, err
	}
	return int64(len(first)) + copyHalf(remote, out.c.Conn), nil
}
