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
}

// Service returns the declared service.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:     "bedrock-agentcore",
		Protocol: wire.RestJSON,
		Operations: []wire.Operation{
			wire.Op("CreateCodeInterpreter", "PUT /code-interpreters 202", a.createCodeInterpreter),
			wire.Op("GetCodeInterpreter", "GET /code-interpreters/{codeInterpreterId} 200", a.getCodeInterpreter),
			wire.Op("ListCodeInterpreters", "POST /code-interpreters 200", a.listCodeInterpreters),
			wire.Op("DeleteCodeInterpreter", "DELETE /code-interpreters/{codeInterpreterId} 202", a.deleteCodeInterpreter),
			wire.Op("TagResource", "POST /tags/{resourceArn} 204", a.tagResource),
			wire.Op("UntagResource", "DELETE /tags/{resourceArn} 204", a.untagResource),
			wire.Op("ListTagsForResource", "GET /tags/{resourceArn} 200", a.listTagsForResource),

			wire.Op("StartCodeInterpreterSession", "PUT /code-interpreters/{codeInterpreterIdentifier}/sessions/start 200", a.startSession),
			wire.Op("GetCodeInterpreterSession", "GET /code-interpreters/{codeInterpreterIdentifier}/sessions/get 200", a.getSession),
			wire.Op("ListCodeInterpreterSessions", "POST /code-interpreters/{codeInterpreterIdentifier}/sessions/list 200", a.listSessions),
			wire.Op("StopCodeInterpreterSession", "PUT /code-interpreters/{codeInterpreterIdentifier}/sessions/stop 200", a.stopSession),
			wire.Op("InvokeCodeInterpreter", "POST /code-interpreters/{codeInterpreterIdentifier}/tools/invoke 200", a.invoke),
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
