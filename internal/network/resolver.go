package network

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	answerTTL    = 60 // seconds
	resolverIdle = 30 * time.Second
)

// serveNames answers questions on one connection, each framed as DNS is over TCP, one after the other.
func (s *Session) serveNames(ctx context.Context, c *conn) {
	var size [2]byte
	query := make([]byte, proto.MaxDatagram)
	for {
		if c.SetDeadline(time.Now().Add(resolverIdle)) != nil {
			return
		}
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n > len(query) {
			return // no question needs so much room
		}
		if _, err := io.ReadFull(c, query[:n]); err != nil {
			return
		}
		answer, ok := resolve(query[:n], func(name string) ([]netip.Addr, dnsmessage.RCode) { return s.addresses(ctx, name) })
		if !ok {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// resolve answers one DNS message. What is asked never travels on as it is: lookup gets a name, and only of questions for addresses. ok is false for what is no question
// at all.
func resolve(query []byte, lookup func(name string) ([]netip.Addr, dnsmessage.RCode)) (answer []byte, ok bool) {
	var parser dnsmessage.Parser
	head, err := parser.Start(query)
	if err != nil || head.Response {
		return nil, false
	}
	reply := dnsmessage.Header{ID: head.ID, Response: true, OpCode: head.OpCode, RecursionDesired: head.RecursionDesired, RecursionAvailable: true}
	if head.OpCode != 0 {
		reply.RCode = dnsmessage.RCodeNotImplemented
		return pack(reply, nil, nil)
	}
	q, err := parser.Question()
	if err != nil {
		reply.RCode = dnsmessage.RCodeFormatError
		return pack(reply, nil, nil)
	}
	if _, err := parser.Question(); err != dnsmessage.ErrSectionDone { //nolint:errorlint // the parser returns it as it is
		reply.RCode = dnsmessage.RCodeFormatError
		return pack(reply, nil, nil)
	}
	if q.Class != dnsmessage.ClassINET {
		reply.RCode = dnsmessage.RCodeNameError
		return pack(reply, &q, nil)
	}
	var addresses []netip.Addr
	addresses, reply.RCode = lookup(q.Name.String())
	if q.Type != dnsmessage.TypeA {
		addresses = nil // the name may exist, but has no such record
	}
	return pack(reply, &q, addresses)
}

// served are the addresses of names that this server answers for; ok is false for all others.
func (p Policy) served(name string) (addresses []netip.Addr, ok bool) {
	if _, ok := p.serves(name); !ok {
		return nil, false
	}
	return []netip.Addr{netip.MustParseAddr(endpointAddress)}, true
}

// addresses answers one question of the session. Without an outside the policy alone answers, and nothing that is asked for leaves the host.
func (s *Session) addresses(ctx context.Context, name string) ([]netip.Addr, dnsmessage.RCode) {
	if served, ok := s.policy.served(name); ok {
		return served, dnsmessage.RCodeSuccess
	}
	if s.outside == nil {
		return nil, dnsmessage.RCodeNameError
	}
	return s.outside.lookup(ctx, name)
}

func pack(h dnsmessage.Header, q *dnsmessage.Question, addresses []netip.Addr) ([]byte, bool) {
	m := dnsmessage.Message{Header: h}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
		for _, a := range addresses {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: answerTTL}, Body: &dnsmessage.AResource{A: a.As4()}})
		}
	}
	b, err := m.Pack()
	return b, err == nil
}
