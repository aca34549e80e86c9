"""The alias that callers reach a model by, and how it comes to where the registry says."""

from __future__ import annotations

from perennial.errors import ConditionFailed, PublishPending
from perennial.registry import Registry
from perennial.storage.functions import Function

ALIAS = "live"

# A rollout that moves the alias at the same moment does so once more at most after it was stopped.
ATTEMPTS = 6


def follow(function: Function, registry: Registry, model: str, *, anew: bool = False) -> None:
    """Point the alias at what carries the champion, alone; `anew` even if it does: a shift under way is then too late.

    Whoever changes the champion calls this afterwards, and it asks the registry again after every move: of two that
    change it at the same time, the later one, or this call of the earlier one, leaves the alias where the registry's
    last change says. Nothing is moved where no version serves, or nobody said what carries it. Raises PublishPending
    when the alias is changed again and again.
    """
    for _ in range(ATTEMPTS):
        entry, alias = registry.champion_entry(model), function.alias(ALIAS)
        if entry is None or entry.lambda_version is None:
            return
        if not anew and (alias.version, alias.weights) == (entry.lambda_version, {}):
            return
        try:
            function.move_alias(ALIAS, entry.lambda_version, alias.revision)
        except ConditionFailed:
            continue
        anew = False
    raise PublishPending(f"{function.name}:{ALIAS} is changed again and again")
