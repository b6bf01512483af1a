package logs

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

type streamInput struct {
	Group  string `aws:"logGroupName"`
	Stream string `aws:"logStreamName"`
}

func (a *API) createLogStream(ctx context.Context, in *streamInput) (*empty, error) {
	return nil, a.Logs.CreateStream(ctx, scope(ctx), in.Group, in.Stream)
}

func (a *API) deleteLogStream(ctx context.Context, in *streamInput) (*empty, error) {
	return nil, a.Logs.DeleteStream(ctx, scope(ctx), in.Group, in.Stream)
}

type describeLogStreamsInput struct {
	Group      string `aws:"logGroupName"`
	Identifier string `aws:"logGroupIdentifier"`
	Prefix     string `aws:"logStreamNamePrefix"`
	OrderBy    string `aws:"orderBy"`
	Descending bool   `aws:"descending"`
	NextToken  string `aws:"nextToken"`
	Limit      *int   `aws:"limit"`
}

type logStream struct {
	Name          string `aws:"logStreamName"`
	CreationTime  int64  `aws:"creationTime"`
	FirstEvent    *int64 `aws:"firstEventTimestamp"`
	LastEvent     *int64 `aws:"lastEventTimestamp"`
	LastIngestion *int64 `aws:"lastIngestionTime"`
	Token         string `aws:"uploadSequenceToken"`
	ARN           string `aws:"arn"`
	StoredBytes   int64  `aws:"storedBytes"` // always 0. Source: the model
}

type describeLogStreamsOutput struct {
	Streams   []logStream `aws:"logStreams"`
	NextToken string      `aws:"nextToken"`
}

func (a *API) describeLogStreams(ctx context.Context, in *describeLogStreamsInput) (*describeLogStreamsOutput, error) {
	group, err := named(ctx, in.Group, in.Identifier)
	if err != nil {
		return nil, err
	}
	p, err := page(in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	streams, next, err := a.Logs.Streams(ctx, scope(ctx), group, logs.StreamQuery{Prefix: in.Prefix, Order: logs.Order(in.OrderBy), Descending: in.Descending}, p)
	out := &describeLogStreamsOutput{Streams: []logStream{}, NextToken: next}
	for _, st := range streams {
		out.Streams = append(out.Streams, logStream{Name: st.Name, CreationTime: st.Created, FirstEvent: timestamp(st.FirstEvent), LastEvent: timestamp(st.LastEvent),
			LastIngestion: timestamp(st.LastIngestion), Token: sequenceToken, ARN: logs.StreamARN(scope(ctx), group, st.Name)})
	}
	return out, err
}

// sequenceToken is what clients of before 2023 hand back with their next batch. The service looks at none. Source: the documentation of PutLogEvents in the model.
const sequenceToken = "49000000000000000000000000000000000000000000000000000000"
