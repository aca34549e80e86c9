"""The gate of a training's window."""

from __future__ import annotations

import pytest

from perennial.catalog.monitor import DAY
from perennial.evaluation.gates import window_gate


@pytest.mark.parametrize(("first", "passed"), [("2013-10-03", True), ("2013-10-02", False), ("2013-01-01", False)])
def test_rows_may_span_the_window_and_no_more(first: str, passed: bool) -> None:
    gate = window_gate(90 * DAY, {"from": f"{first}T10:00:00Z", "to": "2013-12-31T23:00:00Z"})
    assert gate["passed"] is passed
    assert first in gate["reason"]
    assert "train.window allows 90" in gate["reason"]


@pytest.mark.parametrize("window", [{}, {"from": None, "to": None}])
def test_a_training_that_does_not_say_is_refused(window: dict[str, None]) -> None:
    gate = window_gate(90 * DAY, window)
    assert (gate["passed"], gate["value"]) == (False, None)
