package logs

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// The rules of PutLogEvents. Source: its documentation in the botocore model.
const (
	maxBatchBytes  = 1 << 20 // of messages, and eventOverhead for each
	eventOverhead  = 26
	maxBatchEvents = 10_000
	maxBatchSpan   = 24 * time.Hour
	oldest         = 14 * 24 * time.Hour
	newest         = 2 * time.Hour
)

// Rejected says which events of a batch were not taken; the others were. nil members reject none.
type Rejected struct {
	TooNewFrom *int // index of the first event that is more than two hours ahead: it and all after it
	TooOldTo   *int // index of the first event that is not older than 14 days: all before it
	ExpiredTo  *int // index of the first event that is within the retention of the group: all before it
}

// Put appends events to a stream. They are in the order of their times, within 24 hours, at most 10,000, of 1 MiB with 26 bytes for each. Events that are too old or too new are left out, and
// Rejected says which; nil is none.
func (s *Service) Put(_ context.Context, scope Scope, groupName, streamName string, entries []Entry) (*Rejected, error) {
	if err := checkStreamName("logStreamName", streamName); err != nil {
		return nil, err
	}
	g, err := s.group(scope, groupName)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(entries); err != nil {
		return nil, err
	}
	g.mu.RLock()
	known, gone, cutoff := g.streams[streamName] != nil, g.gone, g.cutoff()
	g.mu.RUnlock()
	switch {
	case gone:
		return nil, noGroup()
	case !known:
		return nil, noStream()
	}
	taken, rejected := sift(entries, s.o.Now(), cutoff)
	if len(taken) == 0 {
		return rejected, nil
	}
	if span := taken[len(taken)-1].Time - taken[0].Time; span > maxBatchSpan.Milliseconds() {
		return nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return rejected, g.append(streamName, taken)
}

func checkBatch(entries []Entry) error {
	switch n := len(entries); {
	case n == 0:
		return Invalid("logEvents", "[]", "Member must have length greater than or equal to 1")
	case n > maxBatchEvents:
		return Invalid("logEvents", fmt.Sprintf("%d events", n), "Member must have length less than or equal to %d", maxBatchEvents)
	}
	size := 0
	for i, e := range entries {
		switch {
		case e.Message == "":
			return Invalid(fmt.Sprintf("logEvents.%d.member.message", i+1), "''", "Member must have length greater than or equal to 1")
		case e.Time < 0:
			return Invalid(fmt.Sprintf("logEvents.%d.member.timestamp", i+1), fmt.Sprint(e.Time), "Member must have value greater than or equal to 0")
		case !utf8.ValidString(e.Message):
			return Invalid(fmt.Sprintf("logEvents.%d.member.message", i+1), "", "Member must be UTF-8")
		case i > 0 && e.Time < entries[i-1].Time:
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += len(e.Message) + eventOverhead
	}
	if size > maxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	return nil
}

// sift leaves out the events at both ends that may not be put. cutoff is what the group's retention has ended for.
func sift(entries []Entry, now time.Time, cutoff int64) ([]Entry, *Rejected) {
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(entries, t, func(e Entry, t int64) int {
			if e.Time < t {
				return -1
			}
			return 1
		})
		return i
	}
	var r Rejected
	tooOld, expired, tooNew := at(now.Add(-oldest).UnixMilli()), at(cutoff), at(now.Add(newest).UnixMilli()+1)
	if tooOld > 0 {
		r.TooOldTo = &tooOld
	}
	if expired > 0 {
		r.ExpiredTo = &expired
	}
	if tooNew < len(entries) {
		r.TooNewFrom = &tooNew
	}
	from := max(tooOld, expired)
	if r == (Rejected{}) {
		return entries, nil
	}
	return entries[min(from, tooNew):tooNew], &r
}

// cutoff is the time before which the group's retention has ended. g.mu is held.
func (g *group) cutoff() int64 {
	if g.info.RetentionDays == 0 {
		return minTime
	}
	return max(minTime, g.s.o.Now().AddDate(0, 0, -g.info.RetentionDays).UnixMilli())
}
