package main

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// printer writes for people on a terminal, with colour and a picture, and plain lines for a log.
type printer struct {
	w     io.Writer
	tty   bool
	width int
}

func newPrinter(f *os.File) *printer {
	p := &printer{w: f, width: 100}
	if term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		p.tty = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 40 {
			p.width = min(w, 120)
		}
	}
	return p
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (p *printer) paint(style, text string) string {
	if !p.tty {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *printer) title(text string) {
	fmt.Fprintf(p.w, "\n  %s\n\n", p.paint(bold, text))
}

// step is one call, what it did and how long it took.
func (p *printer) step(call, what string, took time.Duration) {
	time := fmt.Sprintf("%7.1f ms", float64(took.Microseconds())/1000)
	fmt.Fprintf(p.w, "  %s %s  %-28s %s\n", p.paint(green, "ok"), p.paint(dim, time), p.paint(bold, call), what)
}

func (p *printer) note(text string) { fmt.Fprintf(p.w, "     %s\n", p.paint(dim, text)) }

func (p *printer) code(text string) { p.block(cyan, "> ", text) }

func (p *printer) output(text string) { p.block("0", "| ", text) }

func (p *printer) block(style, mark, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimRight(line, "\r\n")
		if i := strings.LastIndexByte(line, '\r'); i >= 0 { // a progress line that was written over
			line = line[i+1:]
		}
		fmt.Fprintf(p.w, "                 %s%s\n", p.paint(dim, mark), p.paint(style, line))
	}
}

func (p *printer) done(text string) { fmt.Fprintf(p.w, "\n  %s\n\n", p.paint(green, text)) }

func (p *printer) fail(err error) {
	fmt.Fprintf(p.w, "\n  %s %v\n\n", p.paint(red, "failed:"), err)
}

// picture draws an image with half blocks, two pixels a character; a log has no use for it.
func (p *printer) picture(img image.Image) {
	if !p.tty {
		return
	}
	b := img.Bounds()
	columns := p.width - 20
	rows := columns * b.Dy() / b.Dx() / 2
	at := func(x, y int) color.RGBA { // the darkest pixel of the cell, so that thin lines stay visible
		var best color.RGBA
		least := 4 << 8
		for sy := b.Dy() * y / (rows * 2); sy < b.Dy()*(y+1)/(rows*2); sy++ {
			for sx := b.Dx() * x / columns; sx < b.Dx()*(x+1)/columns; sx++ {
				c := color.RGBAModel.Convert(img.At(b.Min.X+sx, b.Min.Y+sy)).(color.RGBA)
				if sum := int(c.R) + int(c.G) + int(c.B); sum < least {
					least, best = sum, c
				}
			}
		}
		return best
	}
	for y := range rows {
		var line strings.Builder
		for x := range columns {
			top, bottom := at(x, 2*y), at(x, 2*y+1)
			fmt.Fprintf(&line, "\x1b[38;2;%d;%d;%d;48;2;%d;%d;%dm▀", top.R, top.G, top.B, bottom.R, bottom.G, bottom.B)
		}
		fmt.Fprintf(p.w, "                 %s\x1b[0m\n", line.String())
	}
}
