"""Gains that are too good to be true: who beats every champion by far has more often found a leak than a truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perennial.catalog.model import Comparison
from perennial.evaluation.comparison import Compared
from perennial.evaluation.gates import Evidence
from perennial.evaluation.holdout import Holdout
from perennial.evaluation.metrics import METRICS, Scored
from perennial.evaluation.scoring import Graph

Array = np.ndarray[Any, Any]

# Rows on which columns are shuffled, to name the one that carries a gain.
MOST_ROWS = 2000
SEED = 20130101


def lacking(task: str, metric: str, value: float) -> float:
    """How far a value is from the best that the metric can be."""
    kind = METRICS[task][metric]
    return kind.bounds[1] - value if kind.greater_is_better else value - kind.bounds[0]


def plausible_gate(
    task: str, comparison: Comparison, compared: Compared, now: float, then: float | None, challenger: float
) -> Evidence:
    """Refuses a gain of more than the share `comparison.gain` of what the champion lacks of a perfect score.

    Both on the rows where the two are compared, by the lower end of the difference (`now` is the champion there), and
    over what the champion was when it was trained (`then`, where that is known): one that has merely decayed is
    nothing that a challenger could not beat by far.
    """
    low = -np.inf if compared.difference is None or compared.difference.low is None else compared.difference.low
    room, bound = lacking(task, comparison.metric, now), comparison.gain
    gained = low / room if room > 0 else 0.0
    record: Evidence = {"name": f"{comparison.metric}.plausible", "threshold": bound, "value": float(max(gained, 0.0))}
    if then is not None:
        past = lacking(task, comparison.metric, then)
        gained = min(gained, (past - lacking(task, comparison.metric, challenger)) / past if past > 0 else 0.0)
        record["value"] = float(max(gained, 0.0))
    passed = bool(bound >= 1 or gained <= bound)
    share = f"takes away {record['value']:.0%} of what the champion lacks of a perfect {comparison.metric}"
    if passed:
        return record | {"passed": True, "reason": f"the challenger {share} (at most {bound:.0%} is believed)"}
    return record | {
        "passed": False,
        "reason": f"the challenger {share}, more than the {bound:.0%} that is believed: a column is suspected to leak "
        "the label (if it is known when predictions are asked for, say so with a greater comparison.gain)",
    }


def carrier(
    task: str, metric: str, graph: Graph, tensors: Mapping[str, str], holdout: Holdout, scored: Scored
) -> tuple[str, float]:
    """The feature without which (its column shuffled) the metric falls most, and what then is left of it.

    `tensors` are the graph's inputs by feature.
    """
    chosen = np.unique(np.linspace(0, len(holdout) - 1, min(MOST_ROWS, len(holdout))).astype(int))
    shuffled = np.random.default_rng(SEED).permutation(len(chosen))
    columns = {tensor: holdout.columns[name][chosen] for name, tensor in tensors.items()}
    prepare = METRICS[task][metric].prepare
    blocks = type(scored.blocks)("rows", np.zeros(len(chosen), dtype=np.int64), 1)
    left = {}
    for name, tensor in tensors.items():
        answers = graph.score({**columns, tensor: columns[tensor][shuffled]})
        left[name] = float(prepare(Scored(holdout.label[chosen], answers, blocks))(blocks.once)[0])
    name = max(left, key=lambda one: lacking(task, metric, left[one]))
    return name, left[name]
