"""What each column is for: label, event time, feature, or left out, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from perennial.catalog.contract import Type
from perennial.proposal.survey import Survey
from perennial.proposal.tally import Tally

Role = Literal["label", "event time", "feature", "left out"]

# Less than this share of values cannot carry a model
LEAST_PRESENT = 0.05
# Categories: what one-hot columns and tree ordinals can still learn from
MOST_CATEGORIES = 1000
MOST_DIFFERENT = 0.5
FREE_TEXT = 60
# Numbers that are names: so many different ones that none is met often
MOST_NUMBERED = 100

_IDENTIFIER = re.compile(r"(?:^|[\W_])(?:id|ids|uuid|guid|key|index|idx|nr|no|number|nummer|rowid|row)$", re.IGNORECASE)
_CAMEL_IDENTIFIER = re.compile(r"[a-z](?:Id|ID|UUID|Key|Nr|No)$")
_MOMENT = re.compile(
    r"(?:^|[\W_])(?:time|timestamp|ts|date|datetime|day|created|at|when|event|datum|zeit)(?:$|[\W_])", re.I
)
_NO_MOMENT = re.compile(
    r"birth|born|geburt|expir|deadline|updated|modified|(?:^|[\W_])(?:dob|until|valid|due|end|ends)(?:$|[\W_])",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DAY = 86400 * 10**6


@dataclass(frozen=True)
class Plan:
    """One column of the proposal. `known` is whether it may be known when a prediction is made."""

    name: str
    type: Type
    role: Role
    reason: str
    known: bool = True


def plans(survey: Survey, label: str) -> dict[str, Plan]:
    """A plan for every column of the file, before leaks are looked for."""
    found = {name: _plan(survey, tally, label) for name, tally in survey.tallies.items()}
    moments = _moments(survey, found)
    if moments:
        found[moments[0]] = Plan(moments[0], found[moments[0]].type, "event time", _why(moments))
    return found


def without_event_time(found: dict[str, Plan], reason: str) -> dict[str, Plan]:
    """The same plans, with the column that was the event time left out for `reason`."""
    return {
        name: Plan(name, plan.type, "left out", reason) if plan.role == "event time" else plan
        for name, plan in found.items()
    }


def features(found: dict[str, Plan]) -> list[str]:
    """The features in the file's order."""
    return [plan.name for plan in found.values() if plan.role == "feature"]


def event_time(found: dict[str, Plan]) -> str | None:
    """The event time column, or None."""
    return next((plan.name for plan in found.values() if plan.role == "event time"), None)


def _plan(survey: Survey, tally: Tally, label: str) -> Plan:
    plan = _judged(survey, tally, label)
    if not tally.wrong:
        return plan
    warning = f"{tally.wrong:,} values are infinite or out of range: their rows will go to quarantine"
    return replace(plan, reason=f"{plan.reason}; {warning}")


def _judged(survey: Survey, tally: Tally, label: str) -> Plan:
    kind = tally.chosen.type
    if tally.name == label:
        return Plan(tally.name, kind, "label", "what is predicted; not known when a prediction is made", known=False)
    reason = _useless(survey, tally) or _unfit(tally) or _identifier(survey, tally) or _too_many(survey, tally)
    if reason:
        spoilt = f"; it would be numbers but for values like {_shown(tally.spoiler)}" if tally.spoiler else ""
        return Plan(tally.name, kind, "left out", reason + spoilt)
    return Plan(tally.name, kind, "feature", _seen(survey, tally))


def _useless(survey: Survey, tally: Tally) -> str | None:
    present = tally.present
    if present == 0:
        return "empty"
    if present < LEAST_PRESENT * tally.rows:
        return f"nearly empty: {present:,} of {tally.rows:,} rows have a value"
    values = tally.values(survey.missing)
    if len(values) == 1:
        gaps = f" where there is a value ({present:,} of {tally.rows:,} rows)" if present < tally.rows else ""
        return f"constant: always {_shown(next(iter(values)))}{gaps}"
    return None


def _unfit(tally: Tally) -> str | None:
    if tally.ambiguous:
        return "dates that can be read day first or month first: write them as 2024-01-31"
    if tally.chosen.type in {"date", "timestamp"}:
        return "a date is no feature: derive what matters from it (weekday, age) before the file is dropped"
    return None


def _identifier(survey: Survey, tally: Tally) -> str | None:
    kind = tally.chosen.type
    if kind not in {"string", "integer"}:
        return None
    distinct, counted = _distinct(survey, tally)
    named = bool(_IDENTIFIER.search(tally.name) or _CAMEL_IDENTIFIER.search(tally.name))
    values = tally.values(survey.missing)
    if kind == "string":
        if values and all(_UUID.fullmatch(text) for text in values):
            return "an identifier: UUIDs"
        return "an identifier: every value is different" if distinct == counted and counted > 1 else None
    if named and (distinct == counted or distinct > MOST_NUMBERED):
        return f"an identifier by its name: {distinct:,} different numbers in {counted:,} rows"
    low, high = tally.chosen.low, tally.chosen.high
    if (
        tally.nulls == 0
        and tally.rows > 1
        and high - low + 1 == tally.rows
        and distinct == counted
        and _rising(survey, tally)
    ):
        return "a row number: it counts up through the file"
    return None


def _too_many(survey: Survey, tally: Tally) -> str | None:
    if tally.chosen.type != "string":
        return None
    distinct, counted = _distinct(survey, tally)
    if distinct > MOST_CATEGORIES:
        return f"too many categories: over {MOST_CATEGORIES:,} different texts"
    if distinct > MOST_DIFFERENT * counted:
        return f"{distinct:,} different texts in {counted:,} values: hardly any comes again"
    longest = max(map(len, tally.values(survey.missing)), default=0)
    if longest > FREE_TEXT and distinct > 20:
        return f"free text: up to {longest:,} characters, {distinct:,} different"
    return None


def _distinct(survey: Survey, tally: Tally) -> tuple[int, int]:
    """Different values, and how many values they were counted among: all, or those of the sample."""
    if not tally.many:
        return len(tally.values(survey.missing)), tally.present
    column = survey.sample.column(tally.name)
    return pc.count_distinct(column, mode="only_valid").as_py(), len(column) - column.null_count


def _rising(survey: Survey, tally: Tally) -> bool:
    values = survey.sample.column(tally.name).to_numpy()
    return bool((np.diff(values) > 0).all())


def _moments(survey: Survey, found: dict[str, Plan]) -> list[str]:
    """Columns that may say when a row happened, the likeliest first: by name, then what happened earliest."""
    fit: list[tuple[bool, int, int, str]] = []
    for name, plan in found.items():
        tally = survey.tallies[name]
        complete = tally.present == tally.rows and not tally.wrong
        moment = plan.type in {"date", "timestamp"} and not tally.ambiguous and len(tally.values(())) != 1
        if plan.role == "left out" and moment and complete and not _NO_MOMENT.search(name):
            low = tally.chosen.low * (_DAY if plan.type == "date" else 1)
            fit.append((not _MOMENT.search(name), low, len(fit), name))
    return [name for *_, name in sorted(fit)]


def _why(moments: list[str]) -> str:
    others = f"; chosen before {', '.join(moments[1:4])}" if len(moments) > 1 else ""
    return f"says when a row happened: the last days are held out{others}"


def _seen(survey: Survey, tally: Tally) -> str:
    missing = tally.rows - tally.present
    gaps = f", {missing / tally.rows:.0%} missing" if missing else ""
    kind = tally.chosen.type
    if kind in {"integer", "number"}:
        return f"{_number(tally.chosen.low)} to {_number(tally.chosen.high)}{gaps}"
    if kind == "boolean":
        return f"true or false{gaps}"
    distinct, _ = _distinct(survey, tally)
    common = ", ".join(_shown(text) for text, _ in tally.values(survey.missing).most_common(3))
    return f"{distinct:,} categories: {common}{' …' if distinct > 3 else ''}{gaps}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _shown(text: str) -> str:
    plain = "".join(character if character.isprintable() else "·" for character in text)
    return repr(plain if len(plain) <= 24 else plain[:23] + "…")
