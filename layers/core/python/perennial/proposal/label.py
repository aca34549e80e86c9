"""The label: is it one, and of which task?"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from perennial.proposal.header import refused
from perennial.proposal.survey import Survey
from perennial.proposal.tally import Tally

Task = Literal["binary", "multiclass", "regression"]

LEAST_ROWS = 10
MOST_CLASSES = 100
# Whole numbers with at most so many different values are classes (grades, stars); with more they are amounts.
MOST_NUMBERED_CLASSES = 10
LEAST_PER_CLASS = 5


@dataclass(frozen=True)
class LabelPlan:
    """`classes` holds the values seen (None for a regression); `reason` says why this task."""

    column: str
    task: Task
    reason: str
    rows: int
    classes: list[Any] | None = None


def plan_label(survey: Survey, column: str) -> LabelPlan:
    """The task that a label asks for. Raises ProposalRefused naming file, column and rule."""
    tally = _tally(survey, column)
    values = tally.values(survey.missing)
    kind = tally.chosen.type
    _check(survey, tally, kind, len(values))
    if kind == "boolean":
        return LabelPlan(column, "binary", "true or false", tally.present, [False, True])
    if kind == "string":
        return _texts(survey, tally, sorted(values))
    whole = not tally.many and all(_whole(text) for text in values)
    if whole and len(values) == 2:
        classes = sorted(int(float(text)) for text in values)
        return LabelPlan(column, "binary", f"two values: {classes[0]} and {classes[1]}", tally.present, classes)
    few = len(values) <= MOST_NUMBERED_CLASSES and tally.present >= LEAST_PER_CLASS * len(values)
    if kind == "integer" and whole and few:
        reason = f"{len(values)} different whole numbers, taken for classes (regression, if they are amounts)"
        return LabelPlan(column, "multiclass", reason, tally.present, sorted(int(float(text)) for text in values))
    return LabelPlan(column, "regression", "numbers that are amounts", tally.present)


def _tally(survey: Survey, column: str) -> Tally:
    if column in survey.tallies:
        return survey.tallies[column]
    if column in survey.ignored:
        raise refused(survey.path, "label", f"a contract cannot hold it: {survey.ignored[column]}", column)
    near = difflib.get_close_matches(column, survey.tallies, n=3, cutoff=0.5) or list(survey.tallies)[:10]
    raise refused(survey.path, "label", f"the file has no such column; it has {', '.join(map(repr, near))} …", column)


def _check(survey: Survey, tally: Tally, kind: str, distinct: int) -> None:
    name = tally.name
    if tally.present == 0:
        raise refused(survey.path, "label", "it has no value in any row", name)
    if not tally.many and distinct == 1:
        only = next(iter(tally.values(survey.missing)))
        raise refused(survey.path, "label", f"it has one value only, {only[:50]!r}: there is nothing to learn", name)
    if kind in {"date", "timestamp"} or tally.ambiguous:
        raise refused(survey.path, "label", "it holds dates; a label is a class or a number (days until …)", name)
    if tally.present < LEAST_ROWS:
        message = f"{tally.present} of {tally.rows} rows have a label; at least {LEAST_ROWS} are needed"
        raise refused(survey.path, "label", message, name)


def _texts(survey: Survey, tally: Tally, classes: list[str]) -> LabelPlan:
    many = tally.many or len(classes) > MOST_CLASSES
    if many or len(classes) > 0.5 * tally.present:
        count = f"over {MOST_CLASSES}" if many else str(len(classes))
        message = (
            f"{count} different texts in {tally.present:,} rows are no classes; text for numbers? look at its values"
        )
        raise refused(survey.path, "label", message, tally.name)
    if len(classes) == 2:
        reason = f"two texts: {classes[0][:30]!r} and {classes[1][:30]!r}"
        return LabelPlan(tally.name, "binary", reason, tally.present, list(classes))
    return LabelPlan(tally.name, "multiclass", f"{len(classes)} different texts", tally.present, list(classes))


def _whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except ValueError:
        return False
