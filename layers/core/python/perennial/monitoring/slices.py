"""Where a model is worse: its quality by the values of chosen columns.

A slice is compared with the other slices of its column, each judged within itself. Against all rows together every
slice would look bad where base rates differ: a ranking over all of them also ranks the slices, which is easy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import stdtr

from perennial.evaluation.blocks import DRAWS, MIN_DAYS, Array, Blocks, Interval, quotient
from perennial.evaluation.metrics import METRICS, Scored
from perennial.monitoring.answered import Answered, day_blocks, said
from perennial.monitoring.multiplicity import rejected
from perennial.monitoring.performance import main_metric

# Of the slices that are called worse, one in twenty is not, on average.
ALPHA = 0.05
# Numbers with more distinct values than this are put into as many bins of equal size as QUANTILES says.
DISTINCT = 10
QUANTILES = 4
MISSING = "missing"
# What does not depend on how frequent a class is within the slice, or how much labels vary there.
_FAIR = {"binary": ("auc",), "multiclass": ("auc",), "regression": ("rmse", "mae")}


@dataclass(frozen=True)
class _Slice:
    value: str
    rows: int
    days: int
    found: Interval
    drawn: Array


def slices(
    task: str,
    rows: Answered,
    columns: Mapping[str, Array],
    *,
    metric: str | None = None,
    margin: float,
    support: int,
    alpha: float = ALPHA,
) -> dict[str, Any]:
    """The slices by `columns` (name to float [n], NaN where missing, or object strings [n], "" where missing), worst
    first.

    `worse` are those that whole days, drawn for slice and rest alike, show to be worse (one-sided, Benjamini–Hochberg
    over all slices of all columns at `alpha`) and which are by `margin` at least; of a regression, by so large a share.
    Values with fewer than `support` rows are counted in `left_out`. A metric that moves with the base rate (accuracy,
    log loss, …) would call a slice bad that is only different, so the task's first is taken in its place. Source:
    Benjamini and Hochberg, JRSS B 57 (1995); error rates are simulated in tests/unit/monitoring.
    """
    name = main_metric(task, metric)
    name = name if name in _FAIR[task] else _FAIR[task][0]
    blocks = day_blocks(rows.days)
    told: list[dict[str, Any]] = []
    left_out = []
    for column, values in columns.items():
        labels = labelled(values)
        kept = list(_kept(task, name, rows, labels, blocks, support))
        told += [_told(task, name, column, kept, place) for place in range(len(kept))]
        few = len(labels) - sum(one.rows for one in kept)
        if few:
            left_out.append({"column": column, "rows": few, "reason": f"in slices of fewer than {support} outcomes"})
    significant = reject([one["p"] for one in told], alpha)
    for one, found in zip(told, significant, strict=True):
        one["worse"] = bool(found and one["by"] >= margin * (one["rest"] if task == "regression" else 1.0))
    told.sort(key=lambda one: (not one["worse"], -(one["by"] or 0.0), one["column"], one["value"]))
    return {"metric": name, "margin": margin, "alpha": alpha, "slices": told, "left_out": left_out}


def labelled(values: Array) -> Array:
    """The slice of each row [n] as text: a value, a bin of numbers, or `missing`."""
    if values.dtype == object:
        return np.array([MISSING if value is None or value == "" else str(value) for value in values], dtype=object)
    numbers = values.astype(np.float64)
    known = np.isfinite(numbers)
    labels = np.full(len(numbers), MISSING, dtype=object)
    distinct = np.unique(numbers[known])
    if len(distinct) <= DISTINCT:
        labels[known] = [f"{value:g}" for value in numbers[known]]
        return labels
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, QUANTILES + 1)))
    ends = pairwise(edges)
    names = [f"{low:g} to {'' if high == edges[-1] else 'below '}{high:g}" for low, high in ends]
    # a column of which one value is most rows has fewer edges, down to one
    place = np.clip(np.searchsorted(edges, numbers[known], "right") - 1, 0, max(len(names) - 1, 0))
    labels[known] = np.array(names or [f"{edges[0]:g}"], dtype=object)[place]
    return labels


def reject(ps: list[float | None], alpha: float) -> list[bool]:
    """Which of the p-values Benjamini and Hochberg's procedure calls significant; None is no test and never is."""
    mask = iter(rejected(np.array([p for p in ps if p is not None]), alpha).tolist())
    return [p is not None and next(mask) for p in ps]


def _kept(task: str, name: str, rows: Answered, labels: Array, blocks: Blocks, support: int) -> Iterator[_Slice]:
    metric = METRICS[task][name]
    values, index, counts = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    for number in np.flatnonzero(counts >= support):
        chosen = index == number
        scored = Scored(rows.label[chosen], rows.answers[chosen], Blocks("day", blocks.of[chosen], blocks.count))
        statistic = metric.prepare(scored)
        days = len(np.unique(scored.blocks.of))
        found = said(statistic, scored.blocks, metric.bounds, enough=days >= MIN_DAYS)
        if found is not None:
            yield _Slice(str(values[number]), int(counts[number]), days, found, statistic(blocks.draws))


def _told(task: str, name: str, column: str, kept: list[_Slice], place: int) -> dict[str, Any]:
    """A slice as it is reported; `by` is how much worse it is than the rest, `p` says how surely."""
    one, others = kept[place], kept[:place] + kept[place + 1 :]
    about: dict[str, Any] = {
        "column": column, "value": one.value, "rows": one.rows, "metric": one.found.to_json(),
        "rest": None, "by": None, "p": None, "worse": False,
    }  # fmt: skip
    if not others:
        return about
    sign = -1.0 if METRICS[task][name].greater_is_better else 1.0
    weights = np.array([[other.rows] for other in others], dtype=np.float64)
    rest = float(_mean(np.array([[other.found.value] for other in others]), weights)[0])
    by = float(sign * (one.found.value - rest))
    drawn = sign * (one.drawn - _mean(np.stack([other.drawn for other in others]), weights))
    return about | {"rest": rest, "by": by, "p": _p(drawn, by, one.days)}


def _mean(values: Array, weights: Array) -> Array:
    """The weighted mean [d] of the slices' values [s, d], of those that are defined."""
    weights = weights * np.isfinite(values)
    return quotient((weights * np.nan_to_num(values)).sum(axis=0), weights.sum(axis=0))


def _p(drawn: Array, by: float, days: int) -> float | None:
    """The one-sided p-value of "not worse", by Student's t over the `days` that the slice occurs on (its spread as
    evaluation.blocks.interval has it); None where those are too few.
    """
    drawn = drawn[np.isfinite(drawn)]
    if days < MIN_DAYS or len(drawn) < DRAWS / 2:
        return None
    spread = float(drawn.std(ddof=1)) * np.sqrt(days / (days - 1))
    return float(stdtr(days - 1, -by / spread)) if spread > 0 else None
