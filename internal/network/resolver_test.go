package network

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

var sandboxed = Policy{Session: "one", Account: "000000000000", Region: "us-west-2", Services: []string{"s3"}}

// resolve answers as the session does that has no outside.
func (s *Session) resolve(query []byte) ([]byte, bool) {
	return resolve(query, func(name string) ([]netip.Addr, dnsmessage.RCode) { return s.addresses(context.Background(), name) })
}

// question is a query as resolvers send it.
func question(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	n, err := dnsmessage.NewName(name)
	if err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func answered(t testing.TB, query []byte) dnsmessage.Message {
	t.Helper()
	b, ok := (&Session{policy: sandboxed}).resolve(query)
	if !ok {
		t.Fatal("no answer")
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	if m.ID != 7 || !m.Response {
		t.Errorf("the answer's header: %+v", m.Header)
	}
	return m
}

func TestServedNamesResolve(t *testing.T) {
	for _, name := range []string{"s3.us-west-2.amazonaws.com.", "S3.Us-West-2.amazonaws.COM.", "my.bucket.s3.amazonaws.com."} {
		m := answered(t, question(t, name, dnsmessage.TypeA))
		if len(m.Answers) != 1 || m.RCode != dnsmessage.RCodeSuccess {
			t.Fatalf("%s: %+v", name, m)
		}
		if a, ok := m.Answers[0].Body.(*dnsmessage.AResource); !ok || a.A != [4]byte{169, 254, 171, 2} || m.Answers[0].Header.Name.String() != name {
			t.Errorf("%s: %+v", name, m.Answers[0])
		}
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeMX, 65, 255} {
			if m := answered(t, question(t, name, kind)); len(m.Answers) != 0 || m.RCode != dnsmessage.RCodeSuccess {
				t.Errorf("%s %v: %+v", name, kind, m)
			}
		}
	}
}

// TestAttackDNSTunnel asks for what would carry data to a nameserver outside. There is no way there: the answer is made here.
func TestAttackDNSTunnel(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 63)+".", 3)
	for _, name := range []string{"secret.tunnel.example.org.", long + "example.org.", "example.amazonaws.com.", "s3.us-west-2.amazonaws.com.evil.org.", "1.0.0.127.in-addr.arpa.", "sts.us-west-2.amazonaws.com."} {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeNS, dnsmessage.TypeCNAME} {
			if m := answered(t, question(t, name, kind)); m.RCode != dnsmessage.RCodeNameError || len(m.Answers) != 0 {
				t.Errorf("%.60s %v: %+v", name, kind, m)
			}
		}
	}
}

func TestMalformedQuestions(t *testing.T) {
	good := question(t, "s3.amazonaws.com.", dnsmessage.TypeA)
	response := append([]byte{}, good...)
	response[2] |= 0x80
	for name, b := range map[string][]byte{"nothing": nil, "half a header": good[:7], "an answer": response} {
		if _, ok := (&Session{policy: sandboxed}).resolve(b); ok {
			t.Errorf("%s is answered", name)
		}
	}
	update, none, two := append([]byte{}, good...), append([]byte{}, good[:12]...), append([]byte{}, good...)
	update[2] |= 5 << 3
	none[5] = 0
	two[5] = 2
	two = append(two, good[12:]...)
	for name, row := range map[string]struct {
		b    []byte
		want dnsmessage.RCode
	}{
		"an update": {update, dnsmessage.RCodeNotImplemented}, "no question": {none, dnsmessage.RCodeFormatError},
		"two questions": {two, dnsmessage.RCodeFormatError}, "half a question": {good[:15], dnsmessage.RCodeFormatError},
	} {
		if m := answered(t, row.b); m.RCode != row.want {
			t.Errorf("%s: %v, want %v", name, m.RCode, row.want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add(question(f, "s3.amazonaws.com.", dnsmessage.TypeA))
	f.Add(question(f, "example.org.", dnsmessage.TypeTXT))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, ok := (&Session{policy: sandboxed}).resolve(b)
		if !ok {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil || !m.Response || len(answer) > 512 {
			t.Errorf("%d bytes, %+v, %v", len(answer), m, err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	q := question(b, "bucket.s3.us-west-2.amazonaws.com.", dnsmessage.TypeA)
	for b.Loop() {
		if _, ok := (&Session{policy: sandboxed}).resolve(q); !ok {
			b.Fatal("no answer")
		}
	}
}
