"""golden.json: a few rows with the graph's answers, asked again of whatever serves the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from perennial.evaluation.scoring import Graph
from perennial.training.features import Feature
from perennial.training.parity import PROBABILITY_TOLERANCE
from perennial.training.probes import UNSEEN
from perennial.training.scoring import score

Array = np.ndarray[Any, Any]

MOST_ROWS = 20
_MADE = 3  # rows that are made rather than found: everything missing, unseen categories, both


def golden(graph: Graph, features: Sequence[Feature], frame: pd.DataFrame) -> dict[str, Any]:
    """Up to 20 rows: some across the range of the answers, some with a missing value, some with unseen categories.

    `{"rows": [{feature: value or null}], "outputs": [[float]], "tolerance"}`; the outputs are exactly the graph's.
    """
    chosen = _chosen(score(graph, frame)[:, -1], _incomplete(frame, features))
    found = frame.iloc[chosen].reset_index(drop=True)
    rows = pd.concat([found, *_made(features, found.iloc[:1])], ignore_index=True)
    outputs = score(graph, rows)
    return {
        "rows": [_plain(rows, index, features) for index in range(len(rows))],
        "outputs": outputs.tolist(),
        "tolerance": PROBABILITY_TOLERANCE * max(1.0, float(np.abs(outputs).max())),
    }


def _incomplete(frame: pd.DataFrame, features: Sequence[Feature]) -> Array:
    missing = np.zeros(len(frame), dtype=bool)
    for feature in features:
        column = frame[feature.tensor].to_numpy()
        missing |= column == "" if feature.kind == "category" else np.isnan(column)
    return missing


def _chosen(answers: Array, incomplete: Array) -> Array:
    """Positions across the order of the answers; up to a fifth of them incomplete rows."""
    room = MOST_ROWS - _MADE
    ranked = np.argsort(answers, kind="stable")
    spread = ranked[np.linspace(0, len(ranked) - 1, min(room - room // 5, len(ranked))).astype(int)]
    gaps = np.flatnonzero(incomplete)[: room // 5]
    return np.unique(np.concatenate([spread, gaps]))


def _made(features: Sequence[Feature], base: pd.DataFrame) -> list[pd.DataFrame]:
    """A row with every value missing, and with category features two more: all unseen, unseen and otherwise missing."""
    categories = {feature.tensor for feature in features if feature.kind == "category"}

    def filled(text: str | None, number: float | None) -> pd.DataFrame:
        row = base.copy()
        for name in row.columns:
            value: Any = text if name in categories else number
            if value is not None:
                row[name] = pd.Series([value], dtype=object if name in categories else np.float32)
        return row

    missing = [filled("", np.nan)]
    return [*missing, filled(UNSEEN, None), filled(UNSEEN, np.nan)] if categories else missing


def _plain(rows: pd.DataFrame, index: int, features: Sequence[Feature]) -> dict[str, Any]:
    return {feature.name: _value(rows[feature.tensor].iloc[index], feature) for feature in features}


def _value(value: Any, feature: Feature) -> Any:
    if feature.kind == "category":
        return str(value) or None
    if np.isnan(value):
        return None
    if feature.kind == "boolean":
        return bool(value)
    return int(value) if feature.datatype == "INT64" else float(value)
