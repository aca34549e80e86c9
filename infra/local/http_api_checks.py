"""What of an HTTP API the local cloud would not do as AWS does, refused when it is made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from werkzeug import Request, Response

_PATH = re.compile(r"^/v2/apis(?:/[^/]+)?(?:/(routes|integrations|stages|authorizers)(?:/[^/]+)?)?$")


def refusal(request: Request) -> Response | None:
    """A 400 for a call of apigatewayv2 whose effect is not imitated; None to let it pass."""
    match = _PATH.match(request.path)
    if match is None or request.method not in ("POST", "PATCH"):
        return None
    try:
        asked = json.loads(request.get_data() or b"{}")
    except ValueError:
        return None
    reason = _reason(match[1] or "api", asked)
    return None if reason is None else error(400, "BadRequestException", reason)


def error(status: int, code: str, reason: str) -> Response:
    """An error of apigatewayv2."""
    headers = {"x-amzn-ErrorType": code}
    return Response(json.dumps({"message": reason}), status, headers, content_type="application/json")


def _reason(kind: str, asked: Mapping[str, Any]) -> str | None:
    if kind == "api":
        if asked.get("protocolType", "HTTP") != "HTTP":
            return "only HTTP APIs are imitated by the local cloud"
        if asked.get("corsConfiguration"):
            return "corsConfiguration is not imitated by the local cloud"
    if kind == "authorizers" or (
        kind == "routes" and asked.get("authorizationType", "NONE") not in ("NONE", "AWS_IAM")
    ):
        return "routes are open or authorised by IAM in the local cloud; nothing else is imitated"
    if kind == "integrations":
        if asked.get("integrationType", "AWS_PROXY") != "AWS_PROXY":
            return "only AWS_PROXY integrations with Lambda functions are imitated by the local cloud"
        if asked.get("payloadFormatVersion", "2.0") != "2.0":
            return "only payload format 2.0 is imitated by the local cloud"
        if asked.get("requestParameters") or asked.get("responseParameters"):
            return "parameter mappings are not imitated by the local cloud"
    return None
