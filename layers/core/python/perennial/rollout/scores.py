"""One number per answer, and how such numbers were spread over held-out rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

_BINS = 20


class Spread(BaseModel):
    """How many scores lie up to each of `edges` (ascending) and above the one before; the last of `counts` are above
    all edges. `low` and `high` are the least and the greatest.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    low: float
    high: float

    def shares_up_to(self) -> list[float]:
        """The share of scores up to each edge."""
        total, seen, shares = sum(self.counts), 0, []
        for count in self.counts[:-1]:
            seen += count
            shares.append(seen / total)
        return shares


def score_of(outputs: Sequence[float]) -> float:
    """Of a regression its prediction, of two classes the probability of the second, of more that of the likeliest."""
    if len(outputs) <= 2:
        return outputs[-1]
    return max(outputs)


def spread_of(answers: Iterable[Sequence[float]], *, probabilities: bool) -> Spread:
    """The spread of scores over twenty bins: of probabilities from 0 to 1, else from the least to the greatest.

    Takes at least one answer. The same answers give the same spread.
    """
    scores = [score_of(outputs) for outputs in answers]
    low, high = min(scores), max(scores)
    start, width = (0.0, 1.0) if probabilities else (low, high - low)
    edges = tuple(start + width * number / _BINS for number in range(1, _BINS))
    counts = [0] * _BINS
    for score in scores:
        counts[bisect_left(edges, score)] += 1
    return Spread(edges=edges, counts=tuple(counts), low=low, high=high)
