"""Roles and policies through boto3, unmodified: who may do what to interpreters and sessions. Prints one line per check and ends with status 1 if any failed."""
import json
import sys

import boto3
import botocore.exceptions

failed = False
SESSION = ["bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:InvokeCodeInterpreter", "bedrock-agentcore:StopCodeInterpreterSession"]


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def refused(what, code, call, says="", **args):
    try:
        got = call(**args)
    except botocore.exceptions.ClientError as e:
        check(what, e.response["Error"]["Code"] == code and says in str(e), str(e))
        return
    check(what, False, f"not refused: {got}")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def as_client(name, credentials, service="bedrock-agentcore"):
    return boto3.client(service, aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"], aws_session_token=credentials.get("SessionToken"))


def trust(principal, **condition):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy({**statement, "Condition": condition} if condition else statement)


iam, sts, control = boto3.client("iam"), boto3.client("sts"), boto3.client("bedrock-agentcore-control")
account = sts.get_caller_identity()["Account"]

# The execution role of an interpreter is checked when the interpreter is created.
agentcore = {"Service": "bedrock-agentcore.amazonaws.com"}
good = iam.create_role(RoleName="ci-execution", AssumeRolePolicyDocument=trust(
    agentcore, StringEquals={"aws:SourceAccount": account}, ArnLike={"aws:SourceArn": f"arn:aws:bedrock-agentcore:us-west-2:{account}:*"}))["Role"]["Arn"]
other = iam.create_role(RoleName="ci-elsewhere", AssumeRolePolicyDocument=trust(agentcore, StringEquals={"aws:SourceAccount": "111111111111"}))["Role"]["Arn"]
lambda_only = iam.create_role(RoleName="ci-lambda", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
network = {"networkMode": "SANDBOX"}
for what, role in {"a role that is not there": f"arn:aws:iam::{account}:role/none", "a role that trusts another service": lambda_only, "a role that trusts another account's use": other}.items():
    refused(what, "ValidationException", control.create_code_interpreter, says="CodeInterpreter role validation failed", name="roles_bad", networkConfiguration=network, executionRoleArn=role)
mine = control.create_code_interpreter(name="roles_mine", networkConfiguration=network, executionRoleArn=good, tags={"team": "a"})
theirs = control.create_code_interpreter(name="roles_theirs", networkConfiguration=network, tags={"team": "b"})
check("the right role", control.get_code_interpreter(codeInterpreterId=mine["codeInterpreterId"])["executionRoleArn"] == good)

# A role that may do exactly three things to exactly one interpreter.
agent = iam.create_role(RoleName="agent", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{account}:root"}))["Role"]["Arn"]


def session_of(policy_document):
    iam.put_role_policy(RoleName="agent", PolicyName="p", PolicyDocument=policy_document)
    return as_client("agent", sts.assume_role(RoleArn=agent, RoleSessionName="s1")["Credentials"])


def run(client, interpreter):
    """The three calls of an agent's tool, up to the first that is refused."""
    try:
        session = client.start_code_interpreter_session(codeInterpreterIdentifier=interpreter)["sessionId"]
    except botocore.exceptions.ClientError as e:
        return "start " + e.response["Error"]["Code"]
    try:
        r = client.invoke_code_interpreter(codeInterpreterIdentifier=interpreter, sessionId=session, name="executeCommand", arguments={"command": "echo hello"})
        said = [e["result"]["structuredContent"]["stdout"] for e in r["stream"]][0]
    except botocore.exceptions.ClientError as e:
        boto3.client("bedrock-agentcore").stop_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)
        return "invoke " + e.response["Error"]["Code"]
    try:
        client.stop_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)
    except botocore.exceptions.ClientError as e:
        boto3.client("bedrock-agentcore").stop_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session)
        return "stop " + e.response["Error"]["Code"]
    return said


arn = mine["codeInterpreterArn"]
client = session_of(policy(allow(SESSION, arn)))
check("exactly the three actions on exactly its interpreter", run(client, mine["codeInterpreterId"]) == "hello\n")
check("another interpreter is closed to it", run(client, theirs["codeInterpreterId"]) == "start AccessDeniedException")
check("and the managed one", run(client, "aws.codeinterpreter.v1") == "start AccessDeniedException")
refused("and other operations", "AccessDeniedException", client.list_code_interpreter_sessions, codeInterpreterIdentifier=mine["codeInterpreterId"],
        says=f"User: arn:aws:sts::{account}:assumed-role/agent/s1 is not authorized to perform: bedrock-agentcore:ListCodeInterpreterSessions on resource: {arn}")
for i, step in enumerate(["start", "invoke", "stop"]):
    rest = SESSION[:i] + SESSION[i + 1 :]
    got = run(session_of(policy(allow(rest, arn))), mine["codeInterpreterId"])
    check(f"without {SESSION[i]} it fails there", got == f"{step} AccessDeniedException", got)
got = run(session_of(policy(allow("bedrock-agentcore:*", "*"), {"Effect": "Deny", "Action": "bedrock-agentcore:InvokeCodeInterpreter", "Resource": "*"})), mine["codeInterpreterId"])
check("an explicit deny wins", got == "invoke AccessDeniedException", got)
client = session_of(policy(allow("bedrock-agentcore:*", "*", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}})))
check("by the interpreter's tag", run(client, mine["codeInterpreterId"]) == "hello\n" and run(client, theirs["codeInterpreterId"]) == "start AccessDeniedException")

# A user with a key of its own, and the role that it may or may not hand over.
iam.create_user(UserName="dev")
key = iam.create_access_key(UserName="dev")["AccessKey"]
dev = as_client("dev", key, "bedrock-agentcore-control")
check("who the user is", as_client("dev", key, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:user/dev")
refused("a user without policies", "AccessDeniedException", dev.list_code_interpreters, says="no identity-based policy allows")
iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument=policy(allow("bedrock-agentcore:CreateCodeInterpreter", "*")))
refused("create without iam:PassRole", "AccessDeniedException", dev.create_code_interpreter, says="iam:PassRole", name="roles_dev", networkConfiguration=network, executionRoleArn=good)
iam.put_user_policy(UserName="dev", PolicyName="p2", PolicyDocument=policy(allow("iam:PassRole", good, Condition={"StringEquals": {"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}})))
made = dev.create_code_interpreter(name="roles_dev", networkConfiguration=network, executionRoleArn=good)
check("create with iam:PassRole", made["status"] == "CREATING")
refused("but not delete", "AccessDeniedException", dev.delete_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
refused("nor give itself more", "AccessDenied", as_client("dev", key, "iam").put_user_policy, UserName="dev", PolicyName="x", PolicyDocument=policy(allow("*", "*")))
refused("nor take the agent's role", "AccessDenied", as_client("dev", key, "sts").assume_role, RoleArn=agent, RoleSessionName="x1")
iam.update_access_key(UserName="dev", AccessKeyId=key["AccessKeyId"], Status="Inactive")
refused("an inactive key", "UnrecognizedClientException", dev.list_code_interpreters)
credentials = sts.assume_role(RoleArn=agent, RoleSessionName="gone")["Credentials"]
refused("a session token of another session", "UnrecognizedClientException", as_client("x", {**credentials, "SessionToken": credentials["SessionToken"][:-4] + "AAAA"}).start_code_interpreter_session, codeInterpreterIdentifier="x-0123456789")
refused("a malformed policy", "MalformedPolicyDocument", iam.put_role_policy, RoleName="agent", PolicyName="p", PolicyDocument='{"Statement": [{"Effect": "Perhaps"}]}')
iam.delete_role_policy(RoleName="agent", PolicyName="p")
iam.delete_role(RoleName="agent")
check("a deleted role's sessions have no power", run(as_client("x", credentials), mine["codeInterpreterId"]).startswith("start "))

sys.exit(1 if failed else 0)
