package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"
)

// What a KeyStore answers when it has no usable key; wrapped or bare. Any other error is the server's own fault and is answered as one.
var (
	// ErrUnknownKey says that there is no such access key.
	ErrUnknownKey = errors.New("no such access key")
	// ErrInvalidToken says that the session token is not the one of this access key: another one, none where one is needed, or one too many.
	ErrInvalidToken = errors.New("the session token does not belong to the access key")
	// ErrExpiredToken says that the session token was right and is past its time.
	ErrExpiredToken = errors.New("the session token has expired")
)

// Key is what a store knows of an access key.
type Key struct {
	Secret    string
	Expires   time.Time // of temporary credentials; the zero time means never
	Principal any       // whom the key stands for: handed through to Identity unseen
}

// KeyStore finds the secret of an access key. Its method is called concurrently.
type KeyStore interface {
	// Lookup returns the key with an id. sessionToken is what the request carries, "" if nothing: the store must refuse a token that does not
	// belong to the key, and a temporary key without its token, both with ErrInvalidToken.
	Lookup(ctx context.Context, accessKeyID, sessionToken string) (Key, error)
}

// DeriveSigningKey returns the key that signs requests of a scope: an HMAC-SHA256 chain over date, region, service and terminator.
func DeriveSigningKey(secret string, s Scope) []byte {
	k := hmacSHA256([]byte("AWS4"+secret), s.Date)
	k = hmacSHA256(k, s.Region)
	k = hmacSHA256(k, s.Service)
	return hmacSHA256(k, terminator)
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// keyCache remembers derived signing keys in two generations: when the young one is full it becomes the old one, and what is not asked for
// again is forgotten with it. Only keys that have verified a request are put in, so that nobody without a secret can push others out.
type keyCache struct {
	mu         sync.Mutex
	young, old map[cacheKey][]byte
}

type cacheKey struct {
	secret string
	scope  Scope
}

const keysPerGeneration = 512 // about 200 kB in all

func (c *keyCache) get(k cacheKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key, ok := c.young[k]; ok {
		return key, true
	}
	key, ok := c.old[k]
	if ok {
		c.store(k, key)
	}
	return key, ok
}

func (c *keyCache) put(k cacheKey, key []byte) {
	// The scope's strings are parts of a header that is not to be kept with them.
	k.scope = Scope{Date: strings.Clone(k.scope.Date), Region: strings.Clone(k.scope.Region), Service: strings.Clone(k.scope.Service)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(k, key)
}

func (c *keyCache) store(k cacheKey, key []byte) {
	if c.young == nil || len(c.young) >= keysPerGeneration {
		c.old, c.young = c.young, make(map[cacheKey][]byte)
	}
	c.young[k] = key
}
