// The main flow through the AWS SDK for JavaScript v3, unmodified.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/"); // the packages are where scripts/clients put them
const { BedrockAgentCoreClient, StartCodeInterpreterSessionCommand, InvokeCodeInterpreterCommand, StopCodeInterpreterSessionCommand, ListCodeInterpreterSessionsCommand } =
  require("@aws-sdk/client-bedrock-agentcore");
const { BedrockAgentCoreControlClient, ListCodeInterpretersCommand } = require("@aws-sdk/client-bedrock-agentcore-control");

const codeInterpreterIdentifier = "aws.codeinterpreter.v1";
const client = new BedrockAgentCoreClient({});
const { sessionId } = await client.send(new StartCodeInterpreterSessionCommand({ codeInterpreterIdentifier, name: "default" }));

async function invoke(name, args) {
  const r = await client.send(new InvokeCodeInterpreterCommand({ codeInterpreterIdentifier, sessionId, name, arguments: args }));
  assert.equal(r.sessionId, sessionId);
  const results = [];
  for await (const event of r.stream) {
    assert.ok(event.result, JSON.stringify(event));
    results.push(event.result);
  }
  assert.equal(results.length, 1);
  return results[0];
}

let r = await invoke("executeCode", { language: "python", code: "open('a.txt', 'w').write('héllo')\n6 * 7" });
assert.equal(r.content[0].text, "42");
assert.equal(r.isError, false);
r = await invoke("readFiles", { paths: ["a.txt"] });
assert.equal(r.content[0].resource.text, "héllo");
r = await invoke("writeFiles", { content: [{ path: "b.bin", blob: new Uint8Array([1, 2, 255]) }] });
r = await invoke("executeCommand", { command: "od -An -tu1 b.bin; node --version; deno --version | head -1; aws --version" });
assert.match(r.structuredContent.stdout, /1\s+2\s+255\nv2\d.*\ndeno .*\naws-cli/);
const { items } = await client.send(new ListCodeInterpreterSessionsCommand({ codeInterpreterIdentifier, status: "READY" }));
assert.ok(items.some((s) => s.sessionId === sessionId && s.lastUpdatedAt instanceof Date));
await client.send(new StopCodeInterpreterSessionCommand({ codeInterpreterIdentifier, sessionId }));
await assert.rejects(invoke("listFiles", {}), { name: "ResourceNotFoundException" });
const { codeInterpreterSummaries } = await new BedrockAgentCoreControlClient({}).send(new ListCodeInterpretersCommand({ type: "SYSTEM" }));
assert.equal(codeInterpreterSummaries.length, 1);
console.log("ok");
