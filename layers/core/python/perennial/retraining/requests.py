"""From what the governor is asked (RetrainInput) to what it answers (RetrainOutput)."""

from __future__ import annotations

from typing import TypeVar

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.events import DatasetVersionAccepted
from perennial.retraining.decisions import Arrival
from perennial.retraining.events import RetrainInput, RetrainOutput
from perennial.retraining.governor import Governor
from perennial.retraining.records import Trigger, alarmed, scheduled
from perennial.stage import InputInvalid

Given = TypeVar("Given")


def answer(message: RetrainInput, governor: Governor, catalog: Catalog) -> RetrainOutput:
    """Do what the message asks. Raises InputInvalid when a field that the action needs is missing, ModelUnknown."""
    if message.action == "arrive":
        return _arrive(message, governor, catalog)
    if message.action == "ask":
        alarm = _given(message.alarm, "alarm", message.action)
        return _ask(alarmed(alarm, message.as_of), governor, catalog.model(alarm.model))
    spec = catalog.model(_given(message.model, "model", message.action))
    if message.action == "schedule":
        return _ask(scheduled(spec.name, message.as_of), governor, spec)
    flight = _given(message.flight, "flight", message.action)
    if message.action == "freeze":
        return _freeze(message, governor, spec, flight)
    if message.action == "hand-over":
        execution = governor.hand_over(spec, flight, message.leg, message.seen)
        return RetrainOutput(model=spec.name, flight=flight, started=[execution])
    failure, started = governor.finish(spec, flight, message.leg, message.failure, message.as_of)
    return RetrainOutput(
        model=spec.name,
        flight=flight,
        run=message.run,
        started=[started] if started else [],
        error=failure.error if failure else None,
        cause=failure.cause if failure else None,
    )


def _arrive(message: RetrainInput, governor: Governor, catalog: Catalog) -> RetrainOutput:
    """Every model of the dataset hears of the arrival; a dataset without models has none to hear."""
    detail: DatasetVersionAccepted = _given(message.detail, "detail", message.action)
    arrival = Arrival(detail.dataset, detail.version, detail.rows)
    specs = [spec for _, spec in sorted(catalog.models.items()) if spec.dataset == detail.dataset]
    decided = [governor.arrive(spec, arrival, message.as_of) for spec in specs]
    return RetrainOutput(started=[flight for flight in decided if flight])


def _ask(trigger: Trigger, governor: Governor, spec: ModelSpec) -> RetrainOutput:
    record = governor.ask(spec, trigger)
    return RetrainOutput(
        model=spec.name,
        started=[record.flight] if record.flight else [],
        declined=None if record.flight else record.why,
    )


def _freeze(message: RetrainInput, governor: Governor, spec: ModelSpec, flight: str) -> RetrainOutput:
    look = governor.freeze(spec, flight, message.leg, message.seen, message.as_of)
    return RetrainOutput(
        model=spec.name,
        flight=flight,
        ready=look.run is not None,
        next_look=message.look + 1,
        seen=look.seen,
        settle_seconds=spec.train.when.settle,
        run=look.run,
        request_key=look.request_key,
    )


def _given(value: Given | None, field: str, action: str) -> Given:
    if value is None:
        raise InputInvalid(f"stage retrain: action {action} needs {field}")
    return value
