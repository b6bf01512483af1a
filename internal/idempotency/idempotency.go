// Package idempotency makes a request that carries a client token happen once, as AWS does: repeated, it gets the first answer.
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Key is what makes a client token unique.
type Key struct {
	Account, Region string
	Operation       string
	Token           string // "" for a request without one
}

// Store keeps the answers.
type Store interface {
	// Remember keeps the answer to a client token, unless there is one; Recall returns it, with the hash of the parameters it was given with.
	Remember(ctx context.Context, k Key, parameters, answer string, at time.Time) error
	Recall(ctx context.Context, k Key) (parameters, answer string, found bool, err error)
}

// Tokens are the client tokens of a service.
type Tokens struct {
	store Store
	turns keyedMutex
}

// New returns tokens whose answers are kept in store.
func New(store Store) *Tokens { return &Tokens{store: store} }

// Once runs run at most once per client token: a repeated token with the same parameters gets the first answer, one with other parameters a ValidationException.
// Concurrent requests with one token wait for the first. Without a token, run just runs.
func Once[P, A any](ctx context.Context, t *Tokens, k Key, parameters P, run func() (A, error)) (A, error) {
	var answer A
	if k.Token == "" {
		return run()
	}
	unlock, err := t.turns.lock(ctx, k)
	if err != nil {
		return answer, err
	}
	defer unlock()
	hash, err := hashOf(parameters)
	if err != nil {
		return answer, err
	}
	had, saved, found, err := t.store.Recall(ctx, k)
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
	return answer, t.store.Remember(ctx, k, hash, string(text), time.Now())
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
	locks map[Key]*keyedLock
}

type keyedLock struct {
	turn  chan struct{}
	users int
}

func (m *keyedMutex) lock(ctx context.Context, k Key) (unlock func(), err error) {
	m.mu.Lock()
	if m.locks == nil {
		m.locks = map[Key]*keyedLock{}
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
