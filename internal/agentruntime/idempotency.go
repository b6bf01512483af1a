package agentruntime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// once runs make at most once per client token: a repeated token with the same parameters gets the first answer, one with other parameters a ValidationException.
// Concurrent requests with one token wait for the first. Without a token, make just runs.
func once[P, A any](ctx context.Context, s *Service, k TokenKey, parameters P, run func() (A, error)) (A, error) {
	var answer A
	if k.Token == "" {
		return run()
	}
	unlock, err := s.tokens.lock(ctx, k)
	if err != nil {
		return answer, err
	}
	defer unlock()
	hash, err := hashOf(parameters)
	if err != nil {
		return answer, err
	}
	had, saved, found, err := s.o.Store.RuntimeAnswer(ctx, k)
	if err != nil {
		return answer, err
	}
	if found {
		if had != hash {
			e := fault.New(fault.Validation, "The client token was used before with other parameters.")
			e.Reason, e.Fields = fault.IdempotentMismatch, []fault.Field{{Name: "clientToken", Message: "used before with other parameters"}}
			return answer, e
		}
		return answer, json.Unmarshal([]byte(saved), &answer)
	}
	if answer, err = run(); err != nil {
		return answer, err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return answer, err
	}
	return answer, s.o.Store.SaveRuntimeAnswer(ctx, k, hash, string(text), time.Now())
}

func hashOf(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// keyedMutex is a mutex per key that exists only while someone holds or wants it.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[TokenKey]*keyedLock
}

type keyedLock struct {
	turn  chan struct{}
	users int
}

func (m *keyedMutex) lock(ctx context.Context, k TokenKey) (unlock func(), err error) {
	m.mu.Lock()
	if m.locks == nil {
		m.locks = map[TokenKey]*keyedLock{}
	}
	l := m.locks[k]
	if l == nil {
		l = &keyedLock{turn: make(chan struct{}, 1)}
		m.locks[k] = l
	}
	l.users++
	m.mu.Unlock()
	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(m.locks, k)
		}
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
