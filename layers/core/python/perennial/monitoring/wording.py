"""What moved and since when, for a person."""

from __future__ import annotations

from typing import Any

import numpy as np

from perennial.monitoring.grid import GridColumn
from perennial.monitoring.profile import Profile
from perennial.monitoring.summary import mean, shares

Array = np.ndarray[Any, Any]


def since(reference: Profile, window: Profile, column: GridColumn) -> str | None:
    """The first day of the window from which on its days look like the window's rather than the reference's.

    Days are placed on the line from the reference's shares (0) to the window's; the day is where two levels, 0 before
    and one's own from then on, fit the places best (least squares, weighted by rows). It is the window's first day when
    what moved had moved before; None when days are not known.
    """
    dated = window.of_days(~np.isnat(window.days))
    if not len(dated.days):
        return None
    before, days = reference.columns[column.name].counts.sum(axis=0), dated.columns[column.name].counts
    rows = days.sum(axis=1)
    base = before / max(1, before.sum())
    direction = days.sum(axis=0) / max(1, rows.sum()) - base
    places = (days / np.maximum(rows, 1)[:, None] - base) @ direction
    summed, weight = (np.cumsum(part[::-1])[::-1] for part in (places * rows, rows))
    # only steps towards the window's own level count
    gain = np.where(summed > 0, summed**2, 0) / np.maximum(weight, 1)
    return str(dated.days[int(np.argmax(gain))])


def words(reference: Profile, window: Profile, column: GridColumn) -> str:
    """What changed most, as `mean 12.1 -> 14.0` or `missing 1.2 % -> 6.3 %`."""
    before, now = (shares(side, column.name) for side in (reference, window))
    difference = now - before
    missing = f"missing {_percent(before[-1])} -> {_percent(now[-1])}"
    if column.kind != "number":
        place = int(np.argmax(np.abs(difference)))
        return f"{column.names()[place]} {_percent(before[place])} -> {_percent(now[place])}"
    cumulated = np.cumsum(difference[:-2])
    edge = int(np.argmax(np.abs(cumulated))) if len(cumulated) else None
    means = [mean(side, column.name) for side in (reference, window)]
    if edge is None or means[0] is None or means[1] is None or abs(difference[-1]) > abs(cumulated[edge]):
        return missing
    low, high = float(np.cumsum(before)[edge]), float(np.cumsum(now)[edge])
    shown = f"mean {means[0].value:.4g} -> {means[1].value:.4g}"
    moved = f"{shown}; below {column.edges[edge]:.4g}: {_percent(low)} -> {_percent(high)}"
    return f"{moved}; {missing}" if abs(difference[-1]) >= 0.01 else moved


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
