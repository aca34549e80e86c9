"""The example's real flights as columns."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from scripts.benchmarks.drift_alarms import flights

Array = np.ndarray[Any, Any]
_year = cache(flights)


def flights_of_month(month: int) -> tuple[Array, dict[str, Array], frozenset[str]]:
    """Days (UTC) and columns of one month, and which are instants (in days since 1970)."""
    days, columns, temporal = _year()
    chosen = columns["month"] == month
    return days[chosen], {name: values[chosen] for name, values in columns.items()}, temporal
