package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	maxChunkLine   = 1 << 10 // a chunk's header or one trailer
	maxTrailers    = 8
	minChunk       = 8 << 10 // of all chunks but the last, as on AWS: each costs a signature
	chunkSignature = "chunk-signature="
	trailerSig     = "x-amz-trailer-signature"
)

// chunkReader decodes aws-chunked: size[;chunk-signature=hex] CRLF data CRLF, ..., a chunk of size 0, trailers, CRLF. Every signature covers the
// one before it, the first the request's own, so that chunks can be neither left out nor put in another order.
type chunkReader struct {
	src      *bufio.Reader
	left     int64 // of the decoded length
	chunk    int64 // left of the current chunk
	size     int64 // of the current chunk
	open     bool  // a chunk's data is being read; its end is still to be checked
	done     bool
	signed   bool
	claimed  string // the current chunk's signature
	hash     hash.Hash
	signing  []byte
	previous string // the last signature in the chain
	stamp    string // time and scope, as strings to sign have them

	trailer   string // the announced checksum header, "" if none
	checksum  hash.Hash
	algorithm string
}

// newChunkReader prepares to decode length bytes. announced is x-amz-trailer.
func newChunkReader(r io.Reader, length int64, mode Payload, announced string) (*chunkReader, *refusal) {
	c := &chunkReader{src: bufio.NewReaderSize(r, 32<<10), left: length, signed: mode != UnsignedTrailer}
	if c.signed {
		c.hash = sha256.New()
	}
	if mode == SignedChunks {
		if announced != "" {
			return nil, refuse(MalformedTrailer)
		}
		return c, nil
	}
	if announced == "" {
		return nil, refuse(MalformedTrailer)
	}
	c.trailer = strings.ToLower(strings.TrimSpace(announced))
	if c.checksum, c.algorithm = newChecksum(c.trailer); c.checksum == nil {
		return nil, refuse(UnsupportedTrailer)
	}
	return c, nil
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.chunk == 0 {
		if err := c.next(); err != nil || c.done {
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.chunk)])
	if n == 0 && err != nil {
		return 0, cut(err)
	}
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	if c.checksum != nil {
		c.checksum.Write(p[:n])
	}
	c.chunk -= int64(n)
	c.left -= int64(n)
	if c.left == 0 { // the last byte waits until all is checked
		if err := c.next(); err != nil {
			return 0, err
		}
		if !c.done {
			return 0, refuse(IncompleteBody) // next has begun a chunk beyond the decoded length
		}
		return n, io.EOF
	}
	return n, nil
}

// next ends the current chunk and begins the one after it; when that is the last it reads what follows and sets done.
func (c *chunkReader) next() error {
	if c.open {
		if err := c.crlf(); err != nil {
			return err
		}
		if err := c.closeChunk(); err != nil {
			return err
		}
	}
	small := c.open && c.size < minChunk
	if err := c.header(); err != nil {
		return err
	}
	switch {
	case c.size == 0:
		return c.end()
	case small:
		return refuse(SmallChunk)
	case c.size > c.left:
		return refuse(IncompleteBody)
	}
	c.open, c.chunk = true, c.size
	return nil
}

// header reads a chunk's size and signature.
func (c *chunkReader) header() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	digits, extension, has := strings.Cut(line, ";")
	if c.size, err = hexSize(digits); err != nil {
		return refuse(IncompleteBody).because(err)
	}
	if !c.signed {
		if has {
			return refuse(IncompleteBody)
		}
		return nil
	}
	var ok bool
	if c.claimed, ok = strings.CutPrefix(extension, chunkSignature); !ok {
		return refuse(IncompleteBody)
	}
	return nil
}

var errSize = errors.New("not a chunk size")

// hexSize accepts 1 to 13 hexadecimal digits, without the signs and underscores that strconv takes.
func hexSize(s string) (int64, error) {
	if s == "" || len(s) > 13 {
		return 0, errSize
	}
	for i := range len(s) {
		if unhex(s[i]) < 0 {
			return 0, errSize
		}
	}
	return strconv.ParseInt(s, 16, 64)
}

// closeChunk checks the signature of the chunk whose data has been read.
func (c *chunkReader) closeChunk() error {
	if !c.signed {
		return nil
	}
	want := sign(c.signing, "AWS4-HMAC-SHA256-PAYLOAD\n"+c.stamp+"\n"+c.previous+"\n"+emptyHash+"\n"+hex.EncodeToString(c.hash.Sum(nil)))
	c.hash.Reset()
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.claimed)) != 1 {
		return refuse(Mismatch)
	}
	c.previous = want
	return nil
}

// end reads what follows the header of the chunk of size 0.
func (c *chunkReader) end() error {
	if c.left > 0 {
		return refuse(IncompleteBody)
	}
	if err := c.closeChunk(); err != nil {
		return err
	}
	if c.trailer == "" {
		if err := c.crlf(); err != nil {
			return err
		}
	} else if err := c.trailers(); err != nil {
		return err
	}
	switch _, err := c.src.ReadByte(); {
	case err == nil:
		return refuse(IncompleteBody) // bytes that nothing vouches for
	case err != io.EOF: //nolint:errorlint // readers return it bare
		return err
	}
	c.done = true
	return nil
}

// trailers reads the trailing headers up to the empty line: the announced checksum and, in signed mode, their signature.
func (c *chunkReader) trailers() error {
	values := map[string]string{}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := values[name]; !ok || twice || len(values) == maxTrailers {
			return refuse(MalformedTrailer)
		}
		values[name] = strings.TrimSpace(value)
	}
	claimed, hasSignature := values[trailerSig]
	delete(values, trailerSig)
	value, ok := values[c.trailer]
	if !ok || len(values) != 1 || hasSignature != c.signed {
		return refuse(MalformedTrailer)
	}
	if c.signed {
		sum := sha256.Sum256([]byte(c.trailer + ":" + value + "\n"))
		want := sign(c.signing, "AWS4-HMAC-SHA256-TRAILER\n"+c.stamp+"\n"+c.previous+"\n"+hex.EncodeToString(sum[:]))
		if subtle.ConstantTimeCompare([]byte(want), []byte(claimed)) != 1 {
			return refuse(Mismatch)
		}
	}
	digest, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(digest) != c.checksum.Size() {
		return refuse(MalformedTrailer).forS3("Value for %s trailing header is invalid.", c.trailer)
	}
	if !slices.Equal(digest, c.checksum.Sum(nil)) {
		return refuse(BadDigest).forS3("The %s you specified did not match the calculated checksum.", c.algorithm)
	}
	return nil
}

// line reads up to CRLF, which it drops.
func (c *chunkReader) line() (string, error) {
	b, err := c.src.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", refuse(IncompleteBody)
	case err != nil:
		return "", cut(err)
	}
	b, ok := bytes.CutSuffix(b, []byte("\r\n"))
	if !ok || len(b) > maxChunkLine {
		return "", refuse(IncompleteBody)
	}
	return string(b), nil
}

func (c *chunkReader) crlf() error {
	line, err := c.line()
	if err == nil && line != "" {
		err = refuse(IncompleteBody)
	}
	return err
}

// cut makes the end of the stream in the middle of a body what it is.
func cut(err error) error {
	if err == io.EOF { //nolint:errorlint // readers return it bare
		return io.ErrUnexpectedEOF
	}
	return err
}
