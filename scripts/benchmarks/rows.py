"""What a benchmark reports, and the arithmetic behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison. `ours` and `peer` are medians in `unit`; `ratio` is the median of the rounds' ours ÷ peer.

    `goal` is the greatest ratio that meets it (1/150: a hundred-and-fiftieth of the peer); None where there is none.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    goal: float | None
    versions: dict[str, str]

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal

    def as_json(self) -> dict[str, Any]:
        """The row as `--json` writes it."""
        return asdict(self) | {"met": self.met}


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


def times(ratio: float | None) -> str:
    """A ratio as people read it: `1.42×`, and `1/1,212×` when it is far below one."""
    if ratio is None:
        return "–"
    if ratio >= 0.5:
        return f"{ratio:.2f}×"
    return f"1/{1 / ratio:,.0f}×" if ratio < 0.01 else f"1/{1 / ratio:.3g}×"
