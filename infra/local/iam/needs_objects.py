"""What calls of S3 need.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html, of tags that are copied
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import parse_qs, unquote

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, s3_backends

from infra.local.iam.calls import ApiCall, NotImitated
from infra.local.iam.need import Need, Place

_HEADERS = {"s3:if-none-match": "if-none-match", "s3:if-match": "if-match"}
_QUERY = {"s3:prefix": "Prefix", "s3:delimiter": "Delimiter", "s3:versionid": "VersionId"}
# a header of a write → what it needs beside PutObject
_EXTRAS = {
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    "x-amz-bypass-governance-retention": "s3:BypassGovernanceRetention",
    "if-match": "s3:GetObject",
}
_CREATES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})


def _context(call: ApiCall) -> dict[str, str]:
    found = {key: call.headers[name] for key, name in _HEADERS.items() if name in call.headers}
    found |= {key: str(call.parameters[name]) for key, name in _QUERY.items() if name in call.parameters}
    return found | {"s3:objectcreationoperation": str(call.operation in _CREATES).lower()}


def _bucket(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    del place
    yield Need(action, f"arn:aws:s3:::{call.parameters['Bucket']}", _context(call))


def _object(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    """On a version that is named, the action with `Version` in its name is needed."""
    del place
    if "VersionId" in call.parameters:
        action = action.replace("Object", "ObjectVersion", 1)
    yield Need(action, _arn(call), _context(call))


def _always(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    del place
    yield Need(action, _arn(call), _context(call))


def _write(call: ApiCall, place: Place) -> Iterator[Need]:
    del place
    unknown = [name for name in call.headers if name.startswith("x-amz-grant-")]
    if unknown:
        raise NotImitated(f"{call} with {unknown[0]}")
    yield Need("s3:PutObject", _arn(call), _context(call))
    for header, action in _EXTRAS.items():
        if header in call.headers:
            yield Need(action, _arn(call), _context(call))


def _copy_part(call: ApiCall, place: Place) -> Iterator[Need]:
    path, version = _source(call)
    yield Need("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{path}")
    yield from _write(call, place)


def _copy(call: ApiCall, place: Place) -> Iterator[Need]:
    """Tags are copied too, unless the call replaces them; a source without tags needs nothing for that."""
    yield from _copy_part(call, place)
    path, version = _source(call)
    if call.headers.get("x-amz-tagging-directive") != "REPLACE" and _tagged(path, version, place):
        action = "s3:GetObjectVersionTagging" if version else "s3:GetObjectTagging"
        yield Need(action, f"arn:aws:s3:::{path}")
        yield Need("s3:PutObjectTagging", _arn(call), _context(call))


def _source(call: ApiCall) -> tuple[str, str | None]:
    """Bucket and key of what is copied, and its version when one is named."""
    path, _, query = call.parameters["CopySource"].partition("?")
    return unquote(path).removeprefix("/"), next(iter(parse_qs(query).get("versionId", [])), None)


def _tagged(path: str, version: str | None, place: Place) -> bool:
    bucket, _, key = path.partition("/")
    backend = s3_backends[place.account]["aws"]
    try:
        found = backend.get_object(bucket, key, version)
    except S3ClientError:
        return False  # the service says what is missing
    return isinstance(found, FakeKey) and bool(backend.tagger.get_tag_dict_for_resource(found.arn))


def _delete(call: ApiCall, place: Place) -> Iterator[Need]:
    yield from _object("s3:DeleteObject", call, place)
    if "x-amz-bypass-governance-retention" in call.headers:
        yield Need("s3:BypassGovernanceRetention", _arn(call), _context(call))


def _delete_many(call: ApiCall, place: Place) -> Iterator[Need]:
    """AWS refuses object by object in a reply of status 200; here the call is refused as a whole."""
    del place
    for each in call.parameters["Objects"]:
        action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
        yield Need(action, f"arn:aws:s3:::{call.parameters['Bucket']}/{each['Key']}", _context(call))


def _everything(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    del place
    yield Need(action, "*", _context(call))


def _arn(call: ApiCall) -> str:
    return f"arn:aws:s3:::{call.parameters['Bucket']}/{call.parameters['Key']}"


_OBJECT = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "PutObjectTagging": "s3:PutObjectTagging",
    "DeleteObjectTagging": "s3:DeleteObjectTagging",
    "GetObjectAcl": "s3:GetObjectAcl",
    "PutObjectAcl": "s3:PutObjectAcl",
}
# on a version too, these have one name
_OBJECT_ALWAYS = {
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectRetention": "s3:PutObjectRetention",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
}
_BUCKET = {
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "CreateBucket": "s3:CreateBucket",
    "DeleteBucket": "s3:DeleteBucket",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketAcl": "s3:GetBucketAcl",
    "PutBucketAcl": "s3:PutBucketAcl",
}

NEEDS: dict[str, Callable[[ApiCall, Place], Iterator[Need]]] = {
    **{f"s3:{operation}": partial(_object, action) for operation, action in _OBJECT.items()},
    **{f"s3:{operation}": partial(_always, action) for operation, action in _OBJECT_ALWAYS.items()},
    **{f"s3:{operation}": partial(_bucket, action) for operation, action in _BUCKET.items()},
    "s3:ListBuckets": partial(_everything, "s3:ListAllMyBuckets"),
    "s3:DeleteObject": _delete,
    "s3:DeleteObjects": _delete_many,
    "s3:PutObject": _write,
    "s3:CreateMultipartUpload": _write,
    "s3:UploadPart": _write,
    "s3:CompleteMultipartUpload": _write,
    "s3:CopyObject": _copy,
    "s3:UploadPartCopy": _copy_part,
}
