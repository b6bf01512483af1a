package logs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type startLiveTailInput struct {
	Groups   []string `aws:"logGroupIdentifiers"`
	Streams  []string `aws:"logStreamNames"`
	Prefixes []string `aws:"logStreamNamePrefixes"`
	Pattern  string   `aws:"logEventFilterPattern"`
}

type startLiveTailOutput struct {
	Stream wire.Events `stream:"true"`
}

type sessionStart struct {
	RequestID string   `aws:"requestId"`
	SessionID string   `aws:"sessionId"`
	Groups    []string `aws:"logGroupIdentifiers"`
	Streams   []string `aws:"logStreamNames"`
	Prefixes  []string `aws:"logStreamNamePrefixes"`
	Pattern   string   `aws:"logEventFilterPattern"`
}

type sessionUpdate struct {
	Metadata sessionMetadata `aws:"sessionMetadata"`
	Results  []sessionEvent  `aws:"sessionResults"`
}

type sessionMetadata struct {
	Sampled bool `aws:"sampled"`
}

type sessionEvent struct {
	Stream    string `aws:"logStreamName"`
	Group     string `aws:"logGroupIdentifier"`
	Message   string `aws:"message"`
	Timestamp int64  `aws:"timestamp"`
	Ingestion int64  `aws:"ingestionTime"`
}

// Limits of a live tail. Source: the documentation of StartLiveTail in the model.
const (
	maxTailGroups = 10
	maxTailNames  = 100
	updateEvery   = time.Second
	updateEvents  = 500
	tailTime      = 3 * time.Hour
)

// startLiveTail streams events as they are put: every second those of the second, of which only the first 500 are sent.
func (a *API) startLiveTail(ctx context.Context, in *startLiveTailInput) (*startLiveTailOutput, error) {
	groups, err := a.tailGroups(ctx, in)
	if err != nil {
		return nil, err
	}
	if _, err := logs.Test(in.Pattern, nil); err != nil {
		return nil, err
	}
	start := sessionStart{RequestID: wire.RequestOf(ctx).ID, SessionID: uuid.NewString(), Groups: in.Groups, Streams: in.Streams, Prefixes: in.Prefixes, Pattern: in.Pattern}
	return &startLiveTailOutput{Stream: func(yield func(wire.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		t := &tail{news: make(chan tailed, 2*len(groups)), in: in}
		defer t.wait(cancel)
		for _, g := range groups {
			t.follow(ctx, a.Logs, scope(ctx), g)
		}
		// In this protocol a stream begins with what the answer would be without it.
		if yield(wire.Event{Type: "initial-response", Payload: &empty{}}, nil) && yield(wire.Event{Type: "sessionStart", Payload: &start}, nil) {
			t.run(ctx, yield)
		}
	}}, nil
}

// tailGroups resolves the groups.
func (a *API) tailGroups(ctx context.Context, in *startLiveTailInput) ([]string, error) {
	switch n := len(in.Groups); {
	case n == 0 || n > maxTailGroups:
		return nil, logs.Invalid("logGroupIdentifiers", "[...]", "Member must have length between 1 and %d", maxTailGroups)
	case n > 1 && (in.Streams != nil || in.Prefixes != nil):
		return nil, fault.New(logs.InvalidParameter, "logStreamNames and logStreamNamePrefixes can be specified with one log group only.")
	case in.Streams != nil && in.Prefixes != nil:
		return nil, fault.New(logs.InvalidParameter, "logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	case len(in.Streams) > maxTailNames || len(in.Prefixes) > maxTailNames:
		return nil, logs.Invalid("logStreamNames", "[...]", "Member must have length less than or equal to %d", maxTailNames)
	}
	var groups []string
	for _, id := range in.Groups {
		name, err := logs.GroupOf(scope(ctx), "logGroupIdentifiers", id)
		if err != nil {
			return nil, err
		}
		if _, err := a.Logs.Group(ctx, scope(ctx), name); err != nil {
			return nil, err
		}
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	return groups, nil
}

// tailed is what a follower has seen.
type tailed struct {
	group  string
	events []logs.Event
	err    error
}

// tail collects what the followers of several groups see.
type tail struct {
	in      *startLiveTailInput
	news    chan tailed
	running []chan struct{}
}

func (t *tail) follow(ctx context.Context, s *logs.Service, scope logs.Scope, group string) {
	q := logs.FollowQuery{Pattern: t.in.Pattern, Streams: logs.Selection{Names: t.in.Streams, Prefixes: t.in.Prefixes}}
	ended := make(chan struct{})
	t.running = append(t.running, ended)
	events := s.Follow(ctx, scope, group, q)
	go func() {
		defer close(ended)
		for list, err := range events {
			select {
			case t.news <- tailed{logs.GroupARN(scope, group), list, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// wait ends the followers.
func (t *tail) wait(cancel func()) {
	cancel()
	for _, ended := range t.running {
		<-ended
	}
}

func (t *tail) run(ctx context.Context, yield func(wire.Event, error) bool) {
	tick := time.NewTicker(updateEvery)
	defer tick.Stop()
	end := time.NewTimer(tailTime)
	defer end.Stop()
	update := &sessionUpdate{Results: []sessionEvent{}}
	for {
		select {
		case n := <-t.news:
			if n.err != nil {
				if !errors.Is(n.err, context.Canceled) {
					yield(wire.Event{}, n.err)
				}
				return
			}
			update.add(n)
		case <-tick.C:
			if !yield(wire.Event{Type: "sessionUpdate", Payload: update}, nil) {
				return
			}
			update = &sessionUpdate{Results: []sessionEvent{}}
		case <-end.C:
			yield(wire.Event{}, fault.New(logs.SessionTimeout, "The session has been open for three hours."))
			return
		case <-ctx.Done():
			return
		}
	}
}

func (u *sessionUpdate) add(n tailed) {
	for _, e := range n.events {
		if len(u.Results) >= updateEvents {
			u.Metadata.Sampled = true
			return
		}
		u.Results = append(u.Results, sessionEvent{e.Stream, n.group, e.Message, e.Time, e.Ingested})
	}
}
