"""Adversarial rows: what conversions get wrong, one probe per row, each with a word for what it probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from perennial.training.features import Feature
from perennial.training.pipeline import categories_of, prepared_order
from perennial.training.trees import Splits, floor32, next32, splits_of, trees_of

Array = np.ndarray[Any, Any]

UNSEEN = "∅ never seen"
# Rows of data that each plain probe is tried on, and split nodes that are probed at most (a graph of 100 MB has more).
BASES = 32
MOST_SPLITS = 200_000


@dataclass(frozen=True)
class Probes:
    """Rows (one column per tensor) and, per row, what it probes and on which feature."""

    frame: pd.DataFrame
    what: list[str]
    feature: list[str]

    def __len__(self) -> int:
        return len(self.what)


def probes_of(pipeline: Pipeline, features: Sequence[Feature], frame: pd.DataFrame) -> Probes:
    """Every probe of a fitted pipeline, on rows of `frame`.

    Per feature: missing, never-seen category, beyond the seen range. Per split node of a tree: a row that reaches the
    node, with the greatest float32 that goes left, the smallest that goes right, and a missing value.
    """
    parts = [plain_probes(features, frame)]
    trees = trees_of(pipeline)
    if trees:
        order = prepared_order(features)
        splits = splits_of(trees, len(order), MOST_SPLITS)
        parts.append(_split_probes(pipeline, order, splits, frame))
    return Probes(
        pd.concat([part.frame for part in parts], ignore_index=True),
        [word for part in parts for word in part.what],
        [name for part in parts for name in part.feature],
    )


def plain_probes(features: Sequence[Feature], frame: pd.DataFrame) -> Probes:
    """Missing, unseen and out-of-range values, one feature at a time, and a row with everything missing."""
    bases = frame.iloc[np.linspace(0, len(frame) - 1, min(BASES, len(frame))).astype(int)].reset_index(drop=True)
    size = len(bases)
    tried = [(one, *try_) for one in features for try_ in _plain_values(one, frame[one.tensor].to_numpy())]
    columns = {}
    for feature in features:
        # filled in place: a frame per probe would cost the square of the number of features
        values = np.append(np.tile(bases[feature.tensor].to_numpy(), len(tried)), _missing(feature))
        for place in (place for place, (probed, _, _) in enumerate(tried) if probed is feature):
            values[place * size : (place + 1) * size] = tried[place][2]
        columns[feature.tensor] = pd.Series(values, dtype=object if feature.kind == "category" else np.float32)
    what = [word for _, word, _ in tried for _ in range(size)]
    names = [feature.name for feature, _, _ in tried for _ in range(size)]
    return Probes(pd.DataFrame(columns), [*what, "all missing"], [*names, "(all)"])


def _plain_values(feature: Feature, column: Array) -> list[tuple[str, Any]]:
    if feature.kind == "category":
        return [("missing", ""), ("unseen category", UNSEEN), ("unseen category", " ")]
    known = column[~np.isnan(column)].astype(np.float64)
    if len(known) == 0:
        return [("missing", np.nan), ("number", 0.0)]
    low, high = float(known.min()), float(known.max())
    reach = max(high - low, 1.0)
    return [("missing", np.nan), ("below the range", low - reach), ("above the range", high + reach)]


def _missing(feature: Feature) -> Array:
    return np.array([""], dtype=object) if feature.kind == "category" else np.array([np.nan], dtype=np.float32)


def _split_probes(pipeline: Pipeline, order: Sequence[Feature], splits: Splits, frame: pd.DataFrame) -> Probes:
    count = len(splits.feature)
    bases = frame.iloc[(np.arange(count) * 7919) % len(frame)].reset_index(drop=True)
    categories = dict(zip([f.tensor for f in order if f.kind == "category"], categories_of(pipeline), strict=True))
    columns = {
        feature.tensor: _on_path(feature, bases[feature.tensor].to_numpy(), splits, place, categories)
        for place, feature in enumerate(order)
    }
    on_path = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})
    floors = floor32(splits.threshold)
    frames, what, names = [], [], []
    for word in ("left of a split", "right of a split", "missing at a split"):
        probed = on_path.copy()
        for place, feature in enumerate(order):
            here = splits.feature == place
            values = probed[feature.tensor].to_numpy().copy()
            values[here] = _beside(feature, word, floors[here], categories.get(feature.tensor))
            probed[feature.tensor] = pd.Series(values, dtype=values.dtype)
        frames.append(probed)
        what += [f"{word} (x <= {threshold!r})" for threshold in splits.threshold.tolist()]
        names += [order[place].name for place in splits.feature.tolist()]
    return Probes(pd.concat(frames, ignore_index=True), what, names)


def _on_path(feature: Feature, base: Array, splits: Splits, place: int, categories: dict[str, Array]) -> Array:
    """The base values where they lie in lower < x <= upper, else the nearest value that does."""
    lower, upper = splits.lower[:, place], splits.upper[:, place]
    if feature.kind == "category":
        known = categories[feature.tensor]
        code = {value: index for index, value in enumerate(known)}
        codes = np.array([code.get(value, np.nan) for value in base], dtype=np.float64)
    else:
        known, codes = None, base.astype(np.float64)
    free = np.isneginf(lower) & np.isposinf(upper)
    inside = free | ((codes > lower) & (codes <= upper))
    with np.errstate(invalid="ignore"):
        step = np.floor(lower) + 1 if known is not None else next32(floor32(lower)).astype(np.float64)
        top = np.floor(upper) if known is not None else floor32(upper).astype(np.float64)
    fallback = np.where(np.isposinf(upper), step, top)
    # only missing values go right of an infinite threshold
    fallback = np.where(np.isposinf(lower), np.nan, fallback)
    return _decode(np.where(inside, codes, fallback), base, inside, known)


def _beside(feature: Feature, word: str, floors: Array, known: Array | None) -> Array:
    missing = np.full(len(floors), np.nan)
    if known is None:
        sides = {"left of a split": floors, "right of a split": next32(floors)}
        return sides.get(word, missing).astype(np.float32)
    codes = np.floor(floors).astype(np.float64)
    sides = {"left of a split": codes, "right of a split": codes + 1}
    base = np.full(len(floors), UNSEEN, dtype=object)
    return _decode(sides.get(word, missing), base, np.zeros(len(floors), dtype=bool), known)


def _decode(codes: Array, base: Array, keep: Array, known: Array | None) -> Array:
    """Prepared values back to what a request holds: float32, or the category of an ordinal (unseen: none has it)."""
    if known is None:
        narrow: Array = codes.astype(np.float32)
        narrow[~np.isfinite(narrow)] = np.nan
        return narrow
    table = np.append(np.asarray(known, dtype=object), UNSEEN)
    valid = (codes >= 0) & (codes < len(known))
    index = np.where(valid, np.nan_to_num(codes, posinf=0, neginf=0), len(known)).astype(np.int64)
    decoded: Array = np.where(keep, base, table[index])
    return decoded
