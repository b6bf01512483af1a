package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Payload is how a request's body is signed: the value of x-amz-content-sha256, but for SignedPayload.
type Payload string

// The modes.
const (
	SignedPayload    Payload = "SHA256"           // one hash of the whole body
	UnsignedPayload  Payload = "UNSIGNED-PAYLOAD" // nothing
	SignedChunks     Payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	SignedTrailer    Payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" // signed chunks and a signed trailing checksum
	UnsignedTrailer  Payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"         // chunks without signatures and a trailing checksum
	streamingPrefix          = "STREAMING-"
	emptyHash                = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	decodedLength            = "X-Amz-Decoded-Content-Length"
	firstBuffer              = 1 << 20 // a Content-Length is believed once this much of the body has come
	maxDecodedLength         = 1 << 50
)

// payloadMode tells how the body is signed, and refuses what the service does not take.
func payloadMode(c *claim, f Family) (Payload, *refusal) {
	switch m := Payload(c.hash); {
	case c.hash == "" && f != S3:
		return SignedPayload, nil
	case c.hash == "" && c.presigned:
		return UnsignedPayload, nil
	case c.hash == "":
		return "", refuse(MissingPayloadHash)
	case isHash(c.hash):
		return SignedPayload, nil
	case f != S3 && (m == UnsignedPayload || strings.HasPrefix(c.hash, streamingPrefix)):
		return "", refuse(UnsupportedPayload)
	case m == UnsignedPayload:
		return m, nil
	case m == SignedChunks || m == SignedTrailer || m == UnsignedTrailer:
		if c.presigned {
			return "", refuse(UnsupportedPayload)
		}
		return m, nil
	case m == "STREAMING-AWS4-HMAC-SHA256-EVENTS", m == "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", m == "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
		return "", refuse(UnsupportedPayload)
	}
	return "", refuse(InvalidPayloadHash)
}

func isHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if ok := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'; !ok {
			return false
		}
	}
	return true
}

// Body is a request's payload. Reading it checks what was signed: a body that is not the one that was signed ends in a *fault.Error around a
// *Failure instead of io.EOF. What Read has returned before is provisional, but where the length is known (Length >= 0) the last byte is not
// handed out before everything is checked, so that a reader of exactly Length bytes is as safe as one that reads to the end.
type Body struct {
	src    io.Reader
	raw    io.ReadCloser
	length int64
	family Family
	err    error  // sticky
	memory []byte // the whole payload, if Verify had to read it
	inMem  bool
}

func newBody(r *http.Request, f Family) *Body {
	b := &Body{raw: r.Body, src: r.Body, length: r.ContentLength, family: f}
	if r.Body == nil {
		b.raw, b.src, b.length = http.NoBody, http.NoBody, 0
	}
	return b
}

// Length is the length of the payload in bytes, decoded of aws-chunked; -1 if the client did not say.
func (b *Body) Length() int64 { return b.length }

// Read reads the payload.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if err != nil {
		b.err = b.coded(err)
	}
	return n, b.err
}

// Close closes the request's body. A payload in memory stays readable by Bytes.
func (b *Body) Close() error { return b.raw.Close() }

// Bytes reads the whole payload into memory and returns it once all of it is checked; it returns nothing of a payload that fails. More than limit
// bytes are refused with the kind TooLarge. The caller must not have read from the body; the slice is the body's own if Verify had read it already.
func (b *Body) Bytes(limit int64) ([]byte, error) {
	if b.inMem {
		if int64(len(b.memory)) > limit {
			return nil, refuse(TooLarge).as(b.family)
		}
		return b.memory, nil
	}
	p, err := readAll(b, b.length, limit)
	if err != nil {
		return nil, b.coded(err)
	}
	return p, nil
}

// coded turns what a reader says into what the client is told.
func (b *Body) coded(err error) error {
	if err == io.EOF { //nolint:errorlint // readers return it bare
		return err
	}
	if coded, ok := errors.AsType[*fault.Error](err); ok {
		return coded
	}
	bad, ok := errors.AsType[*refusal](err)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		bad = refuse(TooLarge).because(err)
	} else if !ok {
		bad = refuse(IncompleteBody).because(err)
	}
	return bad.as(b.family)
}

// buffer reads the body into memory and returns its hash.
func (b *Body) buffer(limit int64) (string, error) {
	if b.raw == http.NoBody || b.length == 0 {
		b.inMem, b.src, b.length = true, bytes.NewReader(nil), 0
		return emptyHash, nil
	}
	h := sha256.New()
	p, err := readAll(io.TeeReader(b.raw, h), b.length, limit)
	if err != nil {
		return "", b.coded(err)
	}
	b.memory, b.inMem, b.length, b.src = p, true, int64(len(p)), bytes.NewReader(p)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// replay is the request's body anew, from memory.
func (b *Body) replay() io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(b.memory), b.raw}
}

// enforce puts the checks of a mode before the raw body.
func (b *Body) enforce(r *http.Request, c *claim, mode Payload, signing []byte) *refusal {
	switch {
	case b.inMem, mode == UnsignedPayload:
		return nil
	case mode == SignedPayload:
		b.src = &hashReader{src: b.raw, hash: sha256.New(), want: c.hash, left: b.length}
		if b.length == 0 && c.hash != emptyHash {
			return refuse(PayloadMismatch)
		}
		return nil
	}
	text := r.Header.Get(decodedLength)
	if text == "" {
		return refuse(MissingLength)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > maxDecodedLength {
		return refuse(IncompleteBody).forS3("The value of x-amz-decoded-content-length is not a length.")
	}
	chunks, bad := newChunkReader(b.raw, int64(n), mode, r.Header.Get("X-Amz-Trailer"))
	if bad != nil {
		return bad
	}
	chunks.signing, chunks.previous, chunks.stamp = signing, c.signature, c.stamp+"\n"+c.scope.String()
	b.src, b.length = chunks, int64(n)
	return nil
}

// hashReader compares the hash of what it has read, before it hands out the last byte if it knows which that is.
type hashReader struct {
	src  io.Reader
	hash hash.Hash
	want string
	left int64 // negative: unknown
	done bool
}

func (h *hashReader) Read(p []byte) (int, error) {
	if h.done {
		return 0, io.EOF
	}
	n, err := h.src.Read(p)
	h.hash.Write(p[:n])
	if h.left > 0 {
		h.left -= int64(n)
		if h.left > 0 && err == io.EOF { //nolint:errorlint // readers return it bare
			return 0, io.ErrUnexpectedEOF
		}
		if h.left == 0 && (err == nil || err == io.EOF) { //nolint:errorlint // readers return it bare
			err = io.EOF
		}
	}
	if err != io.EOF { //nolint:errorlint // readers return it bare
		return n, err
	}
	h.done = true
	if hex.EncodeToString(h.hash.Sum(nil)) != h.want {
		return 0, refuse(PayloadMismatch)
	}
	return n, io.EOF
}

// readAll reads everything, at most limit bytes. A length that was told is allocated once firstBuffer bytes of it are there, so that memory costs
// its sender bytes; without one the buffer grows by a quarter, and old and new together stay below 2.5 times what has come.
func readAll(r io.Reader, length, limit int64) ([]byte, error) {
	limit = min(limit, math.MaxInt64-1)
	if length > limit {
		return nil, refuse(TooLarge)
	}
	size := min(firstBuffer, limit+1)
	if length >= 0 {
		size = min(firstBuffer, length+1) // the byte more lets the read that meets the end be the last one
	} else {
		size = min(size, 64<<10)
	}
	p := make([]byte, 0, size)
	for {
		if len(p) == cap(p) {
			next := min(int64(cap(p))+max(int64(cap(p))/4, firstBuffer), limit+1)
			if length >= int64(len(p)) {
				next = length + 1
			}
			grown := make([]byte, len(p), next)
			copy(grown, p)
			p = grown
		}
		n, err := r.Read(p[len(p):cap(p)])
		p = p[:len(p)+n]
		switch {
		case int64(len(p)) > limit:
			return nil, refuse(TooLarge)
		case err == io.EOF: //nolint:errorlint // readers return it bare
			return p, nil
		case err != nil:
			return nil, err
		}
	}
}

// Error makes a refusal an error between the readers of this package; no caller ever sees one.
func (r *refusal) Error() string { return string(r.kind) }
