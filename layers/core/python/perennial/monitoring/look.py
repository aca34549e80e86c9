"""Stage monitor: look at a window, leave the report, raise what is an alarm.

    reports/<model>/<from>_<to>/{monitor.json, report.html}

A look that dies is made good by the same message: sealed days are read, reports are written anew with the same bytes,
an alarm is recorded under its key. Only a look at the model's own window raises alarms; one at days that a person names
is told to that person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from perennial.catalog.model import ModelSpec
from perennial.errors import WindowInvalid
from perennial.governance.ledger import Ledger
from perennial.monitoring import REPORTS, alarms
from perennial.monitoring.calendar import Span, day_of, window_of
from perennial.monitoring.events import MonitorInput, MonitorOutput
from perennial.monitoring.report import render
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.monitoring.watch import Look, end_of, watch
from perennial.registry import Registry
from perennial.storage.bus import Bus
from perennial.storage.objects import Objects, canonical_json

LONGEST = 92


@dataclass(frozen=True)
class Stores:
    """Everything monitor touches; the prediction log goes `log_days` back."""

    data: Objects
    registry: Registry
    ledger: Ledger
    bus: Bus
    log_days: int


def monitor(message: MonitorInput, stores: Stores, spec: ModelSpec) -> MonitorOutput:
    """One look. Raises WindowInvalid, StorageUnavailable, and BundleInvalid for a version that is not as registered."""
    asked = message.first is not None or message.last is not None
    window = _checked(message, spec, stores.log_days)
    served = min(message.as_of, end_of(window.last)) if asked else message.as_of
    look = Look(
        shelf=Shelf(stores.data, spec, message.as_of, day_of(message.as_of) - timedelta(days=stores.log_days - 2)),
        registry=stores.registry,
        versions=Versions(spec.name, stores.registry, stores.data),
        window=window,
        champion=stores.registry.champion_at(spec.name, served),
    )
    told = watch(look)
    bell = alarms.Bell(stores.data, stores.ledger, stores.bus, spec.name)
    if not asked:
        told["alarms"] = [bell.named(one, window) for one in told["alarms"]]
    prefix = f"{REPORTS}{spec.name}/{window.name}/"
    report_key, html_key = f"{prefix}monitor.json", f"{prefix}report.html"
    stores.data.put(html_key, render(told).encode(), "text/html; charset=utf-8")
    stores.data.put(report_key, canonical_json(told), "application/json")
    if not asked:
        for one in told["alarms"]:
            bell.ring(one, told, report_key)
    return MonitorOutput(
        model=spec.name,
        state=told["state"],
        first=window.first,
        last=window.last,
        predictions=told["predictions"],
        alarms=[alarms.summary(one) for one in told["alarms"]],
        raised=bool(told["alarms"]) and not asked,
        report_key=report_key,
        html_key=html_key,
    )


def _checked(message: MonitorInput, spec: ModelSpec, log_days: int) -> Span:
    """The window that was asked for. Raises WindowInvalid, which says what is wrong with it."""
    window, today = window_of(spec.monitor, message.as_of, message.first, message.last), day_of(message.as_of)
    if window.last > today:
        raise WindowInvalid(f"the window ends on {window.last}, which has not been yet (today is {today})")
    if window.first > window.last:
        raise WindowInvalid(f"the window would begin on {window.first} and end on {window.last}, before it")
    if len(window) > LONGEST:
        raise WindowInvalid(f"the window {window.first} to {window.last} has {len(window)} days; it may have {LONGEST}")
    if window.last < today - timedelta(days=log_days):
        raise WindowInvalid(f"predictions are kept for {log_days} days; those of {window.last} are gone")
    return window
