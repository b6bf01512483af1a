package iam

import (
	"errors"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// cache keeps compiled documents by their text, in two generations: when the young one is full it becomes the old one, and what is not asked for again is forgotten
// with it. A document's text says all about it, so that nothing in here can be out of date.
type cache struct {
	mu         sync.Mutex
	young, old map[cacheKey]*policy.Document
	size       int // bytes of text in the young generation
}

type cacheKey struct {
	typ  policy.Type
	text string
}

const cacheBytes = 2 << 20 // of text in a generation

func newCache() *cache { return &cache{young: map[cacheKey]*policy.Document{}} }

// get returns the compiled document, or MalformedPolicyDocument with the reason.
func (c *cache) get(text string, t policy.Type) (*policy.Document, error) {
	k := cacheKey{t, text}
	c.mu.Lock()
	d, ok := c.young[k]
	if !ok {
		if d, ok = c.old[k]; ok {
			c.put(k, d)
		}
	}
	c.mu.Unlock()
	if ok {
		return d, nil
	}
	d, err := policy.Parse([]byte(text), t)
	if err != nil {
		if m, ok := errors.AsType[*policy.Malformed](err); ok {
			return nil, fault.New(MalformedPolicy, "%s", m.Reason)
		}
		return nil, err
	}
	c.mu.Lock()
	c.put(k, d)
	c.mu.Unlock()
	return d, nil
}

func (c *cache) put(k cacheKey, d *policy.Document) {
	if c.size+len(k.text) > cacheBytes {
		c.old, c.young, c.size = c.young, map[cacheKey]*policy.Document{}, 0
	}
	c.young[k] = d
	c.size += len(k.text)
}

// known keeps what has been read of the records, by key, for as long as they do not change: a version that has passed counts no more.
type known[V any] struct {
	mu      sync.Mutex
	version uint64
	items   map[string]V
	limit   int // items; beyond it all are forgotten, and what is in use comes back
}

func newKnown[V any](limit int) *known[V] {
	return &known[V]{items: map[string]V{}, limit: limit}
}

// get returns what was read at a version of the records.
func (k *known[V]) get(version uint64, key string) (v V, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if version == k.version {
		v, ok = k.items[key]
	}
	return v, ok
}

// put remembers what was read. version must have been asked for before the reading: a change meanwhile makes the item one of the past.
func (k *known[V]) put(version uint64, key string, v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if version < k.version {
		return
	}
	if version > k.version || len(k.items) >= k.limit {
		k.version = version
		clear(k.items)
	}
	k.items[key] = v
}
