"""Writes botocore.json: requests as botocore signs them, with a fixed clock and AWS's documented example keys.

    python3 -m venv venv && venv/bin/pip install 'botocore[crt]==1.44.8' && venv/bin/python botocore_vectors.py > botocore.json
"""
import base64
import datetime
import io
import json
import sys
import uuid
from urllib.parse import urlsplit

import botocore.auth
import botocore.crt.auth
import botocore.session
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2025, 6, 15, 12, 30, 45, tzinfo=datetime.timezone.utc)
botocore.auth.get_current_datetime = botocore.crt.auth.get_current_datetime = (
    lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW)
uuid.uuid4 = lambda: uuid.UUID(int=1)  # of amz-sdk-invocation-id
ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TEMP_ID, TOKEN = "ASIAIOSFODNN7EXAMPLE", "FwoGZXIvYXdzEXAMPLE//token+with/odd=="
PERMANENT, TEMPORARY = Credentials(ID, SECRET), Credentials(TEMP_ID, SECRET, TOKEN)
ARN = "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A000000000000%3Aruntime%2Fagent-1"
vectors = []


def text(v):
    return v.decode() if isinstance(v, bytes) else str(v)


def body_bytes(body):
    if body is None:
        return b""
    if hasattr(body, "read"):
        return body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def record(name, method, url, headers, body):
    u = urlsplit(url)
    host = u.hostname + (f":{u.port}" if u.port and u.port not in (80, 443) else "")
    target = (u.path or "/") + ("?" + u.query if u.query else "")
    vectors.append({"name": name, "method": method, "host": host, "target": target,
                    "headers": [[k, text(v)] for k, v in headers.items() if k.lower() not in ("host", "user-agent")],
                    "body": base64.b64encode(body_bytes(body)).decode()})


def raw(name, method, url, headers=(), body=None, cls=SigV4Auth, service="bedrock-agentcore", creds=PERMANENT, **kw):
    r = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    cls(creds, service, "us-west-2", **kw).add_auth(r)
    p = r.prepare()
    record(name, p.method, p.url, p.headers, p.body)


BASE = "https://bedrock-agentcore.us-west-2.amazonaws.com"
for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"):
    raw(f"method {method}", method, BASE + "/code-interpreters/ci-1", body=b'{"a":1}' if method in ("POST", "PUT", "PATCH") else None)
for name, path in {
    "root": "/", "empty path": "", "space": "/a%20b", "escaped slash": "/a%2Fb/c", "lower-case escape": "/a%2fb", "unicode": "/%E7%A0%82%E5%A0%B4",
    "tilde": "/~user/a~b", "double slashes": "/a//b///c", "trailing slash": "/runtimes/", "trailing double slash": "/runtimes//",
    "dot segments": "/a/./b/../c", "reserved": "/a:b@c+d,e;f=g&h!i*j(k)'l$m", "percent": "/a%25b", "arn": f"/runtimes/{ARN}/invocations",
    "escaped dots": "/%2E%2E/a", "arn tags": f"/tags/{ARN}",
}.items():
    raw(f"path {name}", "GET", BASE + path)
    if path:  # clients of S3 always send one
        raw(f"s3 path {name}", "GET", "https://bucket.s3.us-west-2.amazonaws.com" + path, cls=S3SigV4Auth, service="s3")
for name, query in {
    "order": "b=2&a=1&B=3&A=4", "repeated": "k=b&k=a&k=", "no value": "uploads", "empty value": "uploads=", "space": "k=a%20b", "plus": "k=a+b",
    "escaped plus": "k=a%2Bb", "slash": "k=a%2Fb&k=a-b", "raw slash": "k=a/b&k=a-b", "unicode": "%E7%A0%82=%E5%A0%B4", "equals": "k=a=b", "tilde": "k=~",
    "arn": f"qualifier=DEFAULT&arn={ARN}", "raw arn": "arn=arn:aws:iam::1:role/x", "percent": "k=%25", "star": "k=*", "lower-case escape": "k=%2f",
    "empty pieces": "a=1&&b=2", "prefix keys": "a-b=1&a=2&ab=3&a%2Fb=4", "at": "k=a@b,c",
}.items():
    raw(f"query {name}", "GET", BASE + "/x?" + query)
    raw(f"s3 query {name}", "GET", "https://bucket.s3.us-west-2.amazonaws.com/?" + query, cls=S3SigV4Auth, service="s3")
for name, headers in {
    "inner spaces": {"X-Custom": "a   b    c"}, "outer spaces": {"X-Custom": "  a b  "}, "quotes": {"X-Custom": '"a   b"'}, "empty": {"X-Custom": ""},
    "session": {"X-Amzn-Code-Interpreter-Session-Id": "01ABC", "Content-Type": "application/json"}, "commas": {"X-Custom": "a, b,c ,d"},
    "date": {"Date": "ignored"}, "trace": {"X-Amzn-Trace-Id": "Root=1-2-3", "User-Agent": "x"}, "port": {"Accept": "*/*"},
}.items():
    raw(f"header {name}", "POST", ("http://127.0.0.1:4566" if name == "port" else BASE) + "/x", headers, b"{}")
raw("token", "POST", BASE + "/x", body=b"{}", creds=TEMPORARY)
raw("content sha256 given", "POST", BASE + "/x", {"X-Amz-Content-SHA256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, b"{}")
raw("presigned websocket", "GET", BASE + f"/runtimes/{ARN}/ws?qualifier=DEFAULT", cls=SigV4QueryAuth, expires=300)
raw("presigned token", "GET", "https://sts.us-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", {"x-k8s-aws-id": "c"}, cls=SigV4QueryAuth,
    service="sts", creds=TEMPORARY, expires=60)
raw("s3 presigned", "GET", "https://bucket.s3.us-west-2.amazonaws.com/a%20b/c?versionId=1", cls=S3SigV4QueryAuth, service="s3", expires=604800)
raw("s3 presigned put token", "PUT", "https://bucket.s3.us-west-2.amazonaws.com/k", {"x-amz-meta-a": "b c"}, cls=S3SigV4QueryAuth, service="s3",
    creds=TEMPORARY, expires=1)

session = botocore.session.Session()
PYTHON_AUTH = {k: {"v4": SigV4Auth, "v4-query": SigV4QueryAuth, "s3v4": S3SigV4Auth, "s3v4-query": S3SigV4QueryAuth}.get(k, v)
               for k, v in botocore.auth.AUTH_TYPE_MAPS.items()}


class Sent(Exception):
    pass


def call(label, service, operation, creds=PERMANENT, endpoint=None, **params):
    c = session.create_client(service, region_name="us-west-2", endpoint_url=endpoint, aws_access_key_id=creds.access_key,
                              aws_secret_access_key=creds.secret_key, aws_session_token=creds.token)

    def send(request, **_):
        record(label, request.method, request.url, request.headers, request.body)
        raise Sent

    c.meta.events.register("before-send", send)
    try:
        getattr(c, operation)(**params)
    except Sent:
        return
    raise SystemExit(f"{label}: nothing sent")


def presign(name, service, operation, params, creds=PERMANENT, method="GET", body=b"", **kw):
    c = session.create_client(service, region_name="us-west-2", aws_access_key_id=creds.access_key, aws_secret_access_key=creds.secret_key,
                              aws_session_token=creds.token, config=Config(signature_version="s3v4") if service == "s3" else None)
    record(name, method, c.generate_presigned_url(operation, Params=params, **kw), {}, body)


LOCAL = "http://127.0.0.1:4566"

# botocore signs in Python, or with the AWS common runtime (aws-c-auth) where that is installed: two signers to compare with.
for signer, types in {"python": PYTHON_AUTH, "crt": dict(botocore.auth.AUTH_TYPE_MAPS)}.items():
    botocore.auth.AUTH_TYPE_MAPS.clear()
    botocore.auth.AUTH_TYPE_MAPS.update(types)
    call(signer + " client invoke", "bedrock-agentcore", "invoke_code_interpreter", endpoint=LOCAL, codeInterpreterIdentifier="aws.codeinterpreter.v1", sessionId="s 1",
         name="executeCode", arguments={"code": "print('砂場')", "language": "python"})
    call(signer + " client start with token", "bedrock-agentcore", "start_code_interpreter_session", TEMPORARY, LOCAL, codeInterpreterIdentifier="aws.codeinterpreter.v1")
    call(signer + " client get session", "bedrock-agentcore", "get_code_interpreter_session", endpoint=LOCAL, codeInterpreterIdentifier="ci", sessionId="a/b c+d~é")
    call(signer + " client tags", "bedrock-agentcore-control", "untag_resource", endpoint=LOCAL,
         resourceArn="arn:aws:bedrock-agentcore:us-west-2:000000000000:code-interpreter/x-1", tagKeys=["a b", "c&d", "é"])
    call(signer + " client sts", "sts", "get_caller_identity", endpoint=LOCAL)
    call(signer + " client cloudformation", "cloudformation", "describe_stacks", TEMPORARY, StackName="a b/c")
    call(signer + " client ecr", "ecr", "get_authorization_token")
    call(signer + " client s3 list", "s3", "list_objects_v2", Bucket="bucket", Prefix="a b/c+d~é", Delimiter="/")
    call(signer + " client s3 key", "s3", "get_object", TEMPORARY, Bucket="bucket", Key="a b/../c//d+e~é(1)!*'@:=&$,;")
    call(signer + " client s3 put http", "s3", "put_object", endpoint=LOCAL, Bucket="bucket", Key="k", Body=b"hello", Metadata={"a": "b  c"})
    call(signer + " client s3 delete many", "s3", "delete_objects", Bucket="bucket", Delete={"Objects": [{"Key": "a"}]})
    for a in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512"):
        call(f"{signer} client s3 trailer {a}", "s3", "put_object", Bucket="bucket", Key="k", Body=io.BytesIO(b"the quick brown fox " * 500), ChecksumAlgorithm=a)
    call(signer + " client s3 trailer empty", "s3", "put_object", Bucket="bucket", Key="k", Body=b"")
    call(signer + " client s3 trailer token", "s3", "upload_part", TEMPORARY, Bucket="bucket", Key="k", PartNumber=1, UploadId="u+/=", Body=io.BytesIO(b"x" * 2500000))
    call(signer + " client s3 unsigned", "s3", "put_object", Bucket="bucket", Key="k", Body=b"hello", ChecksumCRC32="NhCmhg==")
    presign(signer + " client presign get", "s3", "get_object", {"Bucket": "bucket", "Key": "a b/é+~", "ResponseContentType": "text/plain; charset=utf-8"}, ExpiresIn=900)
    presign(signer + " client presign put", "s3", "put_object", {"Bucket": "bucket", "Key": "k"}, TEMPORARY, "PUT", b"anything")
    presign(signer + " client presign sts", "sts", "get_caller_identity", {}, TEMPORARY, ExpiresIn=60, HttpMethod="GET")

# Large bodies that only repeat a byte are kept short in the file.
for v in vectors:
    if len(v["body"]) > 100000:
        v["gzip"] = base64.b64encode(__import__("gzip").compress(base64.b64decode(v.pop("body")), mtime=0)).decode()
json.dump({"time": NOW.strftime("%Y%m%dT%H%M%SZ"), "vectors": vectors}, sys.stdout, indent=1, ensure_ascii=True)
print()
