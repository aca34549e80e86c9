"""The Lambda proxy integration's payload format 2.0: the event for the function, and the reply made of its answer.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html. What
that page leaves open follows events and replies that others have captured from AWS: `rawPath` is decoded, `+` in a
query is a space, bodies of other types than text/*, JSON, XML and JavaScript are base64, a bare string is the body
itself, and a reply without a content type is text/plain.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, unquote_plus

from infra.local.context import Principal
from infra.local.sigv4 import HttpRequest

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})
# set anew for each connection; what a function says about them is not passed on
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer", "content-length"})


@dataclass(frozen=True)
class Reply:
    """An answer to the caller."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Routed:
    """What the gateway knows of a request besides the request itself."""

    account: str
    api: str
    stage: str
    domain: str
    route: str
    path: str  # decoded
    variables: Mapping[str, str]
    stage_variables: Mapping[str, str]
    request_id: str
    time: datetime
    caller: Principal | None = None
    caller_id: str = ""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"


def message(status: int, text: str) -> Reply:
    """A reply of the gateway's own."""
    return Reply(status, [("Content-Type", "application/json")], f'{{"message":"{text}"}}'.encode())


def new_request_id() -> str:
    """An id of the form that HTTP APIs give."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode().replace("-", "A").replace("_", "B")


def decoded_path(target: str) -> str:
    """The path of a request target, percent-decoded as API Gateway does (a decoded slash separates like any)."""
    return unquote(target.partition("?")[0], errors="replace")


def event(request: HttpRequest, routed: Routed) -> dict[str, Any]:
    """The event that the function gets."""
    query = request.target.partition("?")[2]
    headers = _headers(request)
    cookies = [part.strip() for value in request.values("cookie") for part in value.split(";") if part.strip()]
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": routed.route,
        "rawPath": routed.path,
        "rawQueryString": query,
        "cookies": cookies,
        "headers": headers,
        "queryStringParameters": _parameters(query),
        "requestContext": _context(request, routed),
        "pathParameters": dict(routed.variables),
        "stageVariables": dict(routed.stage_variables),
    }
    # what a request does not have is left out
    made = {name: value for name, value in made.items() if value or name in ("rawQueryString", "headers")}
    binary = bool(request.body) and not is_text(headers)
    if request.body:
        made["body"] = base64.b64encode(request.body).decode() if binary else request.body.decode("utf-8", "replace")
    made["isBase64Encoded"] = binary
    return made


def is_text(headers: Mapping[str, str]) -> bool:
    """Whether API Gateway hands the body over as text (by its content type, unless it is compressed)."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return (kind.startswith("text/") or kind in _TEXT_TYPES) and "content-encoding" not in headers


def _headers(request: HttpRequest) -> dict[str, str]:
    joined: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name.lower() not in ("cookie", "connection"):
            joined.setdefault(name.lower(), []).append(value.encode("latin-1").decode("utf-8", "replace"))
    host = (request.values("host") or [""])[0]
    joined.setdefault("content-length", [str(len(request.body))])
    joined["x-forwarded-for"] = [*joined.get("x-forwarded-for", []), "127.0.0.1"]
    joined["x-forwarded-port"] = [host.partition(":")[2] or "80"]
    joined["x-forwarded-proto"] = ["http"]
    joined.setdefault("x-amzn-trace-id", [f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"])
    return {name: ",".join(values) for name, values in sorted(joined.items())}


def _parameters(query: str) -> dict[str, str]:
    joined: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            joined.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return {name: ",".join(values) for name, values in joined.items()}


def _context(request: HttpRequest, routed: Routed) -> dict[str, Any]:
    user_agent = ",".join(request.values("user-agent"))
    context: dict[str, Any] = {
        "accountId": routed.account,
        "apiId": routed.api,
        "domainName": routed.domain,
        "domainPrefix": routed.domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": routed.path,
            "protocol": routed.protocol,
            "sourceIp": routed.source_ip,
            "userAgent": user_agent,
        },
        "requestId": routed.request_id,
        "routeKey": routed.route,
        "stage": routed.stage,
        "time": routed.time.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(routed.time.timestamp() * 1000),
    }
    if routed.caller is not None:
        context["authorizer"] = {"iam": _identity(routed.caller, routed.caller_id)}
    return context


def _identity(caller: Principal, unique: str) -> dict[str, Any]:
    """Who signed, as `requestContext.authorizer.iam` says it."""
    return {
        "accessKey": caller.access_key,
        "accountId": caller.arn.split(":")[4],
        "callerId": unique,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn,
        "userId": unique,
    }


def facts(request: HttpRequest, reply: Reply, path: str) -> dict[str, str]:
    """What the access log may say of any request and its reply."""
    return {
        "httpMethod": request.method,
        "path": path,
        "protocol": "HTTP/1.1",
        "status": str(reply.status),
        "responseLength": str(len(reply.body)),
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": ",".join(request.values("user-agent")),
    }


class Malformed(ValueError):
    """The function's answer is not one that can be made into a reply."""


def reply(payload: bytes) -> Reply:
    """The reply that API Gateway makes of the function's answer; raises Malformed (500 to the caller)."""
    try:
        answer = json.loads(payload)
    except ValueError:
        return Reply(200, [("Content-Type", "application/json")], payload)
    if isinstance(answer, dict) and "statusCode" in answer:
        return _structured(answer)
    body = answer.encode() if isinstance(answer, str) else payload
    return Reply(200, [("Content-Type", "application/json")], body)


def _structured(answer: Mapping[str, Any]) -> Reply:
    status = _status(answer["statusCode"])
    headers = answer.get("headers") or {}
    if not isinstance(headers, Mapping):
        raise Malformed("headers is not an object")
    made = [(name, _header_value(value)) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP]
    if not any(name.lower() == "content-type" for name, _ in made):
        made.append(("Content-Type", "text/plain; charset=utf-8"))
    cookies = answer.get("cookies") or []
    if not isinstance(cookies, list):
        raise Malformed("cookies is not a list")
    made += [("Set-Cookie", _header_value(cookie)) for cookie in cookies]
    return Reply(status, made, _body(answer))


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise Malformed(f"statusCode {value!r}")
    if not 100 <= value <= 599:
        raise Malformed(f"statusCode {value!r}")
    return int(value)


def _header_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Malformed(f"a header of {type(value).__name__}")
    text = str(value)
    if "\r" in text or "\n" in text:
        raise Malformed("a header of two lines")
    return text


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise Malformed("body is not a text")
    if not answer.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("body is not base64") from error
