"""The year's decisions, told from the ledger: nothing here is known that an auditor could not read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perennial.governance.records import Record
from scripts.cli.deployment import Deployment
from scripts.replay.drive import Drive
from scripts.replay.timeline import Event, Timeline

Evidence = Mapping[str, Any]


def told(deployment: Deployment, drive: Drive, year: Timeline) -> None:
    """Add the decisions about the model to the year, and what the monitor saw in each window."""
    records = list(deployment.ledger.read(f"model/{year.model}"))
    year.events = [event for record in records if (event := event_of(record)) is not None]
    year.deployed = max(0, sum(event.kind == "deployed" for event in year.events) - 1)
    year.windows = [_window(name, report) for name, report in sorted(drive.reports(year.model).items())]


def event_of(record: Record) -> Event | None:
    """A record as an event of the year; None for steps that decide nothing."""
    teller = _TELLERS.get(record.fact)
    if teller is None:
        return None
    return Event(record.at, record.fact, teller(record.evidence), record.evidence.get("version"))


def _gated(evidence: Evidence) -> str:
    failed = [gate["reason"] for gate in evidence["gates"] if not gate["passed"]]
    return "passed its gates" if evidence["passed"] else f"refused: {'; '.join(failed)}"


def _reason(evidence: Evidence) -> str:
    return str(evidence.get("reason") or evidence.get("why") or evidence.get("summary") or "")


_TELLERS: dict[str, Callable[[Evidence], str]] = {
    "alarmed": _reason,
    "requested": _reason,
    "declined": _reason,
    "gated": _gated,
    "deployed": lambda evidence: _reason(evidence) or "serves",
    "rolled back": _reason,
    "inconclusive": _reason,
    "failed": lambda evidence: f"{evidence['error']}: {evidence['cause']}",
}


def _window(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    performance, drift = report.get("performance") or {}, report.get("drift") or {}
    metric = performance.get("metric")
    found = (performance.get("metrics") or {}).get(metric) or {}
    return {
        "window": name,
        "state": report["state"],
        "predictions": report.get("predictions", 0),
        "value": found.get("value"),
        "low": found.get("low"),
        "high": found.get("high"),
        "moved": [column["name"] for column in drift.get("columns", []) if column.get("moved")],
        "alarms": [alarm["reason"] for alarm in report.get("alarms", [])],
    }
