"""The pieces of `scripts/demo --year` that need no cloud."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from perennial.governance.records import Record
from scripts.replay.events import event_of
from scripts.replay.example import FLIGHTS, PARCELS, Year
from scripts.replay.screen import show
from scripts.replay.timeline import Month, Timeline
from scripts.replay.verdict import shortcomings


def year(served: float = 0.665, frozen: float = 0.645, always: float = 0.667, deployed: int = 1) -> Timeline:
    months = [Month(f"2013-{number:02d}", 100, {"1": 100}, served, frozen, always) for number in (4, 5, 6)]
    return Timeline("flights", "flight-delays", "auc", True, months=months, deployed=deployed, requests=300)


def record(fact: str, **evidence: object) -> Record:
    return Record(
        seq=1,
        subject="model/m",
        fact=fact,
        key="k",
        at="2013-05-01T00:00:00+00:00",
        actor="a",
        evidence=evidence,
        previous="",
    )


def test_a_year_in_which_the_loop_paid_lacks_nothing() -> None:
    assert shortcomings(year()) == []


@pytest.mark.parametrize(
    ("lived", "said"),
    [
        (year(served=0.646, always=0.646), "not 0.005 better than never retrained"),
        (year(always=0.680), "more than 0.005 short of retrained monthly"),
        (year(deployed=2), "2 deployments are no fewer than the 2 of every month"),
    ],
)
def test_what_a_year_did_not_show_is_said(lived: Timeline, said: str) -> None:
    [reason] = shortcomings(lived)
    assert said in reason


def test_of_a_loss_the_smaller_one_is_better() -> None:
    lived = year(served=0.50, frozen=0.52, always=0.50)
    lived.greater_is_better = False
    assert shortcomings(lived) == []
    lived.months[0].served = 0.56
    assert len(shortcomings(lived)) == 2


def test_a_bad_challenger_that_passed_and_a_request_that_failed_are_said() -> None:
    lived = year()
    lived.refused = [{"kind": "leaked feature", "passed": True, "gates": [], "reasons": []}]
    lived.faults = 3
    assert shortcomings(lived) == [
        "the challenger with leaked feature was not refused",
        "3 of 300 requests failed",
    ]


@pytest.mark.parametrize(
    ("kind", "meant", "others"),
    [
        ("shuffled labels", ["auc.min", "auc.champion"], ["auc.max", "auc.plausible", "train.window"]),
        ("stale window", ["train.window", "auc.champion"], ["auc.min", "auc.max", "auc.plausible"]),
        ("leaked feature", ["auc.max", "auc.plausible"], ["auc.min", "auc.champion", "train.window"]),
    ],
)
def test_a_bad_challenger_is_refused_for_what_is_wrong_with_it(kind: str, meant: list[str], others: list[str]) -> None:
    lived = year()
    for gate in meant:
        lived.refused = [{"kind": kind, "passed": False, "gates": ["train.window", gate], "reasons": []}]
        assert shortcomings(lived) == []
    lived.refused = [{"kind": kind, "passed": False, "gates": others, "reasons": []}]
    assert shortcomings(lived) == [
        f"the challenger with {kind} was refused by {others}, not by {' or '.join(meant)}",
    ]
    lived.refused = [{"kind": kind, "passed": False, "gates": [], "reasons": ["the champion is not comparable"]}]
    assert len(shortcomings(lived)) == 1


def test_of_a_loss_too_much_is_nothing_learnt_and_too_little_a_leak() -> None:
    lived = year(served=0.50, frozen=0.52, always=0.50)
    lived.metric, lived.greater_is_better = "log_loss", False
    for kind, gate, other in (
        ("shuffled labels", "log_loss.max", "log_loss.min"),
        ("leaked feature", "log_loss.min", "log_loss.max"),
    ):
        lived.refused = [{"kind": kind, "passed": False, "gates": [gate], "reasons": []}]
        assert shortcomings(lived) == []
        lived.refused[0]["gates"] = [other]
        assert len(shortcomings(lived)) == 1


def test_a_month_without_a_metric_is_no_proof() -> None:
    lived = year()
    lived.months[1].served = None
    assert shortcomings(lived) == ["a month has no metric: too few outcomes of both kinds"]


def test_the_ledger_tells_the_year() -> None:
    failed = {"passed": False, "reason": "auc is 0.5000, must be at least 0.55"}
    gated = event_of(record("gated", passed=False, gates=[{"passed": True, "reason": "x"}, failed]))
    assert gated is not None
    assert gated.text == "refused: auc is 0.5000, must be at least 0.55"
    deployed = event_of(record("deployed", version=3, why="promoted"))
    assert deployed is not None
    assert (deployed.version, deployed.text, deployed.at[:10]) == (3, "promoted", "2013-05-01")
    assert event_of(record("trained", run="r")) is None


def test_the_terminal_shows_every_month_and_why() -> None:
    lived = year()
    lived.events = [e for e in [event_of(record("declined", reason="[cool-down] until May"))] if e]
    console = Console(width=100, record=True, force_terminal=False)
    show(lived, console)
    text = console.export_text()
    assert "2013-05" in text
    assert "0.665" in text
    assert "[cool-down] until May" in text


def test_the_rows_of_an_hour_and_airport_are_asked_about_together(tmp_path: Path) -> None:
    file = tmp_path / "april.csv"
    lines = [
        "JFK,2013-04-01T09:00:00Z",
        "LGA,2013-04-01T09:00:00Z",
        "JFK,2013-04-01T09:30:00Z",
        "NA,2013-04-01T10:00:00Z",
    ]
    file.write_text("\n".join(["origin,time_hour", *lines]) + "\n")
    requests = [[row["origin"] for row in rows] for rows in FLIGHTS.requests(FLIGHTS.read(file))]
    assert requests == [["JFK", "JFK"], ["LGA"], [None]]


def test_the_year_begins_after_what_the_first_model_is_trained_on(tmp_path: Path) -> None:
    lived = Year(PARCELS, PARCELS.files(tmp_path))
    assert len(lived.files) == 12
    assert min(lived.days) == date(2025, 4, 1)
    assert sum(len(rows) for rows in lived.days.values()) == 9 * 2500
