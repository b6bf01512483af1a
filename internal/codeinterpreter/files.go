package codeinterpreter

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func writeFiles(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	if len(args.Content) == 0 {
		return failed("writeFiles needs the argument content: a list of {path, text or blob}."), nil
	}
	files := make([]client.File, len(args.Content))
	for i, c := range args.Content {
		switch {
		case c.Text != nil && c.Blob != nil:
			return failed("writeFiles: %q has both text and blob; give one of them.", c.Path), nil
		case c.Text != nil:
			files[i] = client.File{Path: c.Path, Size: int64(len(*c.Text)), Content: strings.NewReader(*c.Text)}
		default: // neither is an empty file
			files[i] = client.File{Path: c.Path, Size: int64(len(c.Blob)), Content: bytes.NewReader(c.Blob)}
		}
	}
	if err := l.sandbox.Guest().WriteFiles(ctx, files); err != nil {
		return Result{}, err
	}
	return said("Successfully wrote all %d files", len(files)), nil
}

func readFiles(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	if len(args.Paths) == 0 {
		return failed("readFiles needs the argument paths."), nil
	}
	budget := MaxAnswer
	var blocks []Block
	err := l.sandbox.Guest().ReadFiles(ctx, args.Paths, func(e proto.Entry, content io.Reader) error {
		if e.Size > int64(budget) {
			return tooLarge(e.Path)
		}
		// The guest's word on the size is only a hint: no more than the budget is read whatever comes.
		data, err := io.ReadAll(io.LimitReader(content, int64(budget)+1))
		if err != nil {
			return err
		}
		b := resource(e.Path, data)
		if budget -= b.encodedLen(); budget < 0 {
			return tooLarge(e.Path)
		}
		blocks = append(blocks, b)
		return nil
	})
	if t, ok := errors.AsType[*tooLargeError](err); ok {
		return failed("%s", t.Error()), nil
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Content: blocks}, nil
}

type tooLargeError struct{ path string }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s is too large to be returned: one answer carries %d MiB at most, binary files as base64. Copy it to S3 from inside the session (aws s3 cp) and fetch it there.",
		e.path, MaxAnswer>>20)
}

func tooLarge(path string) error { return &tooLargeError{path} }

// resource makes the block of a file: text when it is UTF-8, else its bytes.
func resource(name string, data []byte) Block {
	b := Block{Type: ResourceBlock, URI: uri(name), MIMEType: mimeType(name)}
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		b.Text = string(data)
		b.MIMEType = orElse(b.MIMEType, "text/plain")
		return b
	}
	b.Blob = data
	b.MIMEType = orElse(b.MIMEType, "application/octet-stream")
	return b
}

func (b Block) encodedLen() int {
	const frame = 200 // member names and punctuation
	if b.Blob != nil {
		return base64.StdEncoding.EncodedLen(len(b.Blob)) + encodedLen(b.URI) + frame
	}
	return encodedLen(b.Text) + encodedLen(b.URI) + frame
}

func listFiles(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	dir := ""
	if args.Directory != nil {
		dir = *args.Directory
	} else if args.Path != nil { // AWS's first tutorials used path
		dir = *args.Path
	}
	entries, err := l.sandbox.Guest().ListFiles(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	blocks := make([]Block, 0, len(entries))
	budget := MaxAnswer
	for _, e := range entries {
		b := Block{Type: ResourceLinkBlock, URI: uri(e.Path), Name: path.Base(e.Path), Description: "File"}
		if e.Dir {
			b.Description = "Directory"
		} else {
			b.MIMEType, b.Size = orElse(mimeType(e.Path), "application/octet-stream"), &e.Size
		}
		if budget -= b.encodedLen() + encodedLen(b.Name); budget < 0 {
			return failed("The folder has too many entries for one answer (%d); list it with a command.", len(entries)), nil
		}
		blocks = append(blocks, b)
	}
	return Result{Content: blocks}, nil
}

func removeFiles(ctx context.Context, l *liveSession, args Arguments) (Result, error) {
	if len(args.Paths) == 0 {
		return failed("removeFiles needs the argument paths."), nil
	}
	n, err := l.sandbox.Guest().RemoveFiles(ctx, args.Paths)
	if err != nil {
		return Result{}, err
	}
	return said("Successfully removed all %d files", n), nil
}

// uri is a file's URI as AWS gives it: the path below the working folder, not escaped, as if that were the root.
func uri(name string) string { return "file:///" + name }

// mimeTypes are the types that must not depend on what the host's mime tables say.
var mimeTypes = map[string]string{
	".csv": "text/csv", ".tsv": "text/tab-separated-values", ".py": "text/x-python", ".txt": "text/plain", ".md": "text/markdown", ".json": "application/json",
	".ipynb": "application/x-ipynb+json", ".yaml": "application/yaml", ".yml": "application/yaml", ".xml": "application/xml", ".html": "text/html", ".css": "text/css",
	".js": "text/javascript", ".ts": "text/x-typescript", ".sh": "text/x-sh", ".sql": "text/x-sql", ".log": "text/plain",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml", ".webp": "image/webp", ".pdf": "application/pdf",
	".zip": "application/zip", ".gz": "application/gzip", ".tar": "application/x-tar", ".parquet": "application/vnd.apache.parquet",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

// mimeType guesses a file's type from its name; "" if the name tells nothing.
func mimeType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := mimeTypes[ext]; ok {
		return t
	}
	t, _, _ := strings.Cut(mime.TypeByExtension(ext), ";")
	return t
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
