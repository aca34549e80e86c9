"""Intervals and tests that may be looked at as often as one likes.

An experiment is looked at while it runs, so nothing here has a fixed horizon. Differences have an asymptotic confidence
sequence: the probability that any of the intervals, of all looks together, misses the truth is at most α once there
are enough rows for the central limit theorem (Waudby-Smith and others, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 2024). The split of the entities has an e-value, valid at any
number of them (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022).
"""

from __future__ import annotations

import math

from scipy.special import betaln, stdtrit

# The intervals are tightest at about eight times as many independent rows. Fixed beforehand.
TUNED_FOR = 1_000
# How sure the alternative is that the split is near the one that was asked, in entities. Fixed beforehand.
CERTAINTY = 1_000
# The chance to call a right split wrong, however often it is looked at.
BALANCE_ALPHA = 0.01


def reach(error: float, rows: float, alpha: float, blocks: int) -> float:
    """Half the width of the interval of an estimate with standard error `error`, itself estimated from `blocks`.

    `rows` is how many independent rows would tell as much: how far the sequence has come.
    """
    ratio = TUNED_FOR / rows
    factor = math.sqrt((1 + ratio) * (math.log1p(1 / ratio) + 2 * math.log(1 / alpha)))
    # few blocks know the error only roughly: widened as Student's interval is against the normal one
    student = stdtrit(blocks - 1, 1 - alpha / 2) / stdtrit(math.inf, 1 - alpha / 2)
    return float(error * factor * student)


def imbalance(challenger: int, champion: int, share: float) -> float:
    """Logarithm of the e-value against "each entity went to the challenger with probability `share`"."""
    ours, theirs = CERTAINTY * share, CERTAINTY * (1 - share)
    likely = betaln(ours + challenger, theirs + champion) - betaln(ours, theirs)
    return float(likely - challenger * math.log(share) - champion * math.log1p(-share))
