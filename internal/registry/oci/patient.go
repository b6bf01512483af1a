package oci

import (
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"
)

// How long a client may stall. Blobs are large: only standing still is cut off, not being slow.
const (
	stall = 60 * time.Second
	burst = 4 << 20 // bytes of a blob that are written at once
)

// patient remembers the status of an answer, and gives up on a client that does not take it.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
}

// WriteHeader implements http.ResponseWriter.
func (p *patient) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	p.begin()
	return p.ResponseWriter.Write(b)
}

func (p *patient) begin() {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(stall)) // a writer without deadlines has no connection that could stall
}

// ReadFrom implements io.ReaderFrom: a file goes to a connection in the kernel, in parts, each with a deadline of its own.
func (p *patient) ReadFrom(r io.Reader) (int64, error) {
	to, direct := p.ResponseWriter.(io.ReaderFrom)
	limited, ok := r.(*io.LimitedReader)
	if !direct || !ok {
		return io.Copy(struct{ io.Writer }{p}, r)
	}
	if _, file := limited.R.(*os.File); !file {
		return io.Copy(struct{ io.Writer }{p}, r)
	}
	var sent int64
	for limited.N > 0 {
		p.begin()
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, burst)}
		n, err := to.ReadFrom(part)
		sent, limited.N = sent+n, limited.N-n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}

// Unwrap lets http.ResponseController reach the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// incoming is a request's body whose client must not stall.
type incoming struct {
	io.Reader
	control *http.ResponseController
}

func (q *request) body() io.Reader {
	return &incoming{q.r.Body, q.w.(*patient).control}
}

// Read implements io.Reader.
func (i *incoming) Read(b []byte) (int, error) {
	_ = i.control.SetReadDeadline(time.Now().Add(stall))
	n, err := i.Reader.Read(b)
	if err == nil {
		return n, nil
	}
	_ = i.control.SetReadDeadline(time.Time{}) // it would otherwise also end the connection's watch for a client that goes away
	if !errors.Is(err, io.EOF) {
		err = &refusal{status: http.StatusBadRequest, code: uploadInvalid, message: "the body ended early", cause: err}
	}
	return n, err
}

// ignoreGone drops the error of writing to a client that has gone.
func ignoreGone(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
