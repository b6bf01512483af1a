"""The main flow and the rough edges through boto3, unmodified: prints one line per check and ends with status 1 if any failed."""
import sys

import boto3
import botocore.exceptions
from botocore.config import Config

data = boto3.client("bedrock-agentcore")
control = boto3.client("bedrock-agentcore-control")
failed = False


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def refused(what, code, call, **args):
    try:
        got = call(**args)
    except botocore.exceptions.ClientError as e:
        found = e.response["Error"]["Code"]
        check(what, found == code, f"{found}: {e}")
        return e.response
    check(what, False, f"not refused: {got}")
    return {}


def invoke(name, session, interpreter="aws.codeinterpreter.v1", **arguments):
    r = data.invoke_code_interpreter(codeInterpreterIdentifier=interpreter, sessionId=session, name=name, arguments=arguments)
    events = list(r["stream"])
    assert len(events) == 1 and "result" in events[0], events
    return events[0]["result"]


created = control.create_code_interpreter(name="boto3_flow", networkConfiguration={"networkMode": "SANDBOX"}, tags={"team": "a"})
check("create answers CREATING", created["status"] == "CREATING" and created["codeInterpreterId"].startswith("boto3_flow-"), created)
interpreter = created["codeInterpreterId"]
got = control.get_code_interpreter(codeInterpreterId=interpreter)
check("get answers READY", got["status"] == "READY" and got["networkConfiguration"] == {"networkMode": "SANDBOX"} and got["codeInterpreterArn"] == created["codeInterpreterArn"], got)
listed = [i["codeInterpreterId"] for page in control.get_paginator("list_code_interpreters").paginate(PaginationConfig={"PageSize": 1}) for i in page["codeInterpreterSummaries"]]
check("the paginator finds both", "aws.codeinterpreter.v1" in listed and interpreter in listed, listed)
check("tags", control.list_tags_for_resource(resourceArn=created["codeInterpreterArn"])["tags"] == {"team": "a"})
control.tag_resource(resourceArn=created["codeInterpreterArn"], tags={"stage": "test"})
control.untag_resource(resourceArn=created["codeInterpreterArn"], tagKeys=["team"])
check("tags changed", control.list_tags_for_resource(resourceArn=created["codeInterpreterArn"])["tags"] == {"stage": "test"})

session = data.start_code_interpreter_session(codeInterpreterIdentifier=interpreter, name="s", sessionTimeoutSeconds=300)["sessionId"]
check("session ids are ULIDs", len(session) == 26, session)
got = data.get_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)
check("get session", got["status"] == "READY" and got["name"] == "s" and got["sessionTimeoutSeconds"] == 300, got)
refused("delete with a live session", "ConflictException", control.delete_code_interpreter, codeInterpreterId=interpreter)

png = bytes(range(256)) * 4
r = invoke("writeFiles", session, interpreter, content=[{"path": "a.csv", "text": "x,y\n1,2\n"}, {"path": "b/raw.bin", "blob": png}])
check("writeFiles", r["content"][0]["text"] == "Successfully wrote all 2 files" and r["isError"] is False and "structuredContent" not in r, r)
r = invoke("executeCode", session, interpreter, language="python", code="import pandas as pd\nprint(pd.read_csv('a.csv').describe())")
check("executeCode", r["structuredContent"]["exitCode"] == 0 and "mean" in r["content"][0]["text"] and isinstance(r["structuredContent"]["executionTime"], float), r)
r = invoke("executeCommand", session, interpreter, command="printf 'a\\nb'; printf 'w' >&2; exit 3")
check("executeCommand", r["structuredContent"] | {"executionTime": 0} == {"stdout": "a\nb", "stderr": "w", "exitCode": 3, "executionTime": 0} and r["isError"], r)
r = invoke("readFiles", session, interpreter, paths=["b/raw.bin", "a.csv"])
check("readFiles", r["content"][0]["resource"]["blob"] == png and r["content"][1]["resource"]["text"] == "x,y\n1,2\n", r)
r = invoke("listFiles", session, interpreter)
check("listFiles", [c["name"] for c in r["content"] if not c["name"].startswith(".")] == ["a.csv", "b"], r)
r = invoke("removeFiles", session, interpreter, paths=["a.csv"])
check("removeFiles", r["content"][0]["text"] != "", r)
r = invoke("executeCode", session, interpreter, language="python", code="print('x' * 30_000_000); import sys; print('y' * 30_000_000, file=sys.stderr)")
check("60 MB of output fit one event", "left out" in r["content"][0]["text"] and r["structuredContent"]["exitCode"] == 0, str(r)[:300])
invoke("executeCommand", session, interpreter, command="head -c 30000000 /dev/urandom > large.bin")
r = invoke("readFiles", session, interpreter, paths=["large.bin"])
check("a file that does not fit says so", r["isError"] and "S3" in r["content"][0]["text"], str(r)[:300])

sessions = data.list_code_interpreter_sessions(codeInterpreterIdentifier=interpreter, status="READY")["items"]
check("list sessions", [s["sessionId"] for s in sessions] == [session] and sessions[0]["lastUpdatedAt"], sessions)
data.stop_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)
refused("invoke after stop", "ResourceNotFoundException", data.invoke_code_interpreter, codeInterpreterIdentifier=interpreter, sessionId=session, name="listFiles", arguments={})
check("terminated", data.get_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)["status"] == "TERMINATED")
refused("unknown session", "ResourceNotFoundException", data.invoke_code_interpreter, codeInterpreterIdentifier=interpreter, sessionId="01K00Z3F8WZ9KBBW4QGRJCVBHH", name="listFiles", arguments={})
refused("unknown interpreter", "ResourceNotFoundException", data.start_code_interpreter_session, codeInterpreterIdentifier="none-0123456789")
check("delete", control.delete_code_interpreter(codeInterpreterId=interpreter)["status"] == "DELETING")
refused("get after delete", "ResourceNotFoundException", control.get_code_interpreter, codeInterpreterId=interpreter)

raw = boto3.client("bedrock-agentcore-control", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
e = refused("a bad name", "ValidationException", raw.create_code_interpreter, name="1 bad", networkConfiguration={"networkMode": "NONE"})
check("its reason and fields", e.get("reason") == "FieldValidationFailed" and sorted(f["name"] for f in e.get("fieldList", [])) == ["name", "networkConfiguration.networkMode"], e)
wrong = boto3.client("bedrock-agentcore-control", aws_secret_access_key="wrong", aws_access_key_id=boto3.Session().get_credentials().access_key)
refused("a wrong secret", "InvalidSignatureException", wrong.list_code_interpreters)
unknown = boto3.client("bedrock-agentcore-control", aws_secret_access_key="wrong", aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
refused("an unknown key", "UnrecognizedClientException", unknown.list_code_interpreters)
check("sts", boto3.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root")
sts = boto3.client("sts", aws_secret_access_key="wrong", aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
refused("sts, an unknown key", "InvalidClientTokenId", sts.get_caller_identity)
refused("sts, an operation that is not there", "InvalidAction", boto3.client("sts").get_federation_token, Name="xx")
refused("a service that is not there", "UnknownOperationException", boto3.client("dynamodb").list_tables)
other = boto3.client("bedrock-agentcore-control", region_name="eu-central-1")
check("every region is served", [i["codeInterpreterArn"] for i in other.list_code_interpreters()["codeInterpreterSummaries"]] == ["arn:aws:bedrock-agentcore:eu-central-1:aws:code-interpreter/aws.codeinterpreter.v1"])

sys.exit(1 if failed else 0)
