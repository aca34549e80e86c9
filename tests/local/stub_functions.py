"""Lambda functions that are Python callables: what EventBridge, Scheduler and API Gateway see of Lambda."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from werkzeug import Request, Response

from infra.local.cloud import LocalCloud

_PATH = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")

# gets the event, gives the answer as JSON, bytes as they are, or a Refusal
Body = Callable[[Any], Any]


class Refusal(Exception):
    """Lambda itself refuses the call with this status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass
class Stub:
    """One function, or one alias of it."""

    arn: str
    body: Body
    allowed: list[tuple[str, str]] = field(default_factory=list)  # service, source ARN pattern
    events: list[Any] = field(default_factory=list)

    def policy(self) -> dict[str, Any]:
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "lambda:InvokeFunction",
                    "Resource": self.arn,
                    "Condition": {"ArnLike": {"AWS:SourceArn": source}},
                }
                for service, source in self.allowed
            ],
        }


class StubFunctions:
    """A service of the local cloud that answers for the functions it was given."""

    def __init__(self) -> None:
        self._stubs: dict[str, Stub] = {}

    def add(self, body: Body = lambda event: event, *, qualifier: str | None = None) -> Stub:
        """A new function (or alias of a new function) that nobody may invoke yet."""
        name = f"stub-{uuid.uuid4().hex[:8]}" + (f":{qualifier}" if qualifier else "")
        stub = Stub(f"arn:aws:lambda:eu-west-1:123456789012:function:{name}", body)
        self._stubs[name] = stub
        return stub

    def policy(self, arn: str) -> str | None:
        """The policy of the stub with this ARN."""
        stub = self._stubs.get(arn.partition(":function:")[2])
        return json.dumps(stub.policy()) if stub is not None and stub.allowed else None

    def remove(self, stub: Stub) -> None:
        """Delete the function."""
        del self._stubs[stub.arn.split(":function:")[1]]

    def handle(self, request: Request) -> Response | None:
        """Invoke of stubs; everything else passes."""
        match = _PATH.match(request.path)
        name = unquote(match[1]).split(":function:")[-1] if match else ""
        if match is None or not name.startswith("stub-"):
            return None
        qualifier = request.args.get("Qualifier")
        stub = self._stubs.get(f"{name}:{qualifier}" if qualifier else name)
        if stub is None:
            return _error(404, "ResourceNotFoundException")
        return self._invoked(stub, request)

    def stop(self) -> None:
        """Nothing to end."""

    def _invoked(self, stub: Stub, request: Request) -> Response:
        event = json.loads(request.get_data() or b"{}")
        stub.events.append(event)
        try:
            answer = stub.body(event)
        except Refusal as refusal:
            return _error(refusal.status, refusal.code)
        except ZeroDivisionError as error:
            failed = json.dumps({"errorMessage": str(error), "errorType": "ZeroDivisionError"})
            return Response(failed, 200, {"X-Amz-Function-Error": "Unhandled"}, mimetype="application/json")
        if request.headers.get("X-Amz-Invocation-Type") == "Event":
            return Response(b"", 202)
        return Response(answer if isinstance(answer, bytes) else json.dumps(answer), mimetype="application/json")


def _error(status: int, code: str) -> Response:
    return Response(json.dumps({"message": code}), status, {"x-amzn-ErrorType": code}, mimetype="application/json")


@contextmanager
def stubbed(local_cloud: LocalCloud) -> Iterator[StubFunctions]:
    """Stubs in front of the other services of a running cloud."""
    stubs = StubFunctions()
    local_cloud.services.insert(0, stubs)
    local_cloud.cloud.authority.owns_policies("lambda", stubs.policy)
    try:
        yield stubs
    finally:
        local_cloud.services.remove(stubs)
