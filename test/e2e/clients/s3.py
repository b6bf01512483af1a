"""S3 through boto3, unmodified: checksums, names, conditions, ranges, lists, copies, tags, versions, presigned URLs, and a role that is limited to one bucket. Prints one line per check and ends with
status 1 if any failed."""
import base64
import datetime
import hashlib
import io
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

failed = False


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


def fetch(url, method="GET", body=None, headers={}):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method, headers=headers)) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def read(client, bucket, key, **more):
    return client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
bucket, other = "boto3-bucket", "boto3-other"
for b in (bucket, other):
    s3.create_bucket(Bucket=b, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
data = os.urandom(200_000)

# Checksums: in a trailer, in a header, of whole objects in parts; and wrong ones.
for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
    key = f"checksums/{algorithm}"
    put = s3.put_object(Bucket=bucket, Key=key, Body=io.BytesIO(data), ChecksumAlgorithm=algorithm)
    field = f"Checksum{algorithm}"
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    check(f"{algorithm} is answered and kept", put.get(field) and put[field] == head.get(field), (put, head))
    got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    check(f"{algorithm} fits what is read", got["Body"].read() == data and got.get(field) == put.get(field), got)
    s3.put_object(Bucket=bucket, Key=key, Body=data, **{field: put[field]})
    wrong = base64.b64encode(bytes(len(base64.b64decode(put[field])))).decode()
    refused(f"a wrong {algorithm} in a header", "BadDigest", s3.put_object, Bucket=bucket, Key=key + "-wrong", Body=data, **{field: wrong})
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key + "-parts", ChecksumAlgorithm=algorithm)["UploadId"]
    parts = []
    for n, piece in enumerate((data * 27, data), 1):  # 5.4 MB, and the rest
        p = s3.upload_part(Bucket=bucket, Key=key + "-parts", UploadId=upload, PartNumber=n, Body=piece, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": n, "ETag": p["ETag"], field: p[field]})
    done = s3.complete_multipart_upload(Bucket=bucket, Key=key + "-parts", UploadId=upload, MultipartUpload={"Parts": parts})
    check(f"{algorithm} of an upload in parts", done.get(field) and read(s3, bucket, key + "-parts") == data * 28, done)
    names = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
    check(f"nothing is kept with a wrong {algorithm}", key + "-wrong" not in names, names)
check("SHA256 is the sum", s3.head_object(Bucket=bucket, Key="checksums/SHA256", ChecksumMode="ENABLED")["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(data).digest()).decode())
refused("a wrong Content-MD5", "BadDigest", s3.put_object, Bucket=bucket, Key="wrong-md5", Body=data, ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())
attributes = s3.get_object_attributes(Bucket=bucket, Key="checksums/CRC32", ObjectAttributes=["ETag", "Checksum", "ObjectSize"])
check("attributes", attributes["ObjectSize"] == len(data) and attributes["Checksum"].get("ChecksumCRC32"), attributes)

# Large files by boto3's own transfer manager: in parts and in ranges, at once.
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
big = os.urandom(17 << 20)
s3.upload_fileobj(io.BytesIO(big), bucket, "transfer/big", Config=config, ExtraArgs={"Metadata": {"made-by": "a test"}, "ContentType": "application/x-test", "CacheControl": "max-age=60"})
head = s3.head_object(Bucket=bucket, Key="transfer/big")
check("an upload in parts", head["ContentLength"] == len(big) and head["ETag"].endswith('-4"') and head["Metadata"] == {"made-by": "a test"} and head["ContentType"] == "application/x-test"
    and head["CacheControl"] == "max-age=60", head)
back = io.BytesIO()
s3.download_fileobj(bucket, "transfer/big", back, Config=config)
check("a download in ranges", back.getvalue() == big)
s3.copy({"Bucket": bucket, "Key": "transfer/big"}, bucket, "transfer/copy", Config=config)
check("a copy in parts", read(s3, bucket, "transfer/copy") == big)
part = s3.get_object(Bucket=bucket, Key="transfer/big", PartNumber=4)
check("one part of an object", part["PartsCount"] == 4 and part["Body"].read() == big[15 << 20 :], {k: v for k, v in part.items() if k != "Body"})

# Ranges and conditions.
s3.put_object(Bucket=bucket, Key="ten", Body=b"0123456789")
for what, span, want in (("first", "bytes=0-0", b"0"), ("middle", "bytes=3-5", b"345"), ("to the end", "bytes=7-", b"789"), ("last", "bytes=-2", b"89"), ("beyond the end", "bytes=8-99", b"89"),
        ("longer than the object", "bytes=-99", b"0123456789")):
    got = s3.get_object(Bucket=bucket, Key="ten", Range=span)
    check(f"range: {what}", got["Body"].read() == want and got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["ContentRange"].endswith("/10"), got)
refused("a range outside", "InvalidRange", s3.get_object, Bucket=bucket, Key="ten", Range="bytes=10-")
check("a range that is none is ignored", read(s3, bucket, "ten", Range="bytes=x-y") == b"0123456789")
head = s3.head_object(Bucket=bucket, Key="ten")
etag, modified = head["ETag"], head["LastModified"]
check("If-Match", read(s3, bucket, "ten", IfMatch=etag) == b"0123456789")
refused("If-Match of another", "PreconditionFailed", s3.get_object, Bucket=bucket, Key="ten", IfMatch='"0"')
refused("If-None-Match", "304", s3.get_object, Bucket=bucket, Key="ten", IfNoneMatch=etag)
refused("If-Modified-Since", "304", s3.get_object, Bucket=bucket, Key="ten", IfModifiedSince=modified)
refused("If-Unmodified-Since", "PreconditionFailed", s3.get_object, Bucket=bucket, Key="ten", IfUnmodifiedSince=modified - datetime.timedelta(days=1))
refused("a write with If-None-Match: * over an object", "PreconditionFailed", s3.put_object, Bucket=bucket, Key="ten", Body=b"x", IfNoneMatch="*")
refused("a write with If-Match of another", "PreconditionFailed", s3.put_object, Bucket=bucket, Key="ten", Body=b"x", IfMatch='"0"')
refused("a write with If-Match of what is not there", "NoSuchKey", s3.put_object, Bucket=bucket, Key="not-there", Body=b"x", IfMatch=etag)
check("nothing was written", read(s3, bucket, "ten") == b"0123456789")
s3.put_object(Bucket=bucket, Key="ten-new", Body=b"new", IfNoneMatch="*")
s3.put_object(Bucket=bucket, Key="ten", Body=b"9876543210", IfMatch=etag)
check("writes whose conditions hold", read(s3, bucket, "ten-new") == b"new" and read(s3, bucket, "ten") == b"9876543210")
upload = s3.create_multipart_upload(Bucket=bucket, Key="ten")["UploadId"]
p = s3.upload_part(Bucket=bucket, Key="ten", UploadId=upload, PartNumber=1, Body=b"x")
parts = {"Parts": [{"PartNumber": 1, "ETag": p["ETag"]}]}
refused("If-None-Match: * when an upload is completed", "PreconditionFailed", s3.complete_multipart_upload, Bucket=bucket, Key="ten", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
refused("parts that are not those of the upload", "InvalidPart", s3.complete_multipart_upload, Bucket=bucket, Key="ten", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0"'}]})
s3.abort_multipart_upload(Bucket=bucket, Key="ten", UploadId=upload)
refused("a part that is no number of S3's", "InvalidArgument", s3.upload_part, Bucket=bucket, Key="ten", UploadId=upload, PartNumber=10001, Body=b"x")

# Names. What the file system underneath would take for something else is another key here, or refused, and never another object.
names = ["with space", "ünï/cödé/鍵", "a+b=c&d?e#f%20g", "emoji-🏝️", "trailing/", "dots.../..x/x..", "a:b;c,d'e\"f", "back\\slash", "-dash", "~tilde", "upper/UPPER", "upper/upper", "a" * 255,
    "/".join(["d" * 200] * 5), "new\nline", "tab\tand control\x01", "<xml>&amp;"]
for name in names:
    label = ascii(name if len(name) < 40 else f"{len(name)} characters")
    body = name.encode()[:20]
    if name.endswith("/"):
        body = b""
    try:
        s3.put_object(Bucket=bucket, Key="names/" + name, Body=body)
        listed = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="names/" + name)["Contents"]]
        check(f"the name {label}", read(s3, bucket, "names/" + name) == body and "names/" + name in listed, listed)
    except Exception as e:
        check(f"the name {label}", False, repr(e))
listed = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="names/")["Contents"]}
check("all names, and no others", listed == {"names/" + n for n in names}, listed ^ {"names/" + n for n in names})
for name, code in {"..": "InvalidArgument", "../" + other + "/x": "InvalidArgument", "a/../../b": "InvalidArgument", "a/./b": "InvalidArgument", "a//b": "InvalidArgument", "k" * 1025: "KeyTooLongError",
        "nul\x00": "InvalidArgument"}.items():
    try:
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
        check(f"the name {ascii(name[:30])} is refused", False, "taken")
    except botocore.exceptions.ClientError as e:
        check(f"the name {ascii(name[:30])} is refused", e.response["Error"]["Code"] == code, str(e))
    refused(f"reading {ascii(name[:30])} is refused", code, s3.get_object, Bucket=bucket, Key=name)
check("a name with .. reached nothing", not s3.list_objects_v2(Bucket=other).get("Contents"))
s3.put_object(Bucket=bucket, Key="empty", Body=b"")
empty = s3.get_object(Bucket=bucket, Key="empty")
check("an empty object", empty["ContentLength"] == 0 and empty["Body"].read() == b"" and empty["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"', empty)
refused("a range of an empty object", "InvalidRange", s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-0")

# Lists.
tree = [f"list/{a}/{b}" for a in "abc" for b in range(4)] + ["list/z", "list/top"]
for key in tree:
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
tree.sort()
got = s3.list_objects_v2(Bucket=bucket, Prefix="list/", Delimiter="/")
check("a delimiter", [p["Prefix"] for p in got["CommonPrefixes"]] == ["list/a/", "list/b/", "list/c/"] and [o["Key"] for o in got["Contents"]] == ["list/top", "list/z"] and got["KeyCount"] == 5, got)
for version in ("list_objects_v2", "list_objects"):
    pages = list(s3.get_paginator(version).paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 5}))
    check(f"pages of {version}", [o["Key"] for p in pages for o in p["Contents"]] == tree and [len(p["Contents"]) for p in pages] == [5, 5, 4], [len(p["Contents"]) for p in pages])
    pages = list(s3.get_paginator(version).paginate(Bucket=bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 1}))
    found = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])] + [o["Key"] for page in pages for o in page.get("Contents", [])]
    check(f"pages of {version} with a delimiter", found == ["list/a/", "list/b/", "list/c/", "list/top", "list/z"], found)
got = s3.list_objects_v2(Bucket=bucket, Prefix="list/", StartAfter="list/b/2", MaxKeys=2)
check("StartAfter and MaxKeys", [o["Key"] for o in got["Contents"]] == ["list/b/3", "list/c/0"] and got["IsTruncated"], got)
got = s3.list_objects(Bucket=bucket, Prefix="list/", Marker="list/c/3")
check("Marker", [o["Key"] for o in got["Contents"]] == ["list/top", "list/z"] and not got["IsTruncated"], got)
got = s3.list_objects_v2(Bucket=bucket, Prefix="list/none")
check("an empty list", got["KeyCount"] == 0 and "Contents" not in got, got)
got = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
check("no keys asked for", got["KeyCount"] == 0 and not got["IsTruncated"], got)
refused("a token of nobody's", "InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="not a token")

# Deletes.
gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in tree[:-1]] + [{"Key": "list/none"}]})
check("many at once, one of which is not there", len(gone["Deleted"]) == len(tree) and not gone.get("Errors"), gone)
check("what is left", [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="list/")["Contents"]] == tree[-1:])
quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": tree[-1]}], "Quiet": True})
check("quietly", "Deleted" not in quiet and "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="list/"), quiet)
check("one that is not there", s3.delete_object(Bucket=bucket, Key="list/none")["ResponseMetadata"]["HTTPStatusCode"] == 204)
refused("a name that leads to another bucket", "InvalidArgument", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": f"../{other}/x"}]})
refused("too many at once", "MalformedXML", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": f"list/{i}"} for i in range(1001)]})
refused("none at all", "MalformedXML", s3.delete_objects, Bucket=bucket, Delete={"Objects": []})
refused("a bucket that is not empty", "BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
refused("a bucket that is not there", "NoSuchBucket", s3.delete_bucket, Bucket="boto3-none")
refused("one's own bucket again", "BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
refused("a bucket's name", "InvalidBucketName", boto3.client("s3", config=Config(parameter_validation=False)).create_bucket, Bucket="Not_A_Bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

# Copies, metadata and tags.
s3.put_object(Bucket=bucket, Key="from é", Body=b"copied", Metadata={"a": "1"}, ContentType="text/x-a", Tagging="team=a%20b&x=")
s3.copy_object(Bucket=bucket, Key="to/key", CopySource={"Bucket": bucket, "Key": "from é"})
head = s3.head_object(Bucket=bucket, Key="to/key")
tags = {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key="to/key")["TagSet"]}
check("a copy has data, metadata and tags", read(s3, bucket, "to/key") == b"copied" and head["Metadata"] == {"a": "1"} and head["ContentType"] == "text/x-a" and tags == {"team": "a b", "x": ""}, (head, tags))
s3.copy_object(Bucket=bucket, Key="to/key", CopySource=f"{bucket}/from é", MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="text/x-b", TaggingDirective="REPLACE", Tagging="c=d")
head = s3.head_object(Bucket=bucket, Key="to/key")
tags = s3.get_object_tagging(Bucket=bucket, Key="to/key")["TagSet"]
check("a copy that replaces them", head["Metadata"] == {"b": "2"} and head["ContentType"] == "text/x-b" and tags == [{"Key": "c", "Value": "d"}], (head, tags))
refused("a copy onto itself that changes nothing", "InvalidRequest", s3.copy_object, Bucket=bucket, Key="to/key", CopySource={"Bucket": bucket, "Key": "to/key"})
refused("a copy of what is not there", "NoSuchKey", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "none"})
refused("a copy of another version of the source", "PreconditionFailed", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "to/key"}, CopySourceIfMatch='"0"')
s3.copy_object(Bucket=other, Key="across", CopySource={"Bucket": bucket, "Key": "to/key"})
check("a copy to another bucket", read(s3, other, "across") == b"copied")
s3.put_object_tagging(Bucket=bucket, Key="to/key", Tagging={"TagSet": [{"Key": f"k{i}", "Value": "v" * 256} for i in range(10)]})
check("ten tags", len(s3.get_object_tagging(Bucket=bucket, Key="to/key")["TagSet"]) == 10 and s3.get_object(Bucket=bucket, Key="to/key")["TagCount"] == 10)
refused("eleven tags", "BadRequest", s3.put_object_tagging, Bucket=bucket, Key="to/key", Tagging={"TagSet": [{"Key": f"k{i}", "Value": ""} for i in range(11)]})
refused("a tag twice", "InvalidTag", s3.put_object_tagging, Bucket=bucket, Key="to/key", Tagging={"TagSet": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]})
s3.delete_object_tagging(Bucket=bucket, Key="to/key")
check("no tags", s3.get_object_tagging(Bucket=bucket, Key="to/key")["TagSet"] == [])

# Versions.
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
ids = [s3.put_object(Bucket=bucket, Key="versioned", Body=str(n).encode())["VersionId"] for n in range(3)]
marker = s3.delete_object(Bucket=bucket, Key="versioned")
check("a delete marker", marker["DeleteMarker"] and [read(s3, bucket, "versioned", VersionId=v) for v in ids] == [b"0", b"1", b"2"], marker)
refused("a deleted object", "NoSuchKey", s3.get_object, Bucket=bucket, Key="versioned")
refused("a delete marker is no object", "MethodNotAllowed", s3.get_object, Bucket=bucket, Key="versioned", VersionId=marker["VersionId"])
listed = s3.list_object_versions(Bucket=bucket, Prefix="versioned")
check("the list of versions, newest first", [v["VersionId"] for v in listed["Versions"]] == ids[::-1] and listed["DeleteMarkers"][0]["IsLatest"], listed)
s3.copy_object(Bucket=bucket, Key="versioned", CopySource={"Bucket": bucket, "Key": "versioned", "VersionId": ids[0]})
check("an old version is brought back", read(s3, bucket, "versioned") == b"0")
s3.delete_object(Bucket=bucket, Key="versioned", VersionId=ids[1])
refused("a version that is gone", "NoSuchVersion", s3.get_object, Bucket=bucket, Key="versioned", VersionId=ids[1])
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
s3.put_object(Bucket=bucket, Key="odd \x01 name", Body=b"x")
listed = s3.list_object_versions(Bucket=bucket, Prefix="odd \x01")
check("an odd name in a list of versions", [v["Key"] for v in listed["Versions"]] == ["odd \x01 name"], listed)
upload = s3.create_multipart_upload(Bucket=bucket, Key="odd \x01 upload+/é")["UploadId"]
listed = s3.list_multipart_uploads(Bucket=bucket, Prefix="odd ", EncodingType="url")  # which boto3 neither adds nor decodes here
check("an odd name in a list of uploads", [urllib.parse.unquote_plus(u["Key"]) for u in listed["Uploads"]] == ["odd \x01 upload+/é"], listed)
s3.abort_multipart_upload(Bucket=bucket, Key="odd \x01 upload+/é", UploadId=upload)
check("suspended", s3.put_object(Bucket=bucket, Key="versioned", Body=b"null").get("VersionId") in (None, "null") and read(s3, bucket, "versioned", VersionId=ids[2]) == b"2")

# Ids are names of files underneath: none leads out.
for wrong in ("../../boto3-other/secret", "..", "a/b", "x" * 300, "nul\x00"):
    label = ascii(wrong[:30])
    for operation in ("get_object", "delete_object", "get_object_tagging"):
        try:
            got = getattr(s3, operation)(Bucket=bucket, Key="versioned", VersionId=wrong)
            check(f"{operation} of the version {label}", False, got)
        except botocore.exceptions.ClientError as e:
            check(f"{operation} of the version {label}", e.response["Error"]["Code"] == "InvalidArgument", str(e))
    refused(f"parts of the upload {label}", "NoSuchUpload", s3.list_parts, Bucket=bucket, Key="versioned", UploadId=wrong)
    refused(f"a part for the upload {label}", "NoSuchUpload", s3.upload_part, Bucket=bucket, Key="versioned", UploadId=wrong, PartNumber=1, Body=b"x")
    refused(f"giving up the upload {label}", "NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, Key="versioned", UploadId=wrong)
refused("a copy of the version ../x", "InvalidArgument", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "versioned", "VersionId": "../../../boto3-other/across"})
refused("a delete of the version ../x", "InvalidArgument", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "versioned", "VersionId": "../../../boto3-other/across"}]})
check("nothing was touched", read(s3, other, "across") == b"copied" and read(s3, bucket, "versioned") == b"null")

# Parts, page by page; owners; headers; more tags than allowed; deletes with a condition.
upload = s3.create_multipart_upload(Bucket=bucket, Key="paged", ContentLanguage="ja", StorageClass="STANDARD", Tagging="a=b")["UploadId"]
etags = [s3.upload_part(Bucket=bucket, Key="paged", UploadId=upload, PartNumber=n, Body=body)["ETag"] for n, body in ((3, b"3"), (7, bytes(5 << 20)), (10000, b"x"))]
page = s3.list_parts(Bucket=bucket, Key="paged", UploadId=upload, MaxParts=2)
rest = s3.list_parts(Bucket=bucket, Key="paged", UploadId=upload, PartNumberMarker=page["NextPartNumberMarker"])
check("pages of parts", [p["PartNumber"] for p in page["Parts"] + rest["Parts"]] == [3, 7, 10000] and page["IsTruncated"] and not rest["IsTruncated"], (page, rest))
refused("parts in the wrong order", "InvalidPartOrder", s3.complete_multipart_upload, Bucket=bucket, Key="paged", UploadId=upload,
    MultipartUpload={"Parts": [{"PartNumber": 7, "ETag": etags[1]}, {"PartNumber": 3, "ETag": etags[0]}]})
s3.complete_multipart_upload(Bucket=bucket, Key="paged", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 7, "ETag": etags[1]}]})
got = s3.get_object(Bucket=bucket, Key="paged")
check("only the parts that are named", got["Body"].read() == bytes(5 << 20) and got["ContentLanguage"] == "ja" and got["TagCount"] == 1, got)
refused("an upload that is complete", "NoSuchUpload", s3.list_parts, Bucket=bucket, Key="paged", UploadId=upload)
refused("another owner than expected", "AccessDenied", s3.get_object, Bucket=bucket, Key="ten", ExpectedBucketOwner="111111111111")
refused("another owner than expected, of a bucket", "AccessDenied", s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="111111111111")
s3.put_object(Bucket=bucket, Key="headers", Body=b"x", ContentDisposition='attachment; filename="ü"'.encode().decode("latin-1"), ContentEncoding="identity", Expires=datetime.datetime(2030, 1, 1), CacheControl="no-store")
head = s3.head_object(Bucket=bucket, Key="headers")
check("headers are kept", head["CacheControl"] == "no-store" and head["ContentEncoding"] == "identity" and "attachment" in head["ContentDisposition"] and "2030" in head["ExpiresString"], head)
refused("more tags than allowed with an object", "BadRequest", s3.put_object, Bucket=bucket, Key="headers", Body=b"x", Tagging="&".join(f"k{i}=v" for i in range(11)))
refused("a delete of another version of an object", "PreconditionFailed", s3.delete_object, Bucket=bucket, Key="headers", IfMatch='"0"')
check("which is still there", read(s3, bucket, "headers") == b"x")
s3.delete_object(Bucket=bucket, Key="headers", IfMatch=head["ETag"])
check("a bucket that is there, and one that is not", s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-west-2")
refused("head of no bucket", "404", s3.head_bucket, Bucket="boto3-none")

# Presigned URLs.
url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "signed/ü b", "ContentType": "text/x-signed"}, ExpiresIn=60)
check("presigned PUT", fetch(url, "PUT", b"by url", {"Content-Type": "text/x-signed"})[0] == 200)
check("presigned PUT with another type", fetch(url, "PUT", b"x", {"Content-Type": "text/html"})[0] == 403)
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "signed/ü b", "ResponseContentType": "text/x-answer"}, ExpiresIn=60)
check("presigned GET", fetch(url) == (200, b"by url"), fetch(url))
check("presigned for another key", fetch(url.replace("signed/", "to/"))[0] == 403)
check("presigned DELETE with a GET's signature", fetch(url, "DELETE")[0] == 403)
check("presigned HEAD", fetch(s3.generate_presigned_url("head_object", Params={"Bucket": bucket, "Key": "ten"}), "HEAD")[0] == 200)

# A role of one bucket.
iam, sts = boto3.client("iam"), boto3.client("sts")
account = sts.get_caller_identity()["Account"]
role = iam.create_role(RoleName="boto3-one-bucket", AssumeRolePolicyDocument=policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}))["Role"]["Arn"]
iam.put_role_policy(RoleName="boto3-one-bucket", PolicyName="p", PolicyDocument=policy({"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}))
c = sts.assume_role(RoleArn=role, RoleSessionName="one")["Credentials"]
one = boto3.client("s3", aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"], config=Config(signature_version="s3v4"))
s3.put_object(Bucket=other, Key="secret", Body=b"not yours")
check("its own bucket", read(one, bucket, "ten-new") == b"new" and one.list_objects_v2(Bucket=bucket)["KeyCount"] > 0 and one.put_object(Bucket=bucket, Key="mine", Body=b"x")["ETag"])
refused("list another", "AccessDenied", one.list_objects_v2, Bucket=other, says=f"User: arn:aws:sts::{account}:assumed-role/boto3-one-bucket/one is not authorized to perform: s3:ListBucket on resource: ")
refused("read another", "AccessDenied", one.get_object, Bucket=other, Key="secret")
refused("ask about another's object", "403", one.head_object, Bucket=other, Key="secret")
refused("write another", "AccessDenied", one.put_object, Bucket=other, Key="planted", Body=b"x")
refused("copy from another", "AccessDenied", one.copy_object, Bucket=bucket, Key="stolen", CopySource={"Bucket": other, "Key": "secret"})
refused("copy from another in disguise", "AccessDenied", one.copy_object, Bucket=bucket, Key="stolen", CopySource=f"/{other}/secret?versionId=null")
refused("copy to another", "AccessDenied", one.copy_object, Bucket=other, Key="planted", CopySource={"Bucket": bucket, "Key": "ten-new"})
upload = one.create_multipart_upload(Bucket=bucket, Key="stolen")["UploadId"]
refused("copy a part from another", "AccessDenied", one.upload_part_copy, Bucket=bucket, Key="stolen", UploadId=upload, PartNumber=1, CopySource={"Bucket": other, "Key": "secret"})
one.abort_multipart_upload(Bucket=bucket, Key="stolen", UploadId=upload)
for method, operation, body in (("GET", "get_object", None), ("PUT", "put_object", b"x"), ("DELETE", "delete_object", None)):
    status, answer = fetch(one.generate_presigned_url(operation, Params={"Bucket": other, "Key": "secret"}), method, body)
    check(f"presign another's {method}", status == 403 and b"<Code>AccessDenied</Code>" in answer and b"not yours" not in answer, answer)
check("the other bucket is as it was", sorted(o["Key"] for o in s3.list_objects_v2(Bucket=other)["Contents"]) == ["across", "secret"] and read(s3, other, "secret") == b"not yours")

iam.delete_role_policy(RoleName="boto3-one-bucket", PolicyName="p")
iam.delete_role(RoleName="boto3-one-bucket")
for b in (bucket, other):
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=b):
        for v in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=b, Key=v["Key"], VersionId=v["VersionId"])
    s3.delete_bucket(Bucket=b)
sys.exit(1 if failed else 0)
