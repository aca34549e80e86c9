"""Many columns asked at once."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def rejected(p: Array, alpha: float) -> Array:
    """Which of the p values [m] are rejected at false discovery rate `alpha`: mask [m].

    When none has moved, any is rejected with probability `alpha` at most. Source: Benjamini and Hochberg, Controlling
    the False Discovery Rate (1995); valid under positive dependence, Benjamini and Yekutieli (2001).
    """
    if not len(p):
        return np.zeros(0, dtype=bool)
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= alpha * np.arange(1, len(p) + 1) / len(p))
    bound = ordered[below[-1]] if len(below) else -1.0
    mask: Array = p <= bound
    return mask
