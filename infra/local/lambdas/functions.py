"""Operations on functions and versions.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html and
https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra.local.lambdas import settings, views
from infra.local.lambdas.arns import LATEST, LAYER_VERSION, Reference
from infra.local.lambdas.code import CodeStore, check_upload
from infra.local.lambdas.errors import Conflict, InvalidParameter, NotFound, ValidationError
from infra.local.lambdas.model import SETTLING, Function, LayerVersion, Package, Version
from infra.local.lambdas.registry import Registry, check_idle, check_revision
from infra.local.lambdas.roles import Roles

Request = Mapping[str, Any]
Retire = Callable[[Version], None]
Snap = Callable[[Function, Version], None]
FUNCTION_NAME = re.compile(r"^[a-zA-Z0-9-_]{1,64}$")


class Functions:
    """CreateFunction … ListVersionsByFunction. `retire` is told of snapshots that no new call will run, `snap` of
    published versions that are to be started once before anybody calls them.
    """

    def __init__(
        self, registry: Registry, store: CodeStore, roles: Roles, endpoint: str, retire: Retire, snap: Snap
    ) -> None:
        self._registry = registry
        self._roles = roles
        self._store = store
        self._endpoint = endpoint
        self._retire = retire
        self._snap = snap

    def create(self, request: Request, size: int) -> dict[str, Any]:
        """CreateFunction; `size` is that of the HTTP request."""
        check_upload(size)
        name = Reference.parse(request.get("FunctionName", "")).name
        if not FUNCTION_NAME.match(name):
            raise ValidationError(f"Value '{name}' at 'functionName' is not a function name")
        chosen = settings.created(request)
        self._roles.check(chosen)
        layers = self._layers(chosen.get("Layers") or ())
        package = self._package(chosen["PackageType"], request.get("Code") or {})
        self._store.check_total(package, layers)
        with self._registry.lock:
            if name in self._registry.functions:
                raise Conflict(f"Function already exist: {name}")
            arn = self._registry.place.function(name)
            latest = Version(arn, LATEST, chosen, package, layers, datetime.now(UTC), time.monotonic() + SETTLING)
            function = Function(name, arn, latest, tags=dict(request.get("Tags") or {}))
            self._registry.functions[name] = function
        version = self._publish(function, None) if request.get("Publish") else latest
        return views.configuration(function, version, views.qualified(version.number))

    def _package(self, kind: str, code: Request) -> Package:
        if kind == "Image":
            if not code.get("ImageUri"):
                raise InvalidParameter("Please provide ImageUri when the intended function PackageType is Image.")
            return self._store.image(code["ImageUri"])
        if code.get("ImageUri"):
            raise InvalidParameter("Please don't provide ImageUri when updating a function with packageType Zip.")
        return self._store.zipped(self._store.fetch(dict(code)))

    def _layers(self, arns: Any) -> tuple[LayerVersion, ...]:
        found = []
        for arn in arns:
            match = LAYER_VERSION.match(arn)
            layer = self._registry.layers.get(match["layer"], {}).get(int(match["version"])) if match else None
            if layer is None:
                raise InvalidParameter(f"Layer version {arn} does not exist.")
            found.append(layer)
        if len({layer.arn for layer in found}) != len(found):
            raise InvalidParameter(
                "Two different versions of the same layer are not allowed to be referenced in the same function."
            )
        return tuple(found)

    def update_code(self, name: str, request: Request, size: int) -> dict[str, Any]:
        """UpdateFunctionCode: new code under the same configuration, published when asked."""
        check_upload(size)
        function = self._registry.function(Reference.parse(name))
        kind = function.latest.settings["PackageType"]
        package = self._package(kind, request)
        with function.lock:
            check_idle(function)
            check_revision(request.get("RevisionId"), function.latest.revision)
            self._store.check_total(package, function.latest.layers)
            changed = dict(function.latest.settings)
            if request.get("Architectures"):
                changed["Architectures"] = request["Architectures"]
            updated = function.latest.changed(package=package, settings=changed)
            if request.get("DryRun"):
                return views.configuration(function, replace(updated, settles=0.0))
            self._supersede(function, updated)
            version = self._publish(function, None) if request.get("Publish") else function.latest
        return views.configuration(function, version, views.qualified(version.number))

    def update_configuration(self, name: str, request: Request) -> dict[str, Any]:
        """UpdateFunctionConfiguration."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            check_idle(function)
            check_revision(request.get("RevisionId"), function.latest.revision)
            changed = settings.updated(function.latest.settings, request)
            self._roles.check(changed)
            layers = self._layers(request["Layers"]) if request.get("Layers") is not None else function.latest.layers
            self._store.check_total(function.latest.package, layers)
            self._supersede(function, function.latest.changed(settings=changed, layers=layers))
            return views.configuration(function, function.latest)

    def _supersede(self, function: Function, updated: Version) -> None:
        former, function.latest = function.latest, updated
        self._retire(former)

    def publish(self, name: str, request: Request) -> dict[str, Any]:
        """PublishVersion: a new number, or the last one when neither code nor configuration have changed."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            check_idle(function)
            check_revision(request.get("RevisionId"), function.latest.revision)
            if request.get("CodeSha256") and request["CodeSha256"] != function.latest.package.sha256:
                raise InvalidParameter(
                    f"CodeSHA256 ({request['CodeSha256']}) is different from current CodeSHA256 in $LATEST "
                    f"({function.latest.package.sha256}). Please try again with the CodeSHA256 in $LATEST."
                )
            version = self._publish(function, request.get("Description"))
            return views.configuration(function, version, version.number)

    def _publish(self, function: Function, description: str | None) -> Version:
        with function.lock:
            latest = function.latest
            newest = function.versions.get(str(function.published))
            if newest is not None and newest.content == latest.content:
                return newest
            function.published += 1
            number = str(function.published)
            chosen = dict(latest.settings)
            if description is not None:
                chosen["Description"] = description
            version = Version(
                function.arn,
                number,
                chosen,
                latest.package,
                latest.layers,
                datetime.now(UTC),
                time.monotonic() + SETTLING,
            )
            if version.snapped:
                version = replace(version, settles=math.inf)
            function.versions[number] = version
            if version.snapped:
                self._snap(function, version)
            # publishing changes the revision of $LATEST, not what it runs
            function.latest = replace(latest, revisions=(str(uuid.uuid4()), str(uuid.uuid4())))
            return version

    def get(self, reference: Reference) -> dict[str, Any]:
        """GetFunction."""
        function, version = self._registry.version(reference)
        view: dict[str, Any] = {
            "Configuration": views.configuration(function, version, reference.qualifier),
            "Code": views.code_location(version, self._endpoint),
        }
        if function.tags:
            view["Tags"] = function.tags
        if function.reserved is not None:
            view["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return view

    def get_configuration(self, reference: Reference) -> dict[str, Any]:
        """GetFunctionConfiguration."""
        function, version = self._registry.version(reference)
        return views.configuration(function, version, reference.qualifier)

    def listed(self, every_version: bool) -> list[dict[str, Any]]:
        """ListFunctions: `$LATEST` of each function, or all versions."""
        with self._registry.lock:
            functions = sorted(self._registry.functions.values(), key=lambda function: function.name)
        views_ = []
        for function in functions:
            snapshots = [function.latest, *function.versions.values()] if every_version else [function.latest]
            for version in snapshots:
                qualifier = version.number if every_version else None
                views_.append(views.configuration(function, version, qualifier))
        return views_

    def list_versions(self, name: str) -> list[dict[str, Any]]:
        """ListVersionsByFunction: `$LATEST`, then the published versions in order."""
        function = self._registry.function(Reference.parse(name))
        with function.lock:
            snapshots = [function.latest, *function.versions.values()]
        return [views.configuration(function, version, version.number) for version in snapshots]

    def delete(self, reference: Reference) -> None:
        """DeleteFunction: the whole function, or one version that no alias points to."""
        function = self._registry.function(reference)
        if not reference.qualifier:
            with self._registry.lock, function.lock:
                del self._registry.functions[function.name]
                doomed = [function.latest, *function.versions.values()]
        else:
            doomed = [self._remove_version(function, reference.qualifier)]
        for version in doomed:
            self._retire(version)

    def _remove_version(self, function: Function, number: str) -> Version:
        if number == LATEST:
            raise InvalidParameter("$LATEST version cannot be deleted without deleting the function.")
        if number in function.aliases:
            raise InvalidParameter("Deletion of aliases is not currently supported.")
        with function.lock:
            version = function.versions.get(number)
            if version is None:
                raise NotFound(f"Function not found: {function.arn}:{number}")
            users = [alias.name for alias in function.aliases.values() if number in (alias.version, *alias.weights)]
            if users:
                raise Conflict(
                    f"Unable to delete version because the following aliases reference it: [{', '.join(sorted(users))}]"
                )
            return function.versions.pop(number)
