package logs

import (
	"context"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
)

type createLogGroupInput struct {
	Name      string            `aws:"logGroupName"`
	KeyID     string            `aws:"kmsKeyId"`
	Tags      map[string]string `aws:"tags"`
	Class     string            `aws:"logGroupClass"`
	Protected bool              `aws:"deletionProtectionEnabled"`
}

func (a *API) createLogGroup(ctx context.Context, in *createLogGroupInput) (*empty, error) {
	if in.KeyID != "" { // a key that is taken and does not count would be worse than none
		return nil, fault.New(logs.InvalidParameter, "The specified KMS Key Id could not be found.")
	}
	return nil, a.Logs.CreateGroup(ctx, logs.Group{Scope: scope(ctx), Name: in.Name, Tags: in.Tags, Class: in.Class, Protected: in.Protected})
}

type groupInput struct {
	Name string `aws:"logGroupName"`
}

func (a *API) deleteLogGroup(ctx context.Context, in *groupInput) (*empty, error) {
	return nil, a.Logs.DeleteGroup(ctx, scope(ctx), in.Name)
}

type describeLogGroupsInput struct {
	Prefix      string   `aws:"logGroupNamePrefix"`
	Pattern     string   `aws:"logGroupNamePattern"`
	Class       string   `aws:"logGroupClass"`
	Identifiers []string `aws:"logGroupIdentifiers"`
	NextToken   string   `aws:"nextToken"`
	Limit       *int     `aws:"limit"`
}

type logGroup struct {
	Name              string `aws:"logGroupName"`
	CreationTime      int64  `aws:"creationTime"`
	RetentionInDays   *int   `aws:"retentionInDays"`
	MetricFilterCount int    `aws:"metricFilterCount"`
	ARN               string `aws:"arn"`
	StoredBytes       int64  `aws:"storedBytes"`
	Class             string `aws:"logGroupClass"`
	LogGroupARN       string `aws:"logGroupArn"`
	Protected         bool   `aws:"deletionProtectionEnabled"`
}

func groupFromDomain(g logs.Group) logGroup {
	out := logGroup{Name: g.Name, CreationTime: g.Created, ARN: g.ARN(), StoredBytes: g.StoredBytes, Class: g.Class, LogGroupARN: logs.GroupARN(g.Scope, g.Name), Protected: g.Protected}
	if g.RetentionDays > 0 {
		out.RetentionInDays = &g.RetentionDays
	}
	return out
}

type describeLogGroupsOutput struct {
	Groups    []logGroup `aws:"logGroups"`
	NextToken string     `aws:"nextToken"`
}

const maxIdentifiers = 50

func (a *API) describeLogGroups(ctx context.Context, in *describeLogGroupsInput) (*describeLogGroupsOutput, error) {
	q := logs.GroupQuery{Prefix: in.Prefix, Contains: in.Pattern, Class: in.Class}
	if in.Identifiers != nil {
		if q.Prefix != "" || q.Contains != "" || q.Class != "" {
			return nil, fault.New(logs.InvalidParameter, "logGroupIdentifiers cannot be combined with other filters.")
		}
		if len(in.Identifiers) == 0 || len(in.Identifiers) > maxIdentifiers {
			return nil, logs.Invalid("logGroupIdentifiers", "[...]", "Member must have length between 1 and %d", maxIdentifiers)
		}
		q.Names = []string{}
		for _, id := range in.Identifiers {
			name, err := logs.GroupOf(scope(ctx), "logGroupIdentifiers", id)
			if fault.Is(err, logs.NotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			q.Names = append(q.Names, name)
		}
	}
	p, err := page(in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	groups, next, err := a.Logs.Groups(ctx, scope(ctx), q, p)
	out := &describeLogGroupsOutput{Groups: []logGroup{}, NextToken: next}
	for _, g := range groups {
		out.Groups = append(out.Groups, groupFromDomain(g))
	}
	return out, err
}

type listLogGroupsInput struct {
	Pattern   string `aws:"logGroupNamePattern"`
	Class     string `aws:"logGroupClass"`
	NextToken string `aws:"nextToken"`
	Limit     *int   `aws:"limit"`
}

type logGroupSummary struct {
	Name  string `aws:"logGroupName"`
	ARN   string `aws:"logGroupArn"`
	Class string `aws:"logGroupClass"`
}

type listLogGroupsOutput struct {
	Groups    []logGroupSummary `aws:"logGroups"`
	NextToken string            `aws:"nextToken"`
}

// listLogGroups takes one name or ^prefix as its pattern; alternatives are refused.
func (a *API) listLogGroups(ctx context.Context, in *listLogGroupsInput) (*listLogGroupsOutput, error) {
	q := logs.GroupQuery{Class: in.Class}
	if prefix, ok := strings.CutPrefix(in.Pattern, "^"); ok {
		q.Prefix = prefix
	} else {
		q.Contains = in.Pattern
	}
	p, err := page(in.Limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	p.Limit = min(p.Limit, maxIdentifiers) // pages may be shorter than asked for
	groups, next, err := a.Logs.Groups(ctx, scope(ctx), q, p)
	out := &listLogGroupsOutput{Groups: []logGroupSummary{}, NextToken: next}
	for _, g := range groups {
		out.Groups = append(out.Groups, logGroupSummary{g.Name, logs.GroupARN(g.Scope, g.Name), g.Class})
	}
	return out, err
}

type putRetentionPolicyInput struct {
	Name string `aws:"logGroupName"`
	Days *int   `aws:"retentionInDays"`
}

func (a *API) putRetentionPolicy(ctx context.Context, in *putRetentionPolicyInput) (*empty, error) {
	switch {
	case in.Days == nil:
		return nil, logs.Invalid("retentionInDays", "", "Member must not be null")
	case *in.Days == 0:
		return nil, logs.Invalid("retentionInDays", "0", "Member must satisfy enum value set: %v", logs.Retentions())
	}
	return nil, a.Logs.SetRetention(ctx, scope(ctx), in.Name, *in.Days)
}

func (a *API) deleteRetentionPolicy(ctx context.Context, in *groupInput) (*empty, error) {
	return nil, a.Logs.SetRetention(ctx, scope(ctx), in.Name, 0)
}

type protectionInput struct {
	Identifier string `aws:"logGroupIdentifier"`
	Protected  bool   `aws:"deletionProtectionEnabled"`
}

func (a *API) putLogGroupDeletionProtection(ctx context.Context, in *protectionInput) (*empty, error) {
	name, err := logs.GroupOf(scope(ctx), "logGroupIdentifier", in.Identifier)
	if err != nil {
		return nil, err
	}
	return nil, a.Logs.SetProtection(ctx, scope(ctx), name, in.Protected)
}
