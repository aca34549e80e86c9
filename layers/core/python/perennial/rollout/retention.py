"""Which published Lambda versions are kept, and the end of the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from perennial.errors import ConditionFailed, ModelUnknown, PerennialError, VersionsKept
from perennial.registry import Champion, Registry
from perennial.rollout.back import carriers, target
from perennial.rollout.live import ALIAS
from perennial.storage.functions import Function


def superfluous(versions: Sequence[str], newest: int, named: Collection[str]) -> list[str]:
    """Those of a function's published versions, oldest first, that may go.

    Kept are the `newest`, those that are `named`, and the oldest: the template made it, and the alias began there.
    """
    return [version for version in versions[1:-newest] if version not in named]


def prune(model: str, function: Function, registry: Registry, newest: int) -> list[str]:
    """Delete what is superfluous; the versions that were deleted.

    The champion and the former one stay as they are served, and so does what the champion would be taken back to: the
    Lambda version that carries that version by itself, so that the way back is always warm. The registry forgets a
    Lambda version first: a crash in between leaves one that nobody names, for the next time. Raises VersionsKept when
    some could not be deleted, after the others were.
    """
    alias, entry = function.alias(ALIAS), registry.champion_entry(model)
    champions = {entry.version, registry.former_champion(model)} if entry else set()
    carried = {one.lambda_version: one for one in registry.list_versions(model) if one.lambda_version is not None}
    named = {alias.version, *alias.weights}
    named |= {number for number, one in carried.items() if one.version in champions}
    deleted, kept, versions = [], {}, function.versions()
    named |= _way_back(registry.champion_history(model), versions)
    for number in superfluous(versions, newest, named):
        try:
            if number in carried:
                registry.retired(model, carried[number].version, number)
            function.delete_version(number)
        except ModelUnknown:  # somebody else did
            pass
        except ConditionFailed as error:
            kept[number] = f"what it carries has changed: {error}"
            continue
        except PerennialError as error:
            kept[number] = str(error)
            continue
        deleted.append(number)
    if kept:
        raise VersionsKept(f"{function.name}: " + "; ".join(f"{number}: {why}" for number, why in kept.items()))
    return deleted


def _way_back(history: Sequence[Champion], versions: Collection[str]) -> set[str]:
    """The Lambda version that a rollback would go to; none where that is gone already."""
    there = (str(entry.lambda_version) for entry in carriers(history, target(history)))
    return set(islice((number for number in there if number in versions), 1))
