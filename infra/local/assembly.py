"""The cloud assembly that CDK synthesizes (cdk.out): stacks in their order, templates, assets.

Source: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html and the cloud assembly schema
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.local.context import Cloud, ImageSource

BOOTSTRAP_VERSION = "30"
BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
# what they hold says nothing about what is deployed
IGNORED = frozenset({"cdk:tree", "cdk:feature-flag-report"})
IMAGE_SOURCE = frozenset({"directory", "dockerFile", "dockerBuildArgs", "platform"})


class AssemblyError(Exception):
    """The directory is no cloud assembly, or holds something that the local cloud does not understand."""


@dataclass(frozen=True)
class FileAsset:
    """A file, or a directory to be zipped, that belongs into a bucket."""

    source: Path
    zipped: bool
    bucket: str
    key: str


@dataclass(frozen=True)
class ImageAsset:
    """A build context that stands for `repository:tag`."""

    source: ImageSource
    repository: str
    tag: str


@dataclass(frozen=True)
class Stack:
    """One stack: its name, its template, the values of its parameters, its assets."""

    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileAsset, ...] = ()
    images: tuple[ImageAsset, ...] = ()


def read(directory: Path) -> list[Stack]:
    """The stacks of the assembly, each after those it depends on; raises AssemblyError."""
    artifacts: dict[str, Any] = _load(directory / "manifest.json").get("artifacts", {})
    known = {"aws:cloudformation:stack", "cdk:asset-manifest", *IGNORED}
    strange = sorted({item["type"] for item in artifacts.values()} - known)
    if strange:
        raise AssemblyError(f"artifacts of type {', '.join(strange)} in {directory} are not understood")
    order = TopologicalSorter({name: item.get("dependencies", []) for name, item in artifacts.items()})
    try:
        names = list(order.static_order())
    except CycleError as error:
        raise AssemblyError(f"stacks depend on each other in a circle: {error.args[1]}") from error
    stacks = [name for name in names if artifacts.get(name, {}).get("type") == "aws:cloudformation:stack"]
    return [_stack(directory, name, artifacts) for name in stacks]


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssemblyError(f"{path} is missing: {path.parent} is no cloud assembly; synthesize it first") from None
    except ValueError as error:
        raise AssemblyError(f"{path} is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise AssemblyError(f"{path} is not a JSON object")
    return loaded


def _stack(directory: Path, name: str, artifacts: Mapping[str, Any]) -> Stack:
    artifact = artifacts[name]
    properties = artifact["properties"]
    manifests = [
        artifacts[needed]["properties"]["file"]
        for needed in artifact.get("dependencies", [])
        if artifacts[needed]["type"] == "cdk:asset-manifest"
    ]
    assets = [_load(directory / file) for file in manifests]
    return Stack(
        properties.get("stackName", name),
        _load(directory / properties["templateFile"]),
        properties.get("parameters", {}),
        tuple(file for asset in assets for file in _files(directory, asset)),
        tuple(image for asset in assets for image in _images(directory, asset)),
    )


def _files(directory: Path, assets: Mapping[str, Any]) -> Iterator[FileAsset]:
    for name, asset in assets.get("files", {}).items():
        source = asset["source"]
        if set(source) - {"path", "packaging"}:
            raise AssemblyError(f"file asset {name}: source {source} is not understood")
        for place in asset["destinations"].values():
            zipped = source.get("packaging", "file") == "zip"
            yield FileAsset(directory / source["path"], zipped, place["bucketName"], place["objectKey"])


def _images(directory: Path, assets: Mapping[str, Any]) -> Iterator[ImageAsset]:
    for name, asset in assets.get("dockerImages", {}).items():
        source = asset["source"]
        if set(source) - IMAGE_SOURCE:
            raise AssemblyError(f"image asset {name}: source {source} is not understood")
        image = ImageSource(
            directory / source["directory"],
            source.get("dockerFile", "Dockerfile"),
            tuple(sorted(source.get("dockerBuildArgs", {}).items())),
        )
        for place in asset["destinations"].values():
            yield ImageAsset(image, place["repositoryName"], place["imageTag"])


def archive(directory: Path) -> bytes:
    """A directory as a zip whose bytes depend on names, modes and contents only."""
    made = io.BytesIO()
    # stored, not deflated: it travels through the loopback interface and is unpacked at once
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(directory).as_posix())
                entry.external_attr = (path.stat().st_mode & 0o777 | 0o100000) << 16
                file.writestr(entry, path.read_bytes())
    return made.getvalue()


def publish(cloud: Cloud, stack: Stack) -> None:
    """Bootstrap the account if it is not, put the stack's files into their buckets, and make its images known."""
    _bootstrap(cloud)
    s3 = cloud.client("s3")
    for asset in stack.files:
        bucket, key = _expand(cloud, asset.bucket), _expand(cloud, asset.key)
        if not _published(s3, bucket, key):
            body = archive(asset.source) if asset.zipped else asset.source.read_bytes()
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    registry = f"{cloud.account}.dkr.ecr.{cloud.region}.amazonaws.com"
    for image in stack.images:
        uri = f"{registry}/{_expand(cloud, image.repository)}:{image.tag}"
        cloud.images[uri] = image.source


def _expand(cloud: Cloud, text: str) -> str:
    for name, value in (("AccountId", cloud.account), ("Region", cloud.region), ("Partition", "aws")):
        text = text.replace(f"${{AWS::{name}}}", value)
    if "${" in text:
        raise AssemblyError(f"asset destination {text!r} is not understood")
    return text


def _published(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _bootstrap(cloud: Cloud) -> None:
    """What `cdk bootstrap` leaves in an account, as far as templates refer to it: assets bucket and version."""
    ssm = cloud.client("ssm")
    if ssm.get_parameters(Names=[BOOTSTRAP_PARAMETER])["Parameters"]:
        return
    cloud.client("s3").create_bucket(
        Bucket=f"cdk-hnb659fds-assets-{cloud.account}-{cloud.region}",
        CreateBucketConfiguration={"LocationConstraint": cloud.region},
    )
    ssm.put_parameter(Name=BOOTSTRAP_PARAMETER, Value=BOOTSTRAP_VERSION, Type="String")
