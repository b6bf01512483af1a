package gvisor_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkService measures the way into a container's program: a request over a kept connection and over a new one, the bytes per second of one answer, and how late the events of
// fifty streams at a hundred events a second are read, by the clock that host and sandbox share.
func BenchmarkService(b *testing.B) {
	f := newFleet(b)
	c := f.start(b)
	_, o := c.run(b, c.service("serve"))
	o.await(b, "listening")
	b.Run("request", func(b *testing.B) {
		for b.Loop() {
			c.get(b, "/ping")
		}
	})
	b.Run("request-from-inside", func(b *testing.B) {
		for b.Loop() {
			took, err := strconv.ParseFloat(commandOf(b, c, "/service", "ask").Stdout, 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(took, "ns/request")
		}
	})
	b.Run("call", func(b *testing.B) {
		for b.Loop() {
			if err := c.Guest().Ping(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("dial", func(b *testing.B) {
		for b.Loop() {
			conn, err := c.Guest().Dial(b.Context(), 8080)
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.Close()
		}
	})
	b.Run("throughput", func(b *testing.B) {
		const size = 64 << 20
		b.SetBytes(size)
		for b.Loop() {
			res, err := c.http.Get("http://agent/bytes?n=" + strconv.Itoa(size))
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, res.Body)
			if _ = res.Body.Close(); err != nil || n != size {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("upload", func(b *testing.B) {
		const size = 16 << 20
		body := strings.Repeat("x", size)
		b.SetBytes(size)
		for b.Loop() {
			res, err := c.http.Post("http://agent/sink", "text/plain", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Fatal(res.Status)
			}
		}
	})
	b.Run("streams", func(b *testing.B) {
		const streams, events = 50, 200
		for b.Loop() {
			var mu sync.Mutex
			var late []time.Duration
			var all sync.WaitGroup
			for range streams {
				all.Go(func() {
					n, err := c.events(fmt.Sprintf("/sse?n=%d&pause=10ms&size=100", events), func(line string) {
						sent, err := strconv.ParseInt(strings.Fields(line)[2], 10, 64)
						if err != nil {
							b.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						late = append(late, time.Since(time.Unix(0, sent)))
					})
					if n != events || err != nil {
						b.Errorf("%d events, %v", n, err)
					}
				})
			}
			all.Wait()
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "late-p50-µs")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "late-p99-µs")
			b.ReportMetric(float64(late[len(late)-1].Microseconds()), "late-max-µs")
		}
	})
}
