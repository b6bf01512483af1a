package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

// Payload is an input member that is the request's body as it came (tag `payload:"payload"`); its rules bound its length.
type Payload []byte

// Headers is an input member that has all headers of the request (tag `headers:"headers"`), for operations that pass some of them on by names that only their resource knows. It must not be changed.
type Headers http.Header

// Raw is an output member that is the answer itself (tag `raw:"response"`), instead of a document: status, headers and body as they are, each part of the body sent as soon as it is read.
type Raw struct {
	Status int         // 0 is the operation's own
	Header http.Header // set in the answer, over the server's own; Content-Type among them
	Length int64       // bytes of the body; below zero if that is not known
	// Body is closed when it has been sent, or cannot be. One that ends with an error breaks the connection off: its client must not take what it has for the whole.
	Body io.ReadCloser
}

var (
	headersType = reflect.TypeFor[Headers]()
	rawType     = reflect.TypeFor[Raw]()
)

// ErrCutOff says that an answer was not sent whole.
var ErrCutOff = errors.New("the answer was cut off")

const (
	rawBuffer = 64 << 10         // bytes read at once
	endStall  = 30 * time.Second // for a client to take the end of an answer
)

// decodeWhole fills the members that are the request as it came.
func decodeWhole(f *field, in reflect.Value, r *http.Request, body []byte, bad *violations) {
	v := f.settable(in)
	if f.place == inHeaders {
		v.Set(reflect.ValueOf(Headers(r.Header)))
		return
	}
	if f.required && body == nil {
		body = []byte{}
	}
	bad.add(f.name, f.check.size(len(body)))
	v.SetBytes(body)
}

// writeRaw sends an answer as it is read.
func writeRaw(w http.ResponseWriter, status int, a Raw) (err error) {
	if a.Body == nil {
		a.Body, a.Length = http.NoBody, 0
	}
	defer func() { err = errors.Join(err, a.Body.Close()) }()
	h := w.Header()
	for k, v := range a.Header {
		h[k] = v
	}
	if a.Length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(a.Length, 10))
	}
	if a.Status != 0 {
		status = a.Status
	}
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	if a.Length < 0 { // the client learns at once that there is an answer, however long the first part takes
		if err := flush(control); err != nil {
			return err
		}
	}
	buffer := make([]byte, rawBuffer)
	for {
		n, readErr := a.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			// The deadline of the last part may be over by now, and the end of a chunked body is one more write.
			_ = control.SetWriteDeadline(time.Now().Add(endStall))
			return nil
		case readErr != nil:
			// To return would end the body as if it were whole. With the time for writing over, the end cannot be written: the connection, or the stream of HTTP/2, breaks.
			_ = control.SetWriteDeadline(time.Unix(1, 0))
			return fmt.Errorf("%w: %w", ErrCutOff, readErr)
		}
		if n > 0 {
			if err := flush(control); err != nil {
				return err
			}
		}
	}
}

// flush sends what is buffered, as far as the writer can.
func flush(c *http.ResponseController) error {
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
