// Command bench measures Sunaba beside bare gVisor, on the same image and with the same options, in one run, and writes JSON. It must run as root on a machine that does nothing else.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/installation"
	"github.com/sunaba-dev/sunaba/internal/runsc"
)

// Result is one measured thing.
type Result struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

// Ratio compares two results with what is aimed at.
type Ratio struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Target float64 `json:"target"` // at most
}

// Report is one run.
type Report struct {
	When    time.Time `json:"when"`
	Machine Machine   `json:"machine"`
	Results []Result  `json:"results"`
	Ratios  []Ratio   `json:"ratios"`
}

func main() {
	binary := flag.String("sunaba", "bin/sunaba", "the sunaba binary")
	out := flag.String("out", "bench/results", "folder for the JSON report")
	clients := flag.String("aws", "", "the aws CLI that is measured on the host, beside the one in the sandbox")
	only := flag.String("only", "", "measure only these, with commas: starts, calls, files, storage, authorisation")
	n := flag.Int("n", 20, "how often each start is measured; calls are measured ten times as often")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *binary, *out, *clients, *only, *n)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, out, awsCLI, only string, n int) error {
	cache, err := installation.DefaultCache()
	if err != nil {
		return err
	}
	i, err := image.New(cache).Resolve(image.DefaultName)
	if err != nil {
		return fmt.Errorf("the default image is missing (make image): %w", err)
	}
	runtime, done, err := storedRunsc()
	if err != nil {
		return err
	}
	defer done()
	b := &bench{n: n, aws: awsCLI, runsc: runtime, report: Report{When: time.Now().UTC(), Machine: thisMachine()}, binary: binary, image: i}
	parts := []struct {
		name    string
		measure func(context.Context) error
	}{{"starts", b.starts}, {"calls", b.calls}, {"files", b.files}, {"storage", b.storage}, {"authorisation", b.authorisation}}
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		if err := p.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.print()
	text, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(out, b.report.When.Format("2006-01-02T150405Z")+".json")
	if err := errors.Join(os.MkdirAll(out, 0o755), os.WriteFile(path, append(text, '\n'), 0o644)); err != nil {
		return err
	}
	fmt.Println("written to", path)
	return nil
}

// storedRunsc writes the gVisor that is embedded in this binary, the same as sunaba's, to a file.
func storedRunsc() (path string, done func(), err error) {
	binary, err := runsc.Binary()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "sunaba-bench-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "runsc")
	if err := os.WriteFile(path, binary, 0o500); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}

type bench struct {
	n      int
	report Report
	binary string
	image  image.Image
	aws    string // path of the host's aws CLI
	runsc  string // path of the gVisor that the driver uses
}

func (b *bench) print() {
	m := b.report.Machine
	fmt.Printf("%s, %d cores, %d GiB, Linux %s, load %s\n", m.CPU, m.Cores, m.Memory>>30, m.Kernel, m.Load)
	for _, r := range b.report.Results {
		fmt.Printf("  %-44s %10.2f %s  [%.2f - %.2f], p95 %.2f, n=%d\n", r.Name, r.Median, r.Unit, r.Min, r.Max, r.P95, r.N)
	}
	for _, r := range b.report.Ratios {
		verdict := "met"
		if r.Value > r.Target {
			verdict = "MISSED"
		}
		fmt.Printf("  %-44s %10.2f (at most %.2f: %s)\n", r.Name, r.Value, r.Target, verdict)
	}
}
