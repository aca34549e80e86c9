"""Replies in API Gateway's payload format 2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Reply = dict[str, Any]
JSON_TYPE = {"content-type": "application/json"}


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with a JSON body."""
    body = json.dumps(value, allow_nan=False)
    return {"statusCode": status, "headers": {**JSON_TYPE, **(headers or {})}, "body": body, "isBase64Encoded": False}


def error_reply(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The protocol's error body, `{"error": message}`."""
    return json_reply(status, {"error": message}, headers)
