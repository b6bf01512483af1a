package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// How a body must come in. Whoever knows a key's id, and not its secret, can send one: so the server's memory is taken byte by byte as they arrive and not on announcement, and a body that stalls is cut off.
const (
	freeBody    = 64 << 10         // the first bytes of a body need no place in the budget
	budgetStep  = 1 << 20          // the budget is taken in steps
	slowestRate = 128 << 10        // bytes per second, beyond bodyStall
	budgetWait  = 10 * time.Second // for a place in the budget
)

// intake is a request's body on its way in.
type intake struct {
	io.ReadCloser
	ctx     context.Context
	control *http.ResponseController
	budget  *budget
	began   time.Time
	read    int64
	taken   int64
}

func newIntake(w http.ResponseWriter, r *http.Request, b *budget) *intake {
	return &intake{ReadCloser: r.Body, ctx: r.Context(), control: http.NewResponseController(w), budget: b, began: time.Now()}
}

// Read implements io.Reader.
func (i *intake) Read(p []byte) (int, error) {
	if err := i.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	// What has come so far buys the time for what is to come.
	_ = i.control.SetReadDeadline(i.began.Add(bodyStall + time.Duration(i.read/slowestRate)*time.Second))
	n, err := i.ReadCloser.Read(p)
	i.read += int64(n)
	return n, err
}

// reserve takes the budget for n more bytes.
func (i *intake) reserve(n int64) error {
	for i.read+n > freeBody+i.taken {
		ctx, cancel := context.WithTimeout(i.ctx, budgetWait)
		err := i.budget.sem.Acquire(ctx, budgetStep)
		cancel()
		if err != nil {
			return errBusy
		}
		i.taken += budgetStep
	}
	return nil
}

var errBusy = errors.New("there are too many large requests at once")

// asBusy answers a request that found no place in the budget.
func asBusy(err error) error {
	if errors.Is(err, errBusy) {
		return fault.New(fault.Throttling, "The server has too many large requests at once. Try again.").With(err)
	}
	return err
}

// done ends the reading: the deadline would otherwise also end the connection's watch for a client that goes away.
func (i *intake) done() { _ = i.control.SetReadDeadline(time.Time{}) }

// release gives the budget back.
func (i *intake) release() {
	i.budget.sem.Release(i.taken)
	i.taken = 0
}
