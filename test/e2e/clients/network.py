"""The network modes through boto3 and the command line: what sessions reach, by which names, and what their interpreters' tags change. Prints one line per check and ends with status 1 if any failed."""
import json
import subprocess
import sys

import boto3
import botocore.exceptions

failed = False
SUNABA = [sys.argv[1], "--data-dir", sys.argv[2]]


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def refused(what, call, says, **args):
    try:
        got = call(**args)
    except botocore.exceptions.ClientError as e:
        check(what, e.response["Error"]["Code"] == "ValidationException" and says in str(e), str(e))
        return
    check(what, False, f"not refused: {got}")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


iam, s3, control, client = boto3.client("iam"), boto3.client("s3"), boto3.client("bedrock-agentcore-control"), boto3.client("bedrock-agentcore")
for b in ("network-one", "network-two"):
    s3.create_bucket(Bucket=b, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket=b, Key="in/file", Body=b.encode())
role = iam.create_role(RoleName="network", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"Service": "bedrock-agentcore.amazonaws.com"}, "Action": "sts:AssumeRole"}))["Role"]["Arn"]
iam.put_role_policy(RoleName="network", PolicyName="p", PolicyDocument=policy(
    {"Effect": "Allow", "Action": ["s3:*", "bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:StopCodeInterpreterSession"], "Resource": "*"}))


class Session:
    def __init__(self, name, mode, role=role, **tags):
        self.id = control.create_code_interpreter(name=name, networkConfiguration={"networkMode": mode}, tags=tags, **({"executionRoleArn": role} if role else {}))["codeInterpreterId"]
        self.session = client.start_code_interpreter_session(codeInterpreterIdentifier=self.id)["sessionId"]

    def command(self, line):
        r = client.invoke_code_interpreter(codeInterpreterIdentifier=self.id, sessionId=self.session, name="executeCommand", arguments={"command": line})
        return [e["result"]["structuredContent"] for e in r["stream"]][0]

    def code(self, text):
        r = client.invoke_code_interpreter(codeInterpreterIdentifier=self.id, sessionId=self.session, name="executeCode", arguments={"language": "python", "code": text})
        return [e["result"]["structuredContent"] for e in r["stream"]][0]

    def stop(self):
        client.stop_code_interpreter_session(codeInterpreterIdentifier=self.id, sessionId=self.session)


def sunaba(*args):
    r = subprocess.run(SUNABA + ["session", *args], capture_output=True, text=True)
    return r.stdout + r.stderr


public = Session("net_public", "PUBLIC")
r = public.code("""
import boto3
c = boto3.client("bedrock-agentcore", region_name="us-west-2", endpoint_url="https://bedrock-agentcore.us-west-2.amazonaws.com")
s = c.start_code_interpreter_session(codeInterpreterIdentifier="aws.codeinterpreter.v1")["sessionId"]
c.stop_code_interpreter_session(codeInterpreterIdentifier="aws.codeinterpreter.v1", sessionId=s)
print(s, boto3.client("sts").get_caller_identity()["Arn"])
try:
    c.get_code_interpreter_session(codeInterpreterIdentifier="aws.codeinterpreter.v1", sessionId=s)
except Exception as e:
    print(type(e).__name__)
""")
check("PUBLIC: a hard-coded endpoint of AgentCore, from inside", r["exitCode"] == 0 and ":assumed-role/network/" in r["stdout"], r)
check("PUBLIC: what the role may not do is refused there", "AccessDeniedException" in r["stdout"], r)
r = public.command("curl -sS -m 5 http://10.255.255.1/ ; echo; curl -sS -m 5 http://127.0.0.1:4566/; curl -sS -m 5 http://169.254.169.254/latest/meta-data/")
check("PUBLIC: private addresses are reset, the loopback is the user's own", "reset" in r["stderr"] and "127.0.0.1 port 4566" in r["stderr"] and "401" in r["stdout"], r)
r = public.command("python3 -m http.server -b 127.0.0.1 8000 >/dev/null 2>&1 & sleep 1; curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/")
check("PUBLIC: the user's own server on the loopback", r["stdout"].endswith("200"), r)
listed = sunaba("connections", public.session)
check("sunaba session connections", "10.255.255.1:80" in listed and "denied" in listed, listed)
check("... as JSON", json.loads(sunaba("connections", public.session, "--json"))["connections"][0]["verdict"] == "denied")
check("sunaba session egress shows everything", sunaba("egress", public.session).strip() == "*", sunaba("egress", public.session))
check("sunaba session egress changes it", sunaba("egress", public.session, "index.example", "*.wheels.example").split() == ["index.example", "*.wheels.example"])
r = public.command("curl -sS -m 5 https://example.com/")
check("... and what is not listed does not exist", "resolve host" in r["stderr"], r)
check("a list that makes no sense", "egress" in sunaba("egress", public.session, "not/a/name"))
check("a session that is not there", "no live session" in sunaba("connections", "01ARZ3NDEKTSV4RRFFQ69G5FAV"))
public.stop()
check("... or not any more", "no live session" in sunaba("connections", public.session))

sandbox = Session("net_sandbox", "SANDBOX", **{"sunaba:s3-buckets": "network-one/in"})
r = sandbox.command("aws s3 cp s3://network-one/in/file - && aws s3 cp s3://network-two/in/file -; aws sts get-caller-identity")
check("SANDBOX: sunaba:s3-buckets narrows, and no other service is there", r["stdout"].startswith("network-one") and "network-two" not in r["stdout"] and "Could not connect" in r["stderr"], r)
r = sandbox.command("curl -sS -m 5 http://1.1.1.1/; curl -sS -m 5 https://example.com/")
check("SANDBOX: everything else fails", "Couldn't connect" in r["stderr"] or "unreachable" in r["stderr"].lower(), r)
check("SANDBOX: there is no list to change", "SANDBOX" in sunaba("egress", sandbox.session, "index.example"))
sandbox.stop()

bare = Session("net_bare", "SANDBOX", role=None)
r = bare.command("curl -sS -m 5 http://169.254.169.254/latest/meta-data/; aws s3 ls")
check("SANDBOX without a role: no metadata service, no S3", r["exitCode"] != 0 and "Could" in r["stderr"], r)
bare.stop()

vpc = {"networkMode": "VPC", "vpcConfig": {"subnets": ["subnet-0123456789abcdef0"], "securityGroups": ["sg-0123456789abcdef0"]}}
refused("VPC: a subnet that is not mapped", control.create_code_interpreter, "subnet-0123456789abcdef0", name="net_vpc", networkConfiguration=vpc)
refused("a tag that cannot be read", control.create_code_interpreter, "sunaba:egress", name="net_tag", networkConfiguration={"networkMode": "PUBLIC"}, tags={"sunaba:egress": "not/a/name"})
arn = control.get_code_interpreter(codeInterpreterId=public.id)["codeInterpreterArn"]
refused("... nor later", control.tag_resource, "sunaba:egress", resourceArn=arn, tags={"sunaba:egress": "not/a/name"})
sys.exit(failed)
