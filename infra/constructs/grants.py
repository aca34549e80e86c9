"""What a role may do, in the words of the domain. Narrower than the L2 constructs' grants: no action wildcards."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets

from infra.constructs.acknowledge import acknowledge_wildcard, seen_from

_READ = ["s3:GetObject"]
_WRITE = ["s3:PutObject", "s3:AbortMultipartUpload"]

# Partitions of the registry table: the first word of a partition key says whose the items are.
DATASETS, MODELS, LEDGER = "DATASET#", "MODEL#", "LEDGER#"


def allow(
    role: iam.IRole, actions: list[str], resources: list[str], conditions: dict[str, dict[str, list[str]]] | None = None
) -> None:
    """One statement of the role's policy."""
    role.add_to_principal_policy(iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions))


def read_objects(role: iam.IRole, bucket: s3.IBucket, *prefixes: str) -> None:
    """Read objects under `prefixes` (each ends in `/`, or is empty: the whole bucket), and list the bucket's keys."""
    _objects(role, bucket, _READ, prefixes)
    # Without ListBucket, S3 answers 403 where there is no object, and missing could not be told from forbidden. A
    # condition on s3:prefix would bring that back, since a GetObject has no prefix.
    allow(role, ["s3:ListBucket"], [bucket.bucket_arn])


def read_versions(role: iam.IRole, bucket: s3.IBucket, prefix: str) -> None:
    """Read versions of objects under `prefix` by their ids: what an event was about, whatever came since."""
    _objects(role, bucket, ["s3:GetObjectVersion"], (prefix,))


def write_objects(role: iam.IRole, bucket: s3.IBucket, *prefixes: str) -> None:
    """Write objects under `prefixes`."""
    _objects(role, bucket, _WRITE, prefixes)


def never_write_objects(role: iam.IRole, bucket: s3.IBucket, *keys: str) -> None:
    """Not write objects with these keys (`*` for any characters), whatever else the role may."""
    resources = [bucket.arn_for_objects(key) for key in keys]
    role.add_to_principal_policy(iam.PolicyStatement(effect=iam.Effect.DENY, actions=_WRITE, resources=resources))


def deliver_objects(role: iam.IRole, bucket: s3.IBucket, *prefixes: str) -> None:
    """Deliver objects under `prefixes` as Data Firehose does (its guide, Controlling access)."""
    _objects(role, bucket, ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], prefixes)
    allow(role, ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [bucket.bucket_arn])


def copy_tags(role: iam.IRole, bucket: s3.IBucket, *, source: str, target: str) -> None:
    """Copy objects' tags from one prefix to another: S3 copies them unasked, and refuses the copy to who may not."""
    _objects(role, bucket, ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], (source,))
    _objects(role, bucket, ["s3:PutObjectTagging"], (target,))


def delete_objects(role: iam.IRole, bucket: s3.IBucket, *prefixes: str) -> None:
    """Delete objects under `prefixes` (the bucket keeps their versions)."""
    _objects(role, bucket, ["s3:DeleteObject"], prefixes)


def _objects(role: iam.IRole, bucket: s3.IBucket, actions: list[str], prefixes: tuple[str, ...]) -> None:
    allow(role, actions, [bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes])
    for prefix in prefixes:
        arn = seen_from(role, bucket, bucket.bucket_arn)
        acknowledge_wildcard(role, f"Keys under {prefix or 'this bucket'} are made by the data.", arn, f"/{prefix}*")


def get_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Read items of a table by key, of partitions whose keys begin so (none: of all)."""
    _items(role, table, ["dynamodb:GetItem"], partitions)


def find_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Read items of whole partitions."""
    _items(role, table, ["dynamodb:Query"], partitions)


def put_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Read and write items by key, alone or in transactions; not delete them."""
    _items(role, table, ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], partitions)


def replace_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Read and write whole items by key."""
    _items(role, table, ["dynamodb:GetItem", "dynamodb:PutItem"], partitions)


def change_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Read items by key, and change attributes of them."""
    _items(role, table, ["dynamodb:GetItem", "dynamodb:UpdateItem"], partitions)


def delete_items(role: iam.IRole, table: dynamodb.ITable, *partitions: str) -> None:
    """Delete items by key."""
    _items(role, table, ["dynamodb:DeleteItem"], partitions)


def _items(role: iam.IRole, table: dynamodb.ITable, actions: list[str], partitions: tuple[str, ...]) -> None:
    begin = [f"{partition}*" for partition in partitions]
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": begin}} if begin else None
    allow(role, actions, [table.table_arn], own)


def append_ledger(role: iam.IRole, ledger: s3.IBucket, registry: dynamodb.ITable, subjects: str) -> None:
    """Read the ledger and append to the chains of `subjects` (`model/`); its bucket's policy refuses overwriting and
    deleting, whoever asks.
    """
    read_objects(role, ledger, "")
    _objects(role, ledger, ["s3:PutObject"], (subjects,))
    put_items(role, registry, f"{LEDGER}{subjects}")


def read_asset(role: iam.IRole, asset: s3_assets.Asset) -> None:
    """Read one file of the assets bucket."""
    allow(role, ["s3:GetObject"], [asset.bucket.arn_for_objects(asset.s3_object_key)])
