"""Requests as events of API Gateway (payload format 2.0), and a service to send them to."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from perennial.serving.bundle import verify
from perennial.serving.service import Service
from tests.unit.serving.bundles import INPUTS, MODEL, write_bundle

# for properties that use a service: it keeps no state between requests that an answer depends on, and a busy machine
# is no failure
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROW = {"distance": 733.5, "hour": 7, "night": False, "carrier": "UA"}
NOON = 1_364_817_600_000  # 2013-04-01T12:00:00Z
REQUEST_ID = "6f1b2c3d-1111-4222-8333-123456789abc"


class Server:
    """A service in this process, with the records it wrote."""

    def __init__(self, directory: Path, files: Mapping[str, bytes] | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.service = Service(verify(write_bundle(directory, files)), "7", self._write)

    def _write(self, line: str) -> None:
        self.lines.append(line)
        self.records.append(json.loads(line))

    def send(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The reply, as API Gateway gets it."""
        return self.service.handle(event, REQUEST_ID)

    def infer(self, body: Any, **headers: str) -> tuple[int, Any]:
        """Status and parsed body of an inference request; `body` is a JSON value, text, or bytes (sent as base64)."""
        reply = self.send(infer_event(body, **headers))
        return reply["statusCode"], json.loads(reply["body"])


def infer_event(body: Any, path: str = f"/v2/models/{MODEL}/infer", method: str = "POST", **headers: str) -> Any:
    """The event of an inference request; header names with underscores for hyphens."""
    binary = isinstance(body, bytes)
    text = base64.b64encode(body).decode() if binary else body if isinstance(body, str) else json.dumps(body)
    return {
        "version": "2.0",
        "rawPath": path,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"http": {"method": method, "path": path}, "timeEpoch": NOON},
        "body": text,
        "isBase64Encoded": binary,
    }


def tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """The JSON tensor of one input."""
    datatype = next(one["datatype"] for one in INPUTS if one["name"] == name)
    return {"name": name, "datatype": datatype, "shape": [len(values), 1], "data": list(values)}


def request(*rows: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The request for some rows (default: ROW); further members of the request as keywords."""
    chosen = rows or (ROW,)
    return {"inputs": [tensor(one["name"], [row[one["name"]] for row in chosen]) for one in INPUTS], **more}


def changed(name: str, /, **changes: Any) -> dict[str, Any]:
    """The request for ROW with members of one tensor changed (None: taken away)."""
    made = request()
    for one in made["inputs"]:
        if one["name"] == name:
            one.update(changes)
            for member in [member for member, value in changes.items() if value is None]:
                del one[member]
    return made


def outputs(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The data of each output of a parsed reply."""
    return {output["name"]: output["data"] for output in reply["outputs"]}
