"""Stage feedback over HTTPS: `POST /v2/models/<model>/feedback`, for callers that IAM let in.

An answer counts `accepted` outcomes and `duplicates`: entries that this request repeats, or all of it when it came
before on the same day. What is refused is refused whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from perennial.catalog.load import Catalog
from perennial.door import Event, answered, read_json
from perennial.outcomes.entries import read_entries
from perennial.outcomes.events import OUTCOMES_ACCEPTED, OutcomesAccepted
from perennial.outcomes.limits import MAX_BODY
from perennial.outcomes.store import batch_of, write_outcomes
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused
from perennial.storage.bus import Bus
from perennial.storage.objects import Objects

_logger = Logger(service="feedback")


@dataclass(frozen=True)
class Door:
    """Answers API Gateway's events."""

    catalog: Catalog
    data: Objects
    bus: Bus

    def handle(self, event: Event) -> Reply:
        """The reply to one request, whatever happens (see perennial.door)."""
        return answered(lambda: self._answer(event), _logger)

    def _answer(self, event: Event) -> Reply:
        context, path = event["requestContext"], str(event.get("rawPath", ""))
        match path.split("/"):
            case ["", "v2", "models", model, "feedback"]:
                pass
            case _:
                raise RequestRefused(f"there is nothing at {path[:200]}", 404)
        if context["http"]["method"] != "POST":
            return error_reply(405, f"{path[:200]} takes POST", {"allow": "POST"})
        if model not in self.catalog.models:
            raise RequestRefused(f"there is no model {model[:100]!r}", 404)
        spec, received_at = self.catalog.model(model), datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC)
        body = read_json(event, MAX_BODY, ": send fewer outcomes, or drop a file")
        outcomes = read_entries(body, spec, self.catalog.contract(spec.dataset), received_at)
        accepted, duplicates = write_outcomes(self.data, model, outcomes)
        # told of a repetition too: the request before it may have died in between
        batch = batch_of(outcomes)
        fact = OutcomesAccepted(model=model, batch=batch, outcomes=len(outcomes), as_of=received_at)
        self.bus.put(OUTCOMES_ACCEPTED, fact)
        return json_reply(200, {"accepted": accepted, "duplicates": duplicates})
