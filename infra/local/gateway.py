"""HTTP APIs of API Gateway on 127.0.0.1:<api_port>, from the records that apigatewayv2 calls have left in moto.

A request goes to the API whose id is the first label of its Host, or else to the API made last; its route is
chosen, its signature verified (AuthorizationType AWS_IAM), its function invoked through the Lambda API. Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop.html and …/http-api-quotas.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswerInTime
from typing import Any
from urllib.parse import unquote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.apigatewayv2.models import Api, Integration, Route, apigatewayv2_backends
from werkzeug import Request, Response

from infra.local import http_api_checks, http_payload, http_routes, sigv4
from infra.local.access_log import AccessLog
from infra.local.context import Cloud, Principal
from infra.local.front import service_of
from infra.local.http_payload import Reply, Routed, message
from infra.local.http_server import GatewayServer
from infra.local.identity import user_id
from infra.local.patches import Patches
from infra.local.permissions import Permissions, split_function
from infra.local.sigv4 import HttpRequest

log = logging.getLogger(__name__)

LARGEST_BODY = 10 * 1024 * 1024
LARGEST_HEAD = 10_240  # bytes of request line and header values
LARGEST_PAYLOAD = 6 * 1024 * 1024  # of a Lambda invocation, either way
LONGEST_INTEGRATION = 30.0  # seconds, real: a client waits in real time
MOST_CALLS = 64
_STAGE = re.compile(r"^/v2/apis/([^/]+)/stages/([^/]+)$")

Facts = dict[str, str]  # what the access log may ask for, by the names after $context.


class Gateway:
    """Serves every HTTP API of the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._permissions = Permissions(cloud)
        self._patches = Patches()
        self._describe_here()
        self._access = AccessLog(cloud)
        self._lambda: Any = None
        self._lock = threading.Lock()
        self._calls = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="gateway-call")
        self._server = GatewayServer(cloud.api_port, self.answer, LARGEST_BODY)
        self._server.start()

    def handle(self, request: Request) -> Response | None:
        """Answer UpdateStage, which moto lacks, and refuse what is not imitated; the records are moto's."""
        if service_of(request) != "apigateway":
            return None
        if request.method == "PATCH" and (named := _STAGE.match(request.path)):
            return self._update_stage(named[1], unquote(named[2]), json.loads(request.get_data()))
        return http_api_checks.refusal(request)

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()
        self._patches.undo()
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._access.stop()

    def _update_stage(self, api_id: str, name: str, changed: dict[str, Any]) -> Response:
        api = apigatewayv2_backends[self._cloud.account][self._cloud.region].apis.get(api_id)
        stage = api.stages.get(name) if api is not None else None
        if stage is None:
            return http_api_checks.error(404, "NotFoundException", "Invalid stage identifier specified")
        for key, value in changed.items():
            setattr(stage, re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), key), value)
        return Response(json.dumps(stage.to_json()), content_type="application/json")

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self._cloud.api_port}"

    def answer(self, request: HttpRequest) -> Reply:
        """The reply to a request."""
        began = time.perf_counter()
        now = str(int(self._cloud.clock.time() * 1000))
        facts: Facts = {"requestId": http_payload.new_request_id(), "requestTimeEpoch": now}
        found = self._found(request)
        reply = found if isinstance(found, Reply) else self._routed(request, *found, facts)
        if not isinstance(found, Reply):
            api, name, path = found
            facts |= http_payload.facts(request, reply, path)
            facts |= {"apiId": api.api_id, "stage": name, "accountId": self._cloud.account}
            facts["responseLatency"] = str(round((time.perf_counter() - began) * 1000))
            self._access.write(api.stages[name].access_log_settings, facts)
        return Reply(reply.status, [*reply.headers, ("Apigw-Requestid", facts["requestId"])], reply.body)

    def _describe_here(self) -> None:
        """Let GetApi tell the address that works here instead of AWS's."""
        original, url = Api.to_json, self.url

        def to_json(api: Api) -> dict[str, Any]:
            return {**original(api), "apiEndpoint": url}

        self._patches.replace(Api, "to_json", to_json)

    def _found(self, request: HttpRequest) -> Reply | tuple[Api, str, str]:
        """The API, its stage and the decoded path that a request is for, or why there is none."""
        head = len(request.method) + len(request.target) + 10 + sum(len(value) for _, value in request.headers)
        if head > LARGEST_HEAD:
            return message(431, "Request Header Fields Too Large")
        if len(request.body) > LARGEST_BODY:
            return message(413, "Request Entity Too Large")
        api = self._api(request)
        path = http_payload.decoded_path(request.target)
        name = _stage(api, path) if api is not None else None
        return (api, name, path) if api is not None and name is not None else message(404, "Not Found")

    def _routed(self, request: HttpRequest, api: Api, name: str, path: str, facts: Facts) -> Reply:
        # the route is chosen by the path without the stage; the function sees the path with it
        inner = path[len(name) + 1 :] or "/" if name != "$default" else path
        match = http_routes.select([route.route_key for route in api.routes.values()], request.method, inner)
        if match is None:
            facts["error.message"] = "Not Found"
            return message(404, "Not Found")
        facts["routeKey"] = match.key
        route = next(route for route in api.routes.values() if route.route_key == match.key)
        try:
            caller = self._authorised(route, api.api_id, name, inner, request)
        except sigv4.Refused as refused:
            facts |= {"error.message": "Forbidden", "authorizer.error": str(refused)}
            log.info("%s %s refused: %s", request.method, path, refused)
            return message(403, "Forbidden")
        if caller is not None:
            facts |= {"identity.userArn": caller.arn, "identity.caller": caller.arn}
        routed = Routed(
            account=self._cloud.account,
            api=api.api_id,
            stage=name,
            domain=f"{api.api_id}.execute-api.{self._cloud.region}.amazonaws.com",
            route=match.key,
            path=path,
            variables=match.variables,
            stage_variables=api.stages[name].stage_variables or {},
            request_id=facts["requestId"],
            time=self._cloud.clock.now(),
            caller=caller,
            caller_id=user_id(self._cloud, caller) if caller else "",
        )
        return self._integrated(api, route, request, routed, facts)

    def _api(self, request: HttpRequest) -> Api | None:
        apis = apigatewayv2_backends[self._cloud.account][self._cloud.region].apis
        host = (request.values("host") or [""])[0]
        return apis.get(host.partition(".")[0]) or next(reversed(apis.values()), None)

    def _authorised(self, route: Route, api_id: str, stage: str, path: str, request: HttpRequest) -> Principal | None:
        """Who calls, on a route that wants to know; raises Refused."""
        kind = route.authorization_type or "NONE"
        if kind == "NONE":
            return None
        if kind != "AWS_IAM":
            raise sigv4.Refused(f"authorisation by {kind} is not imitated")
        caller = sigv4.verify(request, self._cloud.find_principal, region=self._cloud.region)
        arn = self._arn(api_id, stage, f"{request.method}{path}")
        if not self._permissions.caller_may(caller, "execute-api:Invoke", arn):
            raise sigv4.Refused(f"{caller.arn} may not do execute-api:Invoke on {arn}")
        return caller

    def _integrated(self, api: Api, route: Route, request: HttpRequest, routed: Routed, facts: Facts) -> Reply:
        integration = api.integrations.get(str(route.target).removeprefix("integrations/"))
        if integration is None:
            return _broken(facts, f"the target {route.target} of the route is not there")
        function = function_arn(integration.integration_uri)
        source = self._arn(routed.api, routed.stage, _source_route(routed.route))
        if not self._permissions.may_invoke(function, "apigateway.amazonaws.com", source):
            return _broken(facts, f"the policy of {function} does not let {source} invoke it")
        payload = json.dumps(http_payload.event(request, routed)).encode()
        if len(payload) > LARGEST_PAYLOAD:
            return message(413, "Request Entity Too Large")
        began = time.perf_counter()
        try:
            return self._invoked(function, payload, _seconds(integration), facts)
        finally:
            facts["integrationLatency"] = str(round((time.perf_counter() - began) * 1000))

    def _arn(self, api_id: str, stage: str, rest: str) -> str:
        return f"arn:aws:execute-api:{self._cloud.region}:{self._cloud.account}:{api_id}/{stage}/{rest}"

    def _invoked(self, function: str, payload: bytes, seconds: float, facts: Facts) -> Reply:
        call = self._calls.submit(self._invoke, function, payload)
        try:
            answer = call.result(timeout=seconds)
        except NoAnswerInTime:
            facts["integrationErrorMessage"] = "Endpoint request timed out"
            return message(503, "Service Unavailable")
        except ClientError as error:
            return _refused(facts, function, error)
        except BotoCoreError as error:
            return _broken(facts, f"{function} could not be invoked: {error}")
        facts["integrationStatus"] = "200"
        if answer is None:
            return _broken(facts, "the function failed")
        try:
            return http_payload.reply(answer)
        except http_payload.Malformed as error:
            return _broken(facts, f"the function's answer is malformed: {error}")

    def _invoke(self, function: str, payload: bytes) -> bytes | None:
        """The function's answer; None when it failed."""
        name, qualifier = split_function(function)
        qualified = {"Qualifier": qualifier} if qualifier else {}
        response = self._client().invoke(FunctionName=name, Payload=payload, **qualified)
        answer: bytes = response["Payload"].read()
        return None if response.get("FunctionError") else answer

    def _client(self) -> Any:
        """A client for invocations: it never repeats one, and it waits longer than the gateway does."""
        with self._lock:
            if self._lambda is None:
                once = Config(
                    retries={"total_max_attempts": 1},
                    read_timeout=LONGEST_INTEGRATION + 30,
                    max_pool_connections=MOST_CALLS,
                )
                self._lambda = self._cloud.new_client("lambda", once)
            return self._lambda


def function_arn(uri: str) -> str:
    """The function's (or alias's) ARN from an integration's URI, which may be that ARN or API Gateway's own form."""
    return uri.partition("/functions/")[2].removesuffix("/invocations") if "/functions/" in uri else uri


def _source_route(key: str) -> str:
    """A route as the source ARN of a permission names it: `GET /pets/{id}` is GET/pets/{id}."""
    if key == "$default":
        return "$default"
    method, _, path = key.partition(" ")
    return f"{'*' if method == 'ANY' else method}{path}"


def _seconds(integration: Integration) -> float:
    return min((integration.timeout_in_millis or 30_000) / 1000, LONGEST_INTEGRATION)


def _stage(api: Api, path: str) -> str | None:
    """The stage that the path names by its first segment, else $default if there is one."""
    first = path.split("/")[1] if path.count("/") else ""
    name = first if first in api.stages else "$default"
    return name if name in api.stages else None


def _broken(facts: Facts, reason: str) -> Reply:
    """The caller learns nothing of the reason; the log does."""
    log.error("internal server error: %s", reason)
    facts |= {"integrationErrorMessage": reason, "error.message": "Internal Server Error"}
    return message(500, "Internal Server Error")


def _refused(facts: Facts, function: str, error: ClientError) -> Reply:
    """The reply when Lambda did not take the call."""
    code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"].get("HTTPStatusCode")
    if code == "RequestTooLargeException" or status == 413:
        return message(413, "Request Entity Too Large")
    if status in (429, 503):
        facts |= {"integrationErrorMessage": str(error), "error.message": "Service Unavailable"}
        return message(503, "Service Unavailable")
    return _broken(facts, f"{function} could not be invoked: {error}")
