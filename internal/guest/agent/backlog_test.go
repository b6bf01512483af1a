package agent

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// heard takes what a listener gets until there is no more, or so many bytes.
func heard(ctx context.Context, b *backlog, reader, most int) string {
	var s strings.Builder
	for s.Len() < most {
		stderr, p, ok := b.next(ctx, reader)
		if !ok {
			break
		}
		if stderr {
			fmt.Fprintf(&s, "<%s>", p)
		} else {
			s.Write(p)
		}
	}
	return s.String()
}

func TestBacklogKeepsOrderAndResumes(t *testing.T) {
	b := newBacklog()
	b.write(false, []byte("one "))
	b.write(true, []byte("two"))
	reader, from := b.listen(0)
	if from != 0 {
		t.Error(from)
	}
	check(t, "before it ends", heard(t.Context(), b, reader, 9), "one <two>")
	b.write(false, []byte(" three"))
	b.write(false, []byte(" four"))
	b.close()
	check(t, "the rest", heard(t.Context(), b, reader, 1000), " three four")
	for offset, want := range map[int64]string{0: "one <two> three four", 2: "e <two> three four", 5: "<wo> three four", 7: " three four", 18: "", 99: ""} {
		reader, from = b.listen(offset)
		check(t, fmt.Sprint("again from ", offset), heard(t.Context(), b, reader, 1000), want)
		if from != min(offset, 18) {
			t.Error(from)
		}
	}
}

// A program that nobody listens to does not wait, and what is kept of it is bounded, however it is cut.
func TestFloodWithoutAListenerIsBounded(t *testing.T) {
	for name, piece := range map[string]int{"bytes": 1, "lines": 80, "pieces": 64 << 10} {
		b := newBacklog()
		p := bytes.Repeat([]byte("x"), piece)
		for i := 0; b.end < 3*proto.MaxBacklog; i++ {
			b.write(i%2 == 0, p)
		}
		var real int
		for _, c := range b.chunks {
			real += cap(c.data) + chunkCost
		}
		if b.cost > proto.MaxBacklog+maxChunk || real > 3*proto.MaxBacklog {
			t.Errorf("%s: %d bytes by its own count, %d in fact", name, b.cost, real)
		}
		reader, from := b.listen(0)
		if from == 0 {
			t.Errorf("%s: nothing is lost", name)
		}
		b.close()
		n := 0
		for {
			_, p, ok := b.next(t.Context(), reader)
			if !ok {
				break
			}
			n += len(p)
		}
		if from+int64(n) != b.end {
			t.Errorf("%s: %d bytes from %d on, of %d", name, n, from, b.end)
		}
	}
}

func TestProgramWaitsForItsListenerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog()
		reader, _ := b.listen(0)
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for range 3 * proto.MaxBacklog / maxChunk {
				b.write(false, make([]byte, maxChunk))
			}
		}()
		synctest.Wait()
		b.mu.Lock()
		if b.end < maxUnsent || b.end > maxUnsent+maxChunk {
			t.Errorf("%d bytes are ahead of the listener, want about %d", b.end, maxUnsent)
		}
		b.mu.Unlock()
		if _, _, ok := b.next(t.Context(), reader); !ok {
			t.Error("nothing comes")
		}
		b.leave(reader)
		<-wrote
	})
}

func TestNewestListenerIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog()
		first, _ := b.listen(0)
		over := make(chan bool)
		go func() {
			_, _, ok := b.next(t.Context(), first)
			over <- ok
		}()
		synctest.Wait()
		second, _ := b.listen(0)
		if <-over {
			t.Error("the first one is served")
		}
		b.leave(first) // of no effect any more
		b.write(false, []byte("x"))
		check(t, "the second", heard(t.Context(), b, second, 1), "x")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, ok := b.next(ctx, second)
			over <- ok
		}()
		synctest.Wait()
		cancel()
		if <-over {
			t.Error("a listener that has gone is served")
		}
	})
}

// FuzzBacklog writes and listens in any order: what comes is a piece of what was written, from where it was said to go on.
func FuzzBacklog(f *testing.F) {
	f.Add([]byte{1, 2, 200, 3, 4, 255, 9})
	f.Fuzz(func(t *testing.T, steps []byte) {
		b := newBacklog()
		var written []byte
		for i, step := range steps {
			if step < 200 {
				p := bytes.Repeat([]byte{byte(i)}, int(step)*37)
				b.write(step%2 == 0, p)
				written = append(written, p...)
				continue
			}
			reader, from := b.listen(int64(step-200) * int64(len(written)) / 50)
			got := []byte(nil)
			for from+int64(len(got)) < int64(len(written)) {
				_, p, ok := b.next(t.Context(), reader)
				if !ok {
					t.Fatal("the output ends before its end")
				}
				got = append(got, p...)
			}
			b.leave(reader)
			if !bytes.Equal(got, written[from:]) {
				t.Fatalf("%d bytes from %d on are not what was written", len(got), from)
			}
		}
	})
}
