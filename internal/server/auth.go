package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Principal is what the key store must give the verifier as a key's principal.
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
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*sigv4.Identity, Principal, body, error) {
	release, err := s.admit(w, r)
	if err != nil {
		return nil, Principal{}, body{}, err
	}
	identity, principal, bytes, err := s.verify(r)
	// Without this the deadline would also end the connection's watch for a client that goes away.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err != nil {
		release()
		return nil, Principal{}, body{}, err
	}
	return identity, principal, body{bytes, release}, nil
}

func (s *Server) verify(r *http.Request) (*sigv4.Identity, Principal, []byte, error) {
	identity, err := s.o.Verifier.Verify(r)
	if err != nil {
		return nil, Principal{}, nil, withStatus(err)
	}
	principal, ok := identity.Principal.(Principal)
	if !ok {
		return nil, Principal{}, nil, fault.Wrap(errors.New("the key store gave no principal"), "authenticate")
	}
	bytes, err := identity.Body.Bytes(maxBody)
	if err != nil {
		return nil, Principal{}, nil, withStatus(err)
	}
	return identity, principal, bytes, nil
}

// withStatus keeps the HTTP status that AWS gives a refused signature.
func withStatus(err error) error {
	if f, ok := errors.AsType[*sigv4.Failure](err); ok {
		return wire.AtStatus(err, f.Status)
	}
	return err
}

const (
	freeBody    = 1 << 20          // bodies up to here need no place in the budget
	slowestRate = 128 << 10        // bytes per second that a body must come in with, beyond bodyStall
	budgetWait  = 30 * time.Second // for a place in the budget
)

// admit gives a body the time that its length deserves, and a place in the budget if it is large.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	length := r.ContentLength
	if length < 0 || length > maxBody {
		length = maxBody
	}
	allowed := bodyStall + time.Duration(length/slowestRate)*time.Second
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(allowed))
	if length <= freeBody {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), budgetWait)
	defer cancel()
	if release, err = s.bodies.take(ctx, length); err != nil {
		return nil, fault.New(fault.Throttling, "The server has too many large requests at once. Try again.").With(err)
	}
	return release, nil
}
