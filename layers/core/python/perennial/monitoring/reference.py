"""What live quality is read against: what a version was on the rows held out when it was trained.

    {"rows", "days", "metrics": {name: value}, "harm": {...} | null, "calibration": [...] | null}

It is part `held_out` of evaluation.json, so that no monitor needs the rows themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.evaluation.blocks import Array
from perennial.evaluation.metrics import Scored, points
from perennial.monitoring.answered import day_blocks
from perennial.monitoring.estimate import Calibrator, calibrate, read_calibrator
from perennial.monitoring.harm import Registered, read_registered, register


@dataclass(frozen=True)
class Reference:
    """`harm` is None without enough days, `calibrator` for a regression; `metrics` are points."""

    rows: int
    days: int
    metrics: dict[str, float]
    harm: Registered | None
    calibrator: Calibrator | None

    def to_json(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        return {
            "rows": self.rows,
            "days": self.days,
            "metrics": self.metrics,
            "harm": None if self.harm is None else self.harm.to_json(),
            "calibration": None if self.calibrator is None else self.calibrator.to_json(),
        }


def refer(task: str, label: Array, answers: Array, days: Array | None) -> Reference:
    """The reference of held-out rows: labels [n], answers float64 [n, k], days datetime64[D] [n] or None."""
    known = np.zeros(len(label), dtype="datetime64[D]") if days is None else days
    return Reference(
        rows=len(label),
        days=0 if days is None else len(np.unique(days)),
        metrics=points(task, Scored(label, answers, day_blocks(known))),
        harm=register(task, label, answers, days),
        calibrator=calibrate(task, label, answers),
    )


def read_reference(found: Mapping[str, Any]) -> Reference:
    """What to_json wrote. Raises KeyError for what is none."""
    harm, calibration = found["harm"], found["calibration"]
    return Reference(
        rows=found["rows"],
        days=found["days"],
        metrics=dict(found["metrics"]),
        harm=None if harm is None else read_registered(harm),
        calibrator=None if calibration is None else read_calibrator(calibration),
    )
