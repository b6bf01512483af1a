package agent

import (
	"fmt"
	"os"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
)

func BenchmarkRunCode(b *testing.B) {
	g := start(b)
	for b.Loop() {
		if _, err := g.RunCode(b.Context(), client.Run{Language: "python", Text: "1"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRunCommand(b *testing.B) {
	g := start(b)
	for b.Loop() {
		if _, err := g.RunCommand(b.Context(), client.Run{Text: "true"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPing(b *testing.B) {
	g := start(b)
	for b.Loop() {
		if err := g.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite100MB reports the guest's memory after the last transfer too.
func BenchmarkWrite100MB(b *testing.B) {
	const size = 100 << 20
	g := start(b)
	b.SetBytes(size)
	before := residentOf(b, g)
	for b.Loop() {
		if err := g.WriteFiles(b.Context(), []client.File{{Path: "large", Size: size, Content: zeros{}}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(before, "KiB-before")
	b.ReportMetric(residentOf(b, g), "KiB-after")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// residentOf reads the resident memory of the guest, in KiB.
func residentOf(t testing.TB, g *guest) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var all, resident float64
	if _, err := fmt.Sscan(string(b), &all, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * float64(os.Getpagesize()) / 1024
}
