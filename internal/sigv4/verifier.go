package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// DefaultMaxBody is how many bytes of a body Verify reads into memory where MaxBody does not say otherwise.
const DefaultMaxBody = 1 << 20

// Verifier verifies requests. Its fields must not change once it is in use; Verify may be called concurrently.
type Verifier struct {
	Keys KeyStore
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// MaxSkew is how far a request's date may be from Now; nil means [MaxSkew], AWS's own limits.
	MaxSkew func(Scope) time.Duration
	// MaxBody bounds, in bytes, the bodies that Verify must read into memory to know their hash; nil means DefaultMaxBody for all.
	MaxBody func(Scope) int64
	// Guess names the service that a request without a readable scope is for, so that it is refused in the right family's words; nil or "" means JSON.
	Guess func(*http.Request) string

	cache keyCache
}

// MaxSkew is how far AWS lets clocks be apart: 15 minutes for S3 and the query services, 5 minutes for the others.
func MaxSkew(s Scope) time.Duration {
	if FamilyOf(s.Service) == JSON {
		return 5 * time.Minute
	}
	return 15 * time.Minute
}

// Identity is who signed a request, and what of it.
type Identity struct {
	AccessKeyID   string
	Principal     any // as the key store gave it
	Scope         Scope
	Time          time.Time // when it was signed, by the client's clock; UTC
	SignedHeaders []string  // lower case, sorted
	Payload       Payload
	Presigned     bool
	// Body is the payload, decoded of aws-chunked, checked against what was signed. It is never nil, and whoever reads the payload must read it here.
	Body *Body
}

// Verify checks a request's signature. The request must be as net/http's server read it: method, RequestURI, URL, Host and Header untouched.
//
// r.Body is left alone, and read through Identity.Body, unless its hash is needed and not given (see the package documentation): then it has been
// read, and r.Body is replaced by a reader of the bytes in memory. Every error is a *fault.Error; all but those of the key store itself
// (InternalServerException) are around a *Failure.
func (v *Verifier) Verify(r *http.Request) (*Identity, error) {
	c, bad := parse(r)
	service := c.scope.Service
	if service == "" && v.Guess != nil {
		service = v.Guess(r)
	}
	f := FamilyOf(service)
	if bad != nil {
		return nil, bad.as(f)
	}
	if bad := v.admissible(r, &c); bad != nil {
		return nil, bad.as(f)
	}
	mode, bad := payloadMode(&c, f)
	if bad != nil {
		return nil, bad.as(f)
	}
	key, err := v.lookup(r, &c, f)
	if err != nil {
		return nil, err
	}
	body := newBody(r, f)
	hash := c.hash
	switch {
	case mode == UnsignedPayload:
		hash = string(UnsignedPayload)
	case hash == "":
		limit := int64(DefaultMaxBody)
		if v.MaxBody != nil {
			limit = v.MaxBody(c.scope)
		}
		if hash, err = body.buffer(limit); err != nil {
			return nil, err
		}
		r.Body = body.replay()
	}
	signing, bad := v.match(r, &c, f, key.Secret, hash)
	if bad != nil {
		return nil, bad.as(f)
	}
	if bad := body.enforce(r, &c, mode, signing); bad != nil {
		return nil, bad.as(f)
	}
	return &Identity{AccessKeyID: c.accessKeyID, Principal: key.Principal, Scope: c.scope, Time: c.time, SignedHeaders: c.signed,
		Payload: mode, Presigned: c.presigned, Body: body}, nil
}

// admissible checks all that can be checked without the key.
func (v *Verifier) admissible(r *http.Request, c *claim) *refusal {
	kind, part := BadScope, "The authorization header is malformed; "
	if c.presigned {
		kind, part = BadQueryScope, "Error parsing the X-Amz-Credential parameter; "
	}
	if c.term != terminator {
		return refusef(kind, "Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, clip(c.term)).
			forS3("%sincorrect terminal %q. This endpoint uses %q.", part, clip(c.term), terminator)
	}
	if day := c.time.Format(shortDate); day != c.scope.Date {
		return refusef(kind, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			clip(c.scope.Date), day, c.stamp).
			forS3("%sInvalid credential date %q. This date is not the same as X-Amz-Date: %q.", part, clip(c.scope.Date), day)
	}
	if bad := v.timely(c); bad != nil {
		return bad
	}
	missing := unsignedHeaders(r.Header, c.signed)
	if !c.presigned && r.Header.Get("X-Amz-Date") == "" && len(missing) == 0 && !slices.Contains(c.signed, "date") {
		missing = append(missing, "date")
	}
	if len(missing) > 0 {
		names := make([]string, len(missing))
		for i, n := range missing {
			names[i] = "'" + clip(n) + "'"
			if n == "host" {
				names[i] = "'Host' or ':authority'"
			}
		}
		bad := refusef(UnsignedHeaders, "%s must be a 'SignedHeader' in the AWS Authorization.", strings.Join(names, ", "))
		bad.detail = strings.Join(missing, ", ")
		return bad
	}
	return nil
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now().UTC()
	}
	return time.Now().UTC()
}

func (v *Verifier) timely(c *claim) *refusal {
	skew := MaxSkew(c.scope)
	if v.MaxSkew != nil {
		skew = v.MaxSkew(c.scope)
	}
	now, tooEarly, tooLate := v.now(), NotYetValid, Expired
	lifetime := c.expires
	if !c.presigned {
		tooEarly, tooLate = Skewed, Skewed
	}
	if lifetime < 0 {
		lifetime = skew
	}
	minutes := func(d time.Duration) string {
		if d%time.Minute == 0 {
			return fmt.Sprintf("%d min.", d/time.Minute)
		}
		return fmt.Sprintf("%d s", d/time.Second)
	}
	if first := now.Add(-lifetime); c.time.Before(first) {
		return refusef(tooLate, "Signature expired: %s is now earlier than %s (%s - %s)", c.stamp,
			first.Format(longDate), now.Format(longDate), minutes(lifetime))
	}
	if last := now.Add(skew); c.time.After(last) {
		return refusef(tooEarly, "Signature not yet current: %s is still later than %s (%s + %s)", c.stamp,
			last.Format(longDate), now.Format(longDate), minutes(skew))
	}
	return nil
}

func (v *Verifier) lookup(r *http.Request, c *claim, f Family) (Key, error) {
	key, err := v.Keys.Lookup(r.Context(), c.accessKeyID, c.token)
	kind := ExpiredToken
	switch {
	case err == nil && (key.Expires.IsZero() || v.now().Before(key.Expires)):
		return key, nil
	case err == nil, errors.Is(err, ErrExpiredToken):
	case errors.Is(err, ErrUnknownKey):
		kind = UnknownKey
	case errors.Is(err, ErrInvalidToken):
		kind = InvalidToken
	default:
		if coded, ok := errors.AsType[*fault.Error](err); ok {
			return Key{}, coded
		}
		return Key{}, fault.Wrap(err, "look up access key")
	}
	return Key{}, refuse(kind).because(err).as(f)
}

// match computes the signature over every form that the request may have been signed in and returns the signing key of the one that fits.
func (v *Verifier) match(r *http.Request, c *claim, f Family, secret, payloadHash string) ([]byte, *refusal) {
	if len(c.signature) != 2*sha256.Size {
		return nil, refuse(Mismatch)
	}
	headers, absent := appendHeaders(make([]byte, 0, 1024), r, c.signed)
	if absent != "" {
		bad := refuse(Mismatch)
		bad.detail = "signed header " + clip(absent) + " is not in the request"
		return nil, bad
	}
	k := cacheKey{secret: secret, scope: c.scope}
	signing, cached := v.cache.get(k)
	if !cached {
		signing = DeriveSigningKey(secret, c.scope)
	}
	queries := canonicalQueries(r.URL.RawQuery, c.presigned)
	buf := make([]byte, 0, 2048)
	for _, path := range canonicalPaths(sentPath(r), f) {
		for _, query := range queries {
			buf = canonicalRequest(buf[:0], r.Method, path, query, headers, c.signed, payloadHash)
			sum := sha256.Sum256(buf)
			want := sign(signing, algorithm+"\n"+c.stamp+"\n"+c.scope.String()+"\n"+hex.EncodeToString(sum[:]))
			if subtle.ConstantTimeCompare([]byte(want), []byte(c.signature)) == 1 {
				if !cached {
					v.cache.put(k, signing)
				}
				return signing, nil
			}
		}
	}
	return nil, refuse(Mismatch)
}

// sign returns the hexadecimal signature of a string to sign.
func sign(key []byte, text string) string {
	return hex.EncodeToString(hmacSHA256(key, text))
}
