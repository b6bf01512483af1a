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
