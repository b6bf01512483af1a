package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	api "github.com/sunaba-dev/sunaba/internal/api/logs"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

const (
	account  = "111122223333"
	region   = "us-west-2"
	groupARN = "arn:aws:logs:us-west-2:111122223333:log-group:"
)

// asked is one question whether the caller may.
type asked struct {
	action string
	target wire.Target
}

// harness is the API behind a real HTTP server, with the Go SDK as its client.
type harness struct {
	*cwl.Client
	t     *testing.T
	logs  *logs.Service
	url   string
	asked []asked
	deny  func(asked) bool
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	service, err := logs.Open(logs.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, logs: service}
	a := &api.API{Logs: service, Authorize: func(_ context.Context, action string, target wire.Target) error {
		q := asked{action, target}
		h.asked = append(h.asked, q)
		if h.deny != nil && h.deny(q) {
			return fault.New(fault.AccessDenied, "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: %s on resource: %s", action, target.Resource)
		}
		return nil
	}}
	s := a.Service()
	if names := s.Undeclared(); len(names) > 0 {
		t.Fatalf("%v do not say what they act on", names)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ctx := wire.WithRequest(r.Context(), &wire.Request{ID: "id", Account: account, Region: region})
		_ = s.Handle(w, r.WithContext(ctx), body)
	}))
	t.Cleanup(func() {
		server.Close()
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	h.url = server.URL
	h.Client = cwl.New(cwl.Options{Region: region, BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		})})
	return h
}

func ok[O any](t *testing.T) func(O, error) O {
	return func(out O, err error) O {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func fails(t *testing.T, err error, code, text string) {
	t.Helper()
	var f smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &f) || f.ErrorCode() != code || !strings.Contains(f.ErrorMessage(), text) || !errors.As(err, &r) || r.HTTPStatusCode() != http.StatusBadRequest {
		t.Errorf("error %v, want 400 %s with %q", err, code, text)
	}
}

func (h *harness) create(group string, streams ...string) {
	h.t.Helper()
	ok[*cwl.CreateLogGroupOutput](h.t)(h.CreateLogGroup(h.t.Context(), &cwl.CreateLogGroupInput{LogGroupName: &group, Tags: map[string]string{"team": "a"}}))
	for _, s := range streams {
		ok[*cwl.CreateLogStreamOutput](h.t)(h.CreateLogStream(h.t.Context(), &cwl.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &s}))
	}
}

func (h *harness) put(group, stream string, at int64, messages ...string) *cwl.PutLogEventsOutput {
	h.t.Helper()
	var events []types.InputLogEvent
	for i, m := range messages {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(at + int64(i)), Message: &m})
	}
	return ok[*cwl.PutLogEventsOutput](h.t)(h.PutLogEvents(h.t.Context(), &cwl.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events}))
}

func TestGroupsAndStreams(t *testing.T) {
	h := newHarness(t)
	h.create("/app/a", "s1", "s2")
	h.create("/app/b")
	_, err := h.CreateLogGroup(t.Context(), &cwl.CreateLogGroupInput{LogGroupName: aws.String("/app/a")})
	fails(t, err, "ResourceAlreadyExistsException", "The specified log group already exists")
	ok[*cwl.PutRetentionPolicyOutput](t)(h.PutRetentionPolicy(t.Context(), &cwl.PutRetentionPolicyInput{LogGroupName: aws.String("/app/a"), RetentionInDays: aws.Int32(7)}))
	_, err = h.PutRetentionPolicy(t.Context(), &cwl.PutRetentionPolicyInput{LogGroupName: aws.String("/app/a"), RetentionInDays: aws.Int32(2)})
	fails(t, err, "InvalidParameterException", "1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5")
	now := time.Now().UnixMilli()
	h.put("/app/a", "s1", now, "hello")

	var names []string
	for p := cwl.NewDescribeLogGroupsPaginator(h, &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/app"), Limit: aws.Int32(1)}); p.HasMorePages(); {
		page := ok[*cwl.DescribeLogGroupsOutput](t)(p.NextPage(t.Context()))
		for _, g := range page.LogGroups {
			names = append(names, *g.LogGroupName)
			if *g.Arn != groupARN+*g.LogGroupName+":*" || *g.LogGroupArn != groupARN+*g.LogGroupName || g.LogGroupClass != types.LogGroupClassStandard {
				t.Errorf("group %+v", g)
			}
			if *g.LogGroupName == "/app/a" && (*g.RetentionInDays != 7 || *g.StoredBytes != 31 || *g.CreationTime < now-60_000) {
				t.Errorf("group %+v", g)
			}
			if *g.LogGroupName == "/app/b" && g.RetentionInDays != nil {
				t.Error("a retention that was not set")
			}
		}
	}
	if got := strings.Join(names, " "); got != "/app/a /app/b" {
		t.Errorf("groups %q", got)
	}
	ok[*cwl.DeleteRetentionPolicyOutput](t)(h.DeleteRetentionPolicy(t.Context(), &cwl.DeleteRetentionPolicyInput{LogGroupName: aws.String("/app/a")}))
	list := ok[*cwl.ListLogGroupsOutput](t)(h.ListLogGroups(t.Context(), &cwl.ListLogGroupsInput{LogGroupNamePattern: aws.String("^/app/b")}))
	if len(list.LogGroups) != 1 {
		t.Errorf("listed %+v", list.LogGroups)
	}

	streams := ok[*cwl.DescribeLogStreamsOutput](t)(h.DescribeLogStreams(t.Context(), &cwl.DescribeLogStreamsInput{LogGroupIdentifier: aws.String(groupARN + "/app/a:*"),
		OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)})).LogStreams
	if len(streams) != 2 || *streams[0].LogStreamName != "s1" || *streams[0].LastEventTimestamp != now || streams[1].LastEventTimestamp != nil ||
		*streams[0].Arn != groupARN+"/app/a:log-stream:s1" {
		t.Errorf("streams %+v", streams)
	}
	_, err = h.DescribeLogStreams(t.Context(), &cwl.DescribeLogStreamsInput{LogGroupName: aws.String("/app/a"), LogGroupIdentifier: aws.String("/app/a")})
	fails(t, err, "InvalidParameterException", "mutually exclusive")
	ok[*cwl.DeleteLogStreamOutput](t)(h.DeleteLogStream(t.Context(), &cwl.DeleteLogStreamInput{LogGroupName: aws.String("/app/a"), LogStreamName: aws.String("s2")}))
	ok[*cwl.PutLogGroupDeletionProtectionOutput](t)(h.PutLogGroupDeletionProtection(t.Context(), &cwl.PutLogGroupDeletionProtectionInput{
		LogGroupIdentifier: aws.String("/app/b"), DeletionProtectionEnabled: aws.Bool(true)}))
	_, err = h.DeleteLogGroup(t.Context(), &cwl.DeleteLogGroupInput{LogGroupName: aws.String("/app/b")})
	fails(t, err, "ValidationException", "protected")
	ok[*cwl.DeleteLogGroupOutput](t)(h.DeleteLogGroup(t.Context(), &cwl.DeleteLogGroupInput{LogGroupName: aws.String("/app/a")}))
	_, err = h.DescribeLogStreams(t.Context(), &cwl.DescribeLogStreamsInput{LogGroupName: aws.String("/app/a")})
	fails(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
}

func TestEvents(t *testing.T) {
	h := newHarness(t)
	h.create("g", "a", "b")
	now := time.Now().UnixMilli()
	h.put("g", "a", now, "one ERROR", `{"level":"ERROR","n":3}`)
	h.put("g", "b", now+1, "two")
	out := h.put("g", "b", now-20*24*3600_000, "ancient")
	if i := out.RejectedLogEventsInfo; i == nil || *i.TooOldLogEventEndIndex != 1 {
		t.Errorf("rejected %+v", i)
	}
	var got []string
	p := cwl.NewFilterLogEventsPaginator(h, &cwl.FilterLogEventsInput{LogGroupName: aws.String("g"), Limit: aws.Int32(1), StartTime: aws.Int64(now)})
	for p.HasMorePages() {
		for _, e := range ok[*cwl.FilterLogEventsOutput](t)(p.NextPage(t.Context())).Events {
			got = append(got, *e.LogStreamName+"="+*e.Message)
			if len(*e.EventId) != 56 || *e.IngestionTime < now {
				t.Errorf("event %+v", e)
			}
		}
	}
	if s := strings.Join(got, ", "); s != `a=one ERROR, a={"level":"ERROR","n":3}, b=two` {
		t.Errorf("events %s", s)
	}
	found := ok[*cwl.FilterLogEventsOutput](t)(h.FilterLogEvents(t.Context(), &cwl.FilterLogEventsInput{LogGroupIdentifier: aws.String(groupARN + "g"), FilterPattern: aws.String(`{ $.n > 2 }`)}))
	if len(found.Events) != 1 || found.NextToken != nil {
		t.Errorf("found %+v", found)
	}
	_, err := h.FilterLogEvents(t.Context(), &cwl.FilterLogEventsInput{LogGroupName: aws.String("g"), FilterPattern: aws.String("a:b")})
	fails(t, err, "InvalidParameterException", "Invalid character(s) in term 'a:b'")

	page := ok[*cwl.GetLogEventsOutput](t)(h.GetLogEvents(t.Context(), &cwl.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("a"), StartFromHead: aws.Bool(true)}))
	if len(page.Events) != 2 || *page.Events[0].Message != "one ERROR" {
		t.Errorf("page %+v", page.Events)
	}
	last := ok[*cwl.GetLogEventsOutput](t)(h.GetLogEvents(t.Context(), &cwl.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("a"), NextToken: page.NextForwardToken, StartFromHead: aws.Bool(true)}))
	if len(last.Events) != 0 || *last.NextForwardToken != *page.NextForwardToken {
		t.Errorf("the last page %+v", last)
	}
	_, err = h.GetLogEvents(t.Context(), &cwl.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("none")})
	fails(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")

	test := ok[*cwl.TestMetricFilterOutput](t)(h.TestMetricFilter(t.Context(), &cwl.TestMetricFilterInput{FilterPattern: aws.String("ERROR"), LogEventMessages: []string{"x", "an ERROR"}}))
	if len(test.Matches) != 1 || test.Matches[0].EventNumber != 2 {
		t.Errorf("matches %+v", test.Matches)
	}
}

func TestTagsAndFilters(t *testing.T) {
	h := newHarness(t)
	h.create("g")
	arn := aws.String(groupARN + "g")
	ok[*cwl.TagResourceOutput](t)(h.TagResource(t.Context(), &cwl.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"k": "v"}}))
	ok[*cwl.UntagResourceOutput](t)(h.UntagResource(t.Context(), &cwl.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"team"}}))
	ok[*cwl.TagLogGroupOutput](t)(h.TagLogGroup(t.Context(), &cwl.TagLogGroupInput{LogGroupName: aws.String("g"), Tags: map[string]string{"old": "way"}})) //nolint:staticcheck // clients still use it
	tags := ok[*cwl.ListTagsForResourceOutput](t)(h.ListTagsForResource(t.Context(), &cwl.ListTagsForResourceInput{ResourceArn: arn}))
	if fmt.Sprint(tags.Tags) != "map[k:v old:way]" {
		t.Errorf("tags %v", tags.Tags)
	}
	ok[*cwl.UntagLogGroupOutput](t)(h.UntagLogGroup(t.Context(), &cwl.UntagLogGroupInput{LogGroupName: aws.String("g"), Tags: []string{"old"}})) //nolint:staticcheck // as above
	old := ok[*cwl.ListTagsLogGroupOutput](t)(h.ListTagsLogGroup(t.Context(), &cwl.ListTagsLogGroupInput{LogGroupName: aws.String("g")}))        //nolint:staticcheck // as above
	if fmt.Sprint(old.Tags) != "map[k:v]" {
		t.Errorf("tags %v", old.Tags)
	}
	for _, bad := range []string{"arn:aws:logs:us-west-2:444455556666:log-group:g", "arn:aws:logs:us-east-1:111122223333:log-group:g", groupARN + "none"} {
		_, err := h.ListTagsForResource(t.Context(), &cwl.ListTagsForResourceInput{ResourceArn: &bad})
		fails(t, err, "ResourceNotFoundException", "")
	}
	_, err := h.PutSubscriptionFilter(t.Context(), &cwl.PutSubscriptionFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("f"), FilterPattern: aws.String(""),
		DestinationArn: aws.String("arn:aws:lambda:us-west-2:111122223333:function:f")})
	fails(t, err, "InvalidParameterException", "Could not deliver test message to specified destination")
	filters := ok[*cwl.DescribeSubscriptionFiltersOutput](t)(h.DescribeSubscriptionFilters(t.Context(), &cwl.DescribeSubscriptionFiltersInput{LogGroupName: aws.String("g")}))
	metrics := ok[*cwl.DescribeMetricFiltersOutput](t)(h.DescribeMetricFilters(t.Context(), &cwl.DescribeMetricFiltersInput{}))
	if filters.SubscriptionFilters == nil || len(filters.SubscriptionFilters)+len(metrics.MetricFilters) != 0 {
		t.Errorf("filters %+v %+v", filters, metrics)
	}
	_, err = h.CreateLogGroup(t.Context(), &cwl.CreateLogGroupInput{LogGroupName: aws.String("x"), KmsKeyId: aws.String("arn:aws:kms:us-west-2:111122223333:key/k")})
	fails(t, err, "InvalidParameterException", "The specified KMS Key Id could not be found.")
}

// What the client's own checks would keep back is answered with the exception that AWS has, never with a 500.
func TestBadRequests(t *testing.T) {
	h := newHarness(t)
	h.create("g", "s")
	for _, c := range []struct{ operation, body, code, text string }{
		{"CreateLogGroup", `{}`, "InvalidParameterException", "Value null at 'logGroupName' failed to satisfy constraint: Member must not be null"},
		{"CreateLogGroup", `{"logGroupName":"a b"}`, "InvalidParameterException", `Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+`},
		{"CreateLogGroup", `{"logGroupName":"x","logGroupClass":"DELIVERY"}`, "InvalidParameterException", "logGroupClass"},
		{"PutRetentionPolicy", `{"logGroupName":"g"}`, "InvalidParameterException", "retentionInDays"},
		{"PutRetentionPolicy", `{"logGroupName":"g","retentionInDays":0}`, "InvalidParameterException", "retentionInDays"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s"}`, "InvalidParameterException", "logEvents"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"x"}]}`, "InvalidParameterException", "logEvents.1.member.timestamp"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"x","timestamp":"now"}]}`, "ValidationException", "expected an integer"},
		{"GetLogEvents", `{"logGroupName":"g","logStreamName":"s","limit":0}`, "InvalidParameterException", "limit"},
		{"GetLogEvents", `{"logStreamName":"s"}`, "InvalidParameterException", "Either"},
		{"FilterLogEvents", `{"logGroupName":"g","limit":10001}`, "InvalidParameterException", "less than or equal to 10000"},
		{"FilterLogEvents", `{"logGroupName":"g","nextToken":"***"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"FilterLogEvents", `{"logGroupName":"g","startTime":-1}`, "InvalidParameterException", "startTime"},
		{"DescribeLogGroups", `{"limit":51}`, "InvalidParameterException", "limit"},
		{"DescribeLogGroups", `{"logGroupNamePrefix":"a","logGroupNamePattern":"b"}`, "InvalidParameterException", "mutually exclusive"},
		{"DescribeLogStreams", `{"logGroupIdentifier":"arn:x"}`, "InvalidParameterException", "ARN"},
		{"TagResource", `{"resourceArn":"g","tags":{"a":"b"}}`, "InvalidParameterException", "resourceArn"},
		{"TagLogGroup", `{"logGroupName":"g"}`, "InvalidParameterException", "tags"},
		{"StartLiveTail", `{}`, "InvalidParameterException", "logGroupIdentifiers"},
		{"StartLiveTail", `{"logGroupIdentifiers":["none"]}`, "ResourceNotFoundException", ""},
		{"TestMetricFilter", `{"filterPattern":"","logEventMessages":[]}`, "InvalidParameterException", "logEventMessages"},
		{"PutSubscriptionFilter", `{"logGroupName":"g"}`, "InvalidParameterException", "filterName"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url, bytes.NewReader([]byte(c.body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "Logs_20140328."+c.operation)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), `"__type":"`+c.code+`"`) || !strings.Contains(string(body), c.text) {
			t.Errorf("%s %s: %d %s, want %s %q", c.operation, c.body, answer.StatusCode, body, c.code, c.text)
		}
	}
}

// liveTail starts a live tail and returns its frames' types and payloads as they come. It reads them itself: the Go SDK may close a connection whose answer comes before it has let go of the request's
// body, and then reports the read that it had pending as an error.
func (h *harness) liveTail(request string) func() (kind string, update tailUpdate) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url, strings.NewReader(request))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = answer.Body.Close() })
	decoder := eventstream.NewDecoder()
	return func() (string, tailUpdate) {
		h.t.Helper()
		m, err := decoder.Decode(answer.Body, nil)
		if err != nil {
			h.t.Fatal(err)
		}
		var u tailUpdate
		if err := json.Unmarshal(m.Payload, &u); err != nil {
			h.t.Fatal(err)
		}
		return m.Headers.Get(":event-type").String(), u
	}
}

type tailUpdate struct {
	SessionID       string `json:"sessionId"`
	SessionMetadata struct {
		Sampled bool `json:"sampled"`
	} `json:"sessionMetadata"`
	SessionResults []struct {
		Message            string `json:"message"`
		LogGroupIdentifier string `json:"logGroupIdentifier"`
	} `json:"sessionResults"`
}

func TestLiveTail(t *testing.T) {
	h := newHarness(t)
	h.create("g", "s", "other")
	h.create("g2", "s")
	one := h.liveTail(`{"logGroupIdentifiers":["` + groupARN + `g"],"logStreamNames":["s"],"logEventFilterPattern":"ERROR"}`)
	both := h.liveTail(`{"logGroupIdentifiers":["` + groupARN + `g","g2"]}`)
	for _, next := range []func() (string, tailUpdate){one, both} {
		if kind, _ := next(); kind != "initial-response" {
			t.Errorf("the stream begins with %s", kind)
		}
		if kind, u := next(); kind != "sessionStart" || u.SessionID == "" {
			t.Errorf("the session begins with %s %+v", kind, u)
		}
	}
	now := time.Now().UnixMilli()
	h.put("g", "s", now, "fine", "an ERROR")
	h.put("g", "other", now, "another ERROR")
	h.put("g2", "s", now, "second")
	collect := func(next func() (string, tailUpdate), n int) map[string]string {
		got := map[string]string{}
		for len(got) < n {
			kind, u := next()
			if kind != "sessionUpdate" || u.SessionMetadata.Sampled {
				t.Fatalf("%s %+v", kind, u)
			}
			for _, r := range u.SessionResults {
				got[r.Message] = r.LogGroupIdentifier
			}
		}
		return got
	}
	if got := collect(one, 1); len(got) != 1 || got["an ERROR"] != groupARN+"g" {
		t.Errorf("one: %v", got)
	}
	if got := collect(both, 4); len(got) != 4 || got["second"] != groupARN+"g2" {
		t.Errorf("both: %v", got)
	}
}
