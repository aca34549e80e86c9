"""What a benchmark reports, and the arithmetic behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

# What a goal bounds: the greatest ratio, the greatest or the least of ours.
Bound = Literal["ratio", "most", "least"]


@dataclass(frozen=True)
class Row:
    """One comparison. `ours` and `peer` are medians in `unit`; `ratio` is the median of the rounds' ours ÷ peer.

    `goal` is the greatest ratio that meets it (1/150: a hundred-and-fiftieth of the peer), or what `bound` says; None
    where there is none.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    goal: float | None
    versions: dict[str, str]
    bound: Bound = "ratio"

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        found = self.ratio if self.bound == "ratio" else self.ours
        if self.goal is None or found is None:
            return None
        return found >= self.goal if self.bound == "least" else found <= self.goal

    def as_json(self) -> dict[str, Any]:
        """The row as `--json` writes it."""
        fields = asdict(self)
        del fields["bound"]
        return fields | {"met": self.met}


def compare(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    unit: str,
    versions: dict[str, str],
    goal: float | None = None,
) -> Row:
    """A row from what both took in each round: rounds are paired, since what disturbs one disturbs its neighbour."""
    ratio = median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    return Row(name, median(ours), median(peer), unit, ratio, goal, versions)


def wanted(row: Row) -> str:
    """The goal as people read it: `≤ 1.50×` of a ratio, `≥ 95` of what is ours."""
    if row.goal is None:
        return "–"
    sign = "≥" if row.bound == "least" else "≤"
    return f"{sign} {times(row.goal) if row.bound == 'ratio' else f'{row.goal:,g}'}"


def times(ratio: float | None) -> str:
    """A ratio as people read it: `1.42×`, and `1/1,212×` when it is far below one."""
    if ratio is None:
        return "–"
    if ratio >= 0.5:
        return f"{ratio:.2f}×"
    return f"1/{1 / ratio:,.0f}×" if ratio < 0.01 else f"1/{1 / ratio:.3g}×"
