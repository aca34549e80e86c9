"""CloudFormation's intrinsic functions, conditions, mappings and parameters.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
What is not written here is refused: a function, a dynamic reference or a section that the local cloud does not
understand must not look deployed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

HOLE = re.compile(r"\$\{(!?)([^}]*)\}")
DYNAMIC = re.compile(r"\{\{resolve:[a-z-]+:")


class TemplateError(Exception):
    """The template says something that CloudFormation, or the local cloud, does not accept."""


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()


class Resources(Protocol):
    """What Ref and GetAtt of a resource give: known once the resource exists."""

    def ref(self, logical_id: str) -> Any:
        """The physical id as `Ref` shows it."""

    def attribute(self, logical_id: str, name: str) -> Any:
        """The value of `Fn::GetAtt`."""


@dataclass
class Scope:
    """Everything that a value of a template may refer to, resources aside."""

    stack: str
    region: str
    account: str
    logical_ids: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, bool] = field(default_factory=dict)
    exports: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources | None = None

    def pseudo(self, name: str) -> Any:
        """A pseudo parameter; None when `name` is none."""
        stack_id = f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{self.stack}/local"
        values: dict[str, Any] = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack,
            "AWS::StackId": stack_id,
            "AWS::NotificationARNs": [],
            "AWS::NoValue": NO_VALUE,
        }
        return values.get(name)


def resolve(value: Any, scope: Scope) -> Any:
    """The value with every function evaluated; raises TemplateError.

    `AWS::NoValue` removes the entry of the object or list that holds it.
    """
    if isinstance(value, dict):
        name = _function(value)
        if name is not None:
            return FUNCTIONS[name](value[name], scope)
        resolved = {key: resolve(item, scope) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}
    if isinstance(value, list):
        return [item for item in (resolve(item, scope) for item in value) if item is not NO_VALUE]
    if isinstance(value, str) and DYNAMIC.search(value):
        raise TemplateError(f"dynamic reference {value!r} is not understood")
    return value


def references(value: Any, scope: Scope) -> set[str]:
    """The logical ids that the value needs, looking only into the taken branch of each Fn::If."""
    if isinstance(value, list):
        return {found for item in value for found in references(item, scope)}
    if not isinstance(value, dict):
        return set()
    name = _function(value)
    if name == "Ref":
        return {_name(value["Ref"], "Ref")} & scope.logical_ids
    if name == "Fn::GetAtt":
        return {_attribute(value[name])[0]} & scope.logical_ids
    if name == "Fn::If":
        return references(_branch(value[name], scope), scope)
    if name == "Fn::Sub":
        text, own = _substitution(value[name])
        holes = {hole.partition(".")[0] for escaped, hole in HOLE.findall(text) if not escaped and hole not in own}
        return (holes & scope.logical_ids) | references(list(own.values()), scope)
    return {found for item in value.values() for found in references(item, scope)}


def _function(value: dict[str, Any]) -> str | None:
    """The function that an object calls, or None for plain data."""
    names = [name for name in value if name == "Ref" or name.startswith("Fn::")]
    if not names and list(value) == ["Condition"] and isinstance(value["Condition"], str):
        return "Condition"
    if not names:
        return None
    if len(value) > 1 or names[0] not in FUNCTIONS:
        raise TemplateError(f"function {' with '.join(value)} is not understood")
    return names[0]


def text_of(value: Any) -> str:
    """A scalar as CloudFormation writes it into a string: true, 1, text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TemplateError(f"a string is wanted, not {value!r}")


def truth_of(value: Any, where: str) -> bool:
    """A condition's value, which must be true or false."""
    if not isinstance(value, bool):
        raise TemplateError(f"condition {where!r} is {value!r}, not a truth")
    return value


def _arguments(value: Any, count: int, name: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        raise TemplateError(f"{name} takes a list of {count}, not {value!r}")
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"{where} takes a name, not {value!r}")
    return value


def _ref(value: Any, scope: Scope) -> Any:
    name = _name(value, "Ref")
    if name in scope.logical_ids and scope.resources is not None:
        return scope.resources.ref(name)
    if name in scope.parameters:
        return scope.parameters[name]
    pseudo = scope.pseudo(name)
    if pseudo is None:
        raise TemplateError(f"Ref names {name!r}, which is no resource, parameter or pseudo parameter here")
    return pseudo


def _attribute(value: Any) -> tuple[str, str]:
    parts = value.split(".", 1) if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise TemplateError(f"Fn::GetAtt takes a resource and an attribute, not {value!r}")
    return parts[0], parts[1]


def _get_att(value: Any, scope: Scope) -> Any:
    logical_id, name = _attribute(value)
    if logical_id not in scope.logical_ids or scope.resources is None:
        raise TemplateError(f"Fn::GetAtt names {logical_id!r}, which is no resource here")
    return scope.resources.attribute(logical_id, name)


def _substitution(value: Any) -> tuple[str, dict[str, Any]]:
    text, own = (value, {}) if isinstance(value, str) else _arguments(value, 2, "Fn::Sub")
    if not isinstance(text, str) or not isinstance(own, dict):
        raise TemplateError(f"Fn::Sub takes a string and an object, not {value!r}")
    return text, own


def _sub(value: Any, scope: Scope) -> str:
    text, own = _substitution(value)
    values = {name: resolve(item, scope) for name, item in own.items()}

    def fill(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        if name in values:
            return text_of(values[name])
        return text_of(_get_att(name, scope) if "." in name else _ref(name, scope))

    return HOLE.sub(fill, text)


def _join(value: Any, scope: Scope) -> str:
    delimiter, items = _arguments(value, 2, "Fn::Join")
    resolved = resolve(items, scope)
    if not isinstance(delimiter, str) or not isinstance(resolved, list):
        raise TemplateError(f"Fn::Join takes a delimiter and a list, not {value!r}")
    return delimiter.join(text_of(item) for item in resolved)


def _split(value: Any, scope: Scope) -> list[str]:
    delimiter, text = _arguments(value, 2, "Fn::Split")
    if not isinstance(delimiter, str) or not delimiter:
        raise TemplateError(f"Fn::Split takes a delimiter and a string, not {value!r}")
    return text_of(resolve(text, scope)).split(delimiter)


def _select(value: Any, scope: Scope) -> Any:
    index, items = (resolve(item, scope) for item in _arguments(value, 2, "Fn::Select"))
    if not isinstance(items, list) or not re.fullmatch(r"\d+", str(index)) or int(index) >= len(items):
        raise TemplateError(f"Fn::Select cannot select item {index!r} of {items!r}")
    return items[int(index)]


def _branch(value: Any, scope: Scope) -> Any:
    name, then, otherwise = _arguments(value, 3, "Fn::If")
    return then if _condition(name, scope) else otherwise


def _condition(name: Any, scope: Scope) -> bool:
    try:
        return scope.conditions[name]
    except (KeyError, TypeError):
        raise TemplateError(f"condition {name!r} is not defined") from None


def _equals(value: Any, scope: Scope) -> bool:
    left, right = (resolve(item, scope) for item in _arguments(value, 2, "Fn::Equals"))
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return bool(left == right)
    return text_of(left) == text_of(right)


def _all_of(name: str, combine: Callable[[list[bool]], bool], least: int, most: int) -> Any:
    def evaluate(value: Any, scope: Scope) -> bool:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise TemplateError(f"{name} takes {least} to {most} conditions, not {value!r}")
        return combine([truth_of(resolve(item, scope), name) for item in value])

    return evaluate


def _find_in_map(value: Any, scope: Scope) -> Any:
    keys = [resolve(item, scope) for item in _arguments(value, 3, "Fn::FindInMap")]
    found: Any = scope.mappings
    for key in keys:
        if not isinstance(found, Mapping) or text_of(key) not in found:
            raise TemplateError(f"Fn::FindInMap finds nothing under {'/'.join(map(text_of, keys))}")
        found = found[text_of(key)]
    return found


def _import_value(value: Any, scope: Scope) -> Any:
    name = resolve(value, scope)
    if not isinstance(name, str) or name not in scope.exports:
        raise TemplateError(f"No export named {name} found")
    return scope.exports[name]


def _zones(value: Any, scope: Scope) -> list[str]:
    region = resolve(value, scope) or scope.region
    return [f"{region}{letter}" for letter in "abc"]


def _base64(value: Any, scope: Scope) -> str:
    return base64.b64encode(text_of(resolve(value, scope)).encode()).decode()


FUNCTIONS: dict[str, Callable[[Any, Scope], Any]] = {
    "Ref": _ref,
    "Condition": _condition,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::If": lambda value, scope: resolve(_branch(value, scope), scope),
    "Fn::Equals": _equals,
    "Fn::And": _all_of("Fn::And", all, 2, 10),
    "Fn::Or": _all_of("Fn::Or", any, 2, 10),
    "Fn::Not": _all_of("Fn::Not", lambda items: not items[0], 1, 1),
    "Fn::FindInMap": _find_in_map,
    "Fn::ImportValue": _import_value,
    "Fn::GetAZs": _zones,
    "Fn::Base64": _base64,
}
