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

from perennial.evaluation.blocks import DRAWS, MIN_DAYS, Array, Blocks, Interval, Statistic
from perennial.evaluation.metrics import METRICS, Scored
from perennial.monitoring.answered import Answered, day_blocks, said
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
    statistic: Statistic
    found: Interval


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
    over all slices of all columns at `alpha`) and which are by `margin` at least. Values with fewer than `support` rows
    are counted in `left_out`. A metric that moves with the base rate (accuracy, log loss, …) would call a slice bad
    that is only different, so the task's first is taken in its place. Source: Benjamini and Hochberg, JRSS B 57 (1995);
    error rates are simulated in tests/unit/monitoring.
    """
    name = main_metric(task, metric)
    name = name if name in _FAIR[task] else _FAIR[task][0]
    blocks = day_blocks(rows.days)
    told: list[dict[str, Any]] = []
    left_out = []
    for column, values in columns.items():
        labels = labelled(values)
        kept = list(_kept(task, name, rows, labels, blocks, support))
        told += [_told(task, name, column, one, [other for other in kept if other is not one], blocks) for one in kept]
        few = len(labels) - sum(one.rows for one in kept)
        if few:
            left_out.append({"column": column, "rows": few, "reason": f"in slices of fewer than {support} outcomes"})
    significant = reject([one["p"] for one in told], alpha)
    for one, found in zip(told, significant, strict=True):
        one["worse"] = bool(found and one["by"] >= margin)
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
    tested = sorted(p for p in ps if p is not None)
    below = [p for rank, p in enumerate(tested, 1) if p <= alpha * rank / len(tested)]
    return [p is not None and bool(below) and p <= below[-1] for p in ps]


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
            yield _Slice(str(values[number]), int(counts[number]), days, statistic, found)


def _told(task: str, name: str, column: str, one: _Slice, others: list[_Slice], blocks: Blocks) -> dict[str, Any]:
    """A slice as it is reported; `by` is how much worse it is than the rest, `p` says how surely."""
    about: dict[str, Any] = {
        "column": column, "value": one.value, "rows": one.rows, "metric": one.found.to_json(),
        "rest": None, "by": None, "p": None, "worse": False,
    }  # fmt: skip
    if not others:
        return about
    weights = np.array([other.rows for other in others], dtype=np.float64)
    weights /= weights.sum()
    sign = -1.0 if METRICS[task][name].greater_is_better else 1.0

    def difference(counts: Array) -> Array:
        rest = weights @ np.stack([other.statistic(counts) for other in others])
        apart: Array = sign * (one.statistic(counts) - rest)
        return apart

    about["rest"] = float(weights @ [other.found.value for other in others])
    about["by"] = float(sign * (one.found.value - about["rest"]))
    about["p"] = _p(difference, about["by"], blocks, one.days)
    return about


def _p(difference: Statistic, by: float, blocks: Blocks, days: int) -> float | None:
    """The one-sided p-value of "not worse", by Student's t over the `days` that the slice occurs on (its spread as
    evaluation.blocks.interval has it); None where those are too few.
    """
    if days < MIN_DAYS:
        return None
    drawn = difference(blocks.draws)
    drawn = drawn[np.isfinite(drawn)]
    spread = float(drawn.std(ddof=1)) * np.sqrt(days / (days - 1)) if len(drawn) >= DRAWS / 2 else 0.0
    if not spread > 0:
        return None
    return float(stdtr(days - 1, -by / spread))
