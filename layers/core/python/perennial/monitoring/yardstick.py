"""What the monitor will measure a version against, told by its held-out rows: part of evaluation.json."""

from __future__ import annotations

from typing import Any

from perennial.evaluation.blocks import Array
from perennial.monitoring.estimate import calibrate
from perennial.monitoring.harm import register


def yardstick(task: str, label: Array, answers: Array, days: Array | None) -> dict[str, Any]:
    """`losses` by day, which the harm test starts from, and `calibrator`, how often scores came true; null where the
    rows do not tell. Labels [n], answers float64 [n, k], days datetime64[D] [n] or None.
    """
    losses, calibrator = register(task, label, answers, days), calibrate(task, label, answers)
    return {
        "losses": None if losses is None else losses.to_json(),
        "calibrator": None if calibrator is None else calibrator.to_json(),
    }
