package codeinterpreter

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Result is what a tool call answers: blocks for every client, and the same structured for those that look there.
type Result struct {
	Content    []Block
	Structured *Structured // of executeCode, executeCommand and the task tools only
	IsError    bool
}

// BlockType is the type of a content block.
type BlockType string

// The block types.
const (
	TextBlock         BlockType = "text"
	ResourceBlock     BlockType = "resource"
	ResourceLinkBlock BlockType = "resource_link"
)

// Block is one content block. A resource block has Text or Blob, a link has Name and Description.
type Block struct {
	Type        BlockType
	Text        string
	URI         string
	Name        string
	Description string
	MIMEType    string
	Size        *int64
	Blob        []byte // raw bytes; nil for text resources
}

// Structured is how code, a command or a task ended.
type Structured struct {
	Stdout   string
	Stderr   string
	ExitCode *int           // nil while a task runs
	Duration *time.Duration // nil while a task runs
	TaskID   string
	Status   TaskStatus
}

// MaxAnswer bounds the JSON document of one result, in bytes: botocore refuses event messages above 24 MiB, framing and headers included.
const MaxAnswer = 23 << 20

// outputLimit is how much of stdout, and of stderr, one answer carries at most; the middle of longer output is left out.
const outputLimit = 8 << 20

// failed is a tool-level failure: a text block, and no structured content.
func failed(format string, args ...any) Result {
	return Result{Content: []Block{{Type: TextBlock, Text: fmt.Sprintf(format, args...)}}, IsError: true}
}

func said(format string, args ...any) Result {
	return Result{Content: []Block{{Type: TextBlock, Text: fmt.Sprintf(format, args...)}}}
}

// output collects one stream of a run. The guest leaves out the middle of what is longer than the limit: what comes after its first half is the end.
type output struct {
	bytes  []byte
	limit  int   // what the guest was told
	elided int64 // bytes that the guest left out, after the first half of limit
}

// text returns the output cut to at most limit bytes, with a note where something is missing.
func (o *output) text(limit int) string {
	head, tail := o.bytes, []byte(nil)
	missing := o.elided
	if missing > 0 {
		at := min(o.limit/2, len(o.bytes))
		head, tail = o.bytes[:at], o.bytes[at:]
	} else if len(o.bytes) > limit {
		head, tail = o.bytes[:len(o.bytes)/2], o.bytes[len(o.bytes)/2:]
	}
	if len(head)+len(tail) > limit {
		keepHead, keepTail := min(len(head), limit/2), min(len(tail), limit/2)
		missing += int64(len(head) - keepHead + len(tail) - keepTail)
		head, tail = head[:keepHead], tail[len(tail)-keepTail:]
	}
	if missing == 0 {
		return string(head)
	}
	return fmt.Sprintf("%s\n[... %d bytes of output are left out here: one answer carries %d bytes of a stream at most; write long output to a file ...]\n%s", head, missing, limit, tail)
}

// encodedLen is how many bytes a string takes in a JSON document.
func encodedLen(s string) int {
	n := 2
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f':
			n, i = n+2, i+1
		case c < 0x20:
			n, i = n+6, i+1
		case c < utf8.RuneSelf:
			n, i = n+1, i+1
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				n += 3 // becomes U+FFFD
			} else {
				n += size
			}
			i += size
		}
	}
	return n
}
