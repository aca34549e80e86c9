"""Parts `performance`, `estimate` and `value` of a window: what outcomes say of the predictions of complete cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from perennial.catalog.model import ModelSpec
from perennial.monitoring.arrivals import count_overdue
from perennial.monitoring.calendar import Span
from perennial.monitoring.calibration import calibration
from perennial.monitoring.estimate import estimate, expected
from perennial.monitoring.past import Past
from perennial.monitoring.performance import main_metric, performance
from perennial.monitoring.rows import Chosen, Classes, Joined, join, of_version, versions_of
from perennial.monitoring.shelf import Shelf, counted
from perennial.monitoring.slices import slices
from perennial.monitoring.value import no_value, value
from perennial.monitoring.versions import Versions

_COUNTS = ("predictions", "with_outcome", "late", "before", "unknown", "further", "contradicting", "repeated")


@dataclass(frozen=True)
class Judged:
    """The complete cohorts of a span, joined with their outcomes; `champion` has the task and classes `kind`."""

    shelf: Shelf
    versions: Versions
    span: Span
    champion: int
    kind: tuple[str, Classes]
    tables: Mapping[date, pa.Table]
    cohorts: Mapping[date, pa.Table]
    joined: Joined

    @property
    def spec(self) -> ModelSpec:
        """The model's spec."""
        return self.shelf.spec

    @property
    def metric(self) -> str:
        """What the model is watched by."""
        return main_metric(self.spec.task, self.spec.monitor.metric)


def judge(shelf: Shelf, versions: Versions, span: Span, champion: int, kind: tuple[str, Classes]) -> Judged:
    """Join the complete cohorts of `span`; rows of versions that give other classes are left out, by name."""
    tables, cohorts = shelf.days(span), shelf.cohorts(span)
    there = {int(one) for table in tables.values() for one in versions_of(table)}
    alike = {version: kind[1] for version in sorted(there | {champion}) if versions.classes(version) == kind}
    joined = join(tables, cohorts, shelf.spec, alike)
    return Judged(shelf, versions, span, champion, kind, tables, cohorts, joined)


def cohort(judged: Judged, until: date) -> dict[str, Any]:
    """Whose outcomes are looked at, how many have one, and what came of the others; arrivals count up to `until`."""
    totals = dict.fromkeys(_COUNTS, 0)
    for table in judged.cohorts.values():
        found = counted(table)
        for name in _COUNTS:
            totals[name] += int(found[name])
    arrived = judged.shelf.arrivals(Span(judged.span.first, until))
    overdue = count_overdue(arrived, judged.span.first, judged.shelf.horizon)
    totals["late"] += overdue.late
    asked = totals["predictions"]
    return {
        "from": str(judged.span.first),
        "to": str(judged.span.last),
        "days": len(judged.cohorts),
        "coverage": totals["with_outcome"] / asked if asked else None,
        **totals,
        "older": overdue.older,
        "left_out": dict(judged.joined.excluded),
    }


def performance_of(judged: Judged) -> dict[str, Any] | None:
    """How good the champion was, by slice and by probability; day by day all versions. None without rows."""
    rows = judged.joined.rows
    if not len(rows):
        return None
    task = judged.spec.task
    trained = judged.versions.trained(judged.champion)
    whole = performance(task, rows, metric=judged.metric, trained=trained) or {}
    mine = rows.part(rows.versions == judged.champion)
    own = performance(task, mine, metric=judged.metric) or {"metrics": {}, "undefined": []}
    sliced = _slices(judged)
    return {
        **whole,
        "version": judged.champion,
        "rows": len(mine),
        "metrics": own["metrics"],
        "undefined": own["undefined"],
        "horizon_days": judged.shelf.horizon.days,
        "slices": sliced.pop("slices"),
        "sliced": sliced,
        "calibration": calibration(task, mine),
    }


def _slices(judged: Judged) -> dict[str, Any]:
    """The champion's slices by the columns that the spec names."""
    mine = judged.joined.rows.versions == judged.champion
    columns = {name: judged.joined.chosen.feature(name)[mine] for name in judged.spec.monitor.slices}
    return slices(
        judged.spec.task,
        judged.joined.rows.part(mine),
        columns,
        metric=judged.metric,
        margin=judged.spec.monitor.margin,
        support=judged.spec.monitor.support,
    )


def value_of(judged: Judged) -> tuple[dict[str, Any] | None, str | None]:
    """What the predictions with outcomes were worth, in the spec's unit; or None, and why nobody can say."""
    rows, spec = judged.joined.rows, judged.spec
    if reason := no_value(rows):
        return None, reason
    found = value(spec.task, rows, unit=spec.amount_unit, spec=spec.value, classes=judged.kind[1])
    return found, None if found else "neither the spec (value.matrix) nor an outcome says what one is worth"


def estimate_of(judged: Judged, window: Mapping[date, pa.Table], length: int) -> dict[str, Any]:
    """What the champion's answers of the window let expect, before their outcomes come."""
    chosen: Chosen = of_version(window, judged.champion)
    task, classes = judged.kind
    held_out, guess = judged.versions.held_out(judged.champion), None
    if held_out is not None and held_out.calibrator is not None and classes is not None and len(chosen):
        guess = expected(task, held_out.calibrator, chosen.answers(len(classes))).get(judged.metric)
    past = Past(judged.shelf, judged.versions, judged.metric, length).windows()
    unchanged = judged.versions.trained(judged.champion).get(judged.metric)
    return estimate(judged.metric, guess, unchanged, past)
