package main

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what a figure depends on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memoryBytes"`
	Kernel string `json:"kernel"`
	Load   string `json:"loadAverage"` // when the run began
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	return m
}

// series are the measurements of one thing, in milliseconds.
type series []float64

func (s *series) add(d time.Duration) { *s = append(*s, float64(d.Nanoseconds())/1e6) }

func (s series) result(name, unit string) Result {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return Result{Name: name, Unit: unit, N: n, Min: sorted[0], Median: sorted[n/2], P95: sorted[min(n-1, n*95/100)], Max: sorted[n-1]}
}

// record keeps a series and returns its median.
func (b *bench) record(name string, s series) float64 {
	r := s.result(name, "ms")
	b.report.Results = append(b.report.Results, r)
	return r.Median
}

func (b *bench) ratio(name string, value, target float64) {
	b.report.Ratios = append(b.report.Ratios, Ratio{Name: name, Value: value, Target: target})
}
