"""AWS::S3::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_S3.html."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, changed, document, gone_is_fine, known

Facet = Callable[[Place, str, Any], None]

LIFECYCLE_RULE = dict.fromkeys(
    (
        "Id",
        "Status",
        "Prefix",
        "TagFilters",
        "ObjectSizeGreaterThan",
        "ObjectSizeLessThan",
        "ExpirationInDays",
        "ExpirationDate",
        "ExpiredObjectDeleteMarker",
        "NoncurrentVersionExpirationInDays",
    )
) | {
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": None},
    "NoncurrentVersionExpiration": {"NoncurrentDays": None, "NewerNoncurrentVersions": None},
    "Transitions": {"StorageClass": None, "TransitionInDays": None, "TransitionDate": None},
    "NoncurrentVersionTransitions": {"StorageClass": None, "TransitionInDays": None, "NewerNoncurrentVersions": None},
}


def _encryption(place: Place, bucket: str, value: Any) -> None:
    if value is None:
        place.call("s3", "delete_bucket_encryption", Bucket=bucket)
        return
    known(value, {"ServerSideEncryptionConfiguration": None}, "BucketEncryption")
    words = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    given = value["ServerSideEncryptionConfiguration"]
    rules = [{words.get(name, name): item for name, item in rule.items()} for rule in given]
    place.call("s3", "put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _versioning(place: Place, bucket: str, value: Any) -> None:
    place.call("s3", "put_bucket_versioning", Bucket=bucket, VersioningConfiguration=value or {"Status": "Suspended"})


def _public_access(place: Place, bucket: str, value: Any) -> None:
    if value is None:
        place.call("s3", "delete_public_access_block", Bucket=bucket)
    else:
        place.call("s3", "put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=value)


def _ownership(place: Place, bucket: str, value: Any) -> None:
    if value is None:
        place.call("s3", "delete_bucket_ownership_controls", Bucket=bucket)
    else:
        place.call("s3", "put_bucket_ownership_controls", Bucket=bucket, OwnershipControls=value)


def _lifecycle(place: Place, bucket: str, value: Any) -> None:
    if value is None:
        place.call("s3", "delete_bucket_lifecycle", Bucket=bucket)
        return
    known(value, {"Rules": LIFECYCLE_RULE}, "LifecycleConfiguration")
    rules = [lifecycle_rule(rule) for rule in value["Rules"]]
    place.call("s3", "put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as CloudFormation writes it, in the words of the S3 API."""
    made: dict[str, Any] = {"Status": rule["Status"], "Filter": _lifecycle_filter(rule)}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    expiration = {
        theirs: rule[ours]
        for ours, theirs in (
            ("ExpirationInDays", "Days"),
            ("ExpirationDate", "Date"),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
        )
        if ours in rule
    }
    if expiration:
        made["Expiration"] = expiration
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            made[name] = rule[name]
    for name, days in (("Transitions", "Days"), ("NoncurrentVersionTransitions", "NoncurrentDays")):
        if name in rule:
            words = {"TransitionInDays": days, "TransitionDate": "Date"}
            made[name] = [{words.get(key, key): item for key, item in step.items()} for step in rule[name]]
    return made


def _lifecycle_filter(rule: dict[str, Any]) -> dict[str, Any]:
    names = ("Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
    parts: dict[str, Any] = {name: rule[name] for name in names if name in rule}
    tags = rule.get("TagFilters", [])
    if len(parts) + len(tags) > 1:
        return {"And": parts | ({"Tags": tags} if tags else {})}
    return {"Tag": tags[0]} if tags else parts or {"Prefix": ""}


def _notification(place: Place, bucket: str, value: Any) -> None:
    known(value or {}, {"EventBridgeConfiguration": {"EventBridgeEnabled": None}}, "NotificationConfiguration")
    # in CloudFormation the flag defaults to true as soon as the configuration is there
    bridge = (value or {}).get("EventBridgeConfiguration")
    on = bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true"
    place.call(
        "s3",
        "put_bucket_notification_configuration",
        Bucket=bucket,
        NotificationConfiguration={"EventBridgeConfiguration": {}} if on else {},
    )


def _object_lock(place: Place, bucket: str, value: Any) -> None:
    place.call(
        "s3",
        "put_object_lock_configuration",
        Bucket=bucket,
        ObjectLockConfiguration=value or {"ObjectLockEnabled": "Enabled"},
    )


def _logging(place: Place, bucket: str, value: Any) -> None:
    if value is None:
        place.call("s3", "put_bucket_logging", Bucket=bucket, BucketLoggingStatus={})
        return
    known(value, {"DestinationBucketName": None, "LogFilePrefix": None}, "LoggingConfiguration")
    enabled = {
        "TargetBucket": value.get("DestinationBucketName", bucket),
        "TargetPrefix": value.get("LogFilePrefix", ""),
    }
    place.call("s3", "put_bucket_logging", Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})


def _tags(place: Place, bucket: str, value: Any) -> None:
    if value:
        place.call("s3", "put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": value})
    else:
        place.call("s3", "delete_bucket_tagging", Bucket=bucket)


FACETS: dict[str, Facet] = {
    "OwnershipControls": _ownership,
    "PublicAccessBlockConfiguration": _public_access,
    "BucketEncryption": _encryption,
    "VersioningConfiguration": _versioning,
    "ObjectLockConfiguration": _object_lock,
    "LifecycleConfiguration": _lifecycle,
    "NotificationConfiguration": _notification,
    "LoggingConfiguration": _logging,
    "Tags": _tags,
}


class Bucket(Handler):
    """A bucket; each configuration of it is an API of its own."""

    type = "AWS::S3::Bucket"
    properties = frozenset({"BucketName", "ObjectLockEnabled", *FACETS})
    replaces = frozenset({"BucketName"})
    named_by = "BucketName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the bucket, then every configuration that the template gives."""
        bucket = props.get("BucketName") or place.name(63, lower=True)
        region = place.cloud.region
        place.call(
            "s3",
            "create_bucket",
            Bucket=bucket,
            CreateBucketConfiguration=None if region == "us-east-1" else {"LocationConstraint": region},
            ObjectLockEnabledForBucket=props.get("ObjectLockEnabled"),
        )
        attributes = {
            "Arn": f"arn:aws:s3:::{bucket}",
            "DomainName": f"{bucket}.s3.amazonaws.com",
            "RegionalDomainName": f"{bucket}.s3.{region}.amazonaws.com",
            "DualStackDomainName": f"{bucket}.s3.dualstack.{region}.amazonaws.com",
        }
        with self.finishing(place, Made(bucket, attributes), props) as made:
            for name, put in FACETS.items():
                if name in props:
                    put(place, bucket, props[name])
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put each configuration that changed."""
        if changed(props, old, "ObjectLockEnabled"):
            return super().update(place, made, props, old)
        for name, put in FACETS.items():
            if props.get(name) != old.get(name):
                put(place, made.ref, props.get(name))
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete an empty bucket; one that holds objects is refused by S3 and stays."""
        gone_is_fine(place, "s3", "delete_bucket", Bucket=made.ref)


class BucketPolicy(Handler):
    """The policy of a bucket."""

    type = "AWS::S3::BucketPolicy"
    properties = frozenset({"Bucket", "PolicyDocument"})
    replaces = frozenset({"Bucket"})

    def create(self, place: Place, props: Properties) -> Made:
        """Put the policy."""
        place.call("s3", "put_bucket_policy", Bucket=props["Bucket"], Policy=document(props["PolicyDocument"]))
        return Made(props["Bucket"])

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the new policy over the old one."""
        return self.create(place, props)

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the policy."""
        gone_is_fine(place, "s3", "delete_bucket_policy", Bucket=props["Bucket"])
