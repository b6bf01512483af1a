package network

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// secretTime is how long a value is used before it is read again: one that was rotated, or that the role may not read any more, goes on for as long.
const secretTime = time.Minute

// Secrets reads the values of one session's [Injections].
type Secrets interface {
	// Secret returns the text of an entry by its name or ARN, as the session's role may read it now. It wraps [ErrNoSecret] when the role may not, or there is none. Its errors
	// are logged: they do not have the value.
	Secret(ctx context.Context, id string) (string, error)
}

// ErrNoSecret is that an entry does not exist, or that the session's role may not read it.
var ErrNoSecret = errors.New("the session's role can read no such secret")

var errUnusable = errors.New("the secret is empty, binary, or has characters that no header can have")

// vault keeps the values that a session's requests need, for a while.
type vault struct {
	from Secrets // nil has none

	mu   sync.Mutex
	kept map[string]keptValue
}

type keptValue struct {
	text string
	read time.Time
}

// value returns the text of an entry, without the white space around it, which no header's value has. One request at a time reads; the others wait for it.
func (v *vault) value(ctx context.Context, id string) (string, error) {
	if v.from == nil {
		return "", ErrNoSecret
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if k, ok := v.kept[id]; ok && now.Sub(k.read) < secretTime {
		return k.text, nil
	}
	delete(v.kept, id)
	text, err := v.from.Secret(ctx, id)
	if err != nil {
		return "", err
	}
	if text = strings.TrimSpace(text); text == "" || !httpguts.ValidHeaderFieldValue(text) {
		return "", errUnusable
	}
	if v.kept == nil {
		v.kept = map[string]keptValue{}
	}
	v.kept[id] = keptValue{text, now}
	return text, nil
}

// forget has values read again by the next request: the host does not take them, and may have been told others.
func (v *vault) forget(wanted []injection) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range wanted {
		delete(v.kept, i.secret)
	}
}

// credentials are the headers of one request, and how to keep their values out of its answer.
type credentials struct {
	header http.Header
	values []string
}

// credentials returns the headers of a request.
func (v *vault) credentials(ctx context.Context, wanted []injection) (c credentials, err error) {
	c.header = http.Header{}
	for _, i := range wanted {
		text, err := v.value(ctx, i.secret)
		if err != nil {
			return credentials{}, &unreadable{i.secret, err}
		}
		c.header[i.header] = []string{i.prefix + text}
		c.values = append(c.values, text)
	}
	return c, nil
}

// scrub removes headers of an answer that have one of the values.
func (c credentials) scrub(h http.Header) {
	for name, all := range h {
		for _, value := range all {
			for _, secret := range c.values {
				if strings.Contains(value, secret) || strings.Contains(name, secret) {
					delete(h, name)
				}
			}
		}
	}
}

// unreadable says which entry could not be read.
type unreadable struct {
	id    string
	cause error
}

// Error implements error.
func (u *unreadable) Error() string { return "the secret " + clip(u.id) + ": " + u.cause.Error() }

// Unwrap returns why.
func (u *unreadable) Unwrap() error { return u.cause }

// scrubbing is an answer on its way in. It cleans informational headers too, which come before the answer's own.
type scrubbing struct {
	http.ResponseWriter
	c credentials
}

// WriteHeader implements http.ResponseWriter.
func (s *scrubbing) WriteHeader(status int) {
	s.c.scrub(s.Header())
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what the writer can do.
func (s *scrubbing) Unwrap() http.ResponseWriter { return s.ResponseWriter }
