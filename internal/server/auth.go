package server

import (
	"errors"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Principal is who sends a request, as the log and the handlers see it.
type Principal struct {
	Account string
	ARN     string
}

// body is a request's body in memory, and its part of the budget.
type body struct {
	bytes   []byte
	release func()
}

// authenticate verifies the signature and reads the whole body. Only a body that is what the signature says is returned.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*sigv4.Identity, body, error) {
	in := newIntake(w, r, s.bodies)
	r.Body = in
	identity, bytes, err := s.verify(r)
	in.done()
	if err != nil {
		in.release()
		return nil, body{}, asBusy(err)
	}
	return identity, body{bytes, in.release}, nil
}

func (s *Server) verify(r *http.Request) (*sigv4.Identity, []byte, error) {
	identity, err := s.o.Verifier.Verify(r)
	if err != nil {
		return nil, nil, withStatus(err)
	}
	bytes, err := identity.Body.Bytes(maxBody)
	if err != nil {
		return nil, nil, withStatus(err)
	}
	return identity, bytes, nil
}

// withStatus keeps the HTTP status that AWS gives a refused signature.
func withStatus(err error) error {
	if f, ok := errors.AsType[*sigv4.Failure](err); ok {
		return wire.AtStatus(err, f.Status)
	}
	return err
}
