"""What every resource handler is made of: the class, its registry, and calls checked against AWS's own models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from infra.local.context import Cloud

Properties = dict[str, Any]


class ResourceError(Exception):
    """A resource cannot be made as the template wants it; the text says which property and why."""


class UnchangeableError(ResourceError):
    """The change is possible on AWS and not here; nothing was done."""


@dataclass
class Made:
    """A resource that exists: what `Ref` gives, what `Fn::GetAtt` gives, and what only the handler needs."""

    ref: str
    attributes: dict[str, Any] = field(default_factory=dict)
    keep: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a handler works: the cloud, and which resource of which stack this is."""

    cloud: Cloud
    stack: str
    logical_id: str
    generation: int = 0

    def name(self, limit: int, *, lower: bool = False) -> str:
        """A physical name as CloudFormation makes it, `stack-logicalid-suffix` (the suffix is not random here)."""
        seed = f"{self.stack}/{self.logical_id}/{self.generation}"
        suffix = hashlib.sha256(seed.encode()).hexdigest()[:12].upper()
        room = limit - len(suffix) - 2
        logical = self.logical_id[: max(room // 2, room - len(self.stack))]
        name = f"{self.stack[: room - len(logical)]}-{logical}-{suffix}"
        return name.lower() if lower else name

    def arn(self, service: str, resource: str) -> str:
        """`arn:aws:<service>:<region>:<account>:<resource>`."""
        return f"arn:aws:{service}:{self.cloud.region}:{self.cloud.account}:{resource}"

    def call(self, service: str, operation: str, /, **values: Any) -> dict[str, Any]:
        """Call an API with template values: None is left out, names and types are checked and fitted (see `fit`)."""
        client = self.cloud.client(service)
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        given = {name: value for name, value in values.items() if value is not None}
        arguments = fit(given, model.input_shape, "") if model.input_shape is not None else {}
        reply: dict[str, Any] = getattr(client, operation)(**arguments)
        return reply

    def retag(self, service: str, resource: str, props: Properties, old: Properties) -> None:
        """Bring the tags of `resource` (its ARN or id) from the template's old ones to the new ones."""
        new_tags, old_tags = tag_map(props.get("Tags")) or {}, tag_map(old.get("Tags")) or {}
        if new_tags == old_tags:
            return
        api = TAGGING[service]
        gone = sorted(old_tags.keys() - new_tags.keys())
        if gone:
            keys: Any = [{"Key": key} for key in gone] if service == "ec2" else gone
            self.call(service, api.untag, **api.target(resource), **{api.keys: keys})
        if new_tags:
            tags: Any = new_tags if api.as_map else tag_list(new_tags)
            self.call(service, api.tag, **api.target(resource), **{api.tags: tags})


@dataclass(frozen=True)
class Tagging:
    """How a service tags: operations, and the names and form of their arguments."""

    resource: str
    tag: str = "tag_resource"
    untag: str = "untag_resource"
    tags: str = "Tags"
    keys: str = "TagKeys"
    as_map: bool = False
    many: bool = False
    fixed: tuple[tuple[str, str], ...] = ()

    def target(self, resource: str) -> dict[str, Any]:
        """The arguments that name the resource."""
        return {self.resource: [resource] if self.many else resource} | dict(self.fixed)


TAGGING: Mapping[str, Tagging] = {
    "apigatewayv2": Tagging("ResourceArn", as_map=True),
    "cloudwatch": Tagging("ResourceARN"),
    "dynamodb": Tagging("ResourceArn"),
    "ec2": Tagging("Resources", "create_tags", "delete_tags", keys="Tags", many=True),
    "ecs": Tagging("resourceArn", tags="tags", keys="tagKeys"),
    "events": Tagging("ResourceARN"),
    "firehose": Tagging("DeliveryStreamName", "tag_delivery_stream", "untag_delivery_stream"),
    "glue": Tagging("ResourceArn", tags="TagsToAdd", keys="TagsToRemove", as_map=True),
    "iam": Tagging("RoleName", "tag_role", "untag_role"),
    "lambda": Tagging("Resource", as_map=True),
    "logs": Tagging("resourceArn", tags="tags", keys="tagKeys", as_map=True),
    "scheduler": Tagging("ResourceArn"),
    "sns": Tagging("ResourceArn"),
    "sqs": Tagging("QueueUrl", "tag_queue", "untag_queue", as_map=True),
    "ssm": Tagging(
        "ResourceId", "add_tags_to_resource", "remove_tags_from_resource", fixed=(("ResourceType", "Parameter"),)
    ),
    "stepfunctions": Tagging("resourceArn", tags="tags", keys="tagKeys"),
}


class Handler:
    """How one resource type is made, changed and removed. Subclasses register themselves by `type`."""

    type: ClassVar[str] = ""
    # every property that is understood; another one in the template is refused
    properties: ClassVar[frozenset[str]] = frozenset()
    # those whose change replaces the resource ("Update requires: Replacement")
    replaces: ClassVar[frozenset[str]] = frozenset()
    # the property that names the resource: CloudFormation will not replace a custom-named resource
    named_by: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        if cls.type:
            REGISTRY[cls.type] = cls()

    def create(self, place: Place, props: Properties) -> Made:
        """Make the resource and wait until it is usable."""
        raise NotImplementedError

    @contextmanager
    def finishing(self, place: Place, made: Made, props: Properties) -> Iterator[Made]:
        """Around the calls that complete a resource: when one fails, what was made of it so far is deleted."""
        try:
            yield made
        except Exception:
            self.delete(place, made, props)
            raise

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it in place from `old` to `props`."""
        changed = ", ".join(sorted(name for name in props | old if props.get(name) != old.get(name)))
        raise UnchangeableError(f"the local cloud cannot change {changed} of an existing {self.type}")

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Remove it."""
        raise NotImplementedError

    def needs_replacement(self, props: Properties, old: Properties) -> bool:
        """Whether the change from `old` to `props` makes a new resource."""
        return any(props.get(name) != old.get(name) for name in self.replaces)


REGISTRY: dict[str, Handler] = {}


def fit(value: Any, shape: Any, path: str) -> Any:
    """A template's value as the API's `shape` (botocore model) wants it; raises ResourceError naming the path.

    Names match whatever their case (`Cpu` for `cpu`), "true" and "1" become truth and number as CloudFormation
    accepts them, and a name or enumeration value that the API does not know is refused.
    """
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return _fit_structure(value, shape, path)
    if kind == "list":
        if not isinstance(value, list):
            raise ResourceError(f"{path or 'value'}: a list is wanted, not {value!r}")
        return [fit(item, shape.member, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        if not isinstance(value, dict):
            raise ResourceError(f"{path or 'value'}: an object is wanted, not {value!r}")
        return {key: fit(item, shape.value, f"{path}.{key}") for key, item in value.items()}
    return _fit_scalar(value, shape, path)


def _fit_structure(value: Any, shape: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ResourceError(f"{path or 'value'}: an object is wanted, not {value!r}")
    names = {name.lower(): name for name in shape.members}
    fitted = {}
    for key, item in value.items():
        name = names.get(key.lower())
        where = f"{path}.{key}".lstrip(".")
        if name is None:
            raise ResourceError(f"property {where} is not understood")
        fitted[name] = fit(item, shape.members[name], where)
    return fitted


def _number(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def number(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or convert(value) != float(value):
            raise ValueError
        return convert(value)

    return number


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[value]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError


SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _number(int),
    "long": _number(int),
    "float": _number(float),
    "double": _number(float),
    "boolean": _truth,
}


def _fit_scalar(value: Any, shape: Any, path: str) -> Any:
    convert = SCALARS.get(shape.type_name)
    if convert is None:  # blob, timestamp, document: as it is
        return value
    try:
        fitted = convert(value)
    except (ValueError, KeyError, TypeError):
        raise ResourceError(f"{path}: {shape.type_name} wanted, not {value!r}") from None
    if getattr(shape, "enum", None) and fitted not in shape.enum:
        raise ResourceError(f"{path}: {fitted!r} is none of {', '.join(shape.enum)}")
    return fitted


def document(value: Any) -> str | None:
    """A JSON document property (policy, event pattern): CloudFormation takes an object or a string of JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def tag_map(tags: Any) -> dict[str, str] | None:
    """`[{"Key", "Value"}]` as an object, for the APIs that want one."""
    if tags is None or isinstance(tags, dict):
        return tags
    return {tag["Key"]: _text(tag["Value"]) for tag in tags}


def tag_list(tags: Any) -> list[dict[str, str]] | None:
    """An object of tags as `[{"Key", "Value"}]`."""
    if tags is None or isinstance(tags, list):
        return tags
    return [{"Key": key, "Value": _text(value)} for key, value in sorted(tags.items())]


def pick(props: Properties, *names: str) -> Properties:
    """Those of the named properties that the template gives."""
    return {name: props[name] for name in names if name in props}


def changed(props: Properties, old: Properties, *names: str) -> bool:
    """Whether any of the named properties differs."""
    return any(props.get(name) != old.get(name) for name in names)


def known(value: Any, allowed: Mapping[str, Any] | None, path: str) -> None:
    """Refuse names below `value` that `allowed` lacks. `allowed`: name → nested names, or None for any value."""
    if allowed is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise ResourceError(f"{path}: an object is wanted, not {item!r}")
        for name, inner in item.items():
            if name not in allowed:
                raise ResourceError(f"property {path}.{name} is not understood")
            known(inner, allowed[name], f"{path}.{name}")


def gone_is_fine(place: Place, service: str, operation: str, /, **values: Any) -> None:
    """Call a delete operation; a resource that is already gone is deleted."""
    try:
        place.call(service, operation, **values)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if not re.search(r"NotFound|NoSuch|NotExist|NonExistent|Does Not Exist", code, re.IGNORECASE):
            raise
