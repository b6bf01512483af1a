// Package agentcore declares the AgentCore APIs (bedrock-agentcore and bedrock-agentcore-control, which share one signing name): the shapes of their requests and answers, and the
// handlers that translate between them and the domain packages. Sources of every shape and rule: the botocore models of 2024-02-28 and 2023-06-05.
package agentcore

import (
	"context"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain services that the operations call.
type API struct {
	Interpreters *codeinterpreter.Service
	Runtimes     *agentruntime.Service
	// Authorize decides whether the caller may act; see wire.Service.
	Authorize func(ctx context.Context, action string, t wire.Target) error
}

// Service returns the declared service: each operation with what it acts on. Source of actions and resources: the service authorization reference.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "bedrock-agentcore",
		Protocol:  wire.RestJSON,
		Authorize: a.Authorize,
		Statuses: map[fault.Code]int{agentruntime.RuntimeClientError: http.StatusFailedDependency, agentruntime.RetryableConflict: http.StatusConflict,
			agentruntime.Unauthorized: http.StatusUnauthorized},
		Operations: []wire.Operation{
			wire.On(wire.Op("CreateCodeInterpreter", "PUT /code-interpreters 202", a.createCodeInterpreter), onNewInterpreter),
			wire.On(wire.Op("GetCodeInterpreter", "GET /code-interpreters/{codeInterpreterId} 200", a.getCodeInterpreter), a.onGet),
			wire.On(wire.Op("ListCodeInterpreters", "POST /code-interpreters 200", a.listCodeInterpreters), onAny[listCodeInterpretersInput]),
			wire.On(wire.Op("DeleteCodeInterpreter", "DELETE /code-interpreters/{codeInterpreterId} 202", a.deleteCodeInterpreter), a.onDelete),
			wire.On(wire.Op("TagResource", "POST /tags/{resourceArn} 204", a.tagResource), a.onTag),
			wire.On(wire.Op("UntagResource", "DELETE /tags/{resourceArn} 204", a.untagResource), a.onUntag),
			wire.On(wire.Op("ListTagsForResource", "GET /tags/{resourceArn} 200", a.listTagsForResource), a.onListTags),

			wire.On(wire.Op("StartCodeInterpreterSession", "PUT /code-interpreters/{codeInterpreterIdentifier}/sessions/start 200", a.startSession), a.onStart),
			wire.On(wire.Op("GetCodeInterpreterSession", "GET /code-interpreters/{codeInterpreterIdentifier}/sessions/get 200", a.getSession), a.onGetSession),
			wire.On(wire.Op("ListCodeInterpreterSessions", "POST /code-interpreters/{codeInterpreterIdentifier}/sessions/list 200", a.listSessions), a.onListSessions),
			wire.On(wire.Op("StopCodeInterpreterSession", "PUT /code-interpreters/{codeInterpreterIdentifier}/sessions/stop 200", a.stopSession), a.onStop),
			wire.On(wire.Op("InvokeCodeInterpreter", "POST /code-interpreters/{codeInterpreterIdentifier}/tools/invoke 200", a.invoke), a.onInvoke),

			wire.On(wire.Op("CreateAgentRuntime", "PUT /runtimes/ 202", a.createRuntime), onNewRuntime),
			wire.On(wire.Op("UpdateAgentRuntime", "PUT /runtimes/{agentRuntimeId}/ 202", a.updateRuntime), a.onUpdateRuntime),
			wire.On(wire.Op("GetAgentRuntime", "GET /runtimes/{agentRuntimeId}/ 200", a.getRuntime), a.onGetRuntime),
			wire.On(wire.Op("ListAgentRuntimes", "POST /runtimes/ 200", a.listRuntimes), onAny[listRuntimesInput]),
			wire.On(wire.Op("ListAgentRuntimeVersions", "POST /runtimes/{agentRuntimeId}/versions/ 200", a.listVersions), a.onListVersions),
			wire.On(wire.Op("DeleteAgentRuntime", "DELETE /runtimes/{agentRuntimeId}/ 202", a.deleteRuntime), a.onDeleteRuntime),
			wire.On(wire.Op("CreateAgentRuntimeEndpoint", "PUT /runtimes/{agentRuntimeId}/runtime-endpoints/ 202", a.createEndpoint), a.onNewEndpoint),
			wire.On(wire.Op("UpdateAgentRuntimeEndpoint", "PUT /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/ 202", a.updateEndpoint), a.onUpdateEndpoint),
			wire.On(wire.Op("GetAgentRuntimeEndpoint", "GET /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/ 200", a.getEndpoint), a.onGetEndpoint),
			wire.On(wire.Op("ListAgentRuntimeEndpoints", "POST /runtimes/{agentRuntimeId}/runtime-endpoints/ 200", a.listEndpoints), a.onListEndpoints),
			wire.On(wire.Op("DeleteAgentRuntimeEndpoint", "DELETE /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/ 202", a.deleteEndpoint), a.onDeleteEndpoint),

			wire.On(wire.Op("InvokeAgentRuntime", "POST /runtimes/{agentRuntimeArn}/invocations 200", a.invokeRuntime), a.onInvokeRuntime),
			wire.On(wire.Op("GetAgentCard", "GET /runtimes/{agentRuntimeArn}/invocations/.well-known/agent-card.json 200", a.getAgentCard), a.onAgentCard),
			wire.On(wire.Op("StopRuntimeSession", "POST /runtimes/{agentRuntimeArn}/stopruntimesession 200", a.stopRuntimeSession), a.onStopRuntimeSession),

			wire.On(wire.Op("CreateWorkloadIdentity", "POST /identities/CreateWorkloadIdentity 201", a.createWorkload), onNewWorkload),
			wire.On(wire.Op("GetWorkloadIdentity", "POST /identities/GetWorkloadIdentity 200", a.getWorkload), a.onWorkload),
			wire.On(wire.Op("ListWorkloadIdentities", "POST /identities/ListWorkloadIdentities 200", a.listWorkloads), onListWorkloads),
			wire.On(wire.Op("UpdateWorkloadIdentity", "POST /identities/UpdateWorkloadIdentity 200", a.updateWorkload), a.onUpdateWorkload),
			wire.On(wire.Op("DeleteWorkloadIdentity", "POST /identities/DeleteWorkloadIdentity 204", a.deleteWorkload), a.onWorkload),
		},
	}
}

// scope is the account and region that a request speaks of: the caller's, and the region it was signed for.
func scope(ctx context.Context) codeinterpreter.Scope {
	r := wire.RequestOf(ctx)
	return codeinterpreter.Scope{Account: r.Account, Region: r.Region}
}

// clientToken makes a request idempotent; the SDKs fill it in.
type clientToken string

func (clientToken) Rule() wire.Rule {
	return wire.Length(33, 256).Matching(`[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}`)
}

type nextToken string

func (nextToken) Rule() wire.Rule { return wire.Length(1, 2048).Matching(`\S*`) }
