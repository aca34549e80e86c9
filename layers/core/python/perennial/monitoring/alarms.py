"""What of a look is an alarm: what moved, by how much, since when, in which slice, and what happens next.

    monitoring/<model>/alarms/<reason>/version=NNNNNNNN/<last day of the window>.json     {"key"}

An alarm that is found again keeps its key for as long as no window passes without it: looks leave a mark each, and take
over the key of the newest one before them. Whoever looks at the same window finds the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.governance.ledger import Ledger
from perennial.monitoring import DAY_FILES
from perennial.monitoring.calendar import Span
from perennial.monitoring.events import DRIFT_DETECTED, PERFORMANCE_DEGRADED, AlarmRaised
from perennial.monitoring.report import words
from perennial.storage.bus import Bus
from perennial.storage.objects import Objects, canonical_json

_FACTS = {"drift": DRIFT_DETECTED, "performance": PERFORMANCE_DEGRADED}
# Columns that a sentence names; the report has all of them.
_NAMED = 5


def of(told: Mapping[str, Any], spec: ModelSpec) -> list[dict[str, Any]]:
    """The alarms of a look; their keys are not known yet."""
    return [found for found in (_drift(told, spec), _performance(told, spec)) if found is not None]


def _drift(told: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any] | None:
    drift = told["drift"]
    if drift is None or not drift["alarm"]:
        return None
    moved = [column for column in drift["columns"] if column["moved"]]
    names = [words.column(column["name"]) for column in moved]
    known = sorted(column["since"] for column in moved if column["since"])
    return {
        "reason": "drift",
        "key": None,
        "version": drift["version"],
        "what": f"{words.listed(names, _NAMED)} {'has' if len(names) == 1 else 'have'} moved from what version "
        f"{drift['version']} was trained on",
        "how_much": "; ".join(f"{words.column(column['name'])}: {column['words']}" for column in moved[:_NAMED]),
        "since": known[0] if known else None,
        "slice": None,
        "predictions": drift["rows"],
        "next": _next(spec.train.when.drift, "drift", spec),
    }


def _performance(told: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any] | None:
    """Harm that was shown stays an alarm while the version serves, also when outcomes have stopped."""
    harm, performance = told["harm"], told["performance"]
    if harm is None or not harm["alarm"]:
        return None
    worse = [one for one in performance["slices"] if one["worse"]] if performance else []
    return {
        "reason": "performance",
        "key": None,
        "version": harm["version"],
        "what": f"version {harm['version']} has become worse than it was when it was trained",
        "how_much": harm["words"],
        "since": harm["since"],
        "slice": {name: worse[0][name] for name in ("column", "value", "rows", "metric")} if worse else None,
        "predictions": performance["rows"] if performance else 0,
        "next": _next(spec.train.when.performance, "performance", spec),
    }


def _next(asked: bool, reason: str, spec: ModelSpec) -> str:
    """What happens next, in words."""
    if not asked:
        return (
            f"nothing is trained: train.when.{reason} of model {spec.name} is false; "
            f"a person may ask with `perennial retrain {spec.name}`"
        )
    when, bounds = spec.train.when, []
    if when.outcomes:
        bounds.append(f"{when.outcomes:,} new outcomes")
    if when.cool_down:
        bounds.append(f"{when.cool_down / 3600:g} hours since the last training")
    if when.monthly:
        bounds.append(f"fewer than {when.monthly} trainings in 30 days")
    needs = f" (it wants {' and '.join(bounds)})" if bounds else ""
    return f"the governor is asked for a training and decides{needs}; a challenger serves only if it passes its gates"


def summary(alarm: Mapping[str, Any]) -> str:
    """An alarm in a sentence."""
    since = f" since {alarm['since']}" if alarm["since"] else ""
    return f"{alarm['what']}{since}: {alarm['how_much']} ({alarm['predictions']:,} predictions)"


@dataclass(frozen=True)
class Bell:
    """Where alarms of a model are marked, recorded and told."""

    objects: Objects
    ledger: Ledger
    bus: Bus
    model: str

    def named(self, alarm: Mapping[str, Any], window: Span) -> dict[str, Any]:
        """The alarm with its key, which is marked as that of this window."""
        prefix = f"{DAY_FILES}{self.model}/alarms/{alarm['reason']}/version={int(alarm['version']):08d}/"
        before = self._before(prefix, window)
        own = before or f"{alarm['reason']}/{self.model}/{alarm['version']}/{window.last}"
        key = f"{prefix}{window.last}.json"
        if not self.objects.create(key, canonical_json({"key": own})):
            own = self.objects.get_json(key)["key"]
        return {**alarm, "key": own}

    def _before(self, prefix: str, window: Span) -> str | None:
        """The key of the newest mark that is older than this window's end, by less than a window."""
        start = window.last - timedelta(days=len(window))
        found = [key for key in self.objects.list(prefix, start_after=f"{prefix}{start}~") if _day(key) < window.last]
        return str(self.objects.get_json(found[-1])["key"]) if found else None

    def ring(self, alarm: Mapping[str, Any], told: Mapping[str, Any], report_key: str) -> None:
        """Record an alarm once, and tell it: whenever it is found again it is told again, under the same key."""
        fact = AlarmRaised(
            model=self.model,
            version=alarm["version"],
            reason=alarm["reason"],
            key=alarm["key"],
            outcomes=int((told.get("cohort") or {}).get("with_outcome") or 0),
            summary=summary(alarm),
            report_key=report_key,
            as_of=told["as_of"],
        )
        self.ledger.append(
            f"model/{self.model}",
            "alarmed",
            key=f"alarmed/{alarm['key']}",
            at=fact.as_of,
            actor="monitor",
            evidence={**alarm, "report_key": report_key, "window": told["window"]},
        )
        self.bus.put(_FACTS[alarm["reason"]], fact)


def _day(key: str) -> date:
    return date.fromisoformat(key.rpartition("/")[2].removesuffix(".json"))
