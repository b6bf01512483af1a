// Package journal has append-only files of checked records: what Append returned for is still there after the process is killed, and a record that was cut off while it was written is
// found and removed when the file is opened again.
//
// A record is its length (4 bytes, little endian), the CRC-32C of its bytes (4 bytes), and its bytes.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
)

const (
	headSize = 8
	// MaxRecord is the largest record, in bytes: a longer length can only be damage.
	MaxRecord = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of reading and writing.
var (
	ErrTorn     = errors.New("the record is damaged or incomplete")
	ErrTooLarge = errors.New("the record is too large")
	ErrBroken   = errors.New("the file could not be restored after a failed write")
)

// Writer appends records to one file. It is not safe for concurrent use, but Sync may run beside Append.
type Writer struct {
	f      *os.File
	size   int64
	broken bool
	buf    []byte
}

// Create makes a new file (mode 0600), which must not exist.
func Create(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{f: f}, nil
}

// Open opens a file for appending, making it (mode 0600) if it does not exist. Each record that is in it is given to replay; an error of replay is returned. A damaged record and all that
// follows it are cut off, and how many bytes that were is returned.
func Open(path string, replay func(record []byte) error) (w *Writer, cut int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	w = &Writer{f: f}
	for r := bufio.NewReaderSize(f, 256<<10); ; {
		record, err := readRecord(r, info.Size()-w.size)
		if errors.Is(err, io.EOF) || errors.Is(err, ErrTorn) {
			break
		}
		if err == nil {
			err = replay(record)
		}
		if err != nil {
			return nil, 0, err
		}
		w.size += headSize + int64(len(record))
	}
	if cut = info.Size() - w.size; cut > 0 {
		if err := f.Truncate(w.size); err != nil {
			return nil, 0, err
		}
	}
	return w, cut, nil
}

// Resume opens a file for appending that this process has written before, and whose size it knows.
func Resume(path string, size int64) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%s has %d bytes, not %d: something else writes to it", path, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Writer{f: f, size: size}, nil
}

func readRecord(r io.Reader, left int64) ([]byte, error) {
	if left == 0 {
		return nil, io.EOF
	}
	var head [headSize]byte
	if left < headSize {
		return nil, ErrTorn
	}
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n == 0 || n > MaxRecord || n > left-headSize { // zeroes are what a file system leaves of writes that it lost
		return nil, ErrTorn
	}
	record := make([]byte, n)
	if _, err := io.ReadFull(r, record); err != nil {
		return nil, err
	}
	if crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, ErrTorn
	}
	return record, nil
}

// Append writes one record. It is with the operating system when Append returns, and so survives the end of the process; [Writer.Sync] makes it survive the end of the machine. After a failed
// write the file is as it was before.
func (w *Writer) Append(record []byte) error {
	switch {
	case w.broken:
		return ErrBroken
	case len(record) == 0 || len(record) > MaxRecord:
		return ErrTooLarge
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf[:0], uint32(len(record)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(record, castagnoli))
	w.buf = append(w.buf, record...)
	if _, err := w.f.WriteAt(w.buf, w.size); err != nil {
		if undo := w.f.Truncate(w.size); undo != nil {
			w.broken = true
			return errors.Join(err, undo)
		}
		return err
	}
	w.size += int64(len(w.buf))
	if cap(w.buf) > 64<<10 { // one large record must not hold its memory for as long as the file is open
		w.buf = nil
	}
	return nil
}

// Size is the size of the file in bytes: where the next record goes.
func (w *Writer) Size() int64 { return w.size }

// Sync waits until all that was appended is on the disk.
func (w *Writer) Sync() error { return w.f.Sync() }

// Discard closes the file of which nothing is needed any more.
func (w *Writer) Discard() error { return w.f.Close() }

// Close syncs and closes the file.
func (w *Writer) Close() error { return errors.Join(w.f.Sync(), w.f.Close()) }

// Read returns the part of a file from one offset to another, for [Records]. buf is used if it is large enough.
func Read(path string, from, to int64, buf []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	n := to - from
	if n < 0 {
		return nil, fmt.Errorf("read %s from %d to %d", path, from, to)
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := f.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is shorter than %d bytes: %w", path, to, ErrTorn)
	}
	return buf, nil
}

// Records yields the records in a part of a file that begins with one. They are parts of data. A damaged record whose length is plausible is yielded as [ErrTorn] and those after it are still
// found; otherwise ErrTorn is the last.
func Records(data []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(data) > 0 {
			if len(data) < headSize {
				yield(nil, ErrTorn)
				return
			}
			n, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
			data = data[headSize:]
			if n == 0 || n > MaxRecord || int(n) > len(data) {
				yield(nil, ErrTorn)
				return
			}
			record := data[:n:n]
			data = data[n:]
			var err error
			if crc32.Checksum(record, castagnoli) != sum {
				record, err = nil, ErrTorn
			}
			if !yield(record, err) {
				return
			}
		}
	}
}
