// Package wire speaks the AWS protocols for every service: it turns requests into input structs and output structs into responses.
//
// A service is declared, not programmed: a [Service] lists its operations, and an operation is one input struct, one output struct and one handler:
//
//	wire.Op("GetThing", "GET /things/{thingId} 200", api.getThing)
//
//	type getThingInput struct {
//		ThingID string `uri:"thingId" required:"true" pattern:"[a-z]+-[0-9]{4}"`
//		Detail  bool   `query:"detail"`
//	}
//
// Where a member travels is its tag: `uri:"label"`, `query:"name"`, `header:"Name"`, or `aws:"name"` for the body (JSON object, form or XML document, as the service's
// protocol has it). `aws:"name,flattened"` is a list without `member` elements in the query protocol. `stream:"true"` marks the [Events] of an event stream output,
// `payload:"name"` a [Payload] and `headers:"name"` [Headers] of the input, `raw:"name"` a [Raw] answer.
//
// Rules are tags too: required, min, max (length of strings, blobs, lists and maps; value of numbers), pattern (anchored at both ends), enum (comma-separated). A named type that is
// used in several places carries its rule itself through a method `Rule() wire.Rule`. A request that breaks rules is answered with the
// ValidationException that AWS gives (ValidationError in the query protocol), naming each field and rule, before the handler runs.
//
// What an operation acts on is declared beside its handler, so that it can be decided whether the caller may:
//
//	wire.On(wire.Op("CopyThing", "POST /things/{thingId}/copy 200", api.copyThing), api.onCopy)
//
//	func (a *API) onCopy(ctx context.Context, in *copyThingInput) (wire.Target, error) {
//		from := wire.Target{Resource: arn(in.ThingID)}
//		return from.And(wire.Target{Action: "iam:PassRole", Resource: in.Role}.With("iam:PassedToService", "things.amazonaws.com")), nil
//	}
//
// An operation that policies do not decide about says so with [Exempt], and why. One with neither is closed to everyone.
package wire
