"""Is the mean of bounded observations over a bound? A test that may be asked as often as one likes.

Somebody bets against "the mean is at most `bound`", before each observation x a fixed part λ of what they have: it is
multiplied by 1 + λ·(x − bound), which on average makes nobody richer as long as the hypothesis holds at that moment,
whatever came before. So what became of one unit is an e-value at any time of looking: over 1/α it refutes the
hypothesis with error probability at most α however often one looks. The mean of bets with different λ is such a bet
too. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

# Bets as shares of the largest that cannot lose everything. Fixed beforehand: the large ones find what is gross after a
# dozen observations, the small ones find what is slight after thousands.
PARTS = (0.95, 0.7, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01)


def over(seen: Mapping[float, int], bound: float, lowest: float = 0.0) -> float:
    """Logarithm of the e-value against "the mean is at most `bound`"; `seen` counts observations by their value.

    `lowest` is the least that an observation can be. ValueError when that is not below the bound.
    """
    if lowest >= bound:
        raise ValueError(f"no bound below which observations may lie: {bound}, and {lowest} is the least")
    bets = [part / (bound - lowest) for part in PARTS]
    return mean_of(sum(count * math.log1p(bet * (x - bound)) for x, count in seen.items()) for bet in bets)


def mean_of(logarithms: Iterable[float]) -> float:
    """Logarithm of the mean of exponentials: the mean of e-values is one."""
    values = list(logarithms)
    largest = max(values)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in values) / len(values))
