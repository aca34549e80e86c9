"""Have the inputs and scores of a window moved from the reference's? One test in one configuration, for every column.

Per column the shares of rows at or below each edge (of each label), and of missing ones, are compared with those of the
reference; what chance does is told by exchanging whole days (monitoring/permutation.py), and all plain columns are
judged together at a false discovery rate (monitoring/multiplicity.py). A column has moved when chance does not explain
it and the difference is of a size that matters. A look every d days at alpha = d / 365 has at most one false alarm in a
model-year, however windows overlap: expectations add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from perennial.errors import GridsDiffer
from perennial.monitoring.columns import MIN_DAYS, Role, find_roles
from perennial.monitoring.grid import GridColumn
from perennial.monitoring.multiplicity import rejected
from perennial.monitoring.permutation import BLOCKS, Exchange, dealt, exchange, p_values, thinned
from perennial.monitoring.profile import Profile
from perennial.monitoring.summary import shares
from perennial.monitoring.wording import since, words

Array = np.ndarray[Any, Any]
State = Literal["compared", "too few days", "no traffic", "no reference"]

# Less than a fiftieth of the rows elsewhere is nobody's business, however certain.
EFFECT = 0.02


@dataclass(frozen=True)
class Moved:
    """What was found of one column.

    `effect` is the share of rows that lie elsewhere: of a number the greatest difference of a share at or below a value
    (Kolmogorov's distance, missing rows beside it), of a text or boolean half the sum of all differences (total
    variation). `p` is None where nothing was tested: `role` is not plain, or there were too few days.
    """

    column: GridColumn
    role: Role
    effect: float
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
            "threshold": EFFECT,
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


def detect(reference: Profile, window: Profile, *, alpha: float) -> Drift:
    """Compare two profiles of one grid; the same profiles give the same answer.

    Both sides need MIN_DAYS days, or no days at all on one: then its rows are taken as independent (see permutation).
    Raises GridsDiffer.
    """
    if reference.grid.sha256 != window.grid.sha256:
        raise GridsDiffer("window and reference were counted on different grids")
    if not window.rows.sum() or not reference.rows.sum():
        return Drift("no traffic" if reference.rows.sum() else "no reference", alpha)
    roles = find_roles(reference.merge(window))
    plain = [column for column in reference.grid.columns if roles[column.name] == "plain"]
    units = units_of(reference, window)
    tested = [] if units is None else [column.name for column in plain]
    p = np.ones(0) if units is None else p_values([units.of(column) for column in plain], units.how, alpha)
    chosen = dict(zip(tested, zip(p.tolist(), rejected(p, alpha).tolist(), strict=True), strict=True))
    found = [
        _judged(reference, window, column, roles[column.name], *chosen.get(column.name, (None, False)))
        for column in reference.grid.columns
    ]
    ordered = sorted(found, key=lambda one: (not one.moved, one.role != "plain", -one.effect, one.column.name))
    days = (0, 0) if units is None else (units.how.reference, units.how.window)
    return Drift("compared" if units is not None else "too few days", alpha, ordered, days)


@dataclass(frozen=True)
class Units:
    """The units of both sides, and how they are exchanged."""

    reference: Profile
    window: Profile
    how: Exchange

    def of(self, column: GridColumn, only: list[int] | None = None) -> Array:
        """Coordinates of a column by unit, all rows last [units, coordinates + 1]; or the sum of `only` some bins."""
        sides = [side.columns[column.name].counts for side in (self.reference, self.window)]
        blocks = (self.how.reference, self.how.window)
        counts = [
            dealt(side.sum(axis=0), size, f"{place} {column.name}") if len(side) != size else side
            for place, (side, size) in enumerate(zip(sides, blocks, strict=True))
        ]
        both = np.concatenate(thinned(counts[0], counts[1], column.name))
        shown = coordinates(column, both) if only is None else both[:, only].sum(axis=1, keepdims=True)
        return np.concatenate([shown, both.sum(axis=1, keepdims=True)], axis=1)


def units_of(reference: Profile, window: Profile) -> Units | None:
    """How two sides are exchanged; None when they have too few days for it."""
    dated = [side.of_days(~np.isnat(side.days)) for side in (reference, window)]
    have = [len(side.days) for side in dated]
    if all(have):
        if min(have) < MIN_DAYS:
            return None
        return Units(dated[0], dated[1], exchange(dated[0].days, dated[1].days))
    if 0 < max(have) < MIN_DAYS:
        return None
    size = max(have) or BLOCKS
    blocks = np.arange(size)
    # a side without days stays one row, so that `Units.of` deals it
    sides = [day if count else _as_one(side) for day, count, side in zip(dated, have, (reference, window), strict=True)]
    return Units(sides[0], sides[1], exchange(blocks, blocks))


def _as_one(side: Profile) -> Profile:
    return side.of_days(np.isnat(side.days))


def coordinates(column: GridColumn, counts: Array) -> Array:
    """What is compared, from bin counts [..., bins]: rows at or below each edge, or of each label; and missing ones.

    Other and unseen texts are left to the labels that lose by them: labels were chosen by what the grid's rows had most
    of, so the remainder is smaller there than in any other rows, without anything having moved.
    """
    if column.kind != "number":
        return np.concatenate([counts[..., : len(column.labels)], counts[..., -1:]], axis=-1)
    return np.concatenate([np.cumsum(counts[..., :-2], axis=-1), counts[..., -1:]], axis=-1)


def distance(column: GridColumn, before: Array, now: Array) -> float:
    """`effect` of two columns of shares [bins]: see Moved."""
    if column.kind == "number":
        return float(np.abs(coordinates(column, now) - coordinates(column, before)).max())
    return float(np.abs(now - before).sum() / 2)


def _judged(
    reference: Profile, window: Profile, column: GridColumn, role: Role, p: float | None, significant: bool
) -> Moved:
    before, now = (shares(side, column.name) for side in (reference, window))
    effect = distance(column, before, now)
    moved = significant and effect >= EFFECT
    first = since(reference, window, column) if moved else None
    return Moved(column, role, effect, p, moved, first, words(reference, window, column), before, now)


def _rounded(found: Array) -> list[float]:
    return [round(float(share), 6) for share in found]
