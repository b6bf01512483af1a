package network

import (
	"errors"
	"io"
	"time"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

const (
	portHTTP  = 80
	portHTTPS = 443

	recordHandshake = 22
	recordAlert     = 21
	recordHead      = 5 // type, version, length
	maxRecord       = 1<<14 + 256
	helloClient     = 1
	extensionName   = 0 // server_name, RFC 6066
	maxHello        = 64 << 10
	helloTime       = 10 * time.Second
)

var (
	errNoTLS   = errors.New("a connection to port 443 that names no host in TLS cannot be judged by the session's list")
	errBadHost = errors.New("the TLS hello is damaged, or names what is no host")
)

// inspect reads what a program says first, until it is clear whether it is TLS and for which name; "" is none. What has been read is returned for the other side. Programs that let the other
// side speak first keep it waiting, on ports other than 443, until they have something to say. What cannot be judged is refused where the session has a list, and goes on as it is where it has none.
func (out *outbound) inspect() (said []byte, name string, err error) {
	c := out.c
	https := out.to.Port() == portHTTPS
	said = make([]byte, 0, 2048)
	unjudged := func(why error, alert bool) ([]byte, string, error) {
		if !out.o.list().Listed() {
			return said, "", c.SetReadDeadline(time.Time{})
		}
		out.refuse(Refused, why)
		if alert {
			out.alert()
		}
		return nil, "", why
	}
	if https {
		if err := c.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
			return nil, "", err
		}
	}
	for {
		if len(said) == cap(said) {
			said = append(make([]byte, 0, 2*cap(said)), said...)
		}
		n, err := c.Read(said[len(said):cap(said)])
		said = said[:len(said)+n]
		if n == 0 && err != nil {
			if len(said) == 0 && errors.Is(err, io.EOF) {
				return nil, "", nil // it ends its side and waits for the other's
			}
			if https {
				return unjudged(errNoTLS, false)
			}
			return nil, "", err
		}
		name, isTLS, more := serverName(said)
		switch {
		case more && len(said) < maxHello:
			if !isTLS {
				continue
			}
			if err := c.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
				return nil, "", err
			}
			continue
		case !isTLS && !https:
			return said, "", c.SetReadDeadline(time.Time{})
		case !isTLS, name == "" && https:
			return unjudged(errNoTLS, true)
		case more:
			return unjudged(errBadHost, false)
		case name == "":
			return said, "", c.SetReadDeadline(time.Time{})
		}
		clean, ok := egress.CleanName(name)
		if !ok {
			return unjudged(errBadHost, true)
		}
		if err := out.speaks(clean); err != nil {
			out.alert()
			return nil, "", err
		}
		return said, clean, c.SetReadDeadline(time.Time{})
	}
}

// alert tells a TLS client that it is refused for the name: a fatal unrecognized_name, RFC 6066, which programs show.
func (out *outbound) alert() {
	const fatal, unrecognizedName = 2, 112
	_, _ = out.c.Write([]byte{recordAlert, 3, 3, 0, 2, fatal, unrecognizedName})
}

// serverName finds the name in the beginning of a TLS connection. more says that there is too little of it yet; a hello without a name, or one that is damaged, gives "".
func serverName(b []byte) (name string, isTLS, more bool) {
	if len(b) == 0 {
		return "", false, true
	}
	if b[0] != recordHandshake {
		return "", false, false
	}
	if len(b) < recordHead {
		return "", true, true
	}
	if b[1] != 3 {
		return "", false, false
	}
	var hello []byte // out of its records
	for need := 4; ; {
		if len(hello) >= 4 {
			if hello[0] != helloClient {
				return "", true, false
			}
			if need = 4 + int(hello[1])<<16 + int(hello[2])<<8 + int(hello[3]); need > maxHello {
				return "", true, false
			}
		}
		if len(hello) >= need {
			return nameIn(hello[4:need]), true, false
		}
		if len(b) < recordHead {
			return "", true, true
		}
		size := int(b[3])<<8 + int(b[4])
		if b[0] != recordHandshake || size == 0 || size > maxRecord {
			return "", true, false
		}
		if len(b) < recordHead+size {
			return "", true, true
		}
		hello = append(hello, b[recordHead:recordHead+size]...)
		b = b[recordHead+size:]
	}
}

// nameIn finds the server's name in a ClientHello, RFC 8446 section 4.1.2. One that has two says nothing.
func nameIn(hello []byte) (name string) {
	r := reader{hello, true}
	r.take(2 + 32) // version, random
	r.take(r.number(1))
	r.take(r.number(2))
	r.take(r.number(1))
	extensions := reader{r.take(r.number(2)), r.ok}
	if !r.ok || len(r.b) > 0 {
		return ""
	}
	for len(extensions.b) > 0 && extensions.ok {
		kind := extensions.number(2)
		body := reader{extensions.take(extensions.number(2)), true}
		if kind != extensionName {
			continue
		}
		names := reader{body.take(body.number(2)), body.ok}
		const hostName = 0
		isHost := names.number(1) == hostName
		host := string(names.take(names.number(2)))
		if !isHost || !names.ok || len(names.b) > 0 || len(body.b) > 0 || name != "" {
			return ""
		}
		name = host
	}
	if !extensions.ok {
		return ""
	}
	return name
}

// reader takes from the front of bytes; ok is false once there were too few.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) take(n int) []byte {
	if !r.ok || n > len(r.b) {
		r.ok = false
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) number(size int) (n int) {
	for _, b := range r.take(size) {
		n = n<<8 + int(b)
	}
	return n
}
