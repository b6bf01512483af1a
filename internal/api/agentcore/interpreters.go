package agentcore

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type interpreterID string

func (interpreterID) Rule() wire.Rule {
	return wire.Rule{Pattern: `(aws\.codeinterpreter\.v1|[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10})`}
}

type networkMode string

func (networkMode) Rule() wire.Rule { return wire.OneOf("PUBLIC", "SANDBOX", "VPC") }

type networkConfiguration struct {
	NetworkMode networkMode `aws:"networkMode" required:"true"`
	VPCConfig   *vpcConfig  `aws:"vpcConfig"`
}

type vpcConfig struct {
	SecurityGroups []securityGroupID `aws:"securityGroups" required:"true" min:"1" max:"16"`
	Subnets        []subnetID        `aws:"subnets" required:"true" min:"1" max:"16"`
}

type securityGroupID string

func (securityGroupID) Rule() wire.Rule { return wire.Rule{Pattern: `sg-[0-9a-zA-Z]{8,17}`} }

type subnetID string

func (subnetID) Rule() wire.Rule { return wire.Rule{Pattern: `subnet-[0-9a-zA-Z]{8,17}`} }

type certificate struct {
	Location certificateLocation `aws:"location" required:"true"`
}

type certificateLocation struct {
	SecretsManager *secretsManagerLocation `aws:"secretsManager"`
}

type secretsManagerLocation struct {
	SecretARN string `aws:"secretArn" required:"true" pattern:"arn:aws(-[a-z-]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[a-zA-Z0-9/_+=.@-]+"`
}

// noCertificates refuses certificates: without them in the sandbox's trust store a session would fail later and in a stranger way.
func noCertificates(list []certificate) error {
	if len(list) > 0 {
		return fault.Invalid("certificates", "custom root certificates are not supported")
	}
	return nil
}

type createCodeInterpreterInput struct {
	Name             string                `aws:"name" required:"true" pattern:"[a-zA-Z][a-zA-Z0-9_]{0,47}"`
	Description      string                `aws:"description" min:"1" max:"4096"`
	ExecutionRoleARN string                `aws:"executionRoleArn" min:"1" max:"2048" pattern:"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+"`
	Network          *networkConfiguration `aws:"networkConfiguration" required:"true"`
	Certificates     []certificate         `aws:"certificates" min:"1" max:"200"`
	ClientToken      clientToken           `aws:"clientToken"`
	Tags             map[tagKey]tagValue   `aws:"tags" max:"50"`
}

type createCodeInterpreterOutput struct {
	ID        string    `aws:"codeInterpreterId" required:"true"`
	ARN       string    `aws:"codeInterpreterArn" required:"true"`
	CreatedAt time.Time `aws:"createdAt"`
	Status    string    `aws:"status" required:"true"`
}

func (a *API) createCodeInterpreter(ctx context.Context, in *createCodeInterpreterInput) (*createCodeInterpreterOutput, error) {
	if err := noCertificates(in.Certificates); err != nil {
		return nil, err
	}
	i, err := a.Interpreters.CreateInterpreter(ctx, scope(ctx), codeinterpreter.NewInterpreter{
		Name: in.Name, Description: in.Description, ExecutionRole: in.ExecutionRoleARN, Network: in.Network.toDomain(), Tags: tagsToDomain(in.Tags),
	}, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &createCodeInterpreterOutput{ID: i.ID, ARN: i.ARN(), CreatedAt: i.CreatedAt, Status: string(i.Status)}, nil
}

func (n *networkConfiguration) toDomain() codeinterpreter.Network {
	out := codeinterpreter.Network{Mode: codeinterpreter.NetworkMode(n.NetworkMode)}
	if n.VPCConfig != nil {
		for _, g := range n.VPCConfig.SecurityGroups {
			out.SecurityGroups = append(out.SecurityGroups, string(g))
		}
		for _, s := range n.VPCConfig.Subnets {
			out.Subnets = append(out.Subnets, string(s))
		}
	}
	return out
}

func networkFromDomain(n codeinterpreter.Network) *networkConfiguration {
	out := &networkConfiguration{NetworkMode: networkMode(n.Mode)}
	if n.Mode == codeinterpreter.NetworkVPC {
		out.VPCConfig = &vpcConfig{SecurityGroups: []securityGroupID{}, Subnets: []subnetID{}}
		for _, g := range n.SecurityGroups {
			out.VPCConfig.SecurityGroups = append(out.VPCConfig.SecurityGroups, securityGroupID(g))
		}
		for _, s := range n.Subnets {
			out.VPCConfig.Subnets = append(out.VPCConfig.Subnets, subnetID(s))
		}
	}
	return out
}

type getCodeInterpreterInput struct {
	ID interpreterID `uri:"codeInterpreterId" required:"true"`
}

type getCodeInterpreterOutput struct {
	ID               string                `aws:"codeInterpreterId" required:"true"`
	ARN              string                `aws:"codeInterpreterArn" required:"true"`
	Name             string                `aws:"name" required:"true"`
	Description      string                `aws:"description"`
	ExecutionRoleARN string                `aws:"executionRoleArn"`
	Network          *networkConfiguration `aws:"networkConfiguration"`
	Status           string                `aws:"status" required:"true"`
	CreatedAt        time.Time             `aws:"createdAt"`
	LastUpdatedAt    time.Time             `aws:"lastUpdatedAt"`
}

func (a *API) getCodeInterpreter(ctx context.Context, in *getCodeInterpreterInput) (*getCodeInterpreterOutput, error) {
	i, err := a.Interpreters.Interpreter(ctx, scope(ctx), string(in.ID))
	if err != nil {
		return nil, err
	}
	return &getCodeInterpreterOutput{ID: i.ID, ARN: i.ARN(), Name: i.Name, Description: i.Description, ExecutionRoleARN: i.ExecutionRole,
		Network: networkFromDomain(i.Network), Status: string(i.Status), CreatedAt: i.CreatedAt, LastUpdatedAt: i.UpdatedAt}, nil
}

type listCodeInterpretersInput struct {
	MaxResults *int      `query:"maxResults" min:"1" max:"100"`
	NextToken  nextToken `query:"nextToken"`
	Type       string    `query:"type" enum:"SYSTEM,CUSTOM"`
}

type listCodeInterpretersOutput struct {
	Summaries []interpreterSummary `aws:"codeInterpreterSummaries"`
	NextToken string               `aws:"nextToken"`
}

type interpreterSummary struct {
	ID            string    `aws:"codeInterpreterId" required:"true"`
	ARN           string    `aws:"codeInterpreterArn" required:"true"`
	Name          string    `aws:"name"`
	Description   string    `aws:"description"`
	Status        string    `aws:"status" required:"true"`
	CreatedAt     time.Time `aws:"createdAt"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
}

func (a *API) listCodeInterpreters(ctx context.Context, in *listCodeInterpretersInput) (*listCodeInterpretersOutput, error) {
	items, next, err := a.Interpreters.Interpreters(ctx, scope(ctx), codeinterpreter.Type(in.Type), page(in.MaxResults, in.NextToken, 100))
	if err != nil {
		return nil, err
	}
	out := &listCodeInterpretersOutput{Summaries: []interpreterSummary{}, NextToken: next}
	for _, i := range items {
		out.Summaries = append(out.Summaries, interpreterSummary{ID: i.ID, ARN: i.ARN(), Name: i.Name, Description: i.Description,
			Status: string(i.Status), CreatedAt: i.CreatedAt, LastUpdatedAt: i.UpdatedAt})
	}
	return out, nil
}

func page(limit *int, token nextToken, usual int) codeinterpreter.Page {
	p := codeinterpreter.Page{Limit: usual, Token: string(token)}
	if limit != nil {
		p.Limit = *limit
	}
	return p
}

type deleteCodeInterpreterInput struct {
	ID          interpreterID `uri:"codeInterpreterId" required:"true"`
	ClientToken clientToken   `query:"clientToken"`
}

type deleteCodeInterpreterOutput struct {
	ID            string    `aws:"codeInterpreterId" required:"true"`
	Status        string    `aws:"status" required:"true"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
}

func (a *API) deleteCodeInterpreter(ctx context.Context, in *deleteCodeInterpreterInput) (*deleteCodeInterpreterOutput, error) {
	i, err := a.Interpreters.DeleteInterpreter(ctx, scope(ctx), string(in.ID))
	if err != nil {
		return nil, err
	}
	return &deleteCodeInterpreterOutput{ID: i.ID, Status: string(i.Status), LastUpdatedAt: i.UpdatedAt}, nil
}
