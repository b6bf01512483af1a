"""Malformed policies through boto3, unmodified: those of malformed.json, each with its code and its reason. Prints one line per check and ends with status 1 if any failed."""
import json
import pathlib
import sys

import boto3
import botocore.exceptions

failed = False


def refused(what, code, says, call, **args):
    global failed
    try:
        got = str(call(**args))
    except botocore.exceptions.ClientError as e:
        got = str(e)
        if e.response["Error"]["Code"] == code and says in e.response["Error"]["Message"] and e.response["ResponseMetadata"]["HTTPStatusCode"] == 400:
            print("ok   " + what)
            return
    failed = True
    print("FAIL " + what, got)


iam, s3 = boto3.client("iam"), boto3.client("s3")
good = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}
iam.create_role(RoleName="malformed-boto3", AssumeRolePolicyDocument=json.dumps(good))
s3.create_bucket(Bucket="malformed-boto3", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
for m in json.loads(pathlib.Path(__file__).with_name("malformed.json").read_text()):
    name, document, says = f"{m['kind']}: {m['name']}", m["document"], m["says"]
    if m["kind"] == "identity":
        refused(name, "MalformedPolicyDocument", says, iam.put_role_policy, RoleName="malformed-boto3", PolicyName="bad", PolicyDocument=document)
    elif m["kind"] == "trust":
        refused(name, "MalformedPolicyDocument", says, iam.update_assume_role_policy, RoleName="malformed-boto3", PolicyDocument=document)
    else:
        refused(name, "MalformedPolicy", says, s3.put_bucket_policy, Bucket="malformed-boto3", Policy=document)
kept = iam.get_role(RoleName="malformed-boto3")["Role"]["AssumeRolePolicyDocument"]
if kept != good or iam.list_role_policies(RoleName="malformed-boto3")["PolicyNames"]:
    failed = True
    print("FAIL the role was changed", kept)
s3.delete_bucket(Bucket="malformed-boto3")
iam.delete_role(RoleName="malformed-boto3")
sys.exit(1 if failed else 0)
