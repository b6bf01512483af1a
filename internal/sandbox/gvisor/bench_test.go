package gvisor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/sandboxtest"
)

// sample is a series of measurements, reported as median, least and greatest: on a shared machine the mean says little.
type sample []float64

func (s sample) report(b *testing.B, name string) {
	slices.Sort(s)
	b.ReportMetric(s[len(s)/2], name+"-median")
	b.ReportMetric(s[0], name+"-min")
	b.ReportMetric(s[len(s)-1], name+"-max")
}

func ms(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func memory(b *testing.B, s sandbox.Sandbox) float64 {
	b.Helper()
	st, err := s.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return mib(st.Memory)
}

// BenchmarkLife measures one sandbox after another: start, first and second cell, memory, end.
func BenchmarkLife(b *testing.B) {
	d := open(b)
	defer closeDriver(b, d)
	image := defaultImage(b)
	var create, first, second, destroy, idle, python sample
	for b.Loop() {
		begin := time.Now()
		s, err := d.Create(b.Context(), sandboxtest.Config(image))
		if err != nil {
			b.Fatal(err)
		}
		create = append(create, ms(begin))
		idle = append(idle, memory(b, s))
		sandboxtest.Prints(b, s, "print(1)", "1")
		first = append(first, ms(begin))
		again := time.Now()
		sandboxtest.Prints(b, s, "print(1)", "1")
		second = append(second, ms(again))
		python = append(python, memory(b, s))
		end := time.Now()
		if err := s.Destroy(b.Context()); err != nil {
			b.Fatal(err)
		}
		destroy = append(destroy, ms(end))
	}
	create.report(b, "create-ms")
	first.report(b, "first-cell-ms")
	second.report(b, "second-cell-ms")
	destroy.report(b, "destroy-ms")
	idle.report(b, "idle-MiB")
	python.report(b, "python-MiB")
}

// BenchmarkRestore measures restores of a sandbox whose Python is warm.
func BenchmarkRestore(b *testing.B) {
	d := open(b)
	defer closeDriver(b, d)
	image := defaultImage(b)
	s := sandboxtest.Create(b, d, sandboxtest.Config(image))
	sandboxtest.Python(b, s, "import pandas")
	dir := b.TempDir()
	begin := time.Now()
	if err := s.Checkpoint(b.Context(), dir); err != nil {
		b.Fatal(err)
	}
	checkpoint := ms(begin)
	var restore, first, used sample
	for b.Loop() {
		begin := time.Now()
		s, err := d.Restore(b.Context(), sandboxtest.Config(image), dir)
		if err != nil {
			b.Fatal(err)
		}
		restore = append(restore, ms(begin))
		sandboxtest.Prints(b, s, fmt.Sprintf("print(pandas.Series([%d]).sum())", len(restore)), fmt.Sprint(len(restore)))
		first = append(first, ms(begin))
		used = append(used, memory(b, s))
		if err := s.Destroy(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(checkpoint, "checkpoint-ms")
	restore.report(b, "restore-ms")
	first.report(b, "first-cell-ms")
	used.report(b, "memory-MiB")
}
