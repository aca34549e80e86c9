"""Replies of the control plane: snapshots as FunctionConfiguration, aliases, layers.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from infra.local.lambdas.arns import LATEST
from infra.local.lambdas.model import Alias, Function, LayerVersion, Version
from infra.local.lambdas.settings import snap_start

COPIED = (
    "Runtime",
    "Role",
    "Handler",
    "Description",
    "Timeout",
    "MemorySize",
    "PackageType",
    "Architectures",
    "TracingConfig",
    "EphemeralStorage",
    "DeadLetterConfig",
    "KMSKeyArn",
)
CREATING = "The function is being created."


def timestamp(moment: datetime) -> str:
    """A time as Lambda writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def configuration(function: Function, version: Version, qualifier: str | None = None) -> dict[str, Any]:
    """A snapshot as FunctionConfiguration; its ARN ends in `qualifier` when one was asked for."""
    settings = version.settings
    view: dict[str, Any] = {name: settings[name] for name in COPIED if settings.get(name)}
    view["Description"] = settings.get("Description", "")
    view |= {
        "FunctionName": function.name,
        "FunctionArn": f"{function.arn}:{qualifier}" if qualifier else function.arn,
        "CodeSize": version.package.size,
        "CodeSha256": version.package.sha256,
        "LastModified": timestamp(version.modified),
        "Version": version.number,
        "RevisionId": version.revision,
        "SnapStart": {
            "ApplyOn": "PublishedVersions" if snap_start(settings) else "None",
            "OptimizationStatus": "On" if version.snapped else "Off",
        },
        "LoggingConfig": {
            "LogFormat": "Text",
            "LogGroup": f"/aws/lambda/{function.name}",
            **settings.get("LoggingConfig", {}),
        },
    }
    if settings.get("Environment", {}).get("Variables"):
        view["Environment"] = {"Variables": settings["Environment"]["Variables"]}
    if version.layers:
        view["Layers"] = [{"Arn": layer.version_arn, "CodeSize": layer.package.size} for layer in version.layers]
    if settings.get("ImageConfig"):
        view["ImageConfigResponse"] = {"ImageConfig": settings["ImageConfig"]}
    return view | _state(version)


def _state(version: Version) -> dict[str, str]:
    if version.failure:
        return {"State": "Failed", "StateReason": version.failure, "StateReasonCode": "FunctionError"}
    if version.settled:
        return {"State": "Active", "LastUpdateStatus": "Successful"}
    if version.former is None:
        return {"State": "Pending", "StateReason": CREATING, "StateReasonCode": "Creating"}
    return {
        "State": "Active",
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": CREATING,
        "LastUpdateStatusReasonCode": "Creating",
    }


def code_location(version: Version, endpoint: str) -> dict[str, str]:
    """Where the code of a snapshot can be had."""
    package = version.package
    if package.image_uri:
        return {"RepositoryType": "ECR", "ImageUri": package.image_uri, "ResolvedImageUri": package.image_uri}
    name = package.archive.name if package.archive else ""
    return {"RepositoryType": "S3", "Location": f"{endpoint}/_lambda/{name}"}


def alias(function: Function, found: Alias) -> dict[str, Any]:
    """An alias as AliasConfiguration."""
    view: dict[str, Any] = {
        "AliasArn": f"{function.arn}:{found.name}",
        "Name": found.name,
        "FunctionVersion": found.version,
        "Description": found.description,
        "RevisionId": found.revision,
    }
    if found.weights:
        view["RoutingConfig"] = {"AdditionalVersionWeights": dict(found.weights)}
    return view


def layer(version: LayerVersion, endpoint: str | None = None) -> dict[str, Any]:
    """A layer version; with its content when `endpoint` is given."""
    view: dict[str, Any] = {
        "LayerVersionArn": version.version_arn,
        "Version": version.number,
        "Description": version.description,
        "CreatedDate": timestamp(version.created),
        "CompatibleRuntimes": list(version.runtimes),
        "CompatibleArchitectures": list(version.architectures),
        "LicenseInfo": version.license,
    }
    if endpoint:
        package = version.package
        name = package.archive.name if package.archive else ""
        view["LayerArn"] = version.arn
        view["Content"] = {
            "Location": f"{endpoint}/_lambda/{name}",
            "CodeSha256": package.sha256,
            "CodeSize": package.size,
        }
    return {name: value for name, value in view.items() if value not in ("", [])}


def qualified(number: str) -> str | None:
    """The qualifier that a version's own ARN carries."""
    return None if number == LATEST else number
