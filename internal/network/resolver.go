package network

import (
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
func (s *Session) serveNames(c *conn) {
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
		answer, ok := s.policy.resolve(query[:n])
		if !ok {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// resolve answers one DNS message, from what the policy says and nothing else: nothing that a sandbox asks for leaves the host, so that questions carry no
// message to anybody. ok is false for what is no question at all.
func (p Policy) resolve(query []byte) (answer []byte, ok bool) {
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
	if _, served := p.serves(q.Name.String()); !served || q.Class != dnsmessage.ClassINET {
		reply.RCode = dnsmessage.RCodeNameError
		return pack(reply, &q, nil)
	}
	if q.Type != dnsmessage.TypeA {
		return pack(reply, &q, nil) // the name exists, but has no such record
	}
	return pack(reply, &q, &dnsmessage.AResource{A: netip.MustParseAddr(endpointAddress).As4()})
}

func pack(h dnsmessage.Header, q *dnsmessage.Question, a *dnsmessage.AResource) ([]byte, bool) {
	m := dnsmessage.Message{Header: h}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
		if a != nil {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: answerTTL}, Body: a}}
		}
	}
	b, err := m.Pack()
	return b, err == nil
}
