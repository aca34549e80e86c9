"""Checks of a function's configuration, with AWS's defaults and limits.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html and
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.local.lambdas.errors import InvalidParameter, ValidationError
from infra.local.lambdas.model import DEFAULTS, SETTINGS

ROLE = re.compile(r"^arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$")
VARIABLE = re.compile(r"^[a-zA-Z]([a-zA-Z0-9_])+$")
ENVIRONMENT_LIMIT = 4096
MOST_LAYERS = 5
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
SNAPPED = ("python3.12", "python3.13", "python3.14")
# accepted and answered on AWS, without a counterpart here: refused, so that nobody relies on them
NOT_IMITATED = ("FileSystemConfigs", "CodeSigningConfigArn", "TenancyConfig", "CapacityProviderConfig", "DurableConfig")


def created(request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a new function; raises ApiError."""
    settings = {**DEFAULTS, **_given(request)}
    if settings["PackageType"] == "Zip":
        for member in ("Runtime", "Handler"):
            if not settings.get(member):
                raise InvalidParameter(
                    "Runtime and Handler are mandatory parameters for functions created with deployment packages."
                )
    elif settings.get("Runtime") or settings.get("Handler") or settings.get("Layers"):
        raise InvalidParameter(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    if not settings.get("Role"):
        raise ValidationError(
            "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null"
        )
    check(settings)
    return settings


def updated(settings: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with the members that an update names; raises ApiError."""
    changed = {**settings, **_given(request)}
    check(changed)
    return changed


def _given(request: Mapping[str, Any]) -> dict[str, Any]:
    for member in NOT_IMITATED:
        if request.get(member):
            raise InvalidParameter(f"{member} is not imitated by the local cloud")
    return {name: request[name] for name in SETTINGS if request.get(name) is not None}


def check(settings: Mapping[str, Any]) -> None:
    """Raise ApiError when a setting lies outside of AWS's limits."""
    _within("memorySize", settings["MemorySize"], 128, 10_240)
    _within("timeout", settings["Timeout"], 1, 900)
    _within("ephemeralStorage.size", settings["EphemeralStorage"]["Size"], 512, 10_240)
    if not ROLE.match(settings["Role"]):
        raise ValidationError(
            f"1 validation error detected: Value '{settings['Role']}' at 'role' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern of a role ARN"
        )
    runtime = settings.get("Runtime")
    if runtime and not runtime.startswith("python3."):
        raise InvalidParameter(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: the local cloud runs Python only"
        )
    if snap_start(settings):
        _check_snap_start(settings)
    _check_variables(settings.get("Environment", {}).get("Variables") or {})
    if len(settings.get("Layers") or ()) > MOST_LAYERS:
        raise InvalidParameter(f"Layer count exceeds the limit of {MOST_LAYERS}")


def snap_start(settings: Mapping[str, Any]) -> bool:
    """Whether published versions start from a snapshot."""
    return bool((settings.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions")


def _check_snap_start(settings: Mapping[str, Any]) -> None:
    """Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html (supported features and limitations)."""
    runtime = settings.get("Runtime") or "an image"
    if runtime not in SNAPPED:
        raise InvalidParameter(f"{runtime} is not supported for SnapStart enabled functions.")
    if settings["EphemeralStorage"]["Size"] > 512:
        raise InvalidParameter("SnapStart does not support ephemeral storage of more than 512 MB.")


def _within(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        bound = (
            f"greater than or equal to {low}"
            if not isinstance(value, int) or value < low
            else f"less than or equal to {high}"
        )
        raise ValidationError(
            f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
            f"Member must have value {bound}"
        )


def _check_variables(variables: Mapping[str, str]) -> None:
    refused = sorted(RESERVED & variables.keys())
    if refused:
        raise InvalidParameter(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(refused)}"
        )
    for name in variables:
        if not VARIABLE.match(name):
            raise ValidationError(
                f"1 validation error detected: Value '{name}' at 'environment.variables' failed to satisfy constraint: "
                "Map keys must satisfy constraint: "
                "[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
            )
    if len(json.dumps(dict(variables), separators=(",", ":")).encode()) > ENVIRONMENT_LIMIT:
        raise InvalidParameter(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit."
        )
