package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sunaba-dev/sunaba/internal/image"
)

func imageCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build, import, list and remove the images that sandboxes start from",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(imageBuildCommand(s), imageImportCommand(s), imageListCommand(s), imageRemoveCommand(s))
	return cmd
}

// progress draws steps: one line that changes on a terminal, a line for each step elsewhere.
type progress struct {
	w     io.Writer
	fd    int
	tty   bool
	began time.Time
	shown image.Step
	drawn time.Time
}

func newProgress(f *os.File) *progress {
	fd := int(f.Fd())
	return &progress{w: f, fd: fd, tty: term.IsTerminal(fd), began: time.Now()}
}

// step reports one step; it is called many times a second.
func (p *progress) step(s image.Step) {
	fresh := s.Index != p.shown.Index
	p.shown = s
	if !p.tty {
		if fresh {
			fmt.Fprintf(p.w, "[%d/%d] %s (after %s)\n", s.Index, s.Count, s.Title, p.elapsed())
		}
		return
	}
	const rate = 100 * time.Millisecond
	if !fresh && time.Since(p.drawn) < rate {
		return
	}
	p.drawn = time.Now()
	detail := s.Detail
	if width, _, err := term.GetSize(p.fd); err == nil {
		room := max(0, width-len(s.Title)-24)
		if len(detail) > room {
			detail = detail[:room]
		}
	}
	fmt.Fprintf(p.w, "\r\x1b[K\x1b[36m[%d/%d]\x1b[0m \x1b[1m%s\x1b[0m \x1b[2m%s %s\x1b[0m", s.Index, s.Count, s.Title, p.elapsed(), detail)
}

func (p *progress) elapsed() time.Duration { return time.Since(p.began).Round(time.Second) }

// done ends the drawing.
func (p *progress) done() {
	if p.tty && p.shown.Index > 0 {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// describe is an image in one line.
func describe(i image.Image) string {
	names := strings.Join(i.Names, ", ")
	if names == "" {
		names = "(no name)"
	}
	return fmt.Sprintf("%s  %s  %s", names, i.ID[:12], humanize.IBytes(uint64(i.Size)))
}
