"""Secrets Manager, the Parameter Store, CloudWatch Logs and ECR through boto3, unmodified, with what a role may and may not. Prints one line per check and ends with status 1 if any failed."""
import base64
import json
import sys
import time

import boto3
import botocore.exceptions

failed = False


def check(what, ok, detail=""):
    global failed
    failed |= not ok
    print(("ok   " if ok else "FAIL ") + what, detail if not ok else "")


def refused(what, code, call, **args):
    try:
        got = call(**args)
    except botocore.exceptions.ClientError as e:
        check(what, e.response["Error"]["Code"] == code, str(e))
        return
    check(what, False, f"not refused: {got}")


iam, sts = boto3.client("iam"), boto3.client("sts")
account = sts.get_caller_identity()["Account"]
role = iam.create_role(RoleName="services", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"]
iam.put_role_policy(RoleName="services", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": f"arn:aws:secretsmanager:us-west-2:{account}:secret:app/key-*"},
    {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": f"arn:aws:ssm:us-west-2:{account}:parameter/app/*"},
    {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": f"arn:aws:logs:us-west-2:{account}:log-group:/app:*"},
    {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:DescribeImages"], "Resource": f"arn:aws:ecr:us-west-2:{account}:repository/app"}]}))
k = sts.assume_role(RoleArn=role, RoleSessionName="services")["Credentials"]


def both(name):
    """The service's client as the root, and as the role."""
    return boto3.client(name), boto3.client(name, aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"], aws_session_token=k["SessionToken"])


sm, mine = both("secretsmanager")
made = sm.create_secret(Name="app/key", SecretString="s3cret", Tags=[{"Key": "team", "Value": "a"}])
sm.create_secret(Name="other/key", SecretBinary=b"\x00\x01")
check("a secret's ARN has a suffix", made["ARN"].startswith(f"arn:aws:secretsmanager:us-west-2:{account}:secret:app/key-"), made)
check("the role reads its secret", mine.get_secret_value(SecretId="app/key")["SecretString"] == "s3cret")
refused("... and no other", "AccessDeniedException", mine.get_secret_value, SecretId="other/key")
refused("... and writes none", "AccessDeniedException", mine.put_secret_value, SecretId="app/key", SecretString="x")
sm.put_secret_value(SecretId="app/key", SecretString="rotated")
check("a new version", mine.get_secret_value(SecretId="app/key")["SecretString"] == "rotated")
check("the one before", mine.get_secret_value(SecretId="app/key", VersionStage="AWSPREVIOUS")["SecretString"] == "s3cret")
check("binary", sm.get_secret_value(SecretId="other/key")["SecretBinary"] == b"\x00\x01")
refused("a secret that is there already", "ResourceExistsException", sm.create_secret, Name="app/key", SecretString="x")
sm.delete_secret(SecretId="app/key", RecoveryWindowInDays=7)
refused("a deleted one", "InvalidRequestException", sm.get_secret_value, SecretId="app/key")
sm.restore_secret(SecretId="app/key")
check("restored", sm.get_secret_value(SecretId="app/key")["SecretString"] == "rotated")
refused("one that never was", "ResourceNotFoundException", sm.get_secret_value, SecretId="none")

ssm, mine = both("ssm")
ssm.put_parameter(Name="/app/plain", Value="1", Type="String")
ssm.put_parameter(Name="/app/sealed", Value="hidden", Type="SecureString")
ssm.put_parameter(Name="/other", Value="2", Type="String")
check("a parameter", mine.get_parameter(Name="/app/plain")["Parameter"]["Value"] == "1")
check("a sealed one, decrypted", mine.get_parameter(Name="/app/sealed", WithDecryption=True)["Parameter"]["Value"] == "hidden")
check("... and not", mine.get_parameter(Name="/app/sealed")["Parameter"]["Value"] != "hidden")
refused("another's", "AccessDeniedException", mine.get_parameter, Name="/other")
check("by path", [p["Name"] for p in ssm.get_paginator("get_parameters_by_path").paginate(Path="/app").build_full_result()["Parameters"]] == ["/app/plain", "/app/sealed"])
refused("an overwrite that was not asked for", "ParameterAlreadyExists", ssm.put_parameter, Name="/other", Value="3", Type="String")
check("versions", ssm.put_parameter(Name="/other", Value="3", Type="String", Overwrite=True)["Version"] == 2 and ssm.get_parameter(Name="/other:1")["Parameter"]["Value"] == "2")
refused("one that never was, a parameter", "ParameterNotFound", ssm.get_parameter, Name="/none")

logs, mine = both("logs")
logs.create_log_group(logGroupName="/app", tags={"team": "a"})
mine.create_log_stream(logGroupName="/app", logStreamName="one")
now = int(time.time() * 1000)
mine.put_log_events(logGroupName="/app", logStreamName="one", logEvents=[{"timestamp": now + n, "message": json.dumps({"level": "error" if n % 10 == 0 else "info", "n": n})} for n in range(100)])
check("events come back in order", [json.loads(e["message"])["n"] for e in logs.get_log_events(logGroupName="/app", logStreamName="one", startFromHead=True)["events"]] == list(range(100)))
found = logs.get_paginator("filter_log_events").paginate(logGroupName="/app", filterPattern='{ $.level = "error" && $.n > 20 }').build_full_result()["events"]
check("a filter pattern", [json.loads(e["message"])["n"] for e in found] == [30, 40, 50, 60, 70, 80, 90], found)
refused("the role reads no logs", "AccessDeniedException", mine.filter_log_events, logGroupName="/app")
logs.put_retention_policy(logGroupName="/app", retentionInDays=7)
check("retention", logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"][0]["retentionInDays"] == 7)
logs.delete_log_group(logGroupName="/app")
refused("a group that is gone", "ResourceNotFoundException", logs.describe_log_streams, logGroupName="/app")

ecr, mine = both("ecr")
made = ecr.create_repository(repositoryName="app")["repository"]
ecr.create_repository(repositoryName="other")
check("a repository's URI", made["repositoryUri"].endswith("/app"), made)
user, _, password = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode().partition(":")
check("a password for the registry", user == "AWS" and len(password) > 20)
check("no image yet", mine.describe_images(repositoryName="app")["imageDetails"] == [])
refused("the other repository", "AccessDeniedException", mine.describe_images, repositoryName="other")
refused("a repository that is there already", "RepositoryAlreadyExistsException", ecr.create_repository, repositoryName="app")
refused("one that never was, a repository", "RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["none"])
for name in ("app", "other"):
    ecr.delete_repository(repositoryName=name, force=True)
check("both are gone", ecr.describe_repositories()["repositories"] == [])
sys.exit(failed)
