"""Lambda functions: putting code into them, their published versions, their aliases, and calling them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from perennial.errors import ModelUnknown, PublishPending
from perennial.storage.translate import client, code_of, translated

LATEST = "$LATEST"

# The function is being made, changed, or woken after weeks without a call (its 502 in a VPC is StorageUnavailable).
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
NOT_READY = ("ResourceConflictException", "CodeArtifactUserPendingException")

# What a template may set of a function and publishing freezes, besides the code. Not in it: what Lambda adds by itself.
# https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
_SETTINGS = (
    *("Runtime", "Handler", "Role", "MemorySize", "Timeout", "EphemeralStorage", "Environment", "KMSKeyArn"),
    *("Architectures", "VpcConfig", "FileSystemConfigs", "DeadLetterConfig", "TracingConfig", "LoggingConfig"),
)


@dataclass(frozen=True)
class Configuration:
    """What Lambda says of a function or one of its versions.

    `state` is Pending, Active, Inactive or Failed; `update`, of the last change, is Successful, InProgress or Failed.
    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    `settings` is everything else that a version freezes: equal settings and code, equal functions. `layers` are ARNs.
    """

    version: str
    code_sha256: str
    revision: str
    state: str
    update: str
    reason: str
    runtime: str | None
    layers: list[str]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Alias:
    """Where an alias points; `weights` are shares of calls that go to other versions."""

    version: str
    revision: str
    weights: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """The answer to a call; `error` is the function's own (it raised, timed out or ran out of memory), else None."""

    executed_version: str
    error: str | None
    payload: Any


@dataclass(frozen=True)
class Function:
    """The Lambda function of this name. Every method raises ModelUnknown when there is none."""

    name: str

    def configuration(self, version: str = LATEST) -> Configuration:
        """What Lambda says of a version."""
        with self._calling("get the configuration of", version):
            return _configuration(
                client("lambda").get_function_configuration(FunctionName=self.name, Qualifier=version)
            )

    def update_code(self, bucket: str, key: str, revision: str) -> Configuration:
        """Put the zip at s3://bucket/key into the function and publish a version of it.

        Raises ConditionFailed when the function is no longer at `revision`, PublishPending while it is being changed.
        """
        with self._calling("update the code of"):
            return _configuration(
                client("lambda").update_function_code(
                    FunctionName=self.name, S3Bucket=bucket, S3Key=key, Publish=True, RevisionId=revision
                )
            )

    def publish(self, code_sha256: str) -> Configuration:
        """The published version of the code that the function has now; the last one when nothing changed since.

        Raises PublishPending when the code is not (or not yet) the one with this digest.
        """
        try:
            with self._calling("publish"):
                return _configuration(client("lambda").publish_version(FunctionName=self.name, CodeSha256=code_sha256))
        except ClientError as error:
            # the digest does not match: another change came between
            if code_of(error) == "InvalidParameterValueException":
                raise PublishPending(f"publish {self.name}: {error}") from error
            raise

    def versions(self) -> list[str]:
        """The published versions, oldest first."""
        with self._calling("list the versions of"):
            pages = client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=self.name)
            found = [one["Version"] for page in pages for one in page["Versions"]]
        return sorted((number for number in found if number != LATEST), key=int)

    def delete_version(self, version: str) -> None:
        """Delete a published version. Raises PublishPending while an alias names it."""
        with self._calling("delete", version):
            client("lambda").delete_function(FunctionName=self.name, Qualifier=version)

    def alias(self, name: str) -> Alias:
        """Where the alias points."""
        with self._calling("get the alias of", name):
            reply = client("lambda").get_alias(FunctionName=self.name, Name=name)
        weights = (reply.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return Alias(reply["FunctionVersion"], reply["RevisionId"], dict(weights))

    def move_alias(self, name: str, version: str, revision: str, weights: Mapping[str, float] | None = None) -> str:
        """Point the alias at `version`, but for the shares of calls that `weights` gives to others; its new revision.

        Raises ConditionFailed when it is no longer at `revision`.
        """
        with self._calling("move the alias of", name):
            reply = client("lambda").update_alias(
                FunctionName=self.name,
                Name=name,
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": dict(weights or {})},
                RevisionId=revision,
            )
        return str(reply["RevisionId"])

    def invoke(self, qualifier: str, event: Mapping[str, Any]) -> Answer:
        """Call a version or an alias and wait for its answer."""
        with self._calling("invoke", qualifier):
            reply = client("lambda").invoke(
                FunctionName=self.name, Qualifier=qualifier, Payload=json.dumps(event).encode()
            )
            body = reply["Payload"].read()
        return Answer(reply.get("ExecutedVersion", qualifier), reply.get("FunctionError"), _parsed(body))

    @contextmanager
    def _calling(self, what: str, qualifier: str = "") -> Iterator[None]:
        doing = f"{what} {self.name}{':' + qualifier if qualifier else ''}"
        try:
            with translated(doing):
                yield
        except ClientError as error:
            if code_of(error) in NOT_READY:
                raise PublishPending(f"{doing}: {error}") from error
            if code_of(error) == "ResourceNotFoundException":
                raise ModelUnknown(f"{doing}: {error}") from error
            raise


def base64_digest(hex_digest: str) -> str:
    """A SHA-256 in hex, as Lambda writes it."""
    return base64.b64encode(bytes.fromhex(hex_digest)).decode()


def _configuration(reply: Mapping[str, Any]) -> Configuration:
    layers = [layer["Arn"] for layer in reply.get("Layers") or ()]
    # SnapStart also says whether it took effect, which differs between $LATEST and a version
    snap_start = (reply.get("SnapStart") or {}).get("ApplyOn")
    settings = {name: reply.get(name) for name in _SETTINGS} | {"Layers": layers, "SnapStart": snap_start}
    return Configuration(
        version=reply["Version"],
        code_sha256=reply["CodeSha256"],
        revision=reply["RevisionId"],
        state=reply.get("State") or "Active",
        update=reply.get("LastUpdateStatus") or "Successful",
        reason=reply.get("StateReason") or reply.get("LastUpdateStatusReason") or "",
        runtime=reply.get("Runtime"),
        layers=layers,
        settings=settings,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
