package iam

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"maps"
	"strings"
	"time"
)

// What Key answers when there is no usable key. Any other error is the server's own fault.
var (
	// ErrUnknownKey says that there is no such access key, or an inactive one.
	ErrUnknownKey = errors.New("no such access key")
	// ErrInvalidToken says that the session token is not the one of this access key: another one, none where one is needed, or one too many.
	ErrInvalidToken = errors.New("the session token does not belong to the access key")
	// ErrExpiredToken says that the session token was right and is past its time.
	ErrExpiredToken = errors.New("the session token has expired")
)

// Credential is an access key of any kind, as the store has it.
type Credential struct {
	AccessKeyID string
	Secret      string
	Active      bool
	Account     string
	Owner       *Entity  // nil: the root user
	Session     *Session // nil: a long-lived key
}

// Session is a set of temporary credentials. The store keeps no token, only its hash: who reads a copy of the records cannot use it.
type Session struct {
	AccessKeyID    string
	Secret         string
	TokenHash      []byte
	Account        string
	OwnerID        string // of the role or user; "" is the root user
	Name           string // of roles' sessions
	Policies       []string
	Tags           map[string]string
	Transitive     []string
	SourceIdentity string
	Service        string // that the role was handed to
	SourceARN      string // of the resource that the service acts for
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// Sessions selects temporary credentials: those for which every field that is set fits. With no field set, none.
type Sessions struct {
	AccessKeyID string
	Service     string
	SourceARN   string
	Name        string
}

// Key returns an access key's secret and whom it stands for. sessionToken is what the request carries, "" if nothing.
func (s *Service) Key(ctx context.Context, accessKeyID, sessionToken string) (secret string, p Principal, expires time.Time, err error) {
	c, found, err := s.holder(ctx, accessKeyID)
	switch {
	case err != nil:
		return "", p, expires, err
	case !found || !c.Active:
		return "", p, expires, ErrUnknownKey
	case c.Session == nil && sessionToken != "":
		return "", p, expires, ErrInvalidToken
	case c.Session == nil:
		return c.Secret, c.principal, expires, nil
	}
	hash := hashToken(sessionToken)
	if subtle.ConstantTimeCompare(hash, c.Session.TokenHash) != 1 {
		return "", p, expires, ErrInvalidToken
	}
	if !time.Now().Before(c.Session.ExpiresAt) {
		return "", p, expires, ErrExpiredToken
	}
	return c.Secret, c.principal, c.Session.ExpiresAt, nil
}

// holder is a credential with the principal that it stands for.
type holder struct {
	Credential
	principal Principal
}

// holder returns a credential, from memory if nothing has changed since it was read. One that does not exist is looked for every time: strangers' guesses must not fill the memory.
func (s *Service) holder(ctx context.Context, accessKeyID string) (*holder, bool, error) {
	at := s.store.version()
	if h, ok := s.holders.get(at, accessKeyID); ok {
		return h, true, nil
	}
	c, found, err := s.store.Credential(ctx, accessKeyID)
	if err != nil || !found {
		return nil, false, err
	}
	h := &holder{c, principalOf(c)}
	s.holders.put(at, strings.Clone(accessKeyID), h)
	return h, true, nil
}

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

func principalOf(c Credential) Principal {
	p := RootOf(c.Account)
	if e := c.Owner; e != nil {
		p = Principal{Kind: UserPrincipal, Account: e.Account, ARN: e.ARN(), UserID: e.ID, UserName: e.Name, Tags: e.Tags, entity: e.ID}
	}
	p.AccessKeyID = c.AccessKeyID
	if c.Session == nil {
		return p
	}
	p.Temporary, p.IssuedAt = true, c.Session.CreatedAt
	if c.Owner == nil || c.Owner.Kind != Role {
		return p
	}
	role, session := c.Owner, c.Session
	p.Kind, p.UserName = RoleSession, ""
	p.ARN, p.RoleARN, p.UserID = sessionARN(*role, session.Name), role.ARN(), role.ID+":"+session.Name
	p.SessionName, p.SourceIdentity = session.Name, session.SourceIdentity
	p.narrowed, p.transitive = session.Policies, session.Transitive
	p.Tags = maps.Clone(role.Tags)
	if p.Tags == nil {
		p.Tags = map[string]string{}
	}
	addTags(p.Tags, session.Tags)
	return p
}

func sessionARN(role Entity, session string) string {
	return "arn:aws:sts::" + role.Account + ":assumed-role/" + role.Name + "/" + session
}

// KeyAccount returns the account that an access key belongs to.
func (s *Service) KeyAccount(ctx context.Context, accessKeyID string) (string, error) {
	c, found, err := s.store.Credential(ctx, accessKeyID)
	if err == nil && !found {
		err = invalid("accessKeyId", "Member must be an access key of this server")
	}
	return c.Account, err
}

// EndSessions voids temporary credentials at once and returns how many there were.
func (s *Service) EndSessions(ctx context.Context, which Sessions) (int, error) {
	if which == (Sessions{}) { // by mistake: it would void everyone's
		return 0, nil
	}
	return s.store.EndTemporary(ctx, which)
}

// KeyHolder returns whom an access key stands for at this moment, and when that ends (the zero time: it does not). It is for a part that keeps a proof of its own that the key was used.
func (s *Service) KeyHolder(ctx context.Context, accessKeyID string) (p Principal, ends time.Time, err error) {
	c, found, err := s.holder(ctx, accessKeyID)
	switch {
	case err != nil:
		return p, ends, err
	case !found || !c.Active:
		return p, ends, ErrUnknownKey
	case c.Session == nil:
		return c.principal, ends, nil
	case !time.Now().Before(c.Session.ExpiresAt):
		return p, ends, ErrExpiredToken
	}
	return c.principal, c.Session.ExpiresAt, nil
}
