package logs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

// line is of the usual length of a line of a web framework.
var line = "2026-03-04T05:06:07.890Z INFO agent.app request handled " + strings.Repeat("x", 44)

// BenchmarkPut appends batches of 100 lines.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b)
			s.create("s")
			entries := make([]logs.Entry, n)
			for i := range entries {
				entries[i] = logs.Entry{Time: s.clock.millis(), Message: line}
			}
			for b.Loop() {
				s.puts("s", entries)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// BenchmarkWriters has eight programs that write as fast as they can.
func BenchmarkWriters(b *testing.B) {
	s := open(b)
	done := make(chan int)
	for w := range 8 {
		writer, err := s.Writer(scope, group, fmt.Sprint("w", w))
		must(b, err)
		go func() {
			taken := 0
			for range b.N {
				if writer.Line(b.Context(), line) {
					taken++
				}
			}
			must(b, writer.Close(b.Context()))
			done <- taken
		}()
	}
	taken := 0
	for range 8 {
		taken += <-done
	}
	b.ReportMetric(float64(taken)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(8*b.N-taken), "dropped")
}

// BenchmarkFollow measures from Put until a follower has the event.
func BenchmarkFollow(b *testing.B) {
	s := open(b)
	s.create("s")
	from := s.clock.millis()
	s.bulk("s", from, 3)
	got := make(chan logs.Event)
	follow := s.Follow(b.Context(), scope, group, logs.FollowQuery{Pattern: "mark"})
	go func() {
		for events, err := range follow {
			if err != nil {
				return
			}
			for _, e := range events {
				got <- e
			}
		}
	}()
	for b.Loop() {
		s.put("s", from, "mark")
		<-got
	}
}

// BenchmarkTail reads the last 100 of 50,000 events, as a client that polls does.
func BenchmarkTail(b *testing.B) {
	s := open(b)
	s.create("s")
	n := s.bulk("s", s.clock.millis(), 50)
	start := s.clock.millis() + int64(n) - 100
	b.Run("filter", func(b *testing.B) {
		for b.Loop() {
			if len(s.all(logs.FilterQuery{Start: &start})) != 100 {
				b.Fatal("not 100 events")
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			s.read(logs.ReadQuery{Limit: 100})
		}
	})
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			s.all(logs.FilterQuery{Pattern: `"nothing like this" -y`})
		}
	})
}
