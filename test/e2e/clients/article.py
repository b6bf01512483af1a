"""An agent's tool, the way tutorials write it: start a session, fetch a script from the bucket, run it, put its output back, stop. The agent's role may do just that, the interpreter's role may use
just its bucket, and nothing is configured inside the session. Prints one line per check and ends with status 1 if any failed."""
import json
import sys

import boto3
import botocore.exceptions

failed = False
SCRIPT = """import csv, random, sys
rows, columns = int(sys.argv[1]), int(sys.argv[2])
with open("generated_data.csv", "w", newline="") as f:
    w = csv.writer(f)
    w.writerow([f"column_{c}" for c in range(columns)])
    w.writerows([random.randint(0, 99) for _ in range(columns)] for _ in range(rows))
print(f"{rows} rows and {columns} columns")
"""


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


iam, sts, s3, control = boto3.client("iam"), boto3.client("sts"), boto3.client("s3"), boto3.client("bedrock-agentcore-control")
account = sts.get_caller_identity()["Account"]
bucket, foreign = "article-bucket", "article-foreign"
for b in (bucket, foreign):
    s3.create_bucket(Bucket=b, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
s3.put_object(Bucket=bucket, Key="generate_csv.py", Body=SCRIPT.encode())
s3.put_object(Bucket=foreign, Key="secret.txt", Body=b"not yours")

execution = iam.create_role(RoleName="article-execution", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"Service": "bedrock-agentcore.amazonaws.com"}, "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": f"arn:aws:bedrock-agentcore:us-west-2:{account}:*"}}}))["Role"]["Arn"]
iam.put_role_policy(RoleName="article-execution", PolicyName="bucket", PolicyDocument=policy(
    {"Effect": "Allow", "Action": ["s3:GetObject*", "s3:GetBucket*", "s3:List*", "s3:PutObject", "s3:DeleteObject*", "s3:Abort*"], "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}))
ci = control.create_code_interpreter(name="article", networkConfiguration={"networkMode": "SANDBOX"}, executionRoleArn=execution)
agent = iam.create_role(RoleName="article-agent", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}))["Role"]["Arn"]
iam.put_role_policy(RoleName="article-agent", PolicyName="tool", PolicyDocument=policy({"Effect": "Allow", "Resource": ci["codeInterpreterArn"],
    "Action": ["bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:InvokeCodeInterpreter", "bedrock-agentcore:StopCodeInterpreterSession"]}))
c = sts.assume_role(RoleArn=agent, RoleSessionName="article")["Credentials"]
client = boto3.client("bedrock-agentcore", aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
session = client.start_code_interpreter_session(codeInterpreterIdentifier=ci["codeInterpreterId"], name="article", sessionTimeoutSeconds=900)["sessionId"]


def command(line):
    r = client.invoke_code_interpreter(codeInterpreterIdentifier=ci["codeInterpreterId"], sessionId=session, name="executeCommand", arguments={"command": line})
    return [e["result"]["structuredContent"] for e in r["stream"]][0]


for line in (f"aws s3 cp s3://{bucket}/generate_csv.py .", "python generate_csv.py 5 10", f"aws s3 cp generated_data.csv s3://{bucket}/output_artifacts/"):
    r = command(line)
    check(line, r["exitCode"] == 0, r)
csv = s3.get_object(Bucket=bucket, Key="output_artifacts/generated_data.csv")["Body"].read().decode().splitlines()
check("the CSV is in the bucket, 5 rows of 10 columns", len(csv) == 6 and all(len(row.split(",")) == 10 for row in csv), csv)
r = command("aws sts get-caller-identity || true; aws configure list | grep -E 'access_key|region'")
check("the credentials come from the metadata service by themselves", "iam-role" in r["stdout"], r)
r = command(f"python -c \"import boto3; print(boto3.client('s3').get_object(Bucket='{bucket}', Key='generate_csv.py')['ContentLength'])\"")
check("boto3 with nothing configured", r["stdout"].strip() == str(len(SCRIPT)), r)
for what, line in {"read another bucket": f"aws s3 cp s3://{foreign}/secret.txt .", "list another bucket": f"aws s3 ls s3://{foreign}/", "write another bucket": f"aws s3 cp generate_csv.py s3://{foreign}/x",
        "copy from another bucket": f"aws s3 cp s3://{foreign}/secret.txt s3://{bucket}/stolen", "list the buckets": "aws s3 ls",
        "presign another bucket": f"curl -sSf \"$(aws s3 presign s3://{foreign}/secret.txt)\""}.items():
    r = command(line)
    check("cannot " + what, r["exitCode"] != 0 and "not yours" not in r["stdout"], r)
r = command("curl -sS -m 3 https://example.com; curl -sS -m 3 http://1.1.1.1; curl -sS -m 3 -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/iam/security-credentials/")
check("everything else is closed, and the metadata service wants its token", "Could not resolve host" in r["stderr"] and r["stdout"].endswith("401"), r)
iam.delete_role_policy(RoleName="article-execution", PolicyName="bucket")
r = command(f"aws s3 ls s3://{bucket}/")
check("a policy that is taken away counts at once", r["exitCode"] != 0 and "AccessDenied" in r["stderr"], r)
client.stop_code_interpreter_session(codeInterpreterIdentifier=ci["codeInterpreterId"], sessionId=session)
for b in (bucket, foreign):
    for o in s3.list_objects_v2(Bucket=b).get("Contents", []):
        s3.delete_object(Bucket=b, Key=o["Key"])
    s3.delete_bucket(Bucket=b)
sys.exit(1 if failed else 0)
