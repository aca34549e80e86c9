"""The loss of one day, such that neither a base rate that moves nor a day with few rows is harm.

Binary: 1 − AUC within the day: how often a negative is ranked before a positive of the same day. Multiclass: the share
of rows whose likeliest class is wrong, each class weighted as on the held-out rows. Regression: the absolute error,
where 1 is the held-out errors' 95 % quantile, and what is over counts as 1. Each lies in 0 … 1 and, given how many rows
of which class there are, has the same mean on a day of ten rows and on one of ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perennial.evaluation.blocks import Array, Blocks
from perennial.evaluation.ranking import auc

QUANTILE = 0.95


class DayLoss(NamedTuple):
    """A day's loss and how much it weighs: the larger, the less it is luck. `reason` says why there is no loss."""

    loss: float | None
    weight: float
    reason: str | None = None


@dataclass(frozen=True)
class Scale:
    """What losses are measured against, found once on the held-out rows: of a regression the error that counts as 1; of
    a multiclass task each class's share of the rows, and of its rows the share that was wrong.
    """

    unit: float = 1.0
    shares: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()


def scale_of(task: str, label: Array, answers: Array) -> Scale:
    """The scale of held-out rows, labels [n] and answers float64 [n, k]."""
    if task == "regression":
        return Scale(unit=float(np.quantile(np.abs(answers[:, 0] - label), QUANTILE)))
    if task == "multiclass":
        known = label[label >= 0]
        rows = np.bincount(known, minlength=answers.shape[1])
        wrong = np.bincount(known, weights=(answers.argmax(axis=1) != label)[label >= 0], minlength=answers.shape[1])
        return Scale(
            shares=tuple((rows / max(rows.sum(), 1)).tolist()), errors=tuple((wrong / np.maximum(rows, 1)).tolist())
        )
    return Scale()


def day_loss(task: str, scale: Scale, label: Array, answers: Array) -> DayLoss:
    """The loss of the rows of a day, labels [n] and answers float64 [n, k]."""
    return {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[task](scale, label, answers)


def _binary(_: Scale, label: Array, answers: Array) -> DayLoss:
    positive = label == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return DayLoss(None, 0.0, "no rows" if not len(label) else "one class only")
    day = Blocks("day", np.zeros(len(label), dtype=np.int64), 1)
    ranked = float(auc(positive, answers[:, 1], day)(day.once)[0])
    # to what the variance of an AUC is inverse, but for the ranking itself
    return DayLoss(1 - ranked, ones * zeros / (ones + zeros))


def _multiclass(scale: Scale, label: Array, answers: Array) -> DayLoss:
    known = label >= 0  # a class that the model never saw is a base rate that moved
    if not known.any():
        return DayLoss(None, 0.0, "no rows")
    size = len(scale.shares)
    rows = np.bincount(label[known], minlength=size)
    wrong = np.bincount(label[known], weights=(answers.argmax(axis=1) != label)[known], minlength=size)
    # a class that the day lacks says nothing: what it had on the held-out rows stands in
    errors = np.where(rows > 0, wrong / np.maximum(rows, 1), scale.errors)
    return DayLoss(float(errors @ scale.shares), float(known.sum()))


def _regression(scale: Scale, label: Array, answers: Array) -> DayLoss:
    if not len(label):
        return DayLoss(None, 0.0, "no rows")
    error = np.abs(answers[:, 0] - label)
    # held-out errors of nothing: any error is as large as one can be
    shares = np.minimum(error / scale.unit, 1.0) if scale.unit > 0 else (error > 0).astype(np.float64)
    return DayLoss(float(shares.mean()), float(len(label)))
