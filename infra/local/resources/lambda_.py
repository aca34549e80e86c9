"""AWS::Lambda::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Lambda.html."""

from __future__ import annotations

import io
import re
import time
import zipfile
from typing import Any

from infra.local.resources.base import (
    Handler,
    Made,
    Place,
    Properties,
    ResourceError,
    changed,
    gone_is_fine,
    known,
    pick,
)
from infra.local.resources.base import tag_map as tags_of

# property → what it is again once the template no longer names it
CONFIGURATION: dict[str, Any] = {
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "Handler": None,
    "ImageConfig": {},
    "Layers": [],
    "LoggingConfig": None,
    "MemorySize": 128,
    "Role": None,
    "Runtime": None,
    "SnapStart": {"ApplyOn": "None"},
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "DeadLetterConfig": {"TargetArn": ""},
}
READY_WITHIN = 60.0  # seconds of real time that a function may stay Pending
POLL = 0.05


class Function(Handler):
    """A function from a zip in S3, from inline text or from an image."""

    type = "AWS::Lambda::Function"
    properties = frozenset(
        {"FunctionName", "Code", "PackageType", "Architectures", "ReservedConcurrentExecutions", "Tags", *CONFIGURATION}
    )
    replaces = frozenset({"FunctionName", "PackageType"})
    named_by = "FunctionName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the function and wait until it is active."""
        name = props.get("FunctionName") or place.name(64)
        arn = place.call(
            "lambda",
            "create_function",
            FunctionName=name,
            Code=_code(props["Code"]),
            Tags=tags_of(props.get("Tags")),
            **pick(props, "PackageType", "Architectures", *CONFIGURATION),
        )["FunctionArn"]
        with self.finishing(place, Made(name, {"Arn": arn}), props) as made:
            _wait(place, name)
            if "ReservedConcurrentExecutions" in props:
                _reserve(place, name, props)
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Update code and configuration, each only if its properties changed, and wait after each."""
        if changed(props, old, "Code", "Architectures"):
            place.call(
                "lambda",
                "update_function_code",
                FunctionName=made.ref,
                Architectures=props.get("Architectures"),
                **_code(props["Code"]),
            )
            _wait(place, made.ref)
        altered = {
            name: props.get(name, default) for name, default in CONFIGURATION.items() if changed(props, old, name)
        }
        if altered:
            place.call("lambda", "update_function_configuration", FunctionName=made.ref, **altered)
            _wait(place, made.ref)
        if changed(props, old, "ReservedConcurrentExecutions"):
            _reserve(place, made.ref, props)
        place.retag("lambda", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the function with its versions and aliases."""
        gone_is_fine(place, "lambda", "delete_function", FunctionName=made.ref)


def _code(code: Properties) -> Properties:
    known(code, dict.fromkeys(("S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri", "ZipFile")), "Code")
    if "ZipFile" not in code:
        return code
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("index.py"), code["ZipFile"])
    return {"ZipFile": archive.getvalue()}


def _reserve(place: Place, name: str, props: Properties) -> None:
    wanted = props.get("ReservedConcurrentExecutions")
    operation = "delete_function_concurrency" if wanted is None else "put_function_concurrency"
    place.call("lambda", operation, FunctionName=name, ReservedConcurrentExecutions=wanted)


def _wait(place: Place, name: str, qualifier: str | None = None) -> None:
    """Wait until the function, or a published version of it, is active and no update is in progress."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        found = place.call("lambda", "get_function_configuration", FunctionName=name, Qualifier=qualifier)
        state, last = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if "Failed" in (state, last):
            reason = found.get("StateReason") or found.get("LastUpdateStatusReason")
            raise ResourceError(f"function {name} is {state}, its last update {last}: {reason}")
        if state != "Pending" and last != "InProgress":
            return
        if time.monotonic() > deadline:
            raise ResourceError(f"function {name} is {state}, its last update {last}, after {READY_WITHIN:.0f} s")
        time.sleep(POLL)


class Version(Handler):
    """A published version: it never changes, so every change of the template publishes another."""

    type = "AWS::Lambda::Version"
    properties = frozenset({"FunctionName", "Description", "CodeSha256"})
    replaces = properties

    def create(self, place: Place, props: Properties) -> Made:
        """Publish and wait until the version is active."""
        made = place.call("lambda", "publish_version", **props)
        _wait(place, props["FunctionName"], made["Version"])
        return Made(made["FunctionArn"], {"FunctionArn": made["FunctionArn"], "Version": made["Version"]})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the version; Lambda refuses while an alias points at it."""
        version = made.attributes["Version"]
        gone_is_fine(place, "lambda", "delete_function", FunctionName=props["FunctionName"], Qualifier=version)


class Alias(Handler):
    """An alias, with the weights of its second version if the template gives them."""

    type = "AWS::Lambda::Alias"
    properties = frozenset({"FunctionName", "Name", "FunctionVersion", "Description", "RoutingConfig"})
    replaces = frozenset({"FunctionName", "Name"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the alias."""
        arn = place.call("lambda", "create_alias", **(props | _routing(props)))["AliasArn"]
        return Made(arn, {"AliasArn": arn})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Set only what changed in the template: a weight set since by the running system stays."""
        wanted = {"Description": ""} | props
        altered = {name: wanted[name] for name in ("FunctionVersion", "Description") if changed(props, old, name)}
        routing = _routing(props) if changed(props, old, "RoutingConfig") else {}
        place.call("lambda", "update_alias", **pick(props, "FunctionName", "Name"), **altered, **routing)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "lambda", "delete_alias", **pick(props, "FunctionName", "Name"))


def _routing(props: Properties) -> Properties:
    config = props.get("RoutingConfig")
    if config is None:
        return {"RoutingConfig": {"AdditionalVersionWeights": {}}}
    known(config, {"AdditionalVersionWeights": {"FunctionVersion": None, "FunctionWeight": None}}, "RoutingConfig")
    weights = {item["FunctionVersion"]: item["FunctionWeight"] for item in config["AdditionalVersionWeights"]}
    return {"RoutingConfig": {"AdditionalVersionWeights": weights}}


class LayerVersion(Handler):
    """A version of a layer; every change publishes another under the same name."""

    type = "AWS::Lambda::LayerVersion"
    properties = frozenset(
        {"LayerName", "Content", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"}
    )
    replaces = properties

    def create(self, place: Place, props: Properties) -> Made:
        """Publish the layer."""
        name = props.get("LayerName") or place.name(140)
        arn = place.call("lambda", "publish_layer_version", **(props | {"LayerName": name}))["LayerVersionArn"]
        return Made(arn, {"LayerVersionArn": arn})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete this version of the layer; functions that have it keep it."""
        layer, _, version = made.ref.rpartition(":")
        gone_is_fine(place, "lambda", "delete_layer_version", LayerName=layer, VersionNumber=version)


def _qualified(function: str) -> Properties:
    """A function's name or ARN, with the qualifier that it may carry as an argument of its own."""
    match = re.fullmatch(r"((?:arn:[^:]+:lambda:[^:]+:\d+:function:)?[\w-]+):([\w$-]+)", function)
    return {"FunctionName": match[1], "Qualifier": match[2]} if match else {"FunctionName": function}


class Permission(Handler):
    """One statement of the policy of a function or of an alias."""

    type = "AWS::Lambda::Permission"
    properties = frozenset({"FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID"})
    replaces = properties

    def create(self, place: Place, props: Properties) -> Made:
        """Add the statement."""
        statement = place.name(100)
        place.call("lambda", "add_permission", StatementId=statement, **(props | _qualified(props["FunctionName"])))
        return Made(statement, {"Id": statement})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Remove the statement."""
        gone_is_fine(place, "lambda", "remove_permission", StatementId=made.ref, **_qualified(props["FunctionName"]))


class EventInvokeConfig(Handler):
    """Retries, age and destinations of asynchronous invocations."""

    type = "AWS::Lambda::EventInvokeConfig"
    properties = frozenset(
        {"FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"}
    )
    replaces = frozenset({"FunctionName", "Qualifier"})

    def create(self, place: Place, props: Properties) -> Made:
        """Put the configuration."""
        place.call("lambda", "put_function_event_invoke_config", **props)
        return Made(place.name(128))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put it anew."""
        place.call("lambda", "put_function_event_invoke_config", **props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "lambda", "delete_function_event_invoke_config", **pick(props, "FunctionName", "Qualifier"))
