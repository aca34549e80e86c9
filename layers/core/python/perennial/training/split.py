"""Which rows are held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perennial.errors import TrainingDataInvalid
from perennial.training.data import Rows, without_unseen_classes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """The two sides, and how they were told apart (JSON)."""

    train: Rows
    holdout: Rows
    evidence: dict[str, Any]


def split(rows: Rows, share: float, seed: int) -> Split:
    """Hold out about `share` of the rows: the last whole days, else a seeded stratified choice by content.

    Raises TrainingDataInvalid when a side has no rows, or lacks a class that a verdict needs.
    """
    days = None if rows.time is None else rows.time.astype("datetime64[D]")
    if days is not None and len(np.unique(days)) > 1:
        first = first_held_out_day(days, share)
        mask = days >= first
        evidence: dict[str, Any] = {"by": "time", "holdout_from": str(first), "last_day": str(days.max())}
    else:
        mask = hash_mask(rows, share, seed)
        evidence = {"by": "hash", "seed": seed, "columns": hashed_columns(rows)}
    train, holdout = rows.take(~mask), rows.take(mask)
    for side, name in ((train, "training"), (holdout, "held-out")):
        _check_side(side, name, evidence)
    train, holdout = without_unseen_classes(train, holdout)
    return Split(train, holdout, evidence | {"holdout_share": round(len(holdout) / len(rows), 6)})


def first_held_out_day(days: Array, share: float) -> Array:
    """The day (datetime64[D]) from which on rows are held out; the choice of whole days that comes nearest to `share`.

    `days` has at least two distinct values; each side gets at least one.
    """
    unique, counts = np.unique(days, return_counts=True)
    shares = np.cumsum(counts[::-1])[::-1][1:] / len(days)
    chosen: Array = unique[1 + int(np.argmin(np.abs(shares - share)))]
    return chosen


def hash_mask(rows: Rows, share: float, seed: int) -> Array:
    """True for the rows with the smallest seeded hashes of their class.

    The hash is over content, so equal rows fall on the same side and neither the order of rows nor of files matters.
    """
    hashes = content_hashes(rows, seed)
    strata = rows.label if rows.classes is not None else np.zeros(len(rows), dtype=np.int64)
    mask = np.zeros(len(rows), dtype=bool)
    for stratum in np.unique(strata):
        members = hashes[strata == stratum]
        wanted = max(1, round(share * len(members))) if len(members) > 1 else 0
        if wanted:
            mask[strata == stratum] = members <= np.sort(members)[wanted - 1]
    return mask


def hashed_columns(rows: Rows) -> list[str]:
    """The columns whose values decide, by name."""
    return sorted({*map(str, rows.features.columns), *map(str, rows.others.columns)})


def content_hashes(rows: Rows, seed: int) -> Array:
    """A seeded 64-bit hash per row over its label and all that is known at prediction, feature of the model or not:
    a model that takes other features holds out the same rows.
    """
    key = hashlib.sha256(f"split {seed}".encode()).hexdigest()[:16]
    frame = pd.concat([rows.features, rows.others], axis=1)[hashed_columns(rows)].assign(__label__=rows.label)
    hashes: Array = pd.util.hash_pandas_object(frame, index=False, hash_key=key).to_numpy()
    return hashes


def _check_side(side: Rows, name: str, evidence: dict[str, Any]) -> None:
    if len(side) == 0:
        raise TrainingDataInvalid(f"no rows are left for the {name} side of the split by {evidence['by']}")
    if side.classes is not None and len(np.unique(side.label)) < 2:
        where = f" (from {evidence['holdout_from']})" if name == "held-out" and "holdout_from" in evidence else ""
        raise TrainingDataInvalid(f"the {name} rows{where} have one class only: {side.classes[int(side.label[0])]!r}")
