package iam

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// KeyUse is the last use of a key, and of the role whose session it is.
type KeyUse struct {
	AccessKeyID string
	RoleID      string // "" for keys that are no role's
	Use
}

const (
	useDelay  = time.Minute      // from a use to its record
	useWrite  = 10 * time.Second // for one batch
	maxUnsaid = 10_000           // keys whose use is not on record; more are written at once
)

// uses collects the uses of keys and writes them in batches, so that no request waits for a write, and a busy key costs one in a minute.
type uses struct {
	write func(context.Context, []KeyUse) error
	log   *slog.Logger

	mu     sync.Mutex
	keys   map[string]KeyUse // by access key
	roles  map[string]Use    // by role id
	timer  *time.Timer       // nil while nothing is to be written
	closed bool

	writing sync.Mutex // one batch at a time
}

func newUses(write func(context.Context, []KeyUse) error, log *slog.Logger) *uses {
	return &uses{write: write, log: log, keys: map[string]KeyUse{}, roles: map[string]Use{}}
}

// Used notes that a principal's key signed a valid request: for which service, and which region. It does not wait: the record follows within a minute, and at Close; what asks for it meanwhile is told
// already.
func (s *Service) Used(p Principal, service, region string) {
	if p.AccessKeyID == "" {
		return
	}
	// The two are parts of a header, which is not to be kept with them.
	u := KeyUse{AccessKeyID: p.AccessKeyID, Use: Use{At: now(), Service: strings.Clone(service), Region: strings.Clone(region)}}
	if p.Kind == RoleSession {
		u.RoleID = p.entity
	}
	s.uses.note(u)
}

func (n *uses) note(u KeyUse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if had, ok := n.keys[u.AccessKeyID]; !ok || !u.At.Before(had.At) {
		n.keys[u.AccessKeyID] = u
	}
	if u.RoleID != "" && !u.At.Before(n.roles[u.RoleID].At) {
		n.roles[u.RoleID] = u.Use
	}
	switch {
	case n.closed: // Close has the last word, and it comes after the last request
	case n.timer == nil:
		n.timer = time.AfterFunc(useDelay, n.later)
	case len(n.keys) == maxUnsaid:
		n.timer.Reset(0)
	}
}

// later writes what has been collected, in a goroutine of its own.
func (n *uses) later() {
	ctx, cancel := context.WithTimeout(context.Background(), useWrite)
	defer cancel()
	if err := n.flush(ctx); err != nil {
		n.log.Warn("the last use of access keys is not on record yet", "error", err)
	}
}

// flush writes what has been collected. What could not be written is collected still.
func (n *uses) flush(ctx context.Context) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	n.timer = nil
	batch := make([]KeyUse, 0, len(n.keys))
	for _, u := range n.keys {
		batch = append(batch, u)
	}
	n.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := n.write(ctx, batch)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		if n.timer == nil && !n.closed {
			n.timer = time.AfterFunc(useDelay, n.later)
		}
		return err
	}
	for _, u := range batch { // until now they have been told from here
		if n.keys[u.AccessKeyID] == u {
			delete(n.keys, u.AccessKeyID)
		}
		if n.roles[u.RoleID] == u.Use {
			delete(n.roles, u.RoleID)
		}
	}
	return nil
}

// close writes what is left, and stops writing by itself.
func (n *uses) close(ctx context.Context) error {
	n.mu.Lock()
	n.closed = true
	if n.timer != nil {
		n.timer.Stop()
	}
	n.mu.Unlock()
	return n.flush(ctx)
}

// ofKey returns the later of a key's use on record and the one that is not yet.
func (n *uses) ofKey(id string, recorded Use) Use {
	n.mu.Lock()
	defer n.mu.Unlock()
	if u, ok := n.keys[id]; ok && u.At.After(recorded.At) {
		return u.Use
	}
	return recorded
}

// ofRole puts the last use of a role that is not on record yet into it.
func (n *uses) ofRole(e *Entity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if u, ok := n.roles[e.ID]; ok && u.At.After(e.LastUsed) {
		e.LastUsed, e.LastUsedRegion = u.At, u.Region
	}
}

// Close writes down what is known of the last uses of keys. It is to be called after the last request, before the store is closed.
func (s *Service) Close(ctx context.Context) error { return s.uses.close(ctx) }
