package logs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What policies see is what AWS compares with: a group's ARN with :* at the end covers all but tagging.
func TestTargets(t *testing.T) {
	h := newHarness(t)
	h.create("g", "s")
	g, s := aws.String("g"), aws.String("s")
	events := []types.InputLogEvent{{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: aws.String("x")}}
	for _, c := range []struct {
		action, resource string
		call             func() error
	}{
		{"CreateLogGroup", groupARN + "new:log-stream:", func() error {
			_, err := h.CreateLogGroup(t.Context(), &cwl.CreateLogGroupInput{LogGroupName: aws.String("new")})
			return err
		}},
		{"DescribeLogGroups", groupARN + ":log-stream:", func() error {
			_, err := h.DescribeLogGroups(t.Context(), &cwl.DescribeLogGroupsInput{})
			return err
		}},
		{"CreateLogStream", groupARN + "g:log-stream:s2", func() error {
			_, err := h.CreateLogStream(t.Context(), &cwl.CreateLogStreamInput{LogGroupName: g, LogStreamName: aws.String("s2")})
			return err
		}},
		{"PutLogEvents", groupARN + "g:log-stream:s", func() error {
			_, err := h.PutLogEvents(t.Context(), &cwl.PutLogEventsInput{LogGroupName: g, LogStreamName: s, LogEvents: events})
			return err
		}},
		{"GetLogEvents", groupARN + "g:log-stream:s", func() error {
			_, err := h.GetLogEvents(t.Context(), &cwl.GetLogEventsInput{LogGroupIdentifier: aws.String(groupARN + "g"), LogStreamName: s})
			return err
		}},
		{"FilterLogEvents", groupARN + "g:log-stream:", func() error {
			_, err := h.FilterLogEvents(t.Context(), &cwl.FilterLogEventsInput{LogGroupName: g})
			return err
		}},
		{"DescribeLogStreams", groupARN + "g:log-stream:", func() error {
			_, err := h.DescribeLogStreams(t.Context(), &cwl.DescribeLogStreamsInput{LogGroupName: g})
			return err
		}},
		{"TagResource", groupARN + "g", func() error {
			_, err := h.TagResource(t.Context(), &cwl.TagResourceInput{ResourceArn: aws.String(groupARN + "g:*"), Tags: map[string]string{"k": "v"}})
			return err
		}},
		{"TestMetricFilter", "*", func() error {
			_, err := h.TestMetricFilter(t.Context(), &cwl.TestMetricFilterInput{FilterPattern: aws.String(""), LogEventMessages: []string{"x"}})
			return err
		}},
		{"DeleteLogGroup", groupARN + "g:log-stream:", func() error {
			_, err := h.DeleteLogGroup(t.Context(), &cwl.DeleteLogGroupInput{LogGroupName: g})
			return err
		}},
	} {
		h.asked, h.deny = nil, func(asked) bool { return true }
		fails(t, c.call(), "AccessDeniedException", "is not authorized to perform: logs:"+c.action+" on resource: "+c.resource)
		h.deny = nil
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.action, err)
		}
		if got := h.asked[0]; got.action != "logs:"+c.action || got.target.Resource != c.resource {
			t.Errorf("asked %+v, want %s on %s", got, c.action, c.resource)
		}
		switch c.action {
		case "FilterLogEvents":
			if v := fmt.Sprint(h.asked[0].target.Context); v != "map[aws:ResourceTag/team:[a]]" {
				t.Errorf("context %s", v)
			}
		case "TagResource":
			if v := fmt.Sprint(h.asked[0].target.Context); v != "map[aws:RequestTag/k:[v] aws:ResourceTag/team:[a] aws:TagKeys:[k]]" {
				t.Errorf("context %s", v)
			}
		}
	}
}

// noPrefix keeps the SDK from asking stream-127.0.0.1.
func noPrefix(o *cwl.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("noPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
	})
}

// Tags of a new group are an action of their own.
func TestNewTagsAreAuthorised(t *testing.T) {
	h := newHarness(t)
	h.deny = func(q asked) bool { return q.action == "logs:TagResource" && q.target.Resource == groupARN+"g" }
	_, err := h.CreateLogGroup(t.Context(), &cwl.CreateLogGroupInput{LogGroupName: aws.String("g"), Tags: map[string]string{"k": "v"}})
	fails(t, err, "AccessDeniedException", "logs:TagResource")
	if _, err := h.CreateLogGroup(t.Context(), &cwl.CreateLogGroupInput{LogGroupName: aws.String("g")}); err != nil {
		t.Error(err)
	}
}

// Who may tail one group must not tail another along with it.
func TestAttackTailAlong(t *testing.T) {
	h := newHarness(t)
	h.create("mine", "s")
	h.create("secret", "s")
	h.deny = func(q asked) bool { return q.target.Resource == groupARN+"secret:log-stream:" }
	_, err := h.StartLiveTail(t.Context(), &cwl.StartLiveTailInput{LogGroupIdentifiers: []string{"mine", groupARN + "secret"}}, noPrefix)
	fails(t, err, "AccessDeniedException", "secret")
}

// Another account's group is not reached by its ARN, whoever allows it.
func TestAttackForeignARN(t *testing.T) {
	h := newHarness(t)
	h.create("g", "s")
	for _, arn := range []string{"arn:aws:logs:us-west-2:444455556666:log-group:g", "arn:aws:logs:eu-west-1:111122223333:log-group:g:*"} {
		_, err := h.FilterLogEvents(t.Context(), &cwl.FilterLogEventsInput{LogGroupIdentifier: &arn})
		fails(t, err, "ResourceNotFoundException", "")
		if last := h.asked[len(h.asked)-1]; last.target.Resource != arn {
			t.Errorf("asked for %s", last.target.Resource)
		}
	}
}
