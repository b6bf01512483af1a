package network

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxAddresses    = 4096 // with their names, that a session has resolved
	maxNamesOf      = 32   // names that one address was resolved from
	maxAnswers      = 1024 // answers that are given again
	answersPerQuery = 16
)

// resolved is what a session has resolved. Answers are given again for as long as they said they would hold, so that a name means the same to the program that asks for it and to
// this server; which names an address was resolved from is known for as long as there is room, because programs keep addresses as long as they like.
type resolved struct {
	mu      sync.Mutex
	answers map[string]answer
	names   map[netip.Addr][]string
	order   []netip.Addr // of names, the oldest first
}

type answer struct {
	addresses []netip.Addr
	until     time.Time
}

func (r *resolved) answer(name string, now time.Time) ([]netip.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[name]
	return a.addresses, ok && now.Before(a.until)
}

func (r *resolved) add(name string, addresses []netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers, r.names = map[string]answer{}, map[netip.Addr][]string{}
	}
	if len(r.answers) >= maxAnswers {
		clear(r.answers)
	}
	r.answers[name] = answer{addresses, now.Add(answerTTL * time.Second)}
	for _, a := range addresses {
		names, known := r.names[a]
		if slices.Contains(names, name) {
			continue
		}
		if !known {
			if len(r.order) >= maxAddresses {
				delete(r.names, r.order[0])
				r.order = slices.Delete(r.order, 0, 1)
			}
			r.order = append(r.order, a)
		}
		if len(names) >= maxNamesOf {
			names = names[1:]
		}
		r.names[a] = append(slices.Clone(names), name)
	}
}

// of returns the names that an address was resolved from, the latest last.
func (r *resolved) of(a netip.Addr) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names[a]
}
