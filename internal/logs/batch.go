package logs

import (
	"encoding/binary"
	"errors"
	"iter"
)

// A batch is one record of a segment: events of one stream in the order of their times.
//
//	stream 8, ingested 8, first 8, min 8, max 8, count 4; then for each event time 8, length 4, message
type batch struct {
	stream   uint64
	ingested int64
	first    uint64 // number of the first event; the others follow
	min, max int64  // times of the first and the last event
	events   int
	body     []byte
}

const (
	batchHead = 44
	eventHead = 12
)

var errBatch = errors.New("malformed batch of log events")

// Entry is an event as it is put.
type Entry struct {
	Time    int64 // milliseconds since 1970
	Message string
}

// encodeBatch encodes entries that are in order and at least one.
func encodeBatch(stream uint64, ingested int64, first uint64, entries []Entry) []byte {
	size := batchHead
	for _, e := range entries {
		size += eventHead + len(e.Message)
	}
	b := make([]byte, 0, size)
	le := binary.LittleEndian
	b = le.AppendUint64(b, stream)
	b = le.AppendUint64(b, uint64(ingested))
	b = le.AppendUint64(b, first)
	b = le.AppendUint64(b, uint64(entries[0].Time))
	b = le.AppendUint64(b, uint64(entries[len(entries)-1].Time))
	b = le.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		b = le.AppendUint64(b, uint64(e.Time))
		b = le.AppendUint32(b, uint32(len(e.Message)))
		b = append(b, e.Message...)
	}
	return b
}

// decodeBatch reads the head of a batch; each reads the rest.
func decodeBatch(record []byte) (batch, error) {
	if len(record) < batchHead+eventHead {
		return batch{}, errBatch
	}
	le := binary.LittleEndian
	b := batch{stream: le.Uint64(record), ingested: int64(le.Uint64(record[8:])), first: le.Uint64(record[16:]), min: int64(le.Uint64(record[24:])),
		max: int64(le.Uint64(record[32:])), body: record[batchHead:]}
	n := le.Uint32(record[40:])
	if b.min > b.max || n == 0 || int(n) > len(b.body)/eventHead {
		return batch{}, errBatch
	}
	b.events = int(n)
	return b, nil
}

func (b *batch) last() uint64 { return b.first + uint64(b.events) - 1 }

// bytes is the size of the batch as the API counts it, so that it need not be read for that.
func (b *batch) bytes() int64 {
	return int64(len(b.body)-b.events*eventHead) + int64(b.events)*eventOverhead
}

// each yields the events: number, time and message, which is a part of the record.
func (b *batch) each() iter.Seq2[position, []byte] {
	return func(yield func(position, []byte) bool) {
		rest := b.body
		for i := range b.events {
			if len(rest) < eventHead {
				return
			}
			t, n := int64(binary.LittleEndian.Uint64(rest)), binary.LittleEndian.Uint32(rest[8:])
			rest = rest[eventHead:]
			if uint64(n) > uint64(len(rest)) {
				return
			}
			if !yield(position{t, b.first + uint64(i)}, rest[:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}
