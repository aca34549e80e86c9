"""Operations on what hangs on a function: asynchronous configuration, reserved concurrency, tags.

Sources: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html and
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from infra.local.lambdas.arns import LATEST, Reference
from infra.local.lambdas.errors import InvalidParameter, NotFound, ValidationError
from infra.local.lambdas.registry import Registry
from infra.local.lambdas.roles import Roles

Request = Mapping[str, Any]
UNRESERVED = 100  # of the account's concurrency must stay unreserved


class Extras:
    """EventInvokeConfig, Concurrency, Tags."""

    def __init__(self, registry: Registry, roles: Roles, account_concurrency: int) -> None:
        self._registry = registry
        self._roles = roles
        self._account = account_concurrency

    def put_event_config(self, reference: Reference, request: Request, keep: bool = False) -> dict[str, Any]:
        """PutFunctionEventInvokeConfig, or with `keep` UpdateFunctionEventInvokeConfig."""
        function, qualifier = self._registry.qualifier(reference)
        _between("maximumRetryAttempts", request.get("MaximumRetryAttempts"), 0, 2)
        _between("maximumEventAgeInSeconds", request.get("MaximumEventAgeInSeconds"), 60, 21_600)
        given = {
            name: request[name]
            for name in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
            if request.get(name) is not None
        }
        for destination in (given.get("DestinationConfig") or {}).values():
            if destination.get("Destination"):
                self._roles.check_target(function.latest.settings["Role"], destination["Destination"])
        with function.lock:
            former = function.event_configs.get(qualifier, {}) if keep else {}
            config = {"DestinationConfig": {"OnSuccess": {}, "OnFailure": {}}, **former, **given}
            config["LastModified"] = time.time()
            config["FunctionArn"] = self._registry.place.function(function.name, qualifier or LATEST)
            function.event_configs[qualifier] = config
        return config

    def get_event_config(self, reference: Reference) -> dict[str, Any]:
        """GetFunctionEventInvokeConfig."""
        function, qualifier = self._registry.qualifier(reference)
        if qualifier not in function.event_configs:
            arn = self._registry.place.function(function.name, qualifier or LATEST)
            raise NotFound(f"The function {arn} doesn't have an EventInvokeConfig")
        return function.event_configs[qualifier]

    def list_event_configs(self, name: str) -> list[dict[str, Any]]:
        """ListFunctionEventInvokeConfigs."""
        return list(self._registry.function(Reference.parse(name)).event_configs.values())

    def delete_event_config(self, reference: Reference) -> None:
        """DeleteFunctionEventInvokeConfig."""
        self.get_event_config(reference)
        function, qualifier = self._registry.qualifier(reference)
        function.event_configs.pop(qualifier, None)

    def put_concurrency(self, name: str, request: Request) -> dict[str, Any]:
        """PutFunctionConcurrency; at least 100 of the account's concurrency must stay unreserved."""
        function = self._registry.function(Reference.parse(name))
        wanted = request.get("ReservedConcurrentExecutions")
        if not isinstance(wanted, int) or wanted < 0:
            raise ValidationError("Value at 'reservedConcurrentExecutions' must be a number from 0")
        with self._registry.lock:
            others = sum(each.reserved or 0 for each in self._registry.functions.values() if each is not function)
            if self._account - others - wanted < UNRESERVED:
                raise InvalidParameter(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED}]."
                )
            function.reserved = wanted
        return {"ReservedConcurrentExecutions": wanted}

    def get_concurrency(self, name: str) -> dict[str, Any]:
        """GetFunctionConcurrency."""
        reserved = self._registry.function(Reference.parse(name)).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def delete_concurrency(self, name: str) -> None:
        """DeleteFunctionConcurrency."""
        self._registry.function(Reference.parse(name)).reserved = None

    def list_tags(self, arn: str) -> dict[str, Any]:
        """ListTags."""
        return {"Tags": self._registry.function(Reference.parse(arn)).tags}

    def tag(self, arn: str, request: Request) -> None:
        """TagResource."""
        self._registry.function(Reference.parse(arn)).tags.update(request.get("Tags") or {})

    def untag(self, arn: str, keys: list[str]) -> None:
        """UntagResource."""
        tags = self._registry.function(Reference.parse(arn)).tags
        for key in keys:
            tags.pop(key, None)


def _between(name: str, value: Any, low: int, high: int) -> None:
    if value is not None and (not isinstance(value, int) or not low <= value <= high):
        raise ValidationError(
            f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
            f"Member must have value between {low} and {high}"
        )
