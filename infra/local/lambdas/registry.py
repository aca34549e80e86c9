"""The table of functions, and how a reference becomes a function, a version or an alias."""

from __future__ import annotations

import threading

from infra.local.lambdas.arns import ALIAS, LATEST, Place, Reference
from infra.local.lambdas.errors import Conflict, NotFound, PreconditionFailed, StillPending
from infra.local.lambdas.model import Alias, Function, LayerVersion, Version

STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


class Registry:
    """Functions and layers of one account and region."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.functions: dict[str, Function] = {}
        self.layers: dict[str, dict[int, LayerVersion]] = {}
        # the highest number ever used per layer: numbers are not used again
        self.layer_numbers: dict[str, int] = {}
        self.lock = threading.RLock()

    def function(self, reference: Reference) -> Function:
        """The function that is named; raises NotFound."""
        found = self.functions.get(reference.name)
        if found is None:
            raise NotFound(f"Function not found: {self.place.function(reference.name, reference.qualifier)}")
        return found

    def version(self, reference: Reference) -> tuple[Function, Version]:
        """The snapshot that is named, through an alias's first version too; raises NotFound."""
        function = self.function(reference)
        qualifier = reference.qualifier or LATEST
        alias = function.aliases.get(qualifier)
        version = function.version(alias.version if alias else qualifier)
        if version is None:
            raise NotFound(f"Function not found: {self.place.function(reference.name, qualifier)}")
        return function, version

    def alias(self, reference: Reference, name: str) -> tuple[Function, Alias]:
        """The alias that is named; raises NotFound."""
        function = self.function(reference)
        found = function.aliases.get(name)
        if found is None:
            raise NotFound(f"Cannot find alias arn: {self.place.function(function.name, name)}")
        return function, found

    def qualifier(self, reference: Reference) -> tuple[Function, str]:
        """The function and the version or alias name that is meant, '' for neither; raises NotFound."""
        function = self.function(reference)
        name = reference.qualifier or ""
        if name and name != LATEST and name not in function.versions and name not in function.aliases:
            kind = "alias" if ALIAS.match(name) else "version"
            raise NotFound(f"Cannot find {kind} arn: {self.place.function(function.name, name)}")
        return function, name


def check_idle(function: Function) -> None:
    """Raise Conflict while the function is being created or updated."""
    latest = function.latest
    if latest.pending:
        raise StillPending
    if not latest.settled:
        raise Conflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {function.arn}"
        )


def check_revision(wanted: str | None, actual: str) -> None:
    """Raise PreconditionFailed when a caller names another revision than the present one."""
    if wanted and wanted != actual:
        raise PreconditionFailed(STALE)
