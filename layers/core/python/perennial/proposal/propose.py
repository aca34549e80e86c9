"""A contract and a model spec from one data file, for people to review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from perennial.catalog.contract import parse_contract
from perennial.catalog.model import parse_model
from perennial.errors import TrainingDataInvalid
from perennial.proposal.contract_text import contract_text
from perennial.proposal.header import refused
from perennial.proposal.label import LabelPlan, plan_label
from perennial.proposal.leaks import Finding, find_shared_gaps
from perennial.proposal.model_text import model_text
from perennial.proposal.roles import Plan, event_time, features, plans, without_event_time
from perennial.proposal.survey import Survey, survey
from perennial.proposal.trial import Trial, holdout, leaks_in, sampled_rows, try_out
from perennial.training.data import Rows
from perennial.training.split import Split


@dataclass(frozen=True)
class Proposal:
    """What is proposed: two YAML texts, and the evidence they rest on."""

    name: str
    survey: Survey
    label: LabelPlan
    plans: dict[str, Plan]
    findings: list[Finding]
    trial: Trial
    contract: str
    model: str


def propose(path: Path, label: str, name: str, progress: Callable[[str], None] = lambda line: None) -> Proposal:
    """The proposal for the file at `path` (its name says its kind); `name` names dataset and model.

    Raises ProposalRefused naming file, column and rule.
    """
    found = survey(path, progress)
    target = plan_label(found, label)
    columns = plans(found, label)
    # one thread, as in training: several would sum in another order
    with threadpool_limits(limits=1):
        columns, rows = _fitting(found, target, columns)
        findings = leaks_in(rows, target, columns, progress)
        columns = _without_leaks(found, columns, findings)
        findings += find_shared_gaps(found.sample, label, features(columns))
        sides = _split(found, target, sampled_rows(found.sample, target, columns))
        trial = try_out(sides, target, columns, found.rows, progress)
    contract = contract_text(name, found, columns, target)
    model = model_text(name, found, columns, target, findings, trial)
    parse_contract(contract, f"contracts/{name}.yaml")
    parse_model(model, f"models/{name}.yaml")
    return Proposal(name, found, target, columns, findings, trial, contract, model)


def _fitting(found: Survey, label: LabelPlan, columns: dict[str, Plan]) -> tuple[dict[str, Plan], Rows]:
    """The plans with an event time only where its last days can be held out."""
    _check_features(found, columns)
    try:
        rows = sampled_rows(found.sample, label, columns)
        holdout(rows)
        return columns, rows
    except TrainingDataInvalid as error:
        moment = event_time(columns)
        if moment is None:
            raise refused(found.path, "label", str(error), label.column) from error
        reason = f"no event time: {error}"
    columns = without_event_time(columns, reason)
    try:
        rows = sampled_rows(found.sample, label, columns)
    except TrainingDataInvalid as error:
        raise refused(found.path, "label", str(error), label.column) from error
    return columns, rows


def _split(found: Survey, label: LabelPlan, rows: Rows) -> Split:
    try:
        return holdout(rows)
    except TrainingDataInvalid as error:
        raise refused(found.path, "label", str(error), label.column) from error


def _without_leaks(found: Survey, columns: dict[str, Plan], findings: list[Finding]) -> dict[str, Plan]:
    leaking = {finding.column: finding for finding in findings if finding.leak}
    result = {
        name: Plan(name, plan.type, "left out", f"A LEAK? {leaking[name]}", known=False) if name in leaking else plan
        for name, plan in columns.items()
    }
    _check_features(found, result)
    return result


def _check_features(found: Survey, columns: dict[str, Plan]) -> None:
    if features(columns):
        return
    reasons = "; ".join(f"{plan.name!r}: {plan.reason}" for plan in columns.values() if plan.role != "label")
    message = f"no column is left to predict from ({reasons[:500] or 'the label is the only one'})"
    raise refused(found.path, "features", message)
