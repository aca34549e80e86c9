"""The flights as a peer's user would read them."""

from __future__ import annotations

import pandas as pd


def read(path: str) -> pd.DataFrame:
    """A CSV file with pandas' own defaults, the event time parsed."""
    return pd.read_csv(path, parse_dates=["time_hour"])
