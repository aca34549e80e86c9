"""Delivers parcels again and again, until they arrive, their retry policy is used up, or retrying is pointless."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from infra.local.agenda import Agenda
from infra.local.event_targets import SCHEDULER, Parcel, Targets, Undeliverable

log = logging.getLogger(__name__)

# AWS: 185 attempts within 24 hours, "with an exponential back off and jitter". The delays are not published; without
# jitter a test says exactly when.
FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 600.0
DEFAULT_ATTEMPTS = 185
DEFAULT_AGE = 86_400  # seconds

# what becomes of a parcel that cannot be delivered: told the parcel and DLQ attributes
Lost = Callable[[Parcel, dict[str, str]], None]


def delay(retries: int) -> float:
    """Seconds before the next attempt when `retries` were made after the first one."""
    return float(min(FIRST_DELAY * 2.0 ** min(retries, 30), LONGEST_DELAY))


class Courier:
    """Runs deliveries on an agenda; retries wait on the cloud's clock."""

    def __init__(self, agenda: Agenda, targets: Targets) -> None:
        self._agenda = agenda
        self._targets = targets

    def send(self, parcel: Parcel, lost: Lost) -> None:
        """Deliver now (on the calling thread) and, if that fails, later by the target's RetryPolicy."""
        born = self._agenda.clock.time()
        self._attempt(parcel, lost, born, born, 0)

    def _attempt(self, parcel: Parcel, lost: Lost, born: float, due: float, retries: int) -> None:
        try:
            self._targets.deliver(_numbered(parcel, retries + 1))
        except Undeliverable as failure:
            self._failed(parcel, lost, born, due, retries, failure)

    def _failed(
        self, parcel: Parcel, lost: Lost, born: float, due: float, retries: int, failure: Undeliverable
    ) -> None:
        # counted from when this attempt was due, not made: a clock driven far runs the retries that fell within
        again = due + delay(retries)
        exhausted = _exhausted(parcel.target, retries, again - born) if failure.retriable else None
        if failure.retriable and exhausted is None:
            self._agenda.at(again, lambda: self._attempt(parcel, lost, born, again, retries + 1))
            return
        log.warning("%s: not delivered to %s: %s", parcel.source, parcel.target["Arn"], failure)
        attributes = {
            "TARGET_ARN": parcel.target["Arn"],
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": failure.message,
            "RETRY_ATTEMPTS": str(retries),
        }
        lost(parcel, attributes | ({"EXHAUSTED_RETRY_CONDITION": exhausted} if exhausted else {}))


def _numbered(parcel: Parcel, attempt: int) -> Parcel:
    """The parcel with Scheduler's attempt number filled in."""
    if parcel.service != SCHEDULER:
        return parcel
    return replace(parcel, payload=parcel.payload.replace("<aws.scheduler.attempt-number>", str(attempt)))


def _exhausted(target: Mapping[str, Any], retries: int, age: float) -> str | None:
    policy = target.get("RetryPolicy") or {}
    if retries >= policy.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS):
        return "MaximumRetryAttempts"
    if age > policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE):
        return "MaximumEventAgeInSeconds"
    return None
