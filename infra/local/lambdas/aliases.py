"""Operations on aliases, and the draw of a version when an alias has weights.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from infra.local.lambdas import views
from infra.local.lambdas.arns import ALIAS, LATEST, Reference
from infra.local.lambdas.errors import Conflict, InvalidParameter, NotFound, ValidationError
from infra.local.lambdas.model import Alias, Function
from infra.local.lambdas.registry import Registry, check_revision

Request = Mapping[str, Any]


class Aliases:
    """CreateAlias … ListAliases."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def create(self, name: str, request: Request) -> dict[str, Any]:
        """CreateAlias."""
        function = self._registry.function(Reference.parse(name))
        chosen = request.get("Name", "")
        if not ALIAS.match(chosen):
            raise ValidationError(
                f"1 validation error detected: Value '{chosen}' at 'name' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
            )
        with function.lock:
            if chosen in function.aliases:
                raise Conflict(f"Alias already exists: {function.arn}:{chosen}")
            weights = _weights(request.get("RoutingConfig"))
            alias = Alias(chosen, request.get("FunctionVersion", ""), request.get("Description") or "", weights or {})
            _check(function, alias)
            function.aliases[chosen] = alias
        return views.alias(function, alias)

    def update(self, name: str, alias_name: str, request: Request) -> dict[str, Any]:
        """UpdateAlias: only the members that are given change."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            _, alias = self._registry.alias(Reference.parse(name), alias_name)
            check_revision(request.get("RevisionId"), alias.revision)
            weights = _weights(request.get("RoutingConfig"))
            alias = replace(
                alias,
                version=request.get("FunctionVersion") or alias.version,
                description=alias.description if request.get("Description") is None else request["Description"],
                weights=alias.weights if weights is None else weights,
                revision=str(uuid.uuid4()),
            )
            _check(function, alias)
            function.aliases[alias_name] = alias
        return views.alias(function, alias)

    def get(self, name: str, alias_name: str) -> dict[str, Any]:
        """GetAlias."""
        return views.alias(*self._registry.alias(Reference.parse(name), alias_name))

    def list(self, name: str, version: str | None) -> list[dict[str, Any]]:
        """ListAliases, all or those of one version."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            found = sorted(function.aliases.values(), key=lambda alias: alias.name)
        return [views.alias(function, alias) for alias in found if version in (None, alias.version, *alias.weights)]

    def delete(self, name: str, alias_name: str) -> None:
        """DeleteAlias (of one that is not there: nothing happens, as on AWS)."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            function.aliases.pop(alias_name, None)
            function.policies.pop(alias_name, None)
            function.event_configs.pop(alias_name, None)


def draw(alias: Alias, dice: random.Random) -> str:
    """The version that a call through the alias runs, drawn by weight."""
    mark = dice.random()
    for version, weight in alias.weights.items():
        if mark < weight:
            return version
        mark -= weight
    return alias.version


def _weights(routing: Mapping[str, Any] | None) -> dict[str, float] | None:
    if routing is None:
        return None
    weights = dict(routing.get("AdditionalVersionWeights") or {})
    if len(weights) > 1:
        raise InvalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for version, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise ValidationError(
                f"1 validation error detected: Value '{{{version}={weight}}}' at "
                "'routingConfig.additionalVersionWeights' failed to satisfy constraint: "
                "Map value must satisfy constraint: [Member must have value between 0.0 and 1.0]"
            )
    return weights


def _check(function: Function, alias: Alias) -> None:
    versions = [alias.version, *alias.weights]
    for number in versions:
        if function.version(number) is None:
            raise NotFound(f"Function not found: {function.arn}:{number}")
    if not alias.weights:
        return
    if LATEST in versions:
        raise InvalidParameter("$LATEST is not supported for an alias pointing to more than 1 version")
    if alias.version in alias.weights:
        raise InvalidParameter(
            f"Invalid function version {alias.version}. "
            f"Function version {alias.version} is already included in routing configuration."
        )
    found = [version for number in versions if (version := function.version(number))]
    for member in ("Role", "DeadLetterConfig"):
        if any(version.settings.get(member) != found[0].settings.get(member) for version in found):
            raise InvalidParameter(f"The versions of an alias with weights must have the same {member}.")
