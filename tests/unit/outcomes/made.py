"""Outcomes and predictions as tests need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.outcomes import Outcome
from perennial.serving.log import Prediction

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
IDS = "2024-05-01-0123456789abcdef0123456789abcdef"


def after(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def by_id(row: int = 0, outcome: Any = True, *, at: float = 0, received: float = 60, **more: Any) -> Outcome:
    """What became of a row of the one request; times in minutes after noon."""
    known: dict[str, Any] = {"outcome": outcome, "at": after(at), "received_at": after(received)}
    return Outcome(**known, prediction_id=f"{IDS}-{row}", **more)


def by_entity(customer: str, happened: float, outcome: Any = True, *, at: float = 60) -> Outcome:
    """What became of a customer, so many minutes after noon."""
    return Outcome(
        outcome=outcome,
        at=after(at),
        received_at=after(120),
        entity={"customer": customer, "shop": 7},
        event_time=after(happened),
    )


def prediction(row: int = 0, at: float = 0, inputs: dict[str, Any] | None = None) -> Prediction:
    """The answer of a row."""
    return Prediction(f"{IDS}-{row}", after(at), 3, "7", inputs, True, [0.2, 0.8])
