"""The Lambda API of the local cloud: routes of the REST API to what answers them.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug import Request, Response

from infra.local import metric_queries
from infra.local.context import Cloud
from infra.local.iam.gate import signer
from infra.local.lambdas.aliases import Aliases
from infra.local.lambdas.arns import Place, Reference
from infra.local.lambdas.asynchronous import AsyncQueue
from infra.local.lambdas.code import CodeStore
from infra.local.lambdas.errors import ApiError, InvalidRequestContent, NotImitated, ValidationError
from infra.local.lambdas.extras import Extras
from infra.local.lambdas.functions import Functions
from infra.local.lambdas.invocations import REQUEST_LIMIT, Call, Invocations, check_payload
from infra.local.lambdas.layers import Layers
from infra.local.lambdas.logs import LogWriter
from infra.local.lambdas.metrics import Metrics
from infra.local.lambdas.model import Version
from infra.local.lambdas.pipes import Pump
from infra.local.lambdas.policies import Policies
from infra.local.lambdas.pool import Concurrency, Limits, Pool
from infra.local.lambdas.registry import Registry
from infra.local.lambdas.roles import Roles
from infra.local.lambdas.sandbox import Machinery, Sandbox
from infra.local.lambdas.snapshots import Snapshots
from infra.local.lambdas.variables import Launcher
from infra.local.lambdas.watch import Watcher
from infra.local.patches import Patches

DOWNLOAD = re.compile(r"^/_lambda/([0-9a-f]{64}\.zip)$")
PATH = re.compile(r"^/20\d\d-\d\d-\d\d/(.*?)/?$")
F, Q = r"functions/(?P<name>[^/]+)", r"(?P<name>[^/]+)"


@dataclass(frozen=True)
class Ask:
    """One request of the control plane, read."""

    request: Request
    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the path names."""
        return self.parts["name"]

    @property
    def reference(self) -> Reference:
        """The function that the path and the Qualifier name."""
        return Reference.parse(self.name, self.request.args.get("Qualifier"))

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.request.get_data())

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON; raises ApiError."""
        try:
            found = json.loads(self.request.get_data() or b"{}")
        except ValueError as error:
            raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error
        if not isinstance(found, dict):
            raise InvalidRequestContent("Could not parse request body into json: it is no object")
        return found

    def page(self, key: str, items: list[Any]) -> dict[str, Any]:
        """A page of a list, by Marker and MaxItems."""
        try:
            start = int(self.request.args.get("Marker", 0))
            most = int(self.request.args.get("MaxItems", 50))
        except ValueError as error:
            raise ValidationError("Marker or MaxItems is not valid") from error
        page: dict[str, Any] = {key: items[start : start + most]}
        if start + most < len(items):
            page["NextMarker"] = str(start + most)
        return page


Route = tuple[str, re.Pattern[str], int, Callable[[Ask], Any]]


class LambdaService:
    """Lambda, whole: control plane, execution environments, asynchronous queue, logs and metrics."""

    def __init__(self, cloud: Cloud, limits: Limits | None = None) -> None:
        self._cloud = cloud
        limits = limits or Limits()
        registry = Registry(Place(cloud.region, cloud.account))
        store = CodeStore(cloud)
        self._patches = Patches()
        metric_queries.apply(self._patches)
        self.metrics = Metrics(cloud)
        self.logs = LogWriter(cloud, self.metrics)
        self._machinery = Machinery(cloud, self.logs, Pump(), Watcher())
        self._launcher = Launcher(cloud, store)
        self._pool = Pool(self._sandbox, limits)
        self._invocations = Invocations(registry, self._pool, Concurrency(limits), self._machinery, self.metrics)
        roles = Roles(cloud)
        self._queue = AsyncQueue(cloud, registry, roles, self._invocations)
        snapshots = Snapshots(self._pool, self._machinery)
        self._functions = Functions(registry, store, roles, cloud.endpoint, self._pool.retire, snapshots.take)
        self._aliases = Aliases(registry)
        self._policies = Policies(registry)
        cloud.authority.owns_policies("lambda", self._policies.find)
        self._layers = Layers(registry, store, cloud.endpoint)
        self._extras = Extras(registry, roles, limits.account_concurrency)
        self._routes = [*self._function_routes(), *self._alias_routes(), *self._layer_routes(), *self._extra_routes()]

    def _sandbox(self, version: Version) -> Sandbox:
        return Sandbox(version, self._launcher.launch(version), self._machinery)

    def stop(self) -> None:
        """End every process and thread, and write what has been logged."""
        self._queue.stop()
        self._pool.stop()
        self._machinery.watcher.stop()
        self._machinery.pump.stop()
        self.logs.stop()
        self.metrics.stop()
        self._patches.undo()

    def handle(self, request: Request) -> Response | None:
        """Answer what is signed for Lambda, and downloads of code."""
        download = DOWNLOAD.match(request.path)
        if download:
            return self._download(download[1])
        if signer(request)[1] != "lambda":
            return None
        path = PATH.match(request.path)
        try:
            return self._answer(request, path[1] if path else "")
        except ApiError as error:
            return error.response()

    def _answer(self, request: Request, path: str) -> Response:
        for method, pattern, status, operation in self._routes:
            match = pattern.match(path) if method == request.method else None
            if match:
                result = operation(Ask(request, match.groupdict()))
                if isinstance(result, Response):
                    return result
                body = b"" if result is None else json.dumps(result).encode()
                return Response(body, status, mimetype="application/json")
        raise NotImitated(f"{request.method} {request.path} is not imitated by the local cloud")

    def _download(self, name: str) -> Response:
        path = self._cloud.workdir / "lambda" / "archives" / name
        if not path.is_file():
            return Response(status=404)
        return Response(path.read_bytes(), mimetype="application/zip")

    def _invoke(self, ask: Ask) -> Response:
        payload = ask.request.get_data()
        headers = _runtime_headers(ask.request)
        call = Call(ask.reference, payload, headers)
        kind = ask.request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            check_payload(payload, REQUEST_LIMIT)
            self._invocations.choose(call.reference)
            return _invoked(call, Response(status=204))
        if kind == "Event":
            self._queue.put(call)
            return _invoked(call, Response(status=202))
        if kind != "RequestResponse":
            raise ValidationError(f"1 validation error detected: Value '{kind}' at 'invocationType' is not valid")
        result = self._invocations.invoke(call)
        reply = Response(result.payload, 200, mimetype="application/json")
        reply.headers["X-Amz-Executed-Version"] = result.version
        if result.failed:
            reply.headers["X-Amz-Function-Error"] = "Unhandled"
        if ask.request.headers.get("X-Amz-Log-Type") == "Tail":
            reply.headers["X-Amz-Log-Result"] = base64.b64encode(result.tail).decode()
        return _invoked(call, reply)

    def _function_routes(self) -> list[Route]:
        functions = self._functions
        return [
            _route("POST", f"{F}/invocations", 200, self._invoke),
            _route("POST", "functions", 201, lambda ask: functions.create(ask.body, ask.size)),
            _route("GET", "functions", 200, lambda ask: ask.page("Functions", functions.listed(_all(ask)))),
            _route("GET", F, 200, lambda ask: functions.get(ask.reference)),
            _route("DELETE", F, 204, lambda ask: functions.delete(ask.reference)),
            _route("GET", f"{F}/configuration", 200, lambda ask: functions.get_configuration(ask.reference)),
            _route("PUT", f"{F}/configuration", 200, lambda ask: functions.update_configuration(ask.name, ask.body)),
            _route("PUT", f"{F}/code", 200, lambda ask: functions.update_code(ask.name, ask.body, ask.size)),
            _route("POST", f"{F}/versions", 201, lambda ask: functions.publish(ask.name, ask.body)),
            _route("GET", f"{F}/versions", 200, lambda ask: ask.page("Versions", functions.list_versions(ask.name))),
        ]

    def _alias_routes(self) -> list[Route]:
        aliases, policies = self._aliases, self._policies
        one = f"{F}/aliases/(?P<alias>[^/]+)"
        return [
            _route("POST", f"{F}/aliases", 201, lambda ask: aliases.create(ask.name, ask.body)),
            _route(
                "GET",
                f"{F}/aliases",
                200,
                lambda ask: ask.page("Aliases", aliases.list(ask.name, ask.request.args.get("FunctionVersion"))),
            ),
            _route("GET", one, 200, lambda ask: aliases.get(ask.name, ask.parts["alias"])),
            _route("PUT", one, 200, lambda ask: aliases.update(ask.name, ask.parts["alias"], ask.body)),
            _route("DELETE", one, 204, lambda ask: aliases.delete(ask.name, ask.parts["alias"])),
            _route("POST", f"{F}/policy", 201, lambda ask: policies.add(ask.reference, ask.body)),
            _route("GET", f"{F}/policy", 200, lambda ask: policies.get(ask.reference)),
            _route(
                "DELETE",
                f"{F}/policy/(?P<sid>[^/]+)",
                204,
                lambda ask: policies.remove(ask.reference, ask.parts["sid"], ask.request.args.get("RevisionId")),
            ),
        ]

    def _layer_routes(self) -> list[Route]:
        layers = self._layers
        versions = f"layers/{Q}/versions"
        one = rf"{versions}/(?P<number>\d+)"
        return [
            _route("POST", versions, 201, lambda ask: layers.publish(ask.name, ask.body, ask.size)),
            _route("GET", versions, 200, lambda ask: ask.page("LayerVersions", layers.versions(ask.name))),
            _route("GET", one, 200, lambda ask: layers.get(ask.name, ask.parts["number"])),
            _route("DELETE", one, 204, lambda ask: layers.delete(ask.name, ask.parts["number"])),
            _route("GET", "layers", 200, self._list_layers),
        ]

    def _list_layers(self, ask: Ask) -> Any:
        if ask.request.args.get("find") == "LayerVersion":
            return self._layers.get_by_arn(ask.request.args.get("Arn", ""))
        return ask.page("Layers", self._layers.list())

    def _extra_routes(self) -> list[Route]:
        extras = self._extras
        asynchronous, reserved, tags = f"{F}/event-invoke-config", f"{F}/concurrency", f"tags/{Q}"
        return [
            _route("PUT", asynchronous, 200, lambda ask: extras.put_event_config(ask.reference, ask.body)),
            _route("POST", asynchronous, 200, lambda ask: extras.put_event_config(ask.reference, ask.body, keep=True)),
            _route("GET", asynchronous, 200, lambda ask: extras.get_event_config(ask.reference)),
            _route("DELETE", asynchronous, 204, lambda ask: extras.delete_event_config(ask.reference)),
            _route(
                "GET",
                f"{asynchronous}/list",
                200,
                lambda ask: ask.page("FunctionEventInvokeConfigs", extras.list_event_configs(ask.name)),
            ),
            _route("PUT", reserved, 200, lambda ask: extras.put_concurrency(ask.name, ask.body)),
            _route("GET", reserved, 200, lambda ask: extras.get_concurrency(ask.name)),
            _route("DELETE", reserved, 204, lambda ask: extras.delete_concurrency(ask.name)),
            _route("GET", tags, 200, lambda ask: extras.list_tags(ask.name)),
            _route("POST", tags, 204, lambda ask: extras.tag(ask.name, ask.body)),
            _route("DELETE", tags, 204, lambda ask: extras.untag(ask.name, ask.request.args.getlist("tagKeys"))),
        ]


def _route(method: str, pattern: str, status: int, operation: Callable[[Ask], Any]) -> Route:
    return method, re.compile(f"^{pattern}$"), status, operation


def _all(ask: Ask) -> bool:
    return ask.request.args.get("FunctionVersion") == "ALL"


def _invoked(call: Call, reply: Response) -> Response:
    reply.headers["x-amzn-RequestId"] = call.request_id
    return reply


def _runtime_headers(request: Request) -> dict[str, str]:
    trace = request.headers.get("X-Amzn-Trace-Id") or f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)};Sampled=0"
    headers = {"Lambda-Runtime-Trace-Id": trace}
    context = request.headers.get("X-Amz-Client-Context")
    if context:
        try:
            headers["Lambda-Runtime-Client-Context"] = base64.b64decode(context, validate=True).decode("latin-1")
        except ValueError as error:
            raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error
    return headers
