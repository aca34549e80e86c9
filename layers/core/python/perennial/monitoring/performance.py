"""How good a model was over a complete cohort of predictions: in all, by version and by day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perennial.evaluation.blocks import CONFIDENCE, blocks_of
from perennial.evaluation.metrics import METRICS, Scored
from perennial.monitoring.answered import Answered, by_day_and_version, said, too_few_days

# Fewer rows of a day say too little about themselves to have an interval.
MIN_ROWS = 50


def main_metric(task: str, named: str | None = None) -> str:
    """The metric that a model is watched by: the spec's, or the task's first."""
    return named or next(iter(METRICS[task]))


def performance(
    task: str, rows: Answered, *, metric: str | None = None, trained: Mapping[str, float] | None = None
) -> dict[str, Any] | None:
    """The metrics of all rows and of each version, with 95 % intervals by days, and `metric` day by day; None without
    rows.

    Scores of two versions need not mean the same, so a ranking over both is none of either: give the rows of one
    version where one is meant. What is undefined (one class only, labels that do not vary) is named in `undefined`.
    `trained` are the metrics on the rows held out in training. The interval of a single day is by its rows: it says how
    well that day is known, not how far days differ.
    """
    if not len(rows):
        return None
    name = main_metric(task, metric)
    whole = _metrics(task, rows)
    days, versions = len(np.unique(rows.days)), np.unique(rows.versions)
    return {
        "metric": name,
        "rows": len(rows),
        "metrics": whole,
        "undefined": [one for one in METRICS[task] if one not in whole],
        "intervals": {"confidence": CONFIDENCE, "days": days, "missing": too_few_days(days)},
        "trained": None if trained is None else dict(trained),
        "versions": [_version(task, rows, int(one), whole if len(versions) == 1 else None) for one in versions],
        "by_day": _by_day(task, rows, name),
    }


def _metrics(task: str, rows: Answered) -> dict[str, dict[str, float | None]]:
    scored = rows.by_days()
    found = {name: said(metric.prepare(scored), scored.blocks, metric.bounds) for name, metric in METRICS[task].items()}
    return {name: value.to_json() for name, value in found.items() if value is not None}


def _version(task: str, rows: Answered, version: int, known: dict[str, Any] | None) -> dict[str, Any]:
    """What a version did; its metrics are `known` where it answered all the rows."""
    own = rows.part(rows.versions == version)
    first, last = str(own.days.min()), str(own.days.max())
    metrics = _metrics(task, own) if known is None else known
    return {"version": version, "rows": len(own), "first": first, "last": last, "metrics": metrics}


def _by_day(task: str, rows: Answered, name: str) -> list[dict[str, Any]]:
    """One entry for each day and version; its value is None where the metric is undefined on that day."""
    return [_day(task, rows.part(chosen), name) for chosen in by_day_and_version(rows)]


def _day(task: str, rows: Answered, name: str) -> dict[str, Any]:
    metric = METRICS[task][name]
    scored = Scored(rows.label, rows.answers, blocks_of(None, len(rows)))
    found = said(metric.prepare(scored), scored.blocks, metric.bounds, enough=len(rows) >= MIN_ROWS)
    about = {"day": str(rows.days[0]), "version": int(rows.versions[0]), "rows": len(rows)}
    return about | ({"value": None, "low": None, "high": None} if found is None else found.to_json())
