"""Which operation a request asks for, and its parameters: by the service models that SDKs are made from.

Parameters are read as far as a decision needs them: those in path, query and headers, and the bodies of the JSON and
query protocols.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.parsers.expat import ExpatError

import botocore.session
import xmltodict
from botocore.exceptions import UnknownServiceError
from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel
from werkzeug import Request

# the service that a request is signed for → the name of its model, where they differ
MODELS = {"states": "stepfunctions", "monitoring": "cloudwatch", "execute-api": "", "email": "ses"}
S3_HOST = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]+?)\.(?:s3[.-].*|localhost)$")


class NotImitated(Exception):
    """A request that the local cloud cannot judge; the message names it."""


@dataclass(frozen=True)
class ApiCall:
    """An operation of a service's API (`dynamodb`, `GetItem`) with its parameters and headers (lower case)."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    headers: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}"


def protocol(service: str) -> str:
    """The protocol that a service speaks, by the service's signing name; raises NotImitated."""
    return str(model(service).metadata["protocol"])


@cache
def model(service: str, path: str = "") -> ServiceModel:
    """The model of a service by its signing name; raises NotImitated."""
    name = MODELS.get(service, service)
    if service == "apigateway" and path.startswith("/v2/"):
        name = "apigatewayv2"
    try:
        found: ServiceModel = _session().get_service_model(name)
        return found
    except (UnknownServiceError, ValueError) as error:
        raise NotImitated(f"the service {service} is not known") from error


@cache
def _session() -> Any:
    """A session that reads the models itself: clients take the bucket out of the paths of those that they share."""
    session = botocore.session.Session()
    session.register_component("data_loader", create_loader())
    return session


def read(request: Request, service: str) -> ApiCall:
    """The call that a request makes of the service it is signed for; raises NotImitated."""
    found = model(service, request.path[:4] if service == "apigateway" else "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    kind = str(found.metadata["protocol"])
    if kind.startswith("rest-"):
        operation, parameters = _by_path(request, found, headers)
    elif "x-amz-target" in headers:
        prefix, _, operation = headers["x-amz-target"].rpartition(".")
        if prefix != found.metadata.get("targetPrefix"):
            raise NotImitated(f"{prefix} is not {service}, for which the request is signed")
        parameters = _json(request)
    elif request.path.startswith("/service/"):
        operation, parameters = request.path.rpartition("/")[2], {}
    else:
        form = parse_qsl(request.get_data().decode("utf-8", "replace") or request.query_string.decode())
        parameters = dict(form)
        operation = parameters.get("Action", "")
    if operation not in found.operation_names:
        raise NotImitated(f"{service}:{operation or request.method + ' ' + request.path} is not known")
    return ApiCall(found.service_name, operation, parameters, headers)


def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data() or b"{}")
    except ValueError:
        return {}  # the service says so
    return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class Route:
    """How a REST operation is asked for: what must be in path, query and headers."""

    operation: OperationModel
    path: re.Pattern[str]
    query: frozenset[str]
    headers: frozenset[str]
    literals: int
    located: tuple[tuple[str, str, str], ...]

    @property
    def demands(self) -> tuple[int, int]:
        """The more it demands, the earlier it is tried."""
        return self.literals, len(self.query) + len(self.headers)


@cache
def _routes(service: str) -> list[tuple[str, Route]]:
    found = _session().get_service_model(service)
    routes = [_route(found.operation_model(name)) for name in found.operation_names]
    ordered = sorted(routes, key=lambda route: route.demands, reverse=True)
    return [(route.operation.http["method"], route) for route in ordered]


def _route(operation: OperationModel) -> Route:
    path, _, literal = operation.http["requestUri"].partition("?")
    pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda it: f"(?P<{it[1]}>{'.+' if it[2] else '[^/]+'})", re.escape(path))
    shape = operation.input_shape
    places = {name: _place(operation, name) for name in (shape.members if shape else ())}
    required = {places[name] for name in (shape.required_members if shape else ())}
    query = {wire for where, wire in required if where == "querystring"}
    headers = {wire for where, wire in required if where == "header"}
    fixed = {part.partition("=")[0] for part in literal.split("&") if part}
    literals = sum(not part.startswith("{") for part in path.split("/") if part)
    located = tuple((name, *place) for name, place in places.items() if place[0] in ("querystring", "header"))
    return Route(
        operation,
        re.compile(pattern.rstrip("/") + "/?", re.DOTALL),
        frozenset(query | fixed),
        frozenset(headers),
        literals,
        located,
    )


def _place(operation: OperationModel, name: str) -> tuple[str, str]:
    serialization = operation.input_shape.members[name].serialization  # type: ignore[union-attr]
    where, wire = str(serialization.get("location", "body")), str(serialization.get("name", name))
    return where, wire.lower() if where == "header" else wire


def _by_path(request: Request, found: ServiceModel, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    path = request.path
    if found.service_name == "s3" and (host := S3_HOST.match(request.host.partition(":")[0])):
        path = f"/{host['bucket']}{path}"
    query = request.args
    for method, route in _routes(found.service_name):
        if method != request.method or not route.query <= query.keys() or not route.headers <= headers.keys():
            continue
        if matched := route.path.fullmatch(path):
            if route.operation.name == "DeleteObjects":
                return route.operation.name, {**matched.groupdict(), "Objects": _objects(request)}
            body = _json(request) if found.metadata["protocol"] == "rest-json" and not _streams(route) else {}
            return route.operation.name, {
                **body,
                **dict(_located(route, request, headers)),
                **matched.groupdict(),
            }
    raise NotImitated(f"{found.service_name}: {request.method} {request.path} is not known")


def _objects(request: Request) -> list[dict[str, str]]:
    """Key and VersionId of the objects that the body of DeleteObjects names; the only XML that is read."""
    try:
        found = xmltodict.parse(request.get_data(), force_list=("Object",))["Delete"]["Object"]
    except (ExpatError, KeyError, TypeError) as error:
        raise NotImitated(f"the body of DeleteObjects: {error}") from error
    return [dict(each) for each in found]


def _streams(route: Route) -> bool:
    shape = route.operation.input_shape
    return shape is not None and "payload" in shape.serialization


def _located(route: Route, request: Request, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, where, wire in route.located:
        if where == "querystring" and wire in request.args:
            yield name, request.args[wire]
        elif where == "header" and wire in headers:
            yield name, headers[wire]
