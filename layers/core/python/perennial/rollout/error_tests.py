"""Does the challenger fail more often than the champion? Tests that may be asked as often as one likes.

Both versions serve at the same time, so whatever moves the error rate (a bad client, a bad hour) moves it for both.
While the alias gives the challenger the share w of the requests, and its error rate is r times the champion's, an
error is the challenger's with probability w·r / (w·r + 1 − w), whatever the error rate is. Likelihood ratios of such
draws, averaged over a fixed set of alternatives, are e-values: under the hypothesis their expectation is at most 1 at
any time of looking, so that one over 1/α refutes it with error probability at most α however often one looks (Ville's
inequality; see Lindon and others, "Anytime-valid inference for multinomial count data", NeurIPS 2022).

Steps of different weight are multiplied, never pooled: when the error rate moves together with the weight, pooled
counts blame the challenger for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# Alternatives on the logarithmic scale, up to e⁵ ≈ 150 times; twice the ratio weighs half as much (a Pareto law), since
# small differences are commoner, and large ones are found at once anyway. Fixed beforehand.
_DISTANCES = tuple(0.2 * step for step in range(1, 26))
_WEIGHTS = tuple(math.exp(-distance) for distance in _DISTANCES)
_LARGEST = math.exp(_DISTANCES[-1])


@dataclass(frozen=True)
class Counts:
    """What one weight step has seen since it began; `weight` is the challenger's share of the requests, in (0, 1)."""

    weight: float
    requests: int
    errors: int
    champion_requests: int
    champion_errors: int

    def __post_init__(self) -> None:
        """A step without two versions compares nothing."""
        if not 0 < self.weight < 1:
            raise ValueError(f"weight {self.weight} is not between 0 and 1")
        if not (0 <= self.errors <= self.requests and 0 <= self.champion_errors <= self.champion_requests):
            raise ValueError(f"more errors than requests: {self}")


def more_errors(steps: Sequence[Counts]) -> float:
    """Logarithm of the e-value against "the challenger fails at most as often as the champion"."""
    return _average(_likelihood(steps, math.exp(distance)) for distance in _DISTANCES)


def not_inferior(steps: Sequence[Counts], *, ratio: float, rate: float) -> float:
    """Logarithm of the e-value against "the challenger is inferior".

    Inferior means both: its errors are at least `ratio` times as frequent as the champion's, and at least a share
    `rate` of its requests fails. (Where errors are rare, no ratio of them can be told; where they are common, no small
    rate can be kept.)
    """
    if ratio <= 1 or not 0 < rate < 1:
        raise ValueError(f"margins must be a ratio over 1 and a rate between 0 and 1, not {ratio} and {rate}")
    at_margin = _likelihood(steps, ratio)
    relative = _average(_likelihood(steps, ratio / math.exp(distance)) - at_margin for distance in _DISTANCES)
    requests, errors = sum(step.requests for step in steps), sum(step.errors for step in steps)
    absolute = _average(
        errors * -distance + (requests - errors) * (math.log1p(-rate / math.exp(distance)) - math.log1p(-rate))
        for distance in _DISTANCES
    )
    return _average((relative, absolute), (1, 1))


def ratio_bounds(steps: Sequence[Counts], alpha: float) -> tuple[float, float]:
    """Between which ratios of the two error rates the truth lies, each bound with error probability `alpha`.

    The bounds hold at all times of looking together; without errors they are 0 and infinity.
    """
    enough = -math.log(alpha)

    def below(ratio: float) -> bool:
        return (
            _average(_likelihood(steps, ratio * math.exp(d)) for d in _DISTANCES) - _likelihood(steps, ratio) < enough
        )

    def above(ratio: float) -> bool:
        return (
            _average(_likelihood(steps, ratio / math.exp(d)) for d in _DISTANCES) - _likelihood(steps, ratio) < enough
        )

    lower = 0.0 if below(1 / _LARGEST) else _crossing(below)
    upper = math.inf if above(_LARGEST) else _crossing(lambda ratio: not above(ratio))
    return lower, upper


def _crossing(holds: Callable[[float], bool]) -> float:
    """Where `holds` turns true, between 1/150 and 150, to a hundredth of it."""
    low, high = -_DISTANCES[-1], _DISTANCES[-1]
    while high - low > 1e-2:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _likelihood(steps: Sequence[Counts], ratio: float) -> float:
    """Logarithm of how much likelier what was seen is at `ratio` than at 1."""
    return sum(
        step.errors * math.log(ratio) - (step.errors + step.champion_errors) * math.log1p(step.weight * (ratio - 1))
        for step in steps
    )


def _average(logarithms: Iterable[float], weights: Sequence[float] = _WEIGHTS) -> float:
    """Logarithm of the weighted mean of exponentials."""
    values = list(logarithms)
    largest = max(values)
    total = math.fsum(w * math.exp(value - largest) for value, w in zip(values, weights, strict=True))
    return largest + math.log(total / math.fsum(weights))
