package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/semaphore"
)

// budget bounds the bytes of request bodies that are held at once, so that many large requests queue instead of exhausting the server's memory.
type budget struct{ sem *semaphore.Weighted }

func newBudget(bytes int64) *budget { return &budget{semaphore.NewWeighted(bytes)} }

// take reserves room for n bytes and returns how to give it back, once or more often.
func (b *budget) take(ctx context.Context, n int64) (release func(), err error) {
	if err := b.sem.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { b.sem.Release(n) }), nil
}

// panicked makes an error of a recovered panic, for the log.
func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }
