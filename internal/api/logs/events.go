package logs

import (
	"context"
	"fmt"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
)

type inputLogEvent struct {
	Timestamp *int64 `aws:"timestamp"`
	Message   string `aws:"message"`
}

type putLogEventsInput struct {
	Group  string          `aws:"logGroupName"`
	Stream string          `aws:"logStreamName"`
	Events []inputLogEvent `aws:"logEvents"`
}

type rejectedInfo struct {
	TooNew  *int `aws:"tooNewLogEventStartIndex"`
	TooOld  *int `aws:"tooOldLogEventEndIndex"`
	Expired *int `aws:"expiredLogEventEndIndex"`
}

type putLogEventsOutput struct {
	Token    string        `aws:"nextSequenceToken"`
	Rejected *rejectedInfo `aws:"rejectedLogEventsInfo"`
}

func (a *API) putLogEvents(ctx context.Context, in *putLogEventsInput) (*putLogEventsOutput, error) {
	entries := make([]logs.Entry, len(in.Events))
	for i, e := range in.Events {
		if e.Timestamp == nil {
			return nil, logs.Invalid(fmt.Sprintf("logEvents.%d.member.timestamp", i+1), "", "Member must not be null")
		}
		entries[i] = logs.Entry{Time: *e.Timestamp, Message: e.Message}
	}
	r, err := a.Logs.Put(ctx, scope(ctx), in.Group, in.Stream, entries)
	out := &putLogEventsOutput{Token: sequenceToken}
	if r != nil {
		out.Rejected = &rejectedInfo{TooNew: r.TooNewFrom, TooOld: r.TooOldTo, Expired: r.ExpiredTo}
	}
	return out, err
}

type getLogEventsInput struct {
	Group      string `aws:"logGroupName"`
	Identifier string `aws:"logGroupIdentifier"`
	Stream     string `aws:"logStreamName"`
	Start      *int64 `aws:"startTime"`
	End        *int64 `aws:"endTime"`
	NextToken  string `aws:"nextToken"`
	Limit      *int   `aws:"limit"`
	FromHead   bool   `aws:"startFromHead"`
}

type outputLogEvent struct {
	Timestamp int64  `aws:"timestamp"`
	Message   string `aws:"message"`
	Ingestion int64  `aws:"ingestionTime"`
}

type getLogEventsOutput struct {
	Events   []outputLogEvent `aws:"events"`
	Forward  string           `aws:"nextForwardToken"`
	Backward string           `aws:"nextBackwardToken"`
}

func (a *API) getLogEvents(ctx context.Context, in *getLogEventsInput) (*getLogEventsOutput, error) {
	group, err := named(ctx, in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	n, err := limit(in.Limit)
	if err != nil {
		return nil, err
	}
	p, err := a.Logs.Read(ctx, scope(ctx), group, in.Stream, logs.ReadQuery{Start: in.Start, End: in.End, Limit: n, Token: in.NextToken, FromHead: in.FromHead})
	if err != nil {
		return nil, err
	}
	out := &getLogEventsOutput{Events: make([]outputLogEvent, 0, len(p.Events)), Forward: p.Forward, Backward: p.Backward}
	for _, e := range p.Events {
		out.Events = append(out.Events, outputLogEvent{e.Time, e.Message, e.Ingested})
	}
	return out, nil
}

type filterLogEventsInput struct {
	Group        string   `aws:"logGroupName"`
	Identifier   string   `aws:"logGroupIdentifier"`
	Streams      []string `aws:"logStreamNames"`
	StreamPrefix string   `aws:"logStreamNamePrefix"`
	Start        *int64   `aws:"startTime"`
	End          *int64   `aws:"endTime"`
	Pattern      string   `aws:"filterPattern"`
	NextToken    string   `aws:"nextToken"`
	Limit        *int     `aws:"limit"`
	FromHead     *bool    `aws:"startFromHead"`
}

type filteredLogEvent struct {
	Stream    string `aws:"logStreamName"`
	Timestamp int64  `aws:"timestamp"`
	Message   string `aws:"message"`
	Ingestion int64  `aws:"ingestionTime"`
	ID        string `aws:"eventId"`
}

type searchedStream struct {
	Name       string `aws:"logStreamName"`
	Completely bool   `aws:"searchedCompletely"`
}

type filterLogEventsOutput struct {
	Events    []filteredLogEvent `aws:"events"`
	Searched  []searchedStream   `aws:"searchedLogStreams"` // empty, as AWS's has been since 2020
	NextToken string             `aws:"nextToken"`
}

func (a *API) filterLogEvents(ctx context.Context, in *filterLogEventsInput) (*filterLogEventsOutput, error) {
	group, err := named(ctx, in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	n, err := limit(in.Limit)
	if err != nil {
		return nil, err
	}
	streams := logs.Selection{Names: in.Streams}
	if in.StreamPrefix != "" {
		streams.Prefixes = []string{in.StreamPrefix}
	}
	events, next, err := a.Logs.Filter(ctx, scope(ctx), group, logs.FilterQuery{Streams: streams, Start: in.Start, End: in.End,
		Pattern: in.Pattern, Limit: n, Token: in.NextToken, Backward: in.FromHead != nil && !*in.FromHead})
	if err != nil {
		return nil, err
	}
	out := &filterLogEventsOutput{Events: make([]filteredLogEvent, 0, len(events)), Searched: []searchedStream{}, NextToken: next}
	for _, e := range events {
		out.Events = append(out.Events, filteredLogEvent{e.Stream, e.Time, e.Message, e.Ingested, e.ID()})
	}
	return out, nil
}

type testMetricFilterInput struct {
	Pattern  string   `aws:"filterPattern"`
	Messages []string `aws:"logEventMessages"`
}

type metricFilterMatch struct {
	Number  int64             `aws:"eventNumber"` // from 1
	Message string            `aws:"eventMessage"`
	Values  map[string]string `aws:"extractedValues"` // none are extracted
}

type testMetricFilterOutput struct {
	Matches []metricFilterMatch `aws:"matches"`
}

const maxTestMessages = 50

func (a *API) testMetricFilter(_ context.Context, in *testMetricFilterInput) (*testMetricFilterOutput, error) {
	if n := len(in.Messages); n == 0 || n > maxTestMessages {
		return nil, logs.Invalid("logEventMessages", fmt.Sprintf("%d messages", n), "Member must have length between 1 and %d", maxTestMessages)
	}
	matches, err := logs.Test(in.Pattern, in.Messages)
	if err != nil {
		return nil, err
	}
	out := &testMetricFilterOutput{Matches: []metricFilterMatch{}}
	for _, i := range matches {
		out.Matches = append(out.Matches, metricFilterMatch{int64(i + 1), in.Messages[i], map[string]string{}})
	}
	return out, nil
}

type putSubscriptionFilterInput struct {
	Group       string `aws:"logGroupName"`
	Name        string `aws:"filterName"`
	Pattern     string `aws:"filterPattern"`
	Destination string `aws:"destinationArn"`
}

// putSubscriptionFilter refuses every destination, in AWS's words for one that cannot be delivered to: this server has no Kinesis, Firehose or Lambda.
func (a *API) putSubscriptionFilter(ctx context.Context, in *putSubscriptionFilterInput) (*empty, error) {
	switch {
	case in.Name == "":
		return nil, logs.Invalid("filterName", "", "Member must not be null")
	case in.Destination == "":
		return nil, logs.Invalid("destinationArn", "", "Member must not be null")
	}
	if _, err := a.Logs.Group(ctx, scope(ctx), in.Group); err != nil {
		return nil, err
	}
	if _, err := logs.Test(in.Pattern, nil); err != nil {
		return nil, err
	}
	return nil, fault.New(logs.InvalidParameter, "Could not deliver test message to specified destination. Check if the destination is valid.")
}

type describeFiltersInput struct {
	Group string `aws:"logGroupName"`
}

type subscriptionFilter struct {
	Name        string `aws:"filterName"`
	Group       string `aws:"logGroupName"`
	Pattern     string `aws:"filterPattern"`
	Destination string `aws:"destinationArn"`
}

type describeSubscriptionFiltersOutput struct {
	Filters []subscriptionFilter `aws:"subscriptionFilters"`
}

func (a *API) describeSubscriptionFilters(ctx context.Context, in *describeFiltersInput) (*describeSubscriptionFiltersOutput, error) {
	_, err := a.Logs.Group(ctx, scope(ctx), in.Group)
	return &describeSubscriptionFiltersOutput{Filters: []subscriptionFilter{}}, err
}

type describeMetricFiltersInput struct {
	Group string `aws:"logGroupName"`
}

type metricFilter struct {
	Name    string `aws:"filterName"`
	Group   string `aws:"logGroupName"`
	Pattern string `aws:"filterPattern"`
}

type describeMetricFiltersOutput struct {
	Filters []metricFilter `aws:"metricFilters"`
}

// describeMetricFilters lists none: there is no operation that makes one.
func (a *API) describeMetricFilters(ctx context.Context, in *describeMetricFiltersInput) (*describeMetricFiltersOutput, error) {
	if in.Group != "" {
		if _, err := a.Logs.Group(ctx, scope(ctx), in.Group); err != nil {
			return nil, err
		}
	}
	return &describeMetricFiltersOutput{Filters: []metricFilter{}}, nil
}
