"""How good a model probably is before outcomes come: by its own scores, recalibrated on rows whose outcomes are known.

If a recalibrated probability says how often the second class comes true, every metric of it has an expected value that
needs no labels ("confidence-based performance estimation"). The condition is that what is true given the score has not
changed: that inputs moved, and nothing else. Nobody can check that without labels, so the estimate always stands beside
"nothing has changed", with the errors of both on past windows, and is withheld until it has been the better one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr

from perennial.evaluation.blocks import Array
from perennial.evaluation.metrics import SMALLEST

# Past windows, none overlapping another, over which the estimate must have been better, and how often one that is no
# better may have been so by luck. Fixed beforehand.
MIN_PAST = 4
LUCK = 0.1


@dataclass(frozen=True)
class Calibrator:
    """For each class (of a binary task: the second) a rising curve from score to frequency: `scores` and `frequencies`,
    constant beyond their ends.
    """

    curves: tuple[tuple[Array, Array], ...]

    def probabilities(self, answers: Array) -> Array:
        """Recalibrated probabilities float64 [n, k] of answers [n, k]. Of more than two classes each is right against
        the rest, given its own score, which is what the metrics ask; rows need not sum to 1.
        """
        if len(self.curves) == 1:
            second = np.interp(answers[:, 1], *self.curves[0])
            return np.stack([1 - second, second], axis=1)
        return np.stack([np.interp(answers[:, k], *curve) for k, curve in enumerate(self.curves)], axis=1)

    def to_json(self) -> list[dict[str, list[float]]]:
        """For the record of an evaluation: nine digits, which is all that a graph's score has."""
        return [
            {"scores": [float(f"{x:.9g}") for x in scores], "frequencies": [float(f"{y:.9g}") for y in frequencies]}
            for scores, frequencies in self.curves
        ]


def read_calibrator(found: Sequence[Mapping[str, Any]]) -> Calibrator:
    """The calibrator in its JSON. Raises KeyError for what is none."""
    return Calibrator(tuple((np.asarray(one["scores"]), np.asarray(one["frequencies"])) for one in found))


def calibrate(task: str, label: Array, answers: Array) -> Calibrator | None:
    """Isotonic curves of held-out rows (one per class against the rest); None for a regression, which has none.

    scipy's isotonic regression, which is what scikit-learn's IsotonicRegression calls. Source: Zadrozny and Elkan,
    KDD 2002.
    """
    if task == "regression" or not len(label):
        return None
    classes = [1] if task == "binary" else range(answers.shape[1])
    return Calibrator(tuple(_curve(answers[:, k], label == k) for k in classes))


def _curve(score: Array, hit: Array) -> tuple[Array, Array]:
    """Where the fitted steps begin and end, [m] each; between them np.interp goes straight."""
    from scipy.optimize import isotonic_regression

    scores, index, weights = np.unique(score, return_inverse=True, return_counts=True)
    fitted = isotonic_regression(np.bincount(index, weights=hit) / weights, weights=weights.astype(np.float64)).x
    inner = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    kept = np.concatenate([[True], inner, [True]]) if len(scores) > 1 else np.array([True])
    return scores[kept], fitted[kept]


def expected(task: str, calibrator: Calibrator, answers: Array) -> dict[str, float]:
    """The expected metrics of answers [n, k] whose outcomes nobody knows; what is undefined is left out.

    AUC and average precision are those of rows that are each a positive of weight p and a negative of weight 1 − p,
    found by one sort.
    """
    if not len(answers):
        return {}
    likely = calibrator.probabilities(answers)
    found = {
        "auc": _macro_auc(likely, answers) if task == "multiclass" else _ranked(likely[:, 1], answers[:, 1])[0],
        "log_loss": float(-(likely * np.log(np.clip(answers, SMALLEST, 1.0))).sum(axis=1).mean()),
        "accuracy": float(likely[np.arange(len(answers)), answers.argmax(axis=1)].mean()),
    }
    if task == "binary":
        score, rate = answers[:, 1], likely[:, 1]
        found["average_precision"] = _ranked(rate, score)[1]
        found["brier"] = float((rate * (1 - score) ** 2 + (1 - rate) * score**2).mean())
        found["base_rate"] = float(rate.mean())
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _macro_auc(likely: Array, answers: Array) -> float:
    each = [_ranked(likely[:, k], answers[:, k])[0] for k in range(answers.shape[1]) if likely[:, k].any()]
    return float(np.mean(each)) if each else np.nan


def _ranked(likely: Array, score: Array) -> tuple[float, float]:
    """Expected AUC and average precision; NaN where one class is impossible. Equal scores are one threshold."""
    order = np.argsort(score)
    ranked, p = score[order], likely[order]
    starts = np.concatenate([[0], np.flatnonzero(ranked[1:] != ranked[:-1]) + 1])
    hits = np.add.reduceat(p, starts)
    misses = np.diff(np.append(starts, len(p))) - hits
    positives, negatives = float(hits.sum()), float(misses.sum())
    if not (positives > 0 and negatives > 0):
        return np.nan, np.nan
    auc = float(hits @ (np.cumsum(misses) - misses / 2)) / (positives * negatives)
    above = np.cumsum(hits[::-1])
    precision = above / np.cumsum((hits + misses)[::-1])
    return auc, float(hits[::-1] @ precision) / positives


@dataclass(frozen=True)
class PastWindow:
    """A window whose outcomes have come: what was estimated of `version`, what it had on held-out rows, what it was.

    `first` and `last` are its days, YYYY-MM-DD.
    """

    first: str
    last: str
    version: int
    metric: str
    cbpe: float
    unchanged: float
    realised: float

    def to_json(self) -> dict[str, Any]:
        """For the state that the monitor keeps."""
        return asdict(self)


def remember(past: Sequence[PastWindow], window: PastWindow) -> list[PastWindow]:
    """The past windows with one more, in order of time; one that overlaps a window already there adds nothing, since
    errors on shared days are one error counted twice.
    """
    if any(window.first <= one.last and one.first <= window.last for one in past):
        return list(past)
    return sorted([*past, window], key=lambda one: one.first)


def estimate(metric: str, cbpe: float | None, unchanged: float | None, past: Sequence[PastWindow]) -> dict[str, Any]:
    """The estimate of `metric` beside "unchanged" and both mean absolute errors on past windows of that metric.

    `cbpe` is None where there is no estimate, `unchanged` the metric on the held-out rows. The estimate is shown when
    its error was the smaller one over MIN_PAST windows at least, by more than luck (Student's t of the paired errors,
    one-sided); else it is withheld, with the reason.
    """
    known = [one for one in past if one.metric == metric]
    ours = np.array([abs(one.cbpe - one.realised) for one in known])
    theirs = np.array([abs(one.unchanged - one.realised) for one in known])
    reason = _why_not(cbpe, ours, theirs)
    return {
        "shown": reason is None,
        "reason": reason or f"better than “unchanged” over {len(known)} past windows",
        "metric": metric,
        "cbpe": cbpe if reason is None else None,
        "unchanged": unchanged,
        "past": {
            "windows": len(known),
            "cbpe_error": float(ours.mean()) if known else None,
            "unchanged_error": float(theirs.mean()) if known else None,
        },
    }


def _why_not(cbpe: float | None, ours: Array, theirs: Array) -> str | None:
    windows, gained = len(ours), theirs - ours
    if cbpe is None:
        return "there is nothing to estimate it from: a regression has no probabilities, or nothing was predicted"
    if windows < MIN_PAST:
        return f"{windows} past windows with outcomes say too little: at least {MIN_PAST} are needed"
    spread = float(gained.std(ddof=1)) / np.sqrt(windows)
    by_luck = float(stdtr(windows - 1, -gained.mean() / spread)) if spread > 0 else float(gained.mean() <= 0)
    if by_luck > LUCK:
        errors = f"{ours.mean():.3f} against {theirs.mean():.3f}"
        return f"over {windows} past windows it was not better than “unchanged” by more than luck ({errors})"
    return None
