"""What predictions were worth: by the spec's value matrix, by the amounts that outcomes carried, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perennial.catalog.monitor import Value
from perennial.evaluation.blocks import Array, blocks_of
from perennial.evaluation.metrics import mean
from perennial.monitoring.answered import Answered, by_day_and_version, day_blocks, said, too_few_days
from perennial.monitoring.performance import MIN_ROWS
from perennial.outcomes.limits import MAX_AMOUNT


def value(
    task: str, rows: Answered, *, unit: str | None, spec: Value | None = None, classes: Sequence[Any] | None = None
) -> dict[str, Any] | None:
    """Value by version, and by day and version, in `unit`, with 95 % intervals (by days, of a day by its rows); None
    where neither the spec nor an outcome says what anything is worth.

    A row is worth what the matrix says of its true and predicted class plus the amount that its outcome carried;
    without a matrix only rows with an amount count. `missing` counts the rows without an amount and, of a matrix, those
    whose true class the model does not know. `classes` are the model's, in the order of its answers.
    """
    paid = np.isfinite(rows.amounts)
    if spec is None and not paid.any():
        return None
    worth = np.where(paid, rows.amounts, 0.0)
    counted = paid if spec is None else np.ones(len(rows), dtype=bool)
    if spec is not None:
        counted = rows.label >= 0
        worth = worth + matrix_worth(task, rows, spec, classes)
    kept, worth = rows.part(counted), worth[counted]
    days = len(np.unique(kept.days))
    return {
        "unit": unit,
        "of": [name for name, there in (("matrix", spec is not None), ("amounts", bool(paid.any()))) if there],
        "rows": int(counted.sum()),
        "missing": {"amount": int((~paid).sum()), "class": int((rows.label < 0).sum()) if spec is not None else 0},
        "intervals": {"days": days, "missing": too_few_days(days)},
        "versions": [_version(kept, worth, int(version)) for version in np.unique(kept.versions)],
        "by_day": [_day(kept.part(chosen), worth[chosen]) for chosen in by_day_and_version(kept)],
    }


def no_value(rows: Answered) -> str | None:
    """Why nothing can be said of what the rows were worth, or None: amounts were not always bounded."""
    beyond = int((np.abs(rows.amounts) > MAX_AMOUNT).sum())
    return f"outcomes with amounts beyond {MAX_AMOUNT:,.0f}, which no sum can hold: {beyond:,}" if beyond else None


def matrix_worth(task: str, rows: Answered, spec: Value, classes: Sequence[Any] | None = None) -> Array:
    """What the matrix says each row is worth [n]; nothing where it does not name the pair, or the class is unknown."""
    if task == "binary":
        names, predicted = ["false", "true"], (rows.answers[:, 1] >= spec.threshold).astype(np.int64)
    else:
        names, predicted = [_text(one) for one in classes or ()], rows.answers.argmax(axis=1)
    table = np.array([[_worth(spec.matrix, true, said) for said in names] for true in names])
    known = rows.label >= 0
    found = table[np.where(known, rows.label, 0).astype(np.int64), predicted]
    worth: Array = np.where(known, found, 0.0)
    return worth


def _worth(matrix: Mapping[str, Mapping[str, float]], true: str, predicted: str) -> float:
    return float(matrix.get(true, {}).get(predicted, 0.0))


def _text(one: Any) -> str:
    """A class as the spec writes it."""
    return str(one).lower() if isinstance(one, bool) else str(one)


def _version(rows: Answered, worth: Array, version: int) -> dict[str, Any]:
    chosen = rows.versions == version
    own = worth[chosen]
    blocks = day_blocks(rows.days[chosen])
    each = said(mean(own, blocks), blocks)
    totals = blocks.totals(own)
    whole = said(lambda counts: counts @ totals, blocks)
    if each is None or whole is None:
        raise ValueError(f"amounts of version {version} are not finite")
    return {
        "version": version,
        "rows": len(own),
        "total": whole.value,
        "total_low": whole.low,
        "total_high": whole.high,
        "mean": each.value,
        "low": each.low,
        "high": each.high,
    }


def _day(rows: Answered, worth: Array) -> dict[str, Any]:
    """What the rows of one day and version were worth."""
    blocks = blocks_of(None, len(worth))
    totals = blocks.totals(worth)
    found = said(lambda counts: counts @ totals, blocks, enough=len(worth) >= MIN_ROWS)
    if found is None:
        raise ValueError(f"amounts of {rows.days[0]} are not finite")
    about = {"day": str(rows.days[0]), "version": int(rows.versions[0]), "rows": len(rows)}
    return about | {"total": found.value, "low": found.low, "high": found.high}
