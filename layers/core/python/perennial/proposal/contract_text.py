"""The proposed contract as ODCS v3 YAML.

Rules are drawn wide: they catch a wrong unit, a shifted column, a broken export. What the next month may bring (a new
category, a higher peak, a gap) must not be refused because this file did not have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from perennial.proposal.label import LabelPlan
from perennial.proposal.roles import Plan
from perennial.proposal.survey import Survey
from perennial.proposal.tally import Tally
from perennial.proposal.written import comment, flow, number, scalar

# How many times the span seen is allowed beyond each end, and how many times the longest text
REACH = 10
_INT64 = 2**63


def contract_text(name: str, survey: Survey, plans: dict[str, Plan], label: LabelPlan) -> str:
    """The YAML of `contracts/<name>.yaml`."""
    lines = [*_head(name, survey), *_schema(name, survey)]
    for plan in plans.values():
        lines += _property(plan, survey.tallies[plan.name], label)
    return "\n".join(lines) + "\n"


def _head(name: str, survey: Survey) -> Iterator[str]:
    yield comment(
        f"Proposed from {survey.path.name}: {survey.rows:,} rows, {len(survey.tallies):,} columns. Review it:"
    )
    yield "# - availableAtPrediction: no data can tell what is known when a prediction is made; say false where not."
    yield "# - bounds are drawn far wider than what was seen: tighten those that you know."
    yield "apiVersion: v3.1.0"
    yield "kind: DataContract"
    yield f"id: perennial:dataset:{name}"
    yield "version: 0.1.0"
    yield "status: draft"
    yield ""


def _schema(name: str, survey: Survey) -> Iterator[str]:
    yield "schema:"
    yield f"  - name: {scalar(name)}"
    markers = [text for text in survey.missing if text]
    if markers or survey.ignored:
        yield "    customProperties:"
    if markers:
        yield "      # Texts that stand for no value; without them, columns of numbers or dates would be text."
        yield "      - property: missingValues"
        yield f"        value: {flow(list(survey.missing))}"
    if survey.ignored:
        for column, reason in list(survey.ignored.items())[:20]:
            yield "      " + comment(f"{column!r} is in the file and not in this contract: {reason}.")
        yield "      - {property: extraColumns, value: ignore}"
    yield "    quality:"
    yield "      - description: A file without rows is a mistake of whoever sent it."
    yield "        metric: rowCount"
    yield "        mustBeGreaterThan: 0"
    yield "    properties:"


def _property(plan: Plan, tally: Tally, label: LabelPlan) -> Iterator[str]:
    yield f"      - name: {scalar(plan.name)}"
    yield "        " + comment(f"{plan.role}: {plan.reason}")
    yield f"        logicalType: {plan.type}"
    if plan.role == "event time":
        yield "        required: true"
    options = _options(plan, tally)
    if options:
        yield f"        logicalTypeOptions: {{{', '.join(options)}}}"
    if plan.role == "label" and label.task == "binary" and label.classes and plan.type != "boolean":
        listed = [scalar(float(value) if plan.type == "number" else value) for value in label.classes]
        yield "        quality:"
        yield "          # A third value is no class of a binary label."
        yield "          - metric: invalidValues"
        yield "            mustBe: 0"
        yield f"            arguments: {{validValues: [{', '.join(listed)}]}}"
    if not plan.known:
        yield "        customProperties: [{property: availableAtPrediction, value: false}]"
    if plan.role == "event time":
        yield "        customProperties: [{property: eventTime, value: true}]"


def _options(plan: Plan, tally: Tally) -> list[str]:
    chosen = tally.chosen
    if plan.type in {"date", "timestamp"}:
        return [f"format: {scalar(chosen.format)}"] if chosen.format else []
    if plan.type == "string":
        return [f"maxLength: {_round_up(REACH * tally.longest)}"] if tally.longest else []
    if plan.type == "boolean" or chosen.low is None:
        return []
    bounds = _wide(chosen.low, chosen.high)
    if bounds is None:
        return []
    low, high = bounds
    if plan.type == "integer":
        low, high = max(-_INT64, int(low)), min(_INT64 - 1, int(high))
    return [f"minimum: {number(low)}", f"maximum: {number(high)}"]


def _wide(low: float, high: float) -> tuple[float, float] | None:
    """Both ends moved outwards by ten spans (or ten times the size, for a column that hardly varies), then rounded."""
    reach = REACH * max(high - low, abs(low), abs(high))
    down, up = low - reach, high + reach
    if not (math.isfinite(down) and math.isfinite(up)) or reach == 0:
        return None
    return _outwards(down), _outwards(up)


def _outwards(value: float) -> float:
    """Rounded away from zero to two digits."""
    if value == 0:
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = math.copysign(math.ceil(abs(value) / step) * step, value)
    return round(rounded) if abs(rounded) >= 100 and math.isfinite(rounded) else float(f"{rounded:.2g}")


def _round_up(value: int) -> int:
    """To the next of 10, 20, 50, 100, …"""
    power = int(10 ** (len(str(value)) - 1))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
