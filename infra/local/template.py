"""A template read whole before anything of it is made: sections, parameters, conditions, order of resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from infra.local.intrinsics import Scope, TemplateError, references, resolve, truth_of

SECTIONS = frozenset(
    {"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Rules"}
    | {"Resources", "Outputs"}
)
# CDK's own rule refuses an account bootstrapped by an old CDK; assembly.py bootstraps this one
RULES = frozenset({"CheckBootstrapVersion"})
RESOURCE = frozenset(
    {"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
)
OUTPUT = frozenset({"Value", "Description", "Export", "Condition"})
POLICIES = frozenset({"Delete", "Retain", "RetainExceptOnCreate"})
SSM_VALUE = "AWS::SSM::Parameter::Value<String>"


@dataclass(frozen=True)
class Declared:
    """One resource as the template declares it."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    needs: frozenset[str]
    on_delete: str
    on_replace: str


@dataclass(frozen=True)
class Template:
    """A template whose parameters and conditions are known; resources in an order in which they can be made."""

    scope: Scope
    resources: tuple[Declared, ...]
    outputs: Mapping[str, Any]


def parse(
    body: Mapping[str, Any], scope: Scope, given: Mapping[str, str], look_up: Callable[[str], str | None]
) -> Template:
    """Read a template; raises TemplateError for what CloudFormation or the local cloud would not accept.

    `scope` gives stack, region, account and exports; `given` the values of parameters; `look_up` an SSM parameter.
    """
    _only(body, SECTIONS, "section")
    _only(body.get("Rules", {}), RULES, "rule")
    scope.parameters = {
        name: _parameter(name, item, given.get(name), look_up) for name, item in body.get("Parameters", {}).items()
    }
    unknown = sorted(set(given) - set(scope.parameters))
    if unknown:
        raise TemplateError(f"parameters {', '.join(unknown)} do not exist in the template")
    scope.mappings = body.get("Mappings", {})
    scope.conditions = evaluate_conditions(body.get("Conditions", {}), scope)
    wanted = {name: item for name, item in body.get("Resources", {}).items() if _holds(name, item, scope)}
    scope.logical_ids = frozenset(wanted)
    declared = {name: _declared(name, item, scope) for name, item in wanted.items()}
    outputs = {name: item for name, item in body.get("Outputs", {}).items() if _holds(name, item, scope)}
    for name, item in outputs.items():
        _only(item, OUTPUT, f"{name}: output attribute")
    return Template(scope, tuple(_ordered(declared)), outputs)


def _only(given: Mapping[str, Any], allowed: frozenset[str], what: str) -> None:
    strange = sorted(set(given) - allowed)
    if strange:
        raise TemplateError(f"{what} {', '.join(strange)} is not understood")


def _holds(name: str, item: Mapping[str, Any], scope: Scope) -> bool:
    condition = item.get("Condition")
    if condition is None:
        return True
    if condition not in scope.conditions:
        raise TemplateError(f"{name}: condition {condition!r} is not defined")
    return scope.conditions[condition]


def _declared(name: str, item: Mapping[str, Any], scope: Scope) -> Declared:
    _only(item, RESOURCE, f"{name}: attribute")
    depends = item.get("DependsOn", [])
    explicit = {depends} if isinstance(depends, str) else set(depends)
    policies = [item.get(key, "Delete") for key in ("DeletionPolicy", "UpdateReplacePolicy")]
    if not set(policies) <= POLICIES:
        raise TemplateError(f"{name}: policy {' or '.join(policies)} is not understood")
    properties = item.get("Properties", {})
    try:
        needs = references(properties, scope) | (explicit & scope.logical_ids)
    except TemplateError as error:
        raise TemplateError(f"{name}: {error}") from error
    return Declared(name, item["Type"], properties, frozenset(needs), policies[0], policies[1])


def _ordered(declared: Mapping[str, Declared]) -> list[Declared]:
    """By dependency, and where that leaves a choice as the template has it."""
    sorter = TopologicalSorter({name: sorted(item.needs) for name, item in declared.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise TemplateError(f"Circular dependency between resources: {' -> '.join(error.args[1])}") from error
    position = {name: index for index, name in enumerate(declared)}
    order: list[Declared] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        order.extend(declared[name] for name in ready)
        sorter.done(*ready)
    return order


def _parameter(
    name: str, item: Mapping[str, Any], given: str | None, look_up: Callable[[str], str | None]
) -> str | list[str]:
    value = item.get("Default") if given is None else given
    if value is None:
        raise TemplateError(f"parameter {name} has neither a value nor a default")
    text, kind = str(value), item["Type"]
    if kind == SSM_VALUE:
        found = look_up(text)
        if found is None:
            raise TemplateError(f"parameter {name}: there is no SSM parameter {text}")
        return found
    if kind not in {"String", "Number", "CommaDelimitedList", "List<Number>"}:
        raise TemplateError(f"parameter {name}: type {kind} is not understood")
    if "AllowedValues" in item and text not in map(str, item["AllowedValues"]):
        raise TemplateError(f"parameter {name}: {text!r} is none of {item['AllowedValues']}")
    if "AllowedPattern" in item and not re.fullmatch(item["AllowedPattern"], text):
        raise TemplateError(f"parameter {name}: {text!r} does not match {item['AllowedPattern']}")
    return [part.strip() for part in text.split(",")] if "List" in kind else text


def evaluate_conditions(conditions: Mapping[str, Any], scope: Scope) -> dict[str, bool]:
    """The truth of every condition of the section; raises TemplateError on an unknown or circular one."""
    known: dict[str, bool] = {}
    open_: list[str] = []

    def truth(name: str) -> bool:
        if name not in conditions:
            raise TemplateError(f"condition {name!r} is not defined")
        if name in open_:
            raise TemplateError(f"circular conditions: {' -> '.join([*open_, name])}")
        if name not in known:
            open_.append(name)
            known[name] = truth_of(resolve(conditions[name], inner), name)
            open_.pop()
        return known[name]

    inner = Scope(
        scope.stack,
        scope.region,
        scope.account,
        parameters=scope.parameters,
        mappings=scope.mappings,
        conditions=_Lazy(truth),
    )
    return {name: truth(name) for name in conditions}


class _Lazy(dict[str, bool]):
    """Conditions that refer to each other, evaluated on demand."""

    def __init__(self, truth: Callable[[str], bool]) -> None:
        super().__init__()
        self._truth = truth

    def __missing__(self, name: str) -> bool:
        return self._truth(name)
