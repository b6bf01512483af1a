package network

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes is a connection that keeps what each write brought.
type writes struct {
	net.Conn
	mu    sync.Mutex
	sizes []int
	all   bytes.Buffer
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.sizes = append(w.sizes, len(p))
	return w.all.Write(p)
}

func (w *writes) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// taken returns the sizes of the writes since the last call.
func (w *writes) taken() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sizes := w.sizes
	w.sizes = nil
	return sizes
}

func (w *writes) Close() error { return nil }

func TestFullRecordsTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		b := newBatch(w)
		full, short := bytes.Repeat([]byte("f"), fullRecord), []byte("short")
		send := func(records ...[]byte) {
			t.Helper()
			for _, r := range records {
				if n, err := b.Write(r); n != len(r) || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		want := func(sizes ...int) {
			t.Helper()
			if got := w.taken(); !slices.Equal(got, sizes) {
				t.Fatalf("writes of %v bytes, want %v", got, sizes)
			}
		}
		send(short)
		want(len(short))
		send(full, full, short)
		want(2*fullRecord + len(short))
		for range batchLimit / fullRecord {
			send(full)
		}
		want(batchLimit)
		send(full) // nothing follows
		want()
		synctest.Wait()
		time.Sleep(batchTime) // in the test's own time
		synctest.Wait()
		want(fullRecord)
		send(full)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		want(fullRecord)

		w.fail(errors.New("gone"))
		send(full)
		time.Sleep(2 * batchTime) // in the test's own time
		synctest.Wait()
		if _, err := b.Write(short); err == nil {
			t.Error("a failed write is forgotten")
		}
	})
}
