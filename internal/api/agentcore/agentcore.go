// Package agentcore declares the AgentCore APIs (bedrock-agentcore and bedrock-agentcore-control, which share one signing name): the shapes of their requests and answers, and the
// handlers that translate between them and the domain packages. Sources of every shape and rule: the botocore models of 2024-02-28 and 2023-06-05.
package agentcore

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain services that the operations call.
type API struct {
	Interpreters *codeinterpreter.Service
	// Authorize decides whether the caller may act; see wire.Service.
	Authorize func(ctx context.Context, action string, t wire.Target) error
}

// Service returns the declared service: each operation with what it acts on. Source of actions and resources: the service authorization reference.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "bedrock-agentcore",
		Protocol:  wire.RestJSON,
		Authorize: a.Authorize,
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
