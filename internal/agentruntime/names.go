package agentruntime

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// service is the service part of ARNs, for both planes.
const service = "bedrock-agentcore"

func (s Scope) arn(resource string) string {
	return arn.ARN{Partition: "aws", Service: service, Region: s.Region, AccountID: s.Account, Resource: resource}.String()
}

// ARN returns the runtime's ARN, which is the same for all versions. (The model's pattern for it is stale; this is what the service gives.)
func (r Runtime) ARN() string { return r.arn("runtime/" + r.ID) }

// Workload returns the name of the workload identity that the runtime has: its id.
func (r Runtime) Workload() Workload { return Workload{Scope: r.Scope, Name: r.ID} }

// RuntimeARN returns the ARN of the endpoint's runtime.
func (e Endpoint) RuntimeARN() string { return e.arn("runtime/" + e.RuntimeID) }

// ARN returns the endpoint's ARN.
func (e Endpoint) ARN() string { return e.RuntimeARN() + "/runtime-endpoint/" + e.Name }

// directory is the workload identity directory that every account has.
const directory = "workload-identity-directory/default"

// ARN returns the workload identity's ARN.
func (w Workload) ARN() string { return w.arn(directory + "/workload-identity/" + w.Name) }

// DirectoryARN returns the ARN of an account's workload identity directory.
func (s Scope) DirectoryARN() string { return s.arn(directory) }

// ParseRuntime returns the scope and id of a runtime that is named by its ARN, or by its id beside the account that owns it, in the region of the request. Both are of the caller's account: runtimes have no
// policies of their own that would let others in.
func ParseRuntime(caller Scope, name, account string) (Scope, string, error) {
	a, err := arn.Parse(name)
	if err != nil {
		if account == "" {
			return caller, name, fault.Invalid("accountId", "accountId is required when agentRuntimeArn is the id of an agent runtime rather than its ARN")
		}
		a = arn.ARN{Service: service, Region: caller.Region, AccountID: account, Resource: "runtime/" + name}
	}
	id, ok := strings.CutPrefix(a.Resource, "runtime/")
	switch {
	case !ok || a.Service != service || strings.Contains(id, "/") || id == "":
		return caller, name, fault.Invalid("agentRuntimeArn", "Member must be the ARN or the id of an agent runtime")
	case account != "" && account != a.AccountID:
		return caller, name, fault.Invalid("accountId", "accountId is not the account in agentRuntimeArn")
	}
	return Scope{Account: a.AccountID, Region: a.Region}, id, nil
}

// NotFound is the answer about a resource that is not there.
func NotFound(kind, id string) error {
	return fault.New(fault.ResourceNotFound, "The %s %q does not exist.", kind, id)
}

// noEndpoint is the answer to an invocation of what is not there.
func noEndpoint(qualifier, arn string) *fault.Error {
	return fault.New(fault.ResourceNotFound, "No endpoint or agent found with qualifier '%s' for agent '%s'", qualifier, arn)
}
