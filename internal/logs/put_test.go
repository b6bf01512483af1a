package logs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

func number(n int) *int { return &n }

func TestPutRejectsWhatAWSRejects(t *testing.T) {
	s := open(t)
	s.create("s")
	now := s.clock.millis()
	hour := int64(time.Hour / time.Millisecond)
	for name, c := range map[string]struct {
		at        []int64
		retention int
		want      *logs.Rejected
		stored    int
	}{
		"all are taken":             {at: []int64{now - hour, now, now + 2*hour}, stored: 3},
		"one is too new":            {at: []int64{now, now + 2*hour + 1}, want: &logs.Rejected{TooNewFrom: number(1)}, stored: 1},
		"one is too old":            {at: []int64{now - 14*day - 1, now - 14*day}, want: &logs.Rejected{TooOldTo: number(1)}, stored: 1},
		"the span counts the valid": {at: []int64{now - 20*day, now, now + 3*hour}, want: &logs.Rejected{TooOldTo: number(1), TooNewFrom: number(2)}, stored: 1},
		"one has expired":           {at: []int64{now - day - 1, now - hour}, retention: 1, want: &logs.Rejected{ExpiredTo: number(1)}, stored: 1},
		"all are rejected":          {at: []int64{now - 20*day, now + 3*hour}, want: &logs.Rejected{TooOldTo: number(1), TooNewFrom: number(1)}},
		"all are too new":           {at: []int64{now + 3*hour}, want: &logs.Rejected{TooNewFrom: number(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.create("s")
			must(t, s.SetRetention(t.Context(), scope, group, c.retention))
			var entries []logs.Entry
			for i, at := range c.at {
				entries = append(entries, logs.Entry{Time: at, Message: fmt.Sprint(i)})
			}
			got, err := s.Put(t.Context(), scope, group, "s", entries)
			must(t, err)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if n := len(s.all(logs.FilterQuery{})); n != c.stored {
				t.Errorf("%d events are stored, want %d", n, c.stored)
			}
		})
	}
}

func TestPutRefusesBadBatches(t *testing.T) {
	s := open(t)
	s.create("s")
	now := s.clock.millis()
	many := make([]logs.Entry, 10_001)
	for i := range many {
		many[i] = logs.Entry{Time: now, Message: "x"}
	}
	s.puts("s", many[:10_000])
	s.put("s", now, strings.Repeat("x", 1<<20-26))
	for name, c := range map[string]struct {
		entries []logs.Entry
		text    string
	}{
		"none":         {nil, "'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"too many":     {many, "less than or equal to 10000"},
		"out of order": {[]logs.Entry{{now, "a"}, {now - 1, "b"}}, "Log events in a single PutLogEvents request must be in chronological order."},
		"long span":    {[]logs.Entry{{now - day - 1, "a"}, {now, "b"}}, "cannot span more than 24 hours"},
		"too large":    {[]logs.Entry{{now, strings.Repeat("x", 1<<20-25)}}, "Upload too large: 1048577 bytes exceeds limit of 1048576"},
		"empty":        {[]logs.Entry{{now, ""}}, "logEvents.1.member.message"},
		"negative":     {[]logs.Entry{{-1, "a"}}, "logEvents.1.member.timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Put(t.Context(), scope, group, "s", c.entries)
			wantCode(t, err, logs.InvalidParameter, c.text)
		})
	}
	_, err := s.Put(t.Context(), scope, "none", "s", many[:1])
	wantCode(t, err, logs.NotFound, "The specified log group does not exist.")
	_, err = s.Put(t.Context(), scope, group, "none", many[:1])
	wantCode(t, err, logs.NotFound, "The specified log stream does not exist.")
	_, err = s.Put(t.Context(), logs.Scope{Account: "444455556666", Region: scope.Region}, group, "s", many[:1])
	wantCode(t, err, logs.NotFound, "group")
}
