"""Calls and replies of AWS's JSON protocols, as the local cloud's own services read and write them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from werkzeug import Request, Response


class ApiError(Exception):
    """An error that the caller gets as AWS writes it: type name, message, HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def operation(request: Request, prefix: str) -> str | None:
    """The operation that `X-Amz-Target: <prefix>.<Operation>` asks for, or None when it is another service's."""
    service, _, name = request.headers.get("X-Amz-Target", "").partition(".")
    return name if service == prefix else None


def arguments(request: Request) -> dict[str, Any]:
    """The call's arguments; raises ApiError when the body is no JSON object."""
    try:
        found = json.loads(request.get_data() or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError("SerializationException", "the body is not a JSON object")
    return found


def reply(body: dict[str, Any], version: str = "1.1") -> Response:
    """A successful answer."""
    return _response(json.dumps(body), 200, version)


def refusal(error: ApiError, version: str = "1.1") -> Response:
    """The answer to a call that is refused."""
    return _response(json.dumps({"__type": error.code, "message": error.message}), error.status, version)


def _response(text: str, status: int, version: str) -> Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    return Response(text, status, headers, content_type=f"application/x-amz-json-{version}")
