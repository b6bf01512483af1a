package logs

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Stream is a log stream. Times are milliseconds since 1970; those of events are 0 while there are none.
type Stream struct {
	Name          string
	Created       int64
	FirstEvent    int64 // time of the oldest event that is there
	LastEvent     int64 // time of the newest event
	LastIngestion int64 // when an event was put last
	StoredBytes   int64
}

// CreateStream makes a stream in a group. The errors are NotFound, AlreadyExists and InvalidParameter.
func (s *Service) CreateStream(_ context.Context, scope Scope, groupName, name string) error {
	if err := checkStreamName("logStreamName", name); err != nil {
		return err
	}
	g, err := s.group(scope, groupName)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.gone:
		return noGroup()
	case g.streams[name] != nil:
		return fault.New(AlreadyExists, "The specified log stream already exists")
	case len(g.streams) >= maxStreams:
		return fault.New(LimitExceeded, "The log group has %d streams, which is the most that this server keeps.", maxStreams)
	}
	st := &stream{id: g.lastStream + 1, name: name, created: s.now()}
	if err := s.catalog.putStream(g, st); err != nil {
		return fault.Wrap(err, "create log stream %s", name)
	}
	g.addStream(st)
	return nil
}

// DeleteStream deletes a stream with its events, and frees their space.
func (s *Service) DeleteStream(_ context.Context, scope Scope, groupName, name string) error {
	if err := checkStreamName("logStreamName", name); err != nil {
		return err
	}
	g, err := s.group(scope, groupName)
	if err != nil {
		return err
	}
	if err := g.dropStream(name); err != nil {
		return err
	}
	if err := g.clean(minTime); err != nil { // the stream is gone; its events go with the next run of maintenance
		s.o.Log.Error("the events of a deleted log stream are still on the disk", "group", groupName, "stream", name, "error", err)
	}
	return nil
}

func (g *group) dropStream(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := g.streams[name]
	switch {
	case g.gone:
		return noGroup()
	case st == nil:
		return noStream()
	case g.info.Protected:
		return fault.New(fault.Validation, "The log group is protected against deletion: disable deletionProtectionEnabled first.")
	}
	if err := g.s.catalog.dropStream(g, st.id); err != nil {
		return fault.Wrap(err, "delete log stream %s", name)
	}
	g.forget(st.id)
	if g.active != nil {
		if _, has := g.active.Spans[st.id]; has {
			g.rotate()
		}
	}
	return nil
}

// Order is how streams are listed.
type Order string

// The orders. Source: the enum OrderBy of the model.
const (
	ByName      Order = "LogStreamName"
	ByLastEvent Order = "LastEventTime"
)

// StreamQuery says which streams of a group are listed.
type StreamQuery struct {
	Prefix     string
	Order      Order // "" is ByName; ByLastEvent cannot be combined with a prefix
	Descending bool
}

// Streams lists streams of a group.
func (s *Service) Streams(_ context.Context, scope Scope, groupName string, q StreamQuery, p Page) (streams []Stream, next string, err error) {
	g, err := s.group(scope, groupName)
	if err != nil {
		return nil, "", err
	}
	byLast := q.Order == ByLastEvent
	switch {
	case q.Order != "" && q.Order != ByName && !byLast:
		return nil, "", Invalid("orderBy", string(q.Order), "Member must satisfy enum value set: [%s, %s]", ByName, ByLastEvent)
	case q.Prefix != "" && byLast:
		return nil, "", invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	if q.Prefix != "" {
		if err := checkStreamName("logStreamNamePrefix", q.Prefix); err != nil {
			return nil, "", err
		}
	}
	if p.Limit == 0 {
		p.Limit = pageLimit
	}
	if p.Limit < 1 || p.Limit > pageLimit {
		return nil, "", limitError(p.Limit, pageLimit)
	}
	after, err := decodeStreamToken(p.Token)
	if err != nil {
		return nil, "", err
	}
	order := func(a, b Stream) int {
		c := 0
		if byLast {
			c = cmp.Compare(a.LastEvent, b.LastEvent)
		}
		if c = cmp.Or(c, cmp.Compare(a.Name, b.Name)); q.Descending {
			c = -c
		}
		return c
	}
	g.mu.RLock()
	for name, st := range g.streams {
		if e := st.export(); strings.HasPrefix(name, q.Prefix) && (after == nil || order(*after, e) < 0) {
			streams = append(streams, e)
		}
	}
	g.mu.RUnlock()
	slices.SortFunc(streams, order)
	if len(streams) > p.Limit {
		streams = streams[:p.Limit]
		next = encodeStreamToken(streams[p.Limit-1])
	}
	return streams, next, nil
}

func (st *stream) export() Stream {
	return Stream{Name: st.name, Created: st.created, FirstEvent: st.first, LastEvent: st.last, LastIngestion: st.ingested, StoredBytes: st.bytes}
}

// A token has what the order looks at of the last stream of a page.
func encodeStreamToken(st Stream) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", st.LastEvent, st.Name))
}

func decodeStreamToken(token string) (*Stream, error) {
	if token == "" {
		return nil, nil
	}
	var st Stream
	text, err := base64.RawURLEncoding.DecodeString(token)
	at, name, found := strings.Cut(string(text), " ")
	if err == nil && found {
		_, err = fmt.Sscanf(at, "%d", &st.LastEvent)
	}
	if err != nil || !found || name == "" {
		return nil, invalid("The specified nextToken is invalid.")
	}
	st.Name = name
	return &st, nil
}

func limitError(limit, most int) error {
	bound := fmt.Sprintf("Member must have value less than or equal to %d", most)
	if limit < 1 {
		bound = "Member must have value greater than or equal to 1"
	}
	return Invalid("limit", fmt.Sprint(limit), "%s", bound)
}
