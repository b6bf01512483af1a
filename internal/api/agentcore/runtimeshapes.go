package agentcore

import (
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type runtimeID string

func (runtimeID) Rule() wire.Rule {
	return wire.Rule{Pattern: `[a-zA-Z][a-zA-Z0-9_]{0,99}-[a-zA-Z0-9]{10}`}
}

type runtimeVersion string

func (runtimeVersion) Rule() wire.Rule { return wire.Length(1, 5).Matching(`([1-9][0-9]{0,4})`) }

type runtimeDescription string

func (runtimeDescription) Rule() wire.Rule { return wire.Length(1, 4096) }

type roleARN string

func (roleARN) Rule() wire.Rule {
	return wire.Length(1, 2048).Matching(`arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+`)
}

type runtimeArtifact struct {
	Container *containerConfiguration `aws:"containerConfiguration"`
	Code      *codeConfiguration      `aws:"codeConfiguration"`
}

type containerConfiguration struct {
	URI containerURI `aws:"containerUri" required:"true"`
}

// containerURI is any reference of an image: the model's pattern allows the registries of AWS only, and which others there are is the operator's matter.
type containerURI string

func (containerURI) Rule() wire.Rule { return wire.Length(1, 1024) }

// codeConfiguration is known so that it can be refused.
type codeConfiguration struct {
	Runtime string `aws:"runtime"`
}

type runtimeNetwork struct {
	Mode string      `aws:"networkMode" required:"true" enum:"PUBLIC,VPC"`
	VPC  *runtimeVPC `aws:"networkModeConfig"`
}

type runtimeVPC struct {
	SecurityGroups           []securityGroupID `aws:"securityGroups" required:"true" min:"1" max:"16"`
	Subnets                  []subnetID        `aws:"subnets" required:"true" min:"1" max:"16"`
	RequireServiceS3Endpoint *bool             `aws:"requireServiceS3Endpoint"`
}

type authorizer struct {
	CustomJWT *customJWT `aws:"customJWTAuthorizer"`
}

type customJWT struct {
	DiscoveryURL string `aws:"discoveryUrl" required:"true"`
}

type requestHeaders struct {
	Allowlist []headerName `aws:"requestHeaderAllowlist" min:"1" max:"20"`
}

type headerName string

func (headerName) Rule() wire.Rule {
	return wire.Length(1, 256).Matching(`[A-Za-z][A-Za-z0-9_-]{0,255}`)
}

type runtimeProtocol struct {
	Server string `aws:"serverProtocol" required:"true" enum:"MCP,HTTP,A2A,AGUI"`
}

type lifecycle struct {
	Idle        *int `aws:"idleRuntimeSessionTimeout" min:"60" max:"28800"` // seconds, as is the other
	MaxLifetime *int `aws:"maxLifetime" min:"60" max:"28800"`
}

type metadataRequirements struct {
	RequireMMDSV2 *bool `aws:"requireMMDSV2" required:"true"`
}

type envName string

func (envName) Rule() wire.Rule { return wire.Length(1, 100) }

type envValue string

func (envValue) Rule() wire.Rule { return wire.Length(0, 5000) }

// filesystem is known so that it can be refused.
type filesystem struct {
	SessionStorage *mount `aws:"sessionStorage"`
	S3Files        *mount `aws:"s3FilesAccessPoint"`
	EFS            *mount `aws:"efsAccessPoint"`
}

type mount struct {
	MountPath string `aws:"mountPath" required:"true" min:"6" max:"200" pattern:"/mnt/[a-zA-Z0-9._-]+/?"`
}

// configuration is what a runtime is made of, and updated with.
type configuration struct {
	artifact    *runtimeArtifact
	role        roleARN
	network     *runtimeNetwork
	description runtimeDescription
	authorizer  *authorizer
	headers     *requestHeaders
	protocol    *runtimeProtocol
	lifecycle   *lifecycle
	metadata    *metadataRequirements
	environment map[envName]envValue
	filesystems []filesystem
}

// unserved refuses what this server does not do: without it a runtime would be another than was asked for.
func (c configuration) unserved() error {
	switch {
	case c.artifact.Code != nil && c.artifact.Container != nil:
		return fault.Invalid("agentRuntimeArtifact", "Member must have exactly one of containerConfiguration and codeConfiguration")
	case c.artifact.Code != nil:
		return fault.Invalid("agentRuntimeArtifact.codeConfiguration", "this server runs container images only: build one from the code, and use containerConfiguration")
	case c.artifact.Container == nil:
		return fault.Invalid("agentRuntimeArtifact", "Member must have containerConfiguration")
	case c.authorizer != nil:
		return fault.Invalid("authorizerConfiguration", "this server authenticates invocations by their signature (SigV4) only")
	case len(c.filesystems) > 0:
		return fault.Invalid("filesystemConfigurations", "this server mounts no file systems into runtimes")
	case c.network.VPC != nil && c.network.VPC.RequireServiceS3Endpoint != nil:
		return fault.Invalid("networkConfiguration.networkModeConfig.requireServiceS3Endpoint", "this field cannot be set on agent runtimes without a service-managed S3 gateway")
	}
	return nil
}

func (c configuration) toDomain() (agentruntime.Configuration, error) {
	if err := c.unserved(); err != nil {
		return agentruntime.Configuration{}, err
	}
	out := agentruntime.Configuration{Description: string(c.description), ContainerURI: string(c.artifact.Container.URI), Role: string(c.role),
		Network: agentruntime.Network{Mode: agentruntime.NetworkMode(c.network.Mode)}, Environment: map[string]string{}}
	if v := c.network.VPC; v != nil {
		for _, g := range v.SecurityGroups {
			out.Network.SecurityGroups = append(out.Network.SecurityGroups, string(g))
		}
		for _, s := range v.Subnets {
			out.Network.Subnets = append(out.Network.Subnets, string(s))
		}
	}
	if c.headers != nil {
		for _, h := range c.headers.Allowlist {
			out.Headers = append(out.Headers, string(h))
		}
	}
	if c.protocol != nil {
		out.Protocol = agentruntime.Protocol(c.protocol.Server)
	}
	if l := c.lifecycle; l != nil {
		out.Lifecycle = agentruntime.Lifecycle{Idle: seconds(l.Idle), MaxLifetime: seconds(l.MaxLifetime)}
	}
	out.Lifecycle = out.Lifecycle.WithDefaults()
	if c.metadata != nil {
		out.RequireMMDSV2 = c.metadata.RequireMMDSV2
	}
	for k, v := range c.environment {
		out.Environment[string(k)] = string(v)
	}
	return out, nil
}

func seconds(n *int) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func lifecycleFromDomain(l agentruntime.Lifecycle) *lifecycle {
	idle, most := int(l.Idle/time.Second), int(l.MaxLifetime/time.Second)
	return &lifecycle{Idle: &idle, MaxLifetime: &most}
}

func runtimeNetworkFromDomain(n agentruntime.Network) *runtimeNetwork {
	out := &runtimeNetwork{Mode: string(n.Mode)}
	if n.Mode == agentruntime.NetworkVPC {
		out.VPC = &runtimeVPC{SecurityGroups: []securityGroupID{}, Subnets: []subnetID{}}
		for _, g := range n.SecurityGroups {
			out.VPC.SecurityGroups = append(out.VPC.SecurityGroups, securityGroupID(g))
		}
		for _, s := range n.Subnets {
			out.VPC.Subnets = append(out.VPC.Subnets, subnetID(s))
		}
	}
	return out
}
