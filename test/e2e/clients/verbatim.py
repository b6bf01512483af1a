"""The tool function `execute_command` of an agent, loaded from a file (the first argument) as it is, with only its endpoint changed; the second argument is the script that it fetches from the bucket.

Modules that the agent's file imports and that are not installed here are replaced by the least that lets the file load: strands' `tool` returns the function as it is, FastAPI's decorators return theirs,
`BaseModel` is a plain class. None of them is between the function and AWS: boto3 is the real one. Prints one line per check and ends with status 1 if any failed."""
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import sys
import types

import boto3
import botocore.exceptions

failed = False


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Decorators:
    """FastAPI as far as the file needs it to load: every method is a decorator that changes nothing."""

    def __init__(self, **_):
        pass

    def __getattr__(self, _):
        return lambda *_, **__: lambda f: f


STANDINS = {"fastapi": {"FastAPI": Decorators, "HTTPException": Exception}, "pydantic": {"BaseModel": object}, "strands": {"Agent": object, "tool": lambda f: f}}


def load(path):
    """The file's names, after its endpoint, and nothing else, has been changed."""
    for name, members in STANDINS.items():
        if importlib.util.find_spec(name) is None:
            print(f"note {name} is not installed: a stand-in lets the file load")
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(members)
    source = path.read_text()
    endpoint = 'endpoint_url=f"https://bedrock-agentcore.{REGION}.amazonaws.com"'
    check("the file names its endpoint once", source.count(endpoint) == 1)
    names = {"__name__": "agent", "__file__": str(path)}
    exec(compile(source.replace(endpoint, 'endpoint_url=os.environ["AWS_ENDPOINT_URL"]'), str(path), "exec"), names)
    return names


iam, sts, s3, control, data = (boto3.client(s) for s in ("iam", "sts", "s3", "bedrock-agentcore-control", "bedrock-agentcore"))
account = sts.get_caller_identity()["Account"]
bucket = "verbatim-bucket"
s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
s3.upload_file(sys.argv[2], bucket, "generate_csv.py")
execution = iam.create_role(RoleName="verbatim-execution", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"Service": "bedrock-agentcore.amazonaws.com"}, "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": f"arn:aws:bedrock-agentcore:us-west-2:{account}:*"}}}))["Role"]["Arn"]
iam.put_role_policy(RoleName="verbatim-execution", PolicyName="p", PolicyDocument=policy(
    {"Effect": "Allow", "Action": ["s3:GetObject*", "s3:GetBucket*", "s3:List*", "s3:PutObject", "s3:DeleteObject*", "s3:Abort*"], "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}))
ci = control.create_code_interpreter(name="verbatim", networkConfiguration={"networkMode": "SANDBOX"}, executionRoleArn=execution)
interpreter, arn = ci["codeInterpreterId"], ci["codeInterpreterArn"]
agent = iam.create_role(RoleName="verbatim-agent", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}))["Role"]["Arn"]
ACTIONS = ["StartCodeInterpreterSession", "InvokeCodeInterpreter", "StopCodeInterpreterSession"]


def may(actions):
    iam.put_role_policy(RoleName="verbatim-agent", PolicyName="p", PolicyDocument=policy(*({"Effect": "Allow", "Action": f"bedrock-agentcore:{a}", "Resource": arn} for a in actions)))


may(ACTIONS)
c = sts.assume_role(RoleArn=agent, RoleSessionName="agent")["Credentials"]
os.environ.update(AWS_ACCESS_KEY_ID=c["AccessKeyId"], AWS_SECRET_ACCESS_KEY=c["SecretAccessKey"], AWS_SESSION_TOKEN=c["SessionToken"], CODE_INTERPRETER_ID=interpreter, S3_BUCKET_NAME=bucket)
boto3.setup_default_session()  # the one until here has the root's key, and the agent's client must have the role's
execute_command = load(pathlib.Path(sys.argv[1]))["execute_command"]


def call():
    """What the function returns or raises, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            return execute_command(), printed.getvalue()
        except botocore.exceptions.ClientError as e:
            return e, printed.getvalue()


answer, printed = call()
check("execute_command returns the answer of the stop", isinstance(answer, dict) and answer.get("sessionId", "-") in printed, f"{answer}\n{printed}")
check("its three commands went well", printed.count('"exitCode": 0') == 3 and '"isError": true' not in printed, printed)
rows = s3.get_object(Bucket=bucket, Key="output_artifacts/generated_data.csv")["Body"].read().decode().splitlines()
check("the CSV is in the bucket", len(rows) >= 5 and "," in rows[0], rows)
for i, left_out in enumerate(ACTIONS):
    s3.delete_object(Bucket=bucket, Key="output_artifacts/generated_data.csv")
    may(a for a in ACTIONS if a != left_out)
    got, printed = call()
    text = (f"User: arn:aws:sts::{account}:assumed-role/verbatim-agent/agent is not authorized to perform: bedrock-agentcore:{left_out} on resource: {arn}"
        f" because no identity-based policy allows the bedrock-agentcore:{left_out} action")
    check(f"without {left_out} it is refused at that call", isinstance(got, botocore.exceptions.ClientError) and got.operation_name == left_out and got.response["Error"]["Code"] == "AccessDeniedException"
        and got.response["Error"]["Message"] == text, got)
    stored = "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix="output_artifacts/")
    check("up to there it worked, and no further", stored == (i == 2) and ("Created session ID" in printed) == (i > 0) and printed.count('"exitCode": 0') == (3 if i == 2 else 0), printed)
    for session in data.list_code_interpreter_sessions(codeInterpreterIdentifier=interpreter, status="READY")["items"]:
        data.stop_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session["sessionId"])

control.delete_code_interpreter(codeInterpreterId=interpreter)
for role in ("verbatim-execution", "verbatim-agent"):
    iam.delete_role_policy(RoleName=role, PolicyName="p")
    iam.delete_role(RoleName=role)
for o in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
    s3.delete_object(Bucket=bucket, Key=o["Key"])
s3.delete_bucket(Bucket=bucket)
sys.exit(1 if failed else 0)
