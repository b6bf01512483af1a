package server

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/semaphore"
)

// budget bounds the bytes of request bodies that are held at once, so that many large requests queue instead of exhausting the server's memory.
type budget struct{ sem *semaphore.Weighted }

func newBudget(bytes int64) *budget { return &budget{semaphore.NewWeighted(bytes)} }

// panicked makes an error of a recovered panic, for the log.
func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }
