"""One look at a window of a model: everything that monitor.json says.

A look reads the days that the window and its cohort span and what is new since the last look, and writes nothing but
sealed days, states of the harm test and judged estimates. Looking again as of the same instant says the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa

from perennial.monitoring import alarms, judged
from perennial.monitoring.calendar import ONE, Span, alpha_of, cohort_of, day_of
from perennial.monitoring.chain import Chain
from perennial.monitoring.inputs import compare
from perennial.monitoring.profile import Profile
from perennial.monitoring.rows import Classes, of_version, versions_of
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.registry import ModelVersion, Registry

NOTHING_SERVES, NO_TRAFFIC, NO_REFERENCE, WATCHED = "nothing serves", "no traffic", "no reference", "watched"

PARTS = ("reference", "drift", "performance", "harm", "estimate", "value")


@dataclass(frozen=True)
class Look:
    """What is looked at: a window, as of an instant, under the version that was champion then."""

    shelf: Shelf
    registry: Registry
    versions: Versions
    window: Span
    champion: ModelVersion | None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.shelf.spec.name


def watch(look: Look) -> dict[str, Any]:
    """Look, and tell. Raises StorageUnavailable, and BundleInvalid when the champion's files are not the registered."""
    shelf, window = look.shelf, look.window
    cohort = cohort_of(window, shelf.spec.monitor, shelf.as_of)
    shelf.list(Span(cohort.first - shelf.reach, window.last + shelf.horizon))
    tables = shelf.days(window)
    told = _traffic(look, tables)
    kind = look.versions.classes(look.champion.version) if look.champion else None
    if look.champion is None or kind is None:
        return _finished(look, told | {"state": NOTHING_SERVES, "why": _all("nothing serves")})
    champion = look.champion.version
    for part in (_inputs(look, tables, champion, kind), _outcomes(look, tables, cohort, champion, kind)):
        told |= part | {"why": told["why"] | part.get("why", {})}
    return _finished(look, told)


def _finished(look: Look, told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {**dict.fromkeys(PARTS), **told}
    if found["state"] == WATCHED and not found["predictions"]:
        found["state"] = NO_TRAFFIC
    found["quality"] = {"findings": found.pop("findings", []), **found["quality"]}
    found["alarms"] = alarms.of(found, look.shelf.spec)
    finite: dict[str, Any] = _finite(found)
    return finite


def _traffic(look: Look, tables: Mapping[date, pa.Table]) -> dict[str, Any]:
    """How much was predicted, by which versions, and when not."""
    seen: dict[int, list[tuple[date, int]]] = {}
    for day, table in tables.items():
        for version in sorted(set(versions_of(table).tolist())):
            rows = int((versions_of(table) == version).sum())
            seen.setdefault(version, []).append((day, rows))
    versions = [
        {"version": version, "rows": sum(rows for _, rows in days), "first": str(days[0][0]), "last": str(days[-1][0])}
        for version, days in sorted(seen.items())
    ]
    silent = [str(day) for day, table in tables.items() if not table.num_rows]
    return {
        "model": look.model,
        "task": look.shelf.spec.task,
        "unit": look.shelf.spec.amount_unit,
        "window": {"from": str(look.window.first), "to": str(look.window.last), "days": len(look.window)},
        "as_of": look.shelf.as_of.isoformat(),
        "champion": look.champion.version if look.champion else None,
        "state": WATCHED,
        "versions": versions,
        "predictions": sum(table.num_rows for table in tables.values()),
        "by_day": [{"day": str(day), "rows": table.num_rows} for day, table in tables.items()],
        "quality": {
            "freshness": {
                "last": _last(tables),
                "silent_days": silent,
                "forgotten_days": [str(day) for day in look.window if day not in tables],
            },
        },
        "why": {},
    }


def _last(tables: Mapping[date, pa.Table]) -> str | None:
    """When the newest prediction of the window was asked for."""
    times = [table["at"].cast(pa.int64())[-1].as_py() for table in tables.values() if table.num_rows]
    return datetime.fromtimestamp(max(times) / 1000, UTC).isoformat() if times else None


def _inputs(look: Look, tables: Mapping[date, pa.Table], champion: int, kind: tuple[str, Classes]) -> dict[str, Any]:
    """Parts that need no outcome."""
    reference: Profile | None = look.versions.profile(champion)
    if reference is None:
        why = f"version {champion} has no profile of the rows that it was trained on; one trained from now on has"
        return {"state": NO_REFERENCE, "why": {"drift": why, "reference": why}}
    told: dict[str, Any] = {
        "reference": {"version": champion, "rows": int(reference.rows.sum()), "days": len(reference.days)}
    }
    chosen = of_version(tables, champion)
    if not len(chosen):
        return told | {"why": {"drift": f"version {champion}, which serves, answered nothing in this window"}}
    alpha, allowance = alpha_of(look.shelf.spec.monitor.schedule), look.versions.allowance(champion)
    drift, findings = compare(reference, chosen, *kind, alpha, allowance)
    return told | {"drift": drift | {"version": champion, "rows": len(chosen)}, "findings": findings}


def _outcomes(
    look: Look, tables: Mapping[date, pa.Table], span: Span, champion: int, kind: tuple[str, Classes]
) -> dict[str, Any]:
    """Parts that need outcomes, and the one that does without."""
    shelf = look.shelf
    found = judged.judge(shelf, look.versions, span, champion, kind)
    chain = Chain(shelf, look.versions, champion, lambda: _began(look, champion))
    harm = chain.until(span.last)
    # on days whose cohort is complete all arrivals have settled; later ones tell of the late
    told = judged.cohort(found, max(look.window.last, span.last + shelf.horizon))
    performance = judged.performance_of(found)
    value, no_value = judged.value_of(found) if performance else (None, _no_outcomes(told))
    why = {}
    if performance is None:
        why["performance"] = _no_outcomes(told)
    if harm is None:
        why["harm"] = _no_harm(look, champion)
    if no_value:
        why["value"] = no_value
    return {
        "performance": None if performance is None else {"cohort": told, **performance},
        "harm": None if harm is None else harm.report(),
        "cohort": told,
        "estimate": judged.estimate_of(found, tables, len(look.window)),
        "value": value,
        "why": why,
    }


def _began(look: Look, version: int) -> date:
    """The day on which a version first served."""
    times = [one.at for one in look.registry.champion_history(look.model) if one.version == version]
    return day_of(min(times))


def _no_harm(look: Look, champion: int) -> str:
    held_out = look.versions.held_out(champion)
    if held_out is None or held_out.harm is None:
        return f"the held-out rows of version {champion} have too few days to say what is usual"
    return f"no complete day of version {champion} yet"


def _no_outcomes(cohort: Mapping[str, Any]) -> str:
    if not cohort["predictions"]:
        return f"no predictions between {cohort['from']} and {cohort['to']}, the newest days whose outcomes are due"
    return f"none of the {cohort['predictions']:,} predictions from {cohort['from']} to {cohort['to']} has an outcome"


def _all(reason: str) -> dict[str, str]:
    return dict.fromkeys(PARTS, reason)


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is undefined is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def end_of(day: date) -> datetime:
    """The instant at which a day is over."""
    return datetime.combine(day + ONE, time(), UTC)
