"""Is the data still what it was? More missing, unseen texts, numbers out of range; told when days do not explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from perennial.monitoring.columns import Role, find_roles
from perennial.monitoring.grid import GridColumn
from perennial.monitoring.multiplicity import rejected
from perennial.monitoring.permutation import p_values
from perennial.monitoring.profile import Profile
from perennial.monitoring.summary import shares
from perennial.monitoring.units import Units, units_of

Array = np.ndarray[Any, Any]
Rule = Literal["missing", "unseen", "out of range"]

# The share of rows by which it must have become worse to be told, however certain.
EFFECT = 0.005
# With too few days for a test: worse than on each day of the reference, by so large a share of rows.
GROSS = 0.05
# Columns that go with time, and those that name single rows, leave their range and bring new texts by nature.
_ASKED: dict[Role, tuple[Rule, ...]] = {
    "plain": ("missing", "unseen", "out of range"),
    "constant": ("missing", "unseen", "out of range"),
    "calendar": ("missing",),
    "identifier": ("missing",),
    "monotone": ("missing",),
}


@dataclass(frozen=True)
class Finding:
    """One rule that a column broke more often: shares of rows before and now, and an example where there is one.

    `p` is None where the window had too few days for a test.
    """

    column: str
    rule: Rule
    before: float
    now: float
    p: float | None
    example: str | float | None

    def to_json(self) -> dict[str, Any]:
        """For monitor.json."""
        shown = {"before": round(self.before, 6), "now": round(self.now, 6)}
        return {"column": self.column, "rule": self.rule, **shown, "p": self.p, "example": self.example}


def check_quality(reference: Profile, window: Profile, *, alpha: float = 0.01) -> list[Finding]:
    """What became worse, the greatest first; nothing when a side has no rows.

    The test is that of drift (whole days exchanged), over all columns and rules at false discovery rate `alpha`. With
    too few days for it only what is gross is told: worse than on any day of the reference, by GROSS of the rows. Raises
    GridsDiffer.
    """
    roles = find_roles(reference, window)
    if not window.rows.sum() or not reference.rows.sum():
        return []
    asked = [
        (column, rule, place)
        for column in reference.grid.columns
        for rule in _ASKED[roles[column.name]]
        for place in [_bins(column, rule)]
        if place and _worse(reference, window, column, place) >= EFFECT
    ]
    # all that could have been asked counts, not only what looks worse
    family = sum(len(_ASKED[role]) for role in roles.values())
    samples = [units_of(reference, window, column) for column, _, _ in asked]
    tested = [(one, sample) for one, sample in zip(asked, samples, strict=True) if sample is not None]
    few = [one for one, sample in zip(asked, samples, strict=True) if sample is None]
    told = [*_certain(tested, alpha, family), *((one, None) for one in few if _gross(reference, window, one))]
    found = [_finding(reference, window, *one, p) for one, p in told]
    return sorted(found, key=lambda one: (one.before - one.now, one.column, one.rule))


Asked = tuple[GridColumn, Rule, list[int]]


def _bins(column: GridColumn, rule: Rule) -> list[int]:
    """The bins that break a rule; none where the rule does not fit the column."""
    if rule == "missing":
        return [column.bins - 1]
    if rule == "unseen":
        return [] if column.unseen is None else [column.unseen]
    return sorted({0, column.bins - 2}) if column.kind == "number" else []


def _share(side: Profile, column: GridColumn, bins: list[int]) -> float:
    return float(shares(side, column.name)[bins].sum())


def _worse(reference: Profile, window: Profile, column: GridColumn, bins: list[int]) -> float:
    return _share(window, column, bins) - _share(reference, column, bins)


def _certain(tested: list[tuple[Asked, Units]], alpha: float, family: int) -> list[tuple[Asked, float]]:
    if not tested:
        return []
    share = alpha * len(tested) / family
    samples = [units.of(units.counts[:, bins].sum(axis=1, keepdims=True)) for (_, _, bins), units in tested]
    p = p_values(samples, share)
    return [(tested[place][0], float(p[place])) for place in np.flatnonzero(rejected(p, share))]


def _gross(reference: Profile, window: Profile, asked: Asked) -> bool:
    column, _, bins = asked
    days = reference.columns[column.name].counts
    worst = float((days[:, bins].sum(axis=1) / np.maximum(days.sum(axis=1), 1)).max())
    return _share(window, column, bins) >= worst + GROSS


def _finding(
    reference: Profile, window: Profile, column: GridColumn, rule: Rule, bins: list[int], p: float | None
) -> Finding:
    one = window.columns[column.name]
    example: str | float | None = None
    if rule == "unseen":
        example = next(iter(one.examples), None)
    elif rule == "out of range" and one.least is not None and one.greatest is not None:
        below = column.edges and one.least < column.edges[0]
        example = one.least if below and not one.greatest >= column.edges[-1] else one.greatest
    return Finding(column.name, rule, _share(reference, column, bins), _share(window, column, bins), p, example)
