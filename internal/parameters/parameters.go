// Package parameters is the domain of the SSM Parameter Store: parameters in a hierarchy of names, the versions of their values, and labels for versions.
//
// Values of the type SecureString are sealed before they reach the store, each bound to its parameter and version.
package parameters

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The exceptions of the service. Source: the botocore model of ssm.
const (
	NotFound            fault.Code = "ParameterNotFound"
	VersionNotFound     fault.Code = "ParameterVersionNotFound"
	AlreadyExists       fault.Code = "ParameterAlreadyExists"
	LimitExceeded       fault.Code = "ParameterLimitExceeded"
	MaxVersionExceeded  fault.Code = "ParameterMaxVersionLimitExceeded"
	LabelLimitExceeded  fault.Code = "ParameterVersionLabelLimitExceeded"
	LevelLimitExceeded  fault.Code = "HierarchyLevelLimitExceededException"
	PatternMismatch     fault.Code = "ParameterPatternMismatchException"
	InvalidPattern      fault.Code = "InvalidAllowedPatternException"
	InvalidPolicyType   fault.Code = "InvalidPolicyTypeException"
	InvalidKeyID        fault.Code = "InvalidKeyId"
	InvalidNextToken    fault.Code = "InvalidNextToken"
	InvalidFilterKey    fault.Code = "InvalidFilterKey"
	InvalidFilterOption fault.Code = "InvalidFilterOption"
	InvalidFilterValue  fault.Code = "InvalidFilterValue"
	InvalidResourceID   fault.Code = "InvalidResourceId"
	InvalidResourceType fault.Code = "InvalidResourceType"
	TooManyTags         fault.Code = "TooManyTagsError"
)

// Limits. Source: API reference and quotas of the Parameter Store; AWS's own limit of parameters with the advanced tier is 100,000.
const (
	MaxStandard   = 4096 // bytes of a value in the standard tier
	MaxAdvanced   = 8192 // bytes of a value in the advanced tier
	MaxVersions   = 100  // the oldest is removed when there are more
	MaxLabels     = 10   // of one version
	MaxLevels     = 15
	MaxTags       = 50
	MaxParameters = 10000 // in an account and region
)

// Type is what a value is.
type Type string

// The types.
const (
	String       Type = "String"
	StringList   Type = "StringList"
	SecureString Type = "SecureString"
)

// Tier says how large a value can be.
type Tier string

// The tiers. Intelligent is only asked for: a parameter is in one of the others.
const (
	Standard    Tier = "Standard"
	Advanced    Tier = "Advanced"
	Intelligent Tier = "Intelligent-Tiering"
)

// DefaultKey is the name of the key of SecureStrings that name none. Keys are kept, not used: values are sealed with the installation's key.
const DefaultKey = "alias/aws/ssm"

// Scope is an account and a region.
type Scope struct{ Account, Region string }

// Parameter is a parameter with all its versions.
type Parameter struct {
	Scope
	Name     string
	Tags     map[string]string
	Versions []Version // the oldest first; never empty
}

// ARN returns the parameter's ARN.
func (p *Parameter) ARN() string { return ResourceOf(p.Scope, p.Name) }

// Last returns the latest version.
func (p *Parameter) Last() *Version { return &p.Versions[len(p.Versions)-1] }

// Version is one version of a parameter.
type Version struct {
	Number         int64
	Type           Type
	Value          []byte // sealed if the type is SecureString
	DataType       string
	Tier           Tier
	KeyID          string // of SecureStrings
	Description    string
	AllowedPattern string
	Labels         []string
	ModifiedAt     time.Time
	ModifiedBy     string // ARN
}

// Store keeps parameters. Implementations return what the methods say as coded faults, and their own failures as they are. When a method that changes something returns nil, the change is on disk.
type Store interface {
	// Parameter returns a parameter by its name: NotFound if there is none.
	Parameter(ctx context.Context, s Scope, name string) (Parameter, error)
	// ChangeParameter makes or changes a parameter in one transaction. The function gets it, without versions if there is none yet; an error of the function changes nothing. LimitExceeded if a new one
	// would be more than limit in the account and region.
	ChangeParameter(ctx context.Context, s Scope, name string, limit int, change func(p *Parameter) error) (Parameter, error)
	// DeleteParameter removes a parameter: found is false if there is none.
	DeleteParameter(ctx context.Context, s Scope, name string) (found bool, err error)
	// Parameters returns the parameters whose names begin with a prefix and come after a name, in the order of their names, until each returns false; with all their versions, or only the latest.
	Parameters(ctx context.Context, s Scope, prefix, after string, versions bool, each func(Parameter) bool) error
}

// Sealer encrypts values for the disk, bound to what they are.
type Sealer interface {
	Seal(plain []byte, binding ...string) []byte
	Open(box []byte, binding ...string) ([]byte, error)
}

// Options are what a service needs.
type Options struct {
	Store Store
	Seal  Sealer
	Now   func() time.Time // nil is time.Now
}

// Service has the operations.
type Service struct {
	o Options
}

// New returns the service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o}
}
