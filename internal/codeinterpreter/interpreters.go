package codeinterpreter

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/idempotency"
	"github.com/sunaba-dev/sunaba/internal/resourceid"
)

// ManagedID is the interpreter that exists in every account and region.
const ManagedID = "aws.codeinterpreter.v1"

// service is the service part of ARNs, for both planes.
const service = "bedrock-agentcore"

// managed returns the managed interpreter: no role, no network, no tags.
func managed(s Scope) Interpreter {
	at := time.Date(2025, time.July, 16, 0, 0, 0, 0, time.UTC)
	return Interpreter{Scope: s, ID: ManagedID, Name: "Amazon Bedrock AgentCore Code Interpreter",
		Description: "AWS built-in code interpreter for secure code execution",
		Network:     Network{Mode: NetworkSandbox}, Status: Ready, CreatedAt: at, UpdatedAt: at}
}

// ARN returns the interpreter's ARN: the managed one's account is "aws".
func (i Interpreter) ARN() string {
	a := arn.ARN{Partition: "aws", Service: service, Region: i.Region, AccountID: i.Account, Resource: "code-interpreter-custom/" + i.ID}
	if i.ID == ManagedID {
		a.AccountID, a.Resource = "aws", "code-interpreter/"+i.ID
	}
	return a.String()
}

// NewInterpreter is what CreateCodeInterpreter takes.
type NewInterpreter struct {
	Name          string
	Description   string
	ExecutionRole string
	Network       Network
	Tags          map[string]string
}

// maxTags is how many tags a resource may have.
const maxTags = 50

// CreateInterpreter makes an interpreter, which is READY at once; the answer says CREATING as AWS's does. A repeated client token returns the first answer.
func (s *Service) CreateInterpreter(ctx context.Context, scope Scope, in NewInterpreter, clientToken string) (Interpreter, error) {
	if err := errors.Join(checkNetwork(in.Network), checkTags(in.Tags)); err != nil {
		return Interpreter{}, err
	}
	return idempotency.Once(ctx, s.tokens, token(scope, "CreateCodeInterpreter", clientToken), in, func() (Interpreter, error) {
		now := time.Now().UTC()
		i := Interpreter{Scope: scope, ID: resourceid.New(in.Name), Name: in.Name, Description: in.Description, ExecutionRole: in.ExecutionRole,
			Network: in.Network, Status: Ready, Tags: in.Tags, CreatedAt: now, UpdatedAt: now}
		if s.o.CheckNetwork != nil {
			if err := s.o.CheckNetwork(i); err != nil {
				return Interpreter{}, err
			}
		}
		if i.ExecutionRole != "" && s.o.CheckRole != nil {
			if err := s.o.CheckRole(ctx, i); err != nil {
				return Interpreter{}, err
			}
		}
		if err := s.o.Store.CreateInterpreter(ctx, i, s.o.Quota.Interpreters); err != nil {
			return Interpreter{}, err
		}
		i.Status = Creating
		return i, nil
	})
}

func checkNetwork(n Network) error {
	const field = "networkConfiguration.vpcConfig"
	hasVPC := len(n.Subnets)+len(n.SecurityGroups) > 0
	switch {
	case n.Mode == NetworkVPC && !hasVPC:
		return fault.Invalid(field, "vpcConfig is required when networkMode is VPC")
	case n.Mode != NetworkVPC && hasVPC:
		return fault.Invalid(field, "vpcConfig is allowed only when networkMode is VPC")
	}
	return nil
}

// Interpreter returns one interpreter by its id, or by its ARN.
func (s *Service) Interpreter(ctx context.Context, scope Scope, id string) (Interpreter, error) {
	id = IDOf(id)
	if id == ManagedID {
		return managed(scope), nil
	}
	return s.o.Store.Interpreter(ctx, scope, id)
}

// IDOf accepts an interpreter's ARN where an id is asked for: some callers pass it, and it cannot mean anything else.
func IDOf(id string) string {
	if a, err := arn.Parse(id); err == nil {
		_, id, _ = strings.Cut(a.Resource, "/")
	}
	return id
}

// Type selects interpreters in a list.
type Type string

// The types; the empty one means both.
const (
	System Type = "SYSTEM"
	Custom Type = "CUSTOM"
)

// Interpreters lists the managed interpreter first, then the account's own in the order of their creation.
func (s *Service) Interpreters(ctx context.Context, scope Scope, t Type, p Page) ([]Interpreter, string, error) {
	var items []Interpreter
	if t != Custom && p.Token == "" {
		items = append(items, managed(scope))
	}
	if t == System {
		if p.Token != "" {
			return nil, "", badToken()
		}
		return items, "", nil
	}
	if p.Limit == len(items) { // a page of one: the managed interpreter alone, and the rest from the start
		return items, firstPage, nil
	}
	if p.Token == firstPage {
		p.Token = ""
	}
	p.Limit -= len(items)
	own, next, err := s.o.Store.Interpreters(ctx, scope, p)
	return append(items, own...), next, err
}

// firstPage is the token of the account's own interpreters from the first one on.
const firstPage = "0"

func badToken() error { return fault.Invalid("nextToken", "Member is not a token of this list") }

// DeleteInterpreter removes an interpreter, which is gone at once; the answer says DELETING as AWS's does.
func (s *Service) DeleteInterpreter(ctx context.Context, scope Scope, id string) (Interpreter, error) {
	i, err := s.Interpreter(ctx, scope, id)
	if err != nil {
		return i, err
	}
	if i.ID == ManagedID {
		return i, fault.New(fault.AccessDenied, "The managed code interpreter %s cannot be deleted.", ManagedID)
	}
	if err := s.o.Store.DeleteInterpreter(ctx, scope, i.ID); err != nil {
		return i, err
	}
	i.Status, i.UpdatedAt = Deleting, time.Now().UTC()
	return i, nil
}

// Tags returns the tags of the interpreter with an ARN.
func (s *Service) Tags(ctx context.Context, scope Scope, resource string) (map[string]string, error) {
	id, err := taggable(scope, resource)
	if err != nil {
		return nil, err
	}
	i, err := s.o.Store.Interpreter(ctx, scope, id)
	return i.Tags, err
}

// Tag adds tags to the interpreter with an ARN, or replaces the values of those it has.
func (s *Service) Tag(ctx context.Context, scope Scope, resource string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	id, err := taggable(scope, resource)
	if err != nil {
		return err
	}
	i, err := s.o.Store.Interpreter(ctx, scope, id)
	if err != nil {
		return err
	}
	return s.o.Store.SetTags(ctx, scope, id, func(have map[string]string) error {
		maps.Copy(have, tags)
		if len(have) > maxTags {
			return fault.New(fault.ServiceQuota, "A resource can have %d tags at most.", maxTags)
		}
		if s.o.CheckNetwork != nil {
			i.Tags = have
			return s.o.CheckNetwork(i)
		}
		return nil
	})
}

// checkTags refuses the keys that AWS keeps for itself.
func checkTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.Invalid("tags", "the key %q begins with aws:, which is reserved", k)
		}
	}
	return nil
}

// Untag removes tags from the interpreter with an ARN; keys that it does not have are ignored.
func (s *Service) Untag(ctx context.Context, scope Scope, resource string, keys []string) error {
	id, err := taggable(scope, resource)
	if err != nil {
		return err
	}
	return s.o.Store.SetTags(ctx, scope, id, func(have map[string]string) error {
		for _, k := range keys {
			delete(have, k)
		}
		return nil
	})
}

// taggable returns the id in the ARN of an interpreter of this scope.
func taggable(scope Scope, resource string) (string, error) {
	a, err := arn.Parse(resource)
	if err != nil {
		return "", fault.Invalid("resourceArn", "Member must be the ARN of a taggable resource")
	}
	id, ok := strings.CutPrefix(a.Resource, "code-interpreter-custom/")
	if !ok || a.Service != service || a.Region != scope.Region || a.AccountID != scope.Account {
		return "", NotFound("resource", resource)
	}
	return id, nil
}

// NotFound is the answer about a resource that is not there.
func NotFound(kind, id string) error {
	return fault.New(fault.ResourceNotFound, "The %s %q does not exist.", kind, id)
}
