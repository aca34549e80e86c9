"""Stage feedback over HTTPS: `POST /v2/models/<model>/feedback`, for callers that IAM let in.

An answer counts `accepted` outcomes and `duplicates`: entries that this request repeats, or all of it when it came
before on the same day. What is refused is refused whole.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from perennial.catalog.load import Catalog
from perennial.errors import PerennialError, Retriable
from perennial.outcomes.entries import read_entries
from perennial.outcomes.events import OUTCOMES_ACCEPTED, OutcomesAccepted
from perennial.outcomes.limits import MAX_BODY
from perennial.outcomes.store import batch_of, write_outcomes
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused
from perennial.serving.strict_json import parse
from perennial.storage.bus import Bus
from perennial.storage.objects import Objects

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Door:
    """Answers API Gateway's events."""

    catalog: Catalog
    data: Objects
    bus: Bus

    def handle(self, event: Event) -> Reply:
        """The reply to one request: what the caller did wrong is a 4xx, a passing fault 503, any other reason 502."""
        try:
            return self._answer(event)
        except RequestRefused as refused:
            return error_reply(refused.status, str(refused))
        except Retriable as error:
            return error_reply(503, f"try again: {error}", {"retry-after": "1"})
        except PerennialError as error:  # not the caller's: a person has to put it right
            return error_reply(502, f"{type(error).__name__}: {error}")

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
        outcomes = read_entries(_body(event), spec, self.catalog.contract(spec.dataset), received_at)
        accepted, duplicates = write_outcomes(self.data, model, outcomes)
        # told of a repetition too: the request before it may have died in between
        batch = batch_of(outcomes)
        fact = OutcomesAccepted(model=model, batch=batch, outcomes=len(outcomes), as_of=received_at)
        self.bus.put(OUTCOMES_ACCEPTED, fact)
        return json_reply(200, {"accepted": accepted, "duplicates": duplicates})


def _body(event: Event) -> dict[str, Any]:
    """The body as a JSON object. Raises RequestRefused (400, 413)."""
    text = event.get("body") or ""
    if len(text) > MAX_BODY:
        raise RequestRefused(f"the body is larger than {MAX_BODY:,} bytes: send fewer outcomes, or drop a file", 413)
    if event.get("isBase64Encoded"):
        try:
            text = base64.b64decode(text, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RequestRefused("the body is not text in UTF-8") from error
    return parse(text)
