"""The proposed model spec as YAML, with what was measured beside each choice."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perennial.proposal.label import LabelPlan
from perennial.proposal.leaks import Finding
from perennial.proposal.roles import Plan, features
from perennial.proposal.survey import Survey
from perennial.proposal.trial import GUESSING, SIMPLE, Trial
from perennial.proposal.written import comment, scalar


def model_text(
    name: str, survey: Survey, plans: dict[str, Plan], label: LabelPlan, findings: list[Finding], trial: Trial
) -> str:
    """The YAML of `models/<name>.yaml`."""
    lines = [*_head(name, survey, label), *_features(plans, findings), *_train(label, survey, trial)]
    return "\n".join([*lines, *_gates(label, trial)]) + "\n"


def _head(name: str, survey: Survey, label: LabelPlan) -> Iterator[str]:
    yield comment(
        f"Proposed from {survey.path.name}. Review the features first: is each known when you ask for a prediction?"
    )
    yield f"name: {scalar(name)}"
    yield f"description: {scalar(f'Predicts {label.column} from a row of {name}.')}"
    yield f"dataset: {scalar(name)}"
    yield comment(f"{label.column}: {label.reason}.")
    yield f"task: {label.task}"
    yield "label:"
    yield f"  column: {scalar(label.column)}"


def _features(plans: dict[str, Plan], findings: list[Finding]) -> Iterator[str]:
    yield "features:"
    for column in features(plans):
        for finding in findings:
            if finding.column == column:
                yield "  " + comment(f"CHECK: {finding}. Is it known by then?")
        yield f"  - {scalar(column)}"
    left = [plan for plan in plans.values() if plan.role == "left out"]
    if left:
        yield "# Left out:"
    for plan in left:
        yield comment(f"- {plan.name}: {plan.reason}")


def _train(label: LabelPlan, survey: Survey, trial: Trial) -> Iterator[str]:
    yield "train:"
    yield "  when:"
    yield "    # half of this file; a training starts once so many new rows have arrived and no file came for `settle`"
    yield f"    min_rows: {half(survey.rows)}"
    yield "    settle: 5s"
    yield f"  algorithm: {trial.algorithm}"
    yield "  # labelled rows without which nothing is trained"
    yield f"  min_rows: {max(10, half(label.rows))}"
    yield "  split:"
    yield "    holdout: 0.2"
    yield "  seed: 0"


def _gates(label: LabelPlan, trial: Trial) -> Iterator[str]:
    simple, guessing = SIMPLE[label.task], GUESSING[trial.metric]
    found = "undefined" if trial.simple is None else f"{trial.simple.value:.3f}"
    measured = (
        f"{simple}, untuned, has {trial.metric} {found} on {trial.held:,} held-out rows; guessing has {guessing:g}"
    )
    if trial.floor is None:
        yield comment(f"No gate: {measured}, and so few rows or so little signal cannot tell the two apart.")
        yield "# Set one as soon as you know what the model must achieve:"
        yield f"# gates: {{{trial.metric}: {{min: {guessing + 0.1:g}}}}}"
    else:
        yield comment(f"Half way from guessing to a simple model: {measured}.")
        yield "gates:"
        yield f"  {trial.metric}:"
        yield f"    min: {trial.floor:g}"
        yield "    # max: a value that would be too good to be true, so that a column which leaks the label is refused"
    if trial.noise is not None:
        yield comment(f"A difference to the champion within {trial.noise:g} is noise on {trial.held:,} held-out rows.")
        yield "comparison:"
        yield f"  metric: {trial.metric}"
        yield f"  margin: {trial.noise:g}"


def half(count: int) -> int:
    """Half of `count`, at least 1, rounded down to two digits."""
    value = max(1, count // 2)
    step = int(10 ** max(0, int(math.log10(value)) - 1))
    return value // step * step
