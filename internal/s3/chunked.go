package s3

import (
	"bufio"
	"crypto/sha1" // #nosec: one of S3's checksums
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"strconv"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// chunkSize is how much of a body is in one chunk on the way to versitygw.
const chunkSize = 64 << 10

// chunked encodes a body as aws-chunked without signatures, with its checksum behind it.
type chunked struct {
	source  io.Reader
	left    int64
	total   int64
	trailer string
	sum     hash.Hash

	chunk   []byte // a buffer for the data of one chunk
	pending []byte // encoded, not yet read
	done    bool
}

func newChunked(source io.Reader, length int64, trailer string) (*chunked, error) {
	sum := newChecksum(trailer)
	if sum == nil {
		return nil, fault.New(codeInvalidRequest, "The value specified in the x-amz-trailer header is not supported")
	}
	return &chunked{source: bufio.NewReaderSize(source, chunkSize), left: length, total: length, trailer: trailer, sum: sum,
		chunk: make([]byte, min(chunkSize, max(length, 1)))}, nil
}

var nvme = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(0x9a6c9329ac4bc9b5) })

// newChecksum returns the hash of a checksum header, nil if it is unknown.
func newChecksum(header string) hash.Hash {
	switch header {
	case "x-amz-checksum-crc32":
		return crc32.NewIEEE()
	case "x-amz-checksum-crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "x-amz-checksum-crc64nvme":
		return crc64.New(nvme())
	case "x-amz-checksum-sha1":
		return sha1.New() // #nosec: one of S3's checksums
	case "x-amz-checksum-sha256":
		return sha256.New()
	case "x-amz-checksum-sha512":
		return sha512.New()
	}
	return nil
}

// encodedLength is the length of all that Read returns.
func (c *chunked) encodedLength() int64 {
	frame := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16))) + 2 + n + 2 }
	n := c.total / chunkSize * frame(chunkSize)
	if rest := c.total % chunkSize; rest > 0 {
		n += frame(rest)
	}
	return n + int64(len("0\r\n")+len(c.trailer)+1+base64.StdEncoding.EncodedLen(c.sum.Size())+len("\r\n\r\n"))
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	if len(c.pending) == 0 {
		if c.done {
			return 0, io.EOF
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// fill encodes the next chunk.
func (c *chunked) fill() error {
	n := min(c.left, chunkSize)
	if n == 0 {
		return c.finish()
	}
	data := c.chunk[:n]
	if _, err := io.ReadFull(c.source, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	c.left -= n
	c.sum.Write(data)
	c.pending = append(c.pending[:0:0], strconv.FormatInt(n, 16)...)
	c.pending = append(c.pending, "\r\n"...)
	c.pending = append(c.pending, data...)
	c.pending = append(c.pending, "\r\n"...)
	return nil
}

// finish reads to the end, because that is where the body is checked, and encodes the trailer.
func (c *chunked) finish() error {
	var one [1]byte
	if n, err := c.source.Read(one[:]); n > 0 {
		return fault.New("IncompleteBody", "The request body is longer than it said.")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	c.done = true
	c.pending = []byte("0\r\n" + c.trailer + ":" + base64.StdEncoding.EncodeToString(c.sum.Sum(nil)) + "\r\n\r\n")
	return nil
}
