"""The last mile of an EventBridge rule: each target's input, its delivery, and its dead-letter queue."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.local.agenda import Agenda
from infra.local.context import Cloud
from infra.local.courier import Courier
from infra.local.event_inputs import InvalidInput, dumps, target_input
from infra.local.event_targets import EVENTS, Parcel, Targets, dead_letter
from infra.local.permissions import Permissions

Event = Mapping[str, Any]
# takes an event on to another bus: bus name, event, ingestion time
Forward = Callable[[str, Event, str], None]


class RuleTargets:
    """Sends an event that a rule has matched to the rule's targets."""

    def __init__(self, cloud: Cloud, agenda: Agenda, forward: Forward) -> None:
        self._cloud = cloud
        self._agenda = agenda
        self._forward = forward
        self._permissions = Permissions(cloud)
        self._courier = Courier(agenda, Targets(cloud, self._permissions))

    def send(self, rule_arn: str, targets: Sequence[Mapping[str, Any]], event: Event, arrived: str) -> None:
        """Put one delivery per target on the agenda: a slow target holds up a worker, never the other targets."""
        for target in list(targets):
            self._agenda.soon(functools.partial(self._send, rule_arn, target, event, arrived))

    def _send(self, rule_arn: str, target: Mapping[str, Any], event: Event, arrived: str) -> None:
        if ":event-bus/" in target["Arn"]:
            self._forward(target["Arn"].rpartition("/")[2], event, arrived)
            return
        # the same event to the same target is the same execution, however often it is tried
        name = f"{event['id']}_{uuid.uuid5(uuid.NAMESPACE_URL, rule_arn + '#' + target['Id'])}"
        lost = functools.partial(self._lost, event)
        try:
            payload = target_input(target, event, rule_arn, arrived)
        except InvalidInput as error:
            attributes = {"TARGET_ARN": target["Arn"], "ERROR_CODE": "INVALID_JSON", "ERROR_MESSAGE": str(error)}
            lost(Parcel(target, "", rule_arn, EVENTS, name), attributes)
            return
        self._courier.send(Parcel(target, payload, rule_arn, EVENTS, name), lost)

    def _lost(self, event: Event, parcel: Parcel, attributes: dict[str, str]) -> None:
        told = {"RULE_ARN": parcel.source} | attributes
        dead_letter(self._cloud, self._permissions, parcel, dumps(event), told)


def iso(when: datetime) -> str:
    """A time as events carry it: UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
