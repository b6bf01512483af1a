package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	keySize      = 32
	maxTokenText = 4096

	// PasswordLife is how long a password of GetAuthorizationToken is good. Source: ECR API reference.
	PasswordLife = 12 * time.Hour
	// DownloadLife is how long the URL of a layer is good, as on AWS.
	DownloadLife = time.Hour
)

// Why a token is refused.
var (
	ErrForged  = errors.New("the token is not one of this registry's")
	ErrExpired = errors.New("the token has expired")
)

// Pass is what a password stands for: an access key, for one registry. What the key's holder may do is asked at each use, so the password dies with the key.
type Pass struct {
	AccessKeyID string    `json:"k"`
	Scope       Scope     `json:"s"`
	Expires     time.Time `json:"e"`
}

// Download is the permission to read one blob of a repository, for whoever has its URL.
type Download struct {
	ID      ID        `json:"r"`
	Digest  string    `json:"d"`
	Expires time.Time `json:"e"`
}

// Tokens makes and verifies tokens: JSON and its HMAC under a key that stays in the registry's folder. They hold no secret.
type Tokens struct{ passwords, downloads []byte }

// newTokens derives a key for each kind of token: none passes for another.
func newTokens(key []byte) *Tokens {
	derive := func(use string) []byte { return sum(key, []byte("sunaba registry "+use)) }
	return &Tokens{passwords: derive("password"), downloads: derive("download")}
}

func sum(key, content []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(content)
	return h.Sum(nil)
}

func seal(key []byte, v any) (string, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(content) + "." + base64.RawURLEncoding.EncodeToString(sum(key, content)), nil
}

func unseal(key []byte, token string, v any) error {
	if len(token) > maxTokenText {
		return ErrForged
	}
	text, mac, _ := strings.Cut(token, ".")
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return ErrForged
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil || !hmac.Equal(given, sum(key, content)) {
		return ErrForged
	}
	if err := json.Unmarshal(content, v); err != nil {
		return ErrForged
	}
	return nil
}

// Password makes the password of an access key for a registry, good for 12 hours or until the key ends; the zero time says that it does not.
func (t *Tokens) Password(accessKeyID string, s Scope, keyEnds time.Time) (password string, expires time.Time, err error) {
	expires = now().Add(PasswordLife).Truncate(time.Second)
	if !keyEnds.IsZero() && keyEnds.Before(expires) {
		expires = keyEnds.UTC()
	}
	password, err = seal(t.passwords, Pass{AccessKeyID: accessKeyID, Scope: s, Expires: expires})
	return password, expires, err
}

// Verify reads a password: ErrForged or ErrExpired if it is not good.
func (t *Tokens) Verify(password string) (p Pass, err error) {
	if err := unseal(t.passwords, password, &p); err != nil {
		return Pass{}, err
	}
	if !time.Now().Before(p.Expires) {
		return Pass{}, ErrExpired
	}
	return p, nil
}

// DownloadToken makes the token of a layer's URL.
func (t *Tokens) DownloadToken(id ID, digest string) (string, error) {
	return seal(t.downloads, Download{ID: id, Digest: digest, Expires: now().Add(DownloadLife)})
}

// VerifyDownload reads the token of a layer's URL.
func (t *Tokens) VerifyDownload(token string) (d Download, err error) {
	if err := unseal(t.downloads, token, &d); err != nil {
		return Download{}, err
	}
	if !time.Now().Before(d.Expires) {
		return Download{}, ErrExpired
	}
	return d, nil
}
