package idempotency

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// answers is a store in memory.
type answers struct {
	mu   sync.Mutex
	kept map[Key][2]string
}

func (a *answers) Remember(_ context.Context, k Key, parameters, answer string, _ time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = map[Key][2]string{}
	}
	a.kept[k] = [2]string{parameters, answer}
	return nil
}

func (a *answers) Recall(_ context.Context, k Key) (parameters, answer string, found bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, found := a.kept[k]
	return v[0], v[1], found, nil
}

func TestOnce(t *testing.T) {
	ctx, tokens, runs := t.Context(), New(&answers{}), 0
	do := func(token, region, parameters string) (int, error) {
		return Once(ctx, tokens, Key{Account: "1", Region: region, Operation: "Op", Token: token}, parameters, func() (int, error) { runs++; return runs, nil })
	}
	for _, c := range []struct {
		token, region, parameters string
		want                      int
	}{{"a", "r", "p", 1}, {"a", "r", "p", 1}, {"b", "r", "p", 2}, {"a", "other", "p", 3}, {"", "r", "p", 4}, {"", "r", "p", 5}, {"a", "r", "p", 1}} {
		if got, err := do(c.token, c.region, c.parameters); got != c.want || err != nil {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
	if _, err := do("a", "r", "other"); !fault.Is(err, fault.Validation) || fault.From(err).Reason != fault.IdempotentMismatch {
		t.Errorf("other parameters: %v", err)
	}
}

func TestWhatFailsIsNotRemembered(t *testing.T) {
	tokens, broken := New(&answers{}), errors.New("broken")
	k := Key{Token: "a"}
	if _, err := Once(t.Context(), tokens, k, 1, func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got, err := Once(t.Context(), tokens, k, 1, func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Error(got, err)
	}
}

func TestConcurrentRequestsWaitForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, k, runs := New(&answers{}), Key{Token: "a"}, 0
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				got, err := Once(t.Context(), tokens, k, "p", func() (int, error) {
					time.Sleep(time.Second) // of the test's own time
					runs++
					return runs, nil
				})
				if got != 1 || err != nil {
					t.Error(got, err)
				}
			})
		}
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Once(gone, tokens, k, "p", func() (int, error) { return 0, nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone away: %v", err)
		}
		all.Wait()
		if n := len(tokens.turns.locks); n != 0 {
			t.Errorf("%d turns are left", n)
		}
	})
}
