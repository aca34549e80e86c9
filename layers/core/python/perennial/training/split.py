"""Which rows are held out."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from perennial.errors import TrainingDataInvalid
from perennial.training.data import Rows

BLOCKS = 30


def days_of(rows: Rows) -> np.ndarray[Any, Any]:
    """The block of each row: its day (datetime64[D]) by event time, else one of 30 hash blocks (int64)."""
    if rows.time is not None:
        return rows.time.astype("datetime64[D]")
    return (_hashes(rows, seed=0) % BLOCKS).astype(np.int64)


def holdout_mask(rows: Rows, share: float, seed: int) -> np.ndarray[Any, Any]:
    """True for held-out rows: the last whole days that make up at least `share` of the rows.

    Without event time: per class the rows with the smallest seeded hash of their content, which does not depend on
    the order of rows or files. Raises TrainingDataInvalid when a side would be empty or lack a class.
    """
    mask = _by_time(rows, share) if rows.time is not None else _by_hash(rows, share, seed)
    for side, chosen in (("training", ~mask), ("held-out", mask)):
        if not chosen.any():
            raise TrainingDataInvalid(f"no rows are left for the {side} side of the split")
        if rows.classes is not None and len(np.unique(rows.label[chosen])) < 2:
            raise TrainingDataInvalid(f"the {side} rows have one class only; more data is needed")
    return mask


def _by_time(rows: Rows, share: float) -> np.ndarray[Any, Any]:
    days = days_of(rows)
    unique, counts = np.unique(days, return_counts=True)
    if len(unique) < 2:
        raise TrainingDataInvalid(f"all rows are of one day ({unique[0]}); a split by time needs at least two")
    from_end = np.cumsum(counts[::-1])[::-1]
    enough = np.flatnonzero(from_end >= share * len(days))
    first = max(int(enough[-1]), 1)
    mask: np.ndarray[Any, Any] = days >= unique[first]
    return mask


def _by_hash(rows: Rows, share: float, seed: int) -> np.ndarray[Any, Any]:
    hashes = _hashes(rows, seed)
    mask = np.zeros(len(hashes), dtype=bool)
    strata = rows.label if rows.classes is not None else np.zeros(len(hashes), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        ordered = members[np.argsort(hashes[members], kind="stable")]
        mask[ordered[: round(share * len(members))]] = True
    return mask


def _hashes(rows: Rows, seed: int) -> np.ndarray[Any, Any]:
    """A seeded 64-bit hash per row over features and label; equal rows are told apart by their count so far."""
    frame = rows.features.assign(label=rows.label)
    key = hashlib.sha256(str(seed).encode()).hexdigest()[:16]
    content = pd.util.hash_pandas_object(frame, index=False, hash_key=key)
    repeated = content.groupby(content).cumcount()
    both = pd.DataFrame({"content": content, "repeated": repeated})
    return pd.util.hash_pandas_object(both, index=False, hash_key=key).to_numpy()
