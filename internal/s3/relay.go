package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// hopHeaders are of versitygw's connection, or of versitygw.
var hopHeaders = []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "Upgrade", "Server", "Date"}

// metaPrefix begins the headers of an object's own metadata, as net/http writes them.
const metaPrefix = "X-Amz-Meta-"

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// relay passes versitygw's answer on.
func relay(w *recorder, r *request, g *Gateway, resp *http.Response) error {
	h := w.Header()
	for name, values := range resp.Header {
		if strings.HasPrefix(name, metaPrefix) { // clients show the names of metadata as they come, and S3 sends them in lower case
			name = strings.ToLower(name)
		}
		h[name] = values
		if name == "X-Amz-Request-Id" || name == "X-Amz-Id-2" { // versitygw sends them twice
			h[name] = values[:1]
		}
	}
	for _, name := range hopHeaders {
		h.Del(name)
	}
	if h.Get("x-amz-bucket-region") != "" || r.Method == http.MethodHead && r.address.key == "" {
		if s, ok := g.settings.get(r.address.bucket); ok {
			h.Set("x-amz-bucket-region", s.Region)
		}
	}
	if resp.StatusCode < 300 && r.address.key != "" && r.carriesObject() {
		h.Set("X-Amz-Server-Side-Encryption", "AES256")
	}
	if resp.ContentLength >= 0 && h.Get("Content-Length") == "" && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified {
		h.Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	r.patience.hangUp(w)
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := pump(w, resp.Body); err != nil {
		w.broken = true
		return err
	}
	return nil
}

// carriesObject says whether an answer is about an object's data, so that it says how that is encrypted.
func (r *request) carriesObject() bool {
	for name := range r.query {
		switch name {
		case "tagging", "acl", "retention", "legal-hold", "attributes":
			return false
		case "uploadId":
			return r.Method == http.MethodPut || r.Method == http.MethodPost
		}
	}
	return r.Method != http.MethodDelete && r.Method != http.MethodOptions
}

// pump copies an answer to a client that must go on taking it.
func pump(w *recorder, from io.Reader) error {
	control := http.NewResponseController(w)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(stallWrite))
			if _, err := w.Write((*buf)[:n]); err != nil {
				return fmt.Errorf("to the client: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("from versitygw: %w", err)
		}
	}
}
