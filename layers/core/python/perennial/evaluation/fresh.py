"""Held-out rows that the champion has not seen either: the only ones on which the two can be compared.

A champion that was fitted again on all rows, or later than the challenger's rows are, has learnt the answers of some of
them by heart: on those it would look better than it is, and no challenger could replace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.evaluation.blocks import MIN_DAYS, ROW_BLOCKS
from perennial.evaluation.champion import NotComparable
from perennial.evaluation.holdout import Holdout

Array = np.ndarray[Any, Any]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Fresh:
    """Which held-out rows (mask [n]) neither of the two has seen, and how that is known (JSON)."""

    mask: Array
    evidence: dict[str, Any]


def fresh_rows(holdout: Holdout, challenger: Record, champion: Record, deployed: Record) -> Fresh:
    """The rows of days after the last one that the champion was fitted on; without event times, those of dataset
    versions that it was not fitted on, or all if the two were split alike.

    `challenger` and `champion` are training records, `deployed` says in evaluation.json what was deployed of the
    champion (empty in older ones). Raises NotComparable when these are too few.
    """
    until = _until(champion, deployed)
    if holdout.days is not None and until is not None:
        return _by_day(holdout.days, until)
    if not deployed.get("refitted") and _split_alike(challenger, champion):
        return Fresh(np.ones(len(holdout), dtype=bool), {"by": "split", "rows": len(holdout)})
    return _by_version(holdout, challenger, champion)


def _by_day(days: Array, until: np.datetime64) -> Fresh:
    mask = days > until
    found = len(np.unique(days[mask]))
    evidence = {"by": "day", "rows": int(mask.sum()), "days": found, "champion_trained_until": str(until)}
    if found < MIN_DAYS:
        seen = f"it was trained on rows until {until}, and the held-out rows end on {days.max()}"
        raise NotComparable(
            f"{seen}: {_days(found)} neither has seen, {MIN_DAYS} are needed (with rows of {_days(MIN_DAYS - found)} "
            "more, or a greater train.split.holdout if that is what cuts them short, it can be compared)",
            evidence,
        )
    return Fresh(mask, evidence)


def _by_version(holdout: Holdout, challenger: Record, champion: Record) -> Fresh:
    if holdout.version is None:
        raise NotComparable("nobody noted of which dataset versions the held-out rows are")
    seen = {one["content_sha256"] for one in champion["datasets"]}
    new = [one["version"] for one in challenger["datasets"] if one["content_sha256"] not in seen]
    mask = np.isin(holdout.version, new)
    evidence = {"by": "version", "rows": int(mask.sum()), "versions": new}
    if mask.sum() < ROW_BLOCKS:
        raise NotComparable(
            f"{int(mask.sum())} held-out rows are of dataset versions that it was not trained on, {ROW_BLOCKS} are "
            "needed (the dataset has no event time that would tell more; a further version can change this)",
            evidence,
        )
    return Fresh(mask, evidence)


def _until(champion: Record, deployed: Record) -> np.datetime64 | None:
    """The last day that the deployed champion was fitted on. Records of older releases say only what it was not."""
    text = deployed.get("trained_until") or champion.get("trained_until")
    first = champion.get("split", {}).get("holdout_from")
    if not text and first is not None:
        text = np.datetime64(first, "D") - 1
    return np.datetime64(str(text)[:10], "D") if text else None


def _split_alike(challenger: Record, champion: Record) -> bool:
    """Whether both held out the very same rows: the same hash of the same versions."""

    def key(one: Record) -> Any:
        contents = sorted(used["content_sha256"] for used in one.get("datasets", []))
        return one.get("split"), one.get("label"), contents

    split = challenger.get("split", {})
    return bool(split.get("by") == "hash" and key(challenger) == key(champion))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
