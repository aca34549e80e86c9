"""Have the inputs and scores of a window moved from the reference's? One test in one configuration, for every column.

Per column the shares of rows at or below each edge (of each label), and of missing ones, are compared with those of the
reference; what chance does is told by exchanging whole days (monitoring/permutation.py), and all plain columns are
judged together at a false discovery rate (monitoring/multiplicity.py). A column has moved when chance does not explain
it and the difference is of a size that matters. A look every d days at alpha = d / 365 has at most one false alarm in a
model-year, however windows overlap: expectations add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from perennial.errors import GridsDiffer
from perennial.monitoring.columns import Role, find_roles
from perennial.monitoring.grid import GridColumn
from perennial.monitoring.multiplicity import rejected
from perennial.monitoring.permutation import p_values
from perennial.monitoring.profile import Profile
from perennial.monitoring.summary import shares
from perennial.monitoring.units import coordinates, units_of
from perennial.monitoring.wording import since, words

Array = np.ndarray[Any, Any]
State = Literal["compared", "too few days", "no traffic", "no reference"]

# Less than a fiftieth of the rows elsewhere is nobody's business, however certain.
EFFECT = 0.02
# A column is judged when it could be found alone among all: by a p of so large a part of what that takes, since p is
# estimated from draws.
_REACH = 0.5


@dataclass(frozen=True)
class Moved:
    """What was found of one column.

    `effect` is the share of rows that lie elsewhere: of a number the greatest difference of a share at or below a value
    (Kolmogorov's distance, missing rows beside it), of a text or boolean half the sum of all differences (total
    variation); to have moved it must reach `threshold`. `p` is None where nothing was tested: `role` is not plain, or
    there were too few days, also for any difference to be shown.
    """

    column: GridColumn
    role: Role
    effect: float
    threshold: float
    p: float | None
    moved: bool
    since: str | None
    words: str
    reference: Array
    window: Array

    def to_json(self) -> dict[str, Any]:
        """For monitor.json; bins carry shares of rows."""
        bins = {"reference": _rounded(self.reference), "window": _rounded(self.window)}
        return {
            "name": self.column.name,
            "role": self.role,
            "kind": self.column.kind,
            "effect": round(self.effect, 6),
            "p": self.p,
            "threshold": round(self.threshold, 6),
            "moved": self.moved,
            "since": self.since,
            "words": self.words,
            "bins": {"labels": self.column.names(), **bins},
        }


@dataclass(frozen=True)
class Drift:
    """All columns: those that moved first, then by effect. `days` are how many each side was judged by."""

    state: State
    alpha: float
    columns: list[Moved] = field(default_factory=list)
    days: tuple[int, int] = (0, 0)

    @property
    def alarm(self) -> bool:
        """Whether anything moved."""
        return any(column.moved for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """Part `drift` of monitor.json."""
        return {
            "alarm": self.alarm,
            "alpha": self.alpha,
            "state": self.state,
            "days": {"reference": self.days[0], "window": self.days[1]},
            "columns": [column.to_json() for column in self.columns],
        }


def detect(reference: Profile, window: Profile, *, alpha: float, allowance: Mapping[str, float] | None = None) -> Drift:
    """Compare two profiles of one grid; the same profiles give the same answer.

    `allowance` is what is known to differ of columns by name, as shares of rows: their effect must reach that much more
    than EFFECT. A column needs MIN_DAYS days with rows on both sides, or no days at all on one, whose rows are then
    taken as independent (see permutation); and days enough that the greatest difference there can be would be found.
    Raises GridsDiffer.
    """
    if reference.grid.sha256 != window.grid.sha256:
        raise GridsDiffer("window and reference were counted on different grids")
    if not window.rows.sum() or not reference.rows.sum():
        return Drift("no traffic" if reference.rows.sum() else "no reference", alpha)
    roles = find_roles(reference, window)
    plain = [column for column in reference.grid.columns if roles[column.name] == "plain"]
    samples = {column.name: units_of(reference, window, column) for column in plain}
    tested = [(column, sample) for column in plain if (sample := samples[column.name]) is not None]
    p = p_values([sample.of(coordinates(column, sample.counts)) for column, sample in tested], alpha)
    chosen = {
        column.name: (value, significant)
        for (column, sample), value, significant in zip(tested, p.tolist(), rejected(p, alpha).tolist(), strict=True)
        if significant or sample.how.least_p <= _REACH * alpha / len(tested)
    }
    allowed = allowance or {}
    found = [
        _judged(
            reference,
            window,
            column,
            roles[column.name],
            EFFECT + allowed.get(column.name, 0.0),
            *chosen.get(column.name, (None, False)),
        )
        for column in reference.grid.columns
    ]
    ordered = sorted(found, key=lambda one: (not one.moved, one.role != "plain", -one.effect, one.column.name))
    judged = [sample for column, sample in tested if column.name in chosen]
    days = tuple(max((sample.how.sizes[side] for sample in judged), default=0) for side in (0, 1))
    return Drift("compared" if judged or not plain else "too few days", alpha, ordered, (days[0], days[1]))


def distance(column: GridColumn, before: Array, now: Array) -> float:
    """`effect` of two columns of shares [bins]: see Moved."""
    if column.kind == "number":
        return float(np.abs(coordinates(column, now) - coordinates(column, before)).max())
    return float(np.abs(now - before).sum() / 2)


def _judged(
    reference: Profile,
    window: Profile,
    column: GridColumn,
    role: Role,
    threshold: float,
    p: float | None,
    significant: bool,
) -> Moved:
    before, now = (shares(side, column.name) for side in (reference, window))
    effect = distance(column, before, now)
    moved = significant and effect >= threshold
    first = since(reference, window, column) if moved else None
    return Moved(column, role, effect, threshold, p, moved, first, words(reference, window, column), before, now)


def _rounded(found: Array) -> list[float]:
    return [round(float(share), 6) for share in found]
