package logs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/logs/filter"
)

const maxEvents = 10_000 // of a page; it also ends at 1 MiB

// ReadQuery says which events of one stream are read. Times are milliseconds since 1970; nil does not restrict.
type ReadQuery struct {
	Start    *int64 // included
	End      *int64 // not included
	Limit    int    // 0 is 10,000, which is also the most
	Token    string // of an earlier page
	FromHead bool   // without a token: the oldest events first, instead of the newest
}

// ReadPage is a page of a stream, in the order of time. The tokens are never empty; one that is the token that was asked with says that there is nothing further in its direction, for now.
type ReadPage struct {
	Events            []Event
	Forward, Backward string
}

// Read returns events of one stream (GetLogEvents).
func (s *Service) Read(ctx context.Context, scope Scope, groupName, streamName string, q ReadQuery) (ReadPage, error) {
	g, err := s.withStream(scope, groupName, streamName)
	if err != nil {
		return ReadPage{}, err
	}
	sc, err := newScan(q.Start, q.End, q.Limit)
	if err != nil {
		return ReadPage{}, err
	}
	sc.streams, sc.budget = Selection{Names: []string{streamName}}, math.MaxInt64
	sc.backward = !q.FromHead
	sc.after = sc.origin()
	if q.Token != "" {
		if err := sc.resume(q.Token); err != nil {
			return ReadPage{}, err
		}
	}
	f, err := sc.run(ctx, g)
	if err != nil {
		return ReadPage{}, err
	}
	if sc.backward {
		slices.Reverse(f.events)
	}
	return sc.readPage(f.events, q.Token), nil
}

// withStream finds a group that has a stream.
func (s *Service) withStream(scope Scope, groupName, streamName string) (*group, error) {
	if err := checkStreamName("logStreamName", streamName); err != nil {
		return nil, err
	}
	g, err := s.group(scope, groupName)
	if err != nil {
		return nil, err
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.streams[streamName] == nil {
		return nil, noStream()
	}
	return g, nil
}

func newScan(start, end *int64, limit int) (*scan, error) {
	q := &scan{start: minTime, end: maxTime, limit: limit}
	if start != nil {
		q.start = *start
	}
	if end != nil {
		q.end = *end
	}
	switch {
	case q.start < 0:
		return nil, Invalid("startTime", fmt.Sprint(q.start), "Member must have value greater than or equal to 0")
	case q.end < 0:
		return nil, Invalid("endTime", fmt.Sprint(q.end), "Member must have value greater than or equal to 0")
	}
	if limit == 0 {
		q.limit = maxEvents
	} else if limit < 1 || limit > maxEvents {
		return nil, limitError(limit, maxEvents)
	}
	return q, nil
}

// A token is its direction and a position: f/..., b/.... Events at the position itself have been seen.
func (q *scan) resume(token string) error {
	direction, rest, _ := strings.Cut(token, "/")
	at, ok := parsePosition(strings.TrimSuffix(rest, "/s"))
	if !ok || direction != "f" && direction != "b" {
		return invalid("The specified nextToken is invalid.")
	}
	q.backward, q.after = direction == "b", at
	return nil
}

func forwardToken(p position) string  { return "f/" + p.String() + "/s" }
func backwardToken(p position) string { return "b/" + p.String() + "/s" }

// readPage gives a page its tokens. events are in the order of time.
func (q *scan) readPage(events []Event, token string) ReadPage {
	page := ReadPage{Events: events}
	if n := len(events); n > 0 {
		page.Forward, page.Backward = forwardToken(events[n-1].position()), backwardToken(events[0].position())
		return page
	}
	// Nothing in this direction: the place stays.
	at := q.after
	if token == "" { // an empty range: what comes later is after its start
		at = position{q.start - 1, math.MaxUint64}
	}
	page.Forward, page.Backward = forwardToken(at), backwardToken(at)
	return page
}

// FilterQuery says which events of a group are looked for. Times are milliseconds since 1970; nil does not restrict.
type FilterQuery struct {
	Streams  Selection
	Start    *int64 // included
	End      *int64 // included
	Pattern  string // in the language of the package filter; empty is every event
	Limit    int    // 0 is 10,000, which is also the most
	Token    string // of an earlier page with the same query
	Backward bool   // the newest events first; a token has its own direction
}

// Filter returns events of all streams of a group, or those selected, in the order of time (FilterLogEvents). The next token is empty when there is no more; a page may be empty and have one.
func (s *Service) Filter(ctx context.Context, scope Scope, groupName string, q FilterQuery) (events []Event, next string, err error) {
	g, err := s.group(scope, groupName)
	if err != nil {
		return nil, "", err
	}
	sc, err := newScan(q.Start, nil, q.Limit)
	if err != nil {
		return nil, "", err
	}
	if q.End != nil && *q.End < maxTime {
		if sc.end = *q.End + 1; *q.End < 0 {
			return nil, "", Invalid("endTime", fmt.Sprint(*q.End), "Member must have value greater than or equal to 0")
		}
	}
	if sc.pattern, err = parsePattern(q.Pattern); err != nil {
		return nil, "", err
	}
	if err := g.checkSelection(q.Streams); err != nil {
		return nil, "", err
	}
	sc.streams, sc.backward, sc.budget = q.Streams, q.Backward, scanBudget
	sc.after = sc.origin()
	if q.Token != "" {
		if err := sc.resume(q.Token); err != nil {
			return nil, "", err
		}
	}
	f, err := sc.run(ctx, g)
	if err != nil {
		return nil, "", err
	}
	if f.more {
		if next = forwardToken(f.next); sc.backward {
			next = backwardToken(f.next)
		}
	}
	return f.events, next, nil
}

func parsePattern(text string) (*filter.Pattern, error) {
	p, err := filter.Parse(text)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return p, nil
}

// Test returns the indices of the messages that match a filter pattern. The error is InvalidParameter.
func Test(pattern string, messages []string) ([]int, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	var matches []int
	for i, m := range messages {
		if p.Match([]byte(m)) {
			matches = append(matches, i)
		}
	}
	return matches, nil
}

const maxSelected = 100 // names of streams in one query

func (g *group) checkSelection(sel Selection) error {
	switch n := len(sel.Names); {
	case sel.Names != nil && sel.Prefixes != nil:
		return invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	case sel.Names != nil && (n == 0 || n > maxSelected):
		return Invalid("logStreamNames", fmt.Sprintf("%d names", n), "Member must have length between 1 and %d", maxSelected)
	}
	for _, prefix := range sel.Prefixes {
		if err := checkStreamName("logStreamNamePrefix", prefix); err != nil {
			return err
		}
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, name := range sel.Names {
		if err := checkStreamName("logStreamNames", name); err != nil {
			return err
		}
		if g.streams[name] == nil {
			return noStream()
		}
	}
	return nil
}
