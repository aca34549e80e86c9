"""From what the governor is asked (RetrainInput) to what it answers (RetrainOutput)."""

from __future__ import annotations

from typing import TypeVar

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.events import DatasetVersionAccepted, RetrainInput, RetrainOutput
from perennial.retraining.decisions import Arrival, Decline
from perennial.retraining.governor import Governor
from perennial.stage import InputInvalid

Given = TypeVar("Given")


def answer(message: RetrainInput, governor: Governor, catalog: Catalog) -> RetrainOutput:
    """Do what the message asks. Raises InputInvalid when a field that the action needs is missing, ModelUnknown."""
    if message.action == "arrive":
        return _arrive(message, governor, catalog)
    spec = catalog.model(_given(message.model, "model", message.action))
    if message.action == "schedule":
        decided = governor.schedule(spec, message.as_of)
        return RetrainOutput(
            model=spec.name,
            started=[] if isinstance(decided, Decline) else [decided],
            declined=decided.reason if isinstance(decided, Decline) else None,
        )
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
