"""The HTTP API as its callers and its functions see it."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local import http_payload, http_routes
from infra.local.cloud import LocalCloud
from infra.local.context import Cloud, Principal
from infra.local.gateway import function_arn
from infra.local.sigv4 import HttpRequest
from tests.local import made, principals
from tests.local.stub_functions import Body, Refusal, Stub, StubFunctions, stubbed


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ApiUnderTest:
    """One HTTP API with routes to stub functions, and a client for it."""

    def __init__(self, cloud: Cloud, functions: StubFunctions) -> None:
        self._cloud = cloud
        self._functions = functions
        self._client = cloud.client("apigatewayv2")
        made_api = self._client.create_api(Name=made.name("api"), ProtocolType="HTTP")
        self.id: str = made_api["ApiId"]
        self.endpoint: str = made_api["ApiEndpoint"]
        self._client.create_stage(ApiId=self.id, StageName="$default", AutoDeploy=True)

    def route(
        self,
        key: str,
        body: Body = lambda event: event,
        *,
        auth: str = "NONE",
        qualifier: str | None = None,
        permitted: bool = True,
        **integration: Any,
    ) -> Stub:
        stub = self._functions.add(body, qualifier=qualifier)
        if permitted:
            path = key.partition(" ")[2]
            source = f"arn:aws:execute-api:eu-west-1:123456789012:{self.id}/*/*{path}"
            stub.allowed.append(("apigateway.amazonaws.com", source))
        made_integration = self._client.create_integration(
            ApiId=self.id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=stub.arn,
            PayloadFormatVersion="2.0",
            **integration,
        )
        target = f"integrations/{made_integration['IntegrationId']}"
        self._client.create_route(ApiId=self.id, RouteKey=key, Target=target, AuthorizationType=auth)
        return stub

    def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        who: Principal | None = None,
    ) -> Answer:
        sent = {"Host": f"{self.id}.localhost:{self._cloud.api_port}", **(headers or {})}
        if who is not None:
            sent = signed(method, target, body, sent, who)
        connection = http.client.HTTPConnection("127.0.0.1", self._cloud.api_port, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def close(self) -> None:
        self._client.delete_api(ApiId=self.id)


def signed(method: str, target: str, body: bytes, headers: Mapping[str, str], who: Principal) -> dict[str, str]:
    request = AWSRequest(method, f"http://{headers['Host']}{target}", data=body, headers=dict(headers))
    SigV4Auth(Credentials(who.access_key, who.secret_key), "execute-api", "eu-west-1").add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


@pytest.fixture
def api(local_cloud: LocalCloud) -> Iterator[ApiUnderTest]:
    with stubbed(local_cloud) as stubs:
        made_api = ApiUnderTest(local_cloud.cloud, stubs)
        yield made_api
        made_api.close()


# --- the event


def test_the_event_is_payload_format_two(api: ApiUnderTest) -> None:
    stub = api.route("POST /capture/{name}")
    target = "/capture/space%20value?repeat=one&repeat=two&u=https%3A%2F%2Fe.com%2F&plus=a+b&enc=a%2Bb&empty="
    headers = {"Content-Type": "application/json", "X-Probe": "one", "Cookie": "a=1; b=2", "User-Agent": "probe/1"}
    assert api.call("POST", target, b'{"x":"\xc3\xbc"}', headers).status == 200
    (event,) = stub.events
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /capture/{name}"
    assert event["rawPath"] == "/capture/space value"
    assert event["rawQueryString"] == target.partition("?")[2]
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["queryStringParameters"] == {
        "repeat": "one,two",
        "u": "https://e.com/",
        "plus": "a b",
        "enc": "a+b",
        "empty": "",
    }
    assert event["pathParameters"] == {"name": "space value"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"x":"ü"}', False)
    assert {"cookie", "connection"}.isdisjoint(event["headers"])
    assert event["headers"]["x-probe"] == "one"
    assert event["headers"]["content-length"] == "10"
    assert event["headers"]["x-forwarded-proto"] == "http"
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"], context["stage"]) == ("123456789012", api.id, "$default")
    assert context["http"] == {
        "method": "POST",
        "path": "/capture/space value",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "probe/1",
    }
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])
    assert "authorizer" not in context
    assert "stageVariables" not in event


def test_a_request_without_body_query_or_cookies_has_no_such_fields(api: ApiUnderTest) -> None:
    stub = api.route("GET /plain")
    api.call("GET", "/plain")
    (event,) = stub.events
    assert {"body", "cookies", "queryStringParameters", "pathParameters"}.isdisjoint(event)
    assert (event["rawQueryString"], event["isBase64Encoded"]) == ("", False)


def test_repeated_headers_are_joined_by_commas(api: ApiUnderTest, cloud: Cloud) -> None:
    stub = api.route("GET /h")
    with socket.create_connection(("127.0.0.1", cloud.api_port)) as raw:
        head = f"GET /h HTTP/1.1\r\nHost: {api.id}.x\r\nX-Two: first\r\nX-Two: second\r\nConnection: close\r\n\r\n"
        raw.sendall(head.encode())
        while raw.recv(65536):
            pass
    assert stub.events[0]["headers"]["x-two"] == "first,second"


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("application/json", False),
        ("application/json; charset=utf-8", False),
        ("text/csv", False),
        ("application/xml", False),
        ("application/javascript", False),
        ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True),
        ("application/vnd.apache.parquet", True),
        (None, True),
    ],
)
def test_a_body_of_no_text_type_is_base64(api: ApiUnderTest, content_type: str | None, encoded: bool) -> None:
    stub = api.route("POST /b")
    api.call("POST", "/b", b"abc\n", {"Content-Type": content_type} if content_type else {})
    (event,) = stub.events
    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (base64.b64encode(b"abc\n").decode() if encoded else "abc\n")


def test_a_compressed_body_is_base64(api: ApiUnderTest) -> None:
    stub = api.route("POST /b")
    api.call("POST", "/b", b"\x1f\x8b", {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert stub.events[0]["body"] == "H4s="


# --- routes (pure)

ROUTES = [
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /pets/{proxy+}",
    "ANY /{proxy+}",
    "$default",
    "ANY /v2/models/flights/{proxy+}",
    "ANY /v2/models/{model}",
    "POST /v2/models/{model}/feedback",
    "ANY /v2/models/{model}/versions/{version}/{action}",
    "GET /v2/models",
]


@pytest.mark.parametrize(
    ("method", "path", "key", "variables"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/pets/dog/1", "ANY /pets/{proxy+}", {"proxy": "dog/1"}),
        ("GET", "/pets", "ANY /{proxy+}", {"proxy": "pets"}),
        ("GET", "/", "$default", {}),
        ("POST", "/v2/models/flights/infer", "ANY /v2/models/flights/{proxy+}", {"proxy": "infer"}),
        # AWS: a full match with variables beats a greedy one with more fixed segments
        (
            "POST",
            "/v2/models/flights/versions/3/infer",
            "ANY /v2/models/{model}/versions/{version}/{action}",
            {"model": "flights", "version": "3", "action": "infer"},
        ),
        ("POST", "/v2/models/flights/feedback", "POST /v2/models/{model}/feedback", {"model": "flights"}),
        ("GET", "/v2/models/flights/feedback", "ANY /v2/models/flights/{proxy+}", {"proxy": "feedback"}),
        ("GET", "/v2/models/flights", "ANY /v2/models/{model}", {"model": "flights"}),
        ("GET", "/v2/models", "GET /v2/models", {}),
        ("GET", "/v2/models/", "ANY /{proxy+}", {"proxy": "v2/models/"}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, key: str, variables: dict[str, str]) -> None:
    for routes in (ROUTES, ROUTES[::-1]):
        assert http_routes.select(routes, method, path) == http_routes.Match(key, variables)


def test_without_a_route_nothing_matches() -> None:
    assert http_routes.select(["GET /a", "POST /a/{x}"], "POST", "/a") is None
    assert http_routes.select(["ANY /a/{x}"], "GET", "/a/") is None


@settings(deadline=None)  # the machine may be busy
@given(st.permutations(ROUTES), st.sampled_from(["GET", "POST"]), st.text("/ab1{}", max_size=8))
def test_the_choice_does_not_depend_on_the_order_of_routes(routes: list[str], method: str, path: str) -> None:
    assert http_routes.select(routes, method, "/" + path) == http_routes.select(ROUTES, method, "/" + path)


# --- routes, over the wire


def test_an_unknown_route_is_not_found(api: ApiUnderTest) -> None:
    api.route("GET /known")
    answer = api.call("GET", "/unknown")
    assert (answer.status, answer.body) == (404, b'{"message":"Not Found"}')
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Apigw-Requestid"]


def test_an_encoded_slash_separates_as_on_aws(api: ApiUnderTest) -> None:
    stub = api.route("GET /a/{rest+}")
    api.call("GET", "/a%2Fb%2fc")
    assert stub.events[0]["rawPath"] == "/a/b/c"
    assert stub.events[0]["pathParameters"] == {"rest": "b/c"}


def test_the_api_tells_the_address_that_works_here(api: ApiUnderTest, cloud: Cloud) -> None:
    assert api.endpoint == f"http://127.0.0.1:{cloud.api_port}"


# --- the function


def test_an_alias_is_invoked_with_its_qualifier(api: ApiUnderTest) -> None:
    stub = api.route("GET /aliased", lambda event: {"from": "live"}, qualifier="live")
    assert stub.arn.endswith(":live")
    assert api.call("GET", "/aliased").json() == {"from": "live"}


def test_the_long_form_of_an_integration_uri_is_understood() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"
    long = f"arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    assert function_arn(long) == function_arn(arn) == arn


def test_a_function_that_does_not_let_the_api_in_is_an_internal_error(api: ApiUnderTest) -> None:
    stub = api.route("GET /closed", permitted=False)
    answer = api.call("GET", "/closed")
    assert (answer.status, answer.body) == (500, b'{"message":"Internal Server Error"}')
    assert stub.events == []


def test_a_permission_for_another_path_does_not_count(api: ApiUnderTest) -> None:
    stub = api.route("GET /mine", permitted=False)
    stub.allowed.append(("apigateway.amazonaws.com", f"arn:aws:execute-api:eu-west-1:123456789012:{api.id}/*/*/other"))
    assert api.call("GET", "/mine").status == 500


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (lambda event: 1 / 0, 500, "Internal Server Error"),
        (lambda event: {"statusCode": "abc"}, 500, "Internal Server Error"),
        (lambda event: {"statusCode": 200, "headers": [1]}, 500, "Internal Server Error"),
        (lambda event: {"statusCode": 200, "headers": {"a": "x\r\ny: z"}}, 500, "Internal Server Error"),
        (lambda event: {"statusCode": 200, "body": {"not": "text"}}, 500, "Internal Server Error"),
        (lambda event: {"statusCode": 200, "body": "***", "isBase64Encoded": True}, 500, "Internal Server Error"),
    ],
)
def test_a_failed_function_or_a_malformed_answer_is_an_internal_error(
    api: ApiUnderTest, body: Body, status: int, message: str
) -> None:
    api.route("GET /f", body)
    answer = api.call("GET", "/f")
    assert (answer.status, answer.json()) == (status, {"message": message})


def refuse(status: int, code: str) -> Body:
    def body(event: Any) -> Any:
        raise Refusal(status, code)

    return body


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (413, "RequestTooLargeException", (413, "Request Entity Too Large")),
        (429, "TooManyRequestsException", (503, "Service Unavailable")),
        (404, "ResourceNotFoundException", (500, "Internal Server Error")),
    ],
)
def test_what_lambda_refuses_the_caller_hears(
    api: ApiUnderTest, status: int, code: str, expected: tuple[int, str]
) -> None:
    api.route("GET /f", refuse(status, code))
    answer = api.call("GET", "/f")
    assert (answer.status, answer.json()["message"]) == expected


def test_a_function_that_takes_too_long_is_unavailable(api: ApiUnderTest) -> None:
    gate = threading.Event()
    api.route("GET /slow", lambda event: gate.wait(20), TimeoutInMillis=200)
    began = time.monotonic()
    try:
        answer = api.call("GET", "/slow")
    finally:
        gate.set()
    assert (answer.status, answer.body) == (503, b'{"message":"Service Unavailable"}')
    assert time.monotonic() - began < 15  # the function would have taken 20


# --- the reply


def test_a_structured_answer_becomes_the_reply(api: ApiUnderTest) -> None:
    api.route(
        "GET /r",
        lambda event: {
            "statusCode": 201,
            "headers": {"Content-Type": "application/vnd.x", "X-Number": 7, "X-Flag": True, "Content-Length": "1"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "made",
        },
    )
    answer = api.call("GET", "/r")
    assert (answer.status, answer.body) == (201, b"made")
    assert answer.headers["Content-Type"] == "application/vnd.x"
    assert (answer.headers["X-Number"], answer.headers["X-Flag"]) == ("7", "true")
    assert answer.headers.get_all("Set-Cookie") == ["a=1; Secure", "b=2"]
    assert answer.headers.get_all("Content-Length") == ["4"]


def test_a_binary_answer_is_decoded(api: ApiUnderTest) -> None:
    content = bytes(range(256))
    api.route(
        "GET /bin",
        lambda event: {
            "statusCode": 200,
            "headers": {"content-type": "application/octet-stream", "Inference-Header-Content-Length": "12"},
            "body": base64.b64encode(content).decode(),
            "isBase64Encoded": True,
        },
    )
    answer = api.call("GET", "/bin")
    assert answer.body == content
    assert answer.headers["Inference-Header-Content-Length"] == "12"


@pytest.mark.parametrize(
    ("answer", "body", "content_type"),
    [
        ({"message": "hi"}, b'{"message": "hi"}', "application/json"),
        ("Hello", b"Hello", "application/json"),
        ([1, 2], b"[1, 2]", "application/json"),
        (None, b"null", "application/json"),
        (b"no json", b"no json", "application/json"),
        ({"statusCode": 200, "body": "plain"}, b"plain", "text/plain; charset=utf-8"),
        ({"statusCode": 204}, b"", "text/plain; charset=utf-8"),
    ],
)
def test_the_format_of_a_bare_answer_is_inferred(
    api: ApiUnderTest, answer: Any, body: bytes, content_type: str
) -> None:
    api.route("GET /i", lambda event: answer)
    got = api.call("GET", "/i")
    assert (got.body, got.headers["Content-Type"]) == (body, content_type)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(100, 599), st.binary(max_size=100), st.booleans())
def test_any_body_survives_the_way_back(status: int, content: bytes, encoded: bool) -> None:
    text = base64.b64encode(content).decode() if encoded else content.decode("latin-1")
    answer = {"statusCode": status, "body": text, "isBase64Encoded": encoded}
    reply = http_payload.reply(json.dumps(answer).encode())
    assert reply.status == status
    assert reply.body == (content if encoded else text.encode())


# --- limits


def test_ten_megabytes_are_the_most_a_request_may_have(api: ApiUnderTest) -> None:
    stub = api.route("POST /big")
    answer = api.call("POST", "/big", b"x" * (10 * 1024 * 1024 + 1), {"Content-Type": "text/plain"})
    assert (answer.status, answer.body) == (413, b'{"message":"Request Entity Too Large"}')
    assert stub.events == []


def test_lambdas_six_megabytes_count_after_base64(api: ApiUnderTest) -> None:
    stub = api.route("POST /big", lambda event: "ok")
    five = b"x" * (5 * 1024 * 1024)
    assert api.call("POST", "/big", five, {"Content-Type": "text/plain"}).status == 200
    answer = api.call("POST", "/big", five, {"Content-Type": "application/octet-stream"})
    assert (answer.status, answer.json()["message"]) == (413, "Request Entity Too Large")
    assert len(stub.events) == 1


def test_too_many_header_bytes_are_refused(api: ApiUnderTest) -> None:
    api.route("GET /h", lambda event: "ok")
    assert api.call("GET", "/h", headers={"X-Long": "a" * 9_000}).status == 200
    assert api.call("GET", "/h", headers={"X-Long": "a" * 10_240}).status == 431


def test_a_request_of_two_lengths_is_refused(api: ApiUnderTest, cloud: Cloud) -> None:
    stub = api.route("POST /h")
    with socket.create_connection(("127.0.0.1", cloud.api_port)) as raw:
        head = f"POST /h HTTP/1.1\r\nHost: {api.id}.x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"
        raw.sendall(head.encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert stub.events == []


# --- who calls


def test_an_unsigned_request_is_forbidden(api: ApiUnderTest) -> None:
    stub = api.route("GET /iam", auth="AWS_IAM")
    answer = api.call("GET", "/iam")
    assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
    assert stub.events == []


def test_a_signed_request_tells_the_function_who_calls(api: ApiUnderTest, cloud: Cloud) -> None:
    who = principals.user(cloud, "ana", principals.EVERYTHING)
    stub = api.route("POST /iam/{x}", auth="AWS_IAM")
    answer = api.call("POST", "/iam/%C3%A4%20b?q=1&p=%2F", b"{}", {"Content-Type": "application/json"}, who=who)
    assert answer.status == 200
    iam = stub.events[0]["requestContext"]["authorizer"]["iam"]
    assert set(iam) == {
        "accessKey",
        "accountId",
        "callerId",
        "cognitoIdentity",
        "principalOrgId",
        "userArn",
        "userId",
    }
    assert (iam["accessKey"], iam["accountId"], iam["userArn"]) == (who.access_key, "123456789012", who.arn)
    assert iam["cognitoIdentity"] is None


def test_a_wrong_secret_or_a_changed_body_is_forbidden(api: ApiUnderTest, cloud: Cloud) -> None:
    who = principals.user(cloud, "bob", principals.EVERYTHING)
    stub = api.route("POST /iam", auth="AWS_IAM")
    wrong = Principal(who.access_key, "wrong", who.arn)
    assert api.call("POST", "/iam", b"{}", who=wrong).status == 403
    host = {"Host": f"{api.id}.localhost:{cloud.api_port}"}
    headers = signed("POST", "/iam", b"{}", host, who)
    assert api.call("POST", "/iam", b"[]", headers).status == 403
    assert api.call("POST", "/iam", b"{}", headers).status == 200
    assert len(stub.events) == 1


def test_iam_decides_for_a_role_that_it_knows(api: ApiUnderTest, cloud: Cloud) -> None:
    api.route("ANY /open/{x}", lambda event: "ok", auth="AWS_IAM")
    resource = f"arn:aws:execute-api:eu-west-1:123456789012:{api.id}/*/GET/open/*"
    role = made.role(cloud, "lambda.amazonaws.com", ("execute-api:Invoke", resource))
    session = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
    who = cloud.credentials.issue(session)
    assert api.call("GET", "/open/1", who=who).status == 200
    assert api.call("POST", "/open/1", who=who).status == 403


def test_a_session_may_call_itself_as_it_likes_and_is_told_apart_all_the_same(api: ApiUnderTest, cloud: Cloud) -> None:
    """Who decides by userArn and userId cannot be deceived by a session's name: the role and its id come before it."""
    ana, bob = (principals.user(cloud, name, principals.EVERYTHING) for name in ("ana", "bob"))
    stub = api.route("GET /who", auth="AWS_IAM")
    trust = {"Effect": "Allow", "Principal": {"AWS": ana.arn}, "Action": "sts:AssumeRole"}
    iam, name = cloud.client("iam"), made.name("role")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=principals.document(trust))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=principals.document(principals.EVERYTHING))
    forged = bob.arn.rpartition("/")[2]
    sts = principals.client(cloud, ana, "sts")
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName=forged)["Credentials"]
    session = Principal(keys["AccessKeyId"], keys["SecretAccessKey"], "")
    for who in (session, bob):
        assert api.call("GET", "/who", who=who).status == 200
    told = [event["requestContext"]["authorizer"]["iam"] for event in stub.events]
    assert told[0]["userArn"] == f"arn:aws:sts::123456789012:assumed-role/{name}/{forged}"
    assert told[0]["userId"] == told[0]["callerId"] == f"{role['RoleId']}:{forged}"
    assert told[1]["userArn"] == bob.arn
    assert told[1]["userId"] == iam.get_user(UserName=forged)["User"]["UserId"]
    assert told[1]["userId"].startswith("AIDA")
    assert told[0]["userId"].startswith("AROA")
    assert {one["accountId"] for one in told} == {"123456789012"}


def test_curl_signs_so_that_it_is_let_in(api: ApiUnderTest, cloud: Cloud, tmp_path: Any) -> None:
    stub = api.route("POST /v2/models/{m}/infer", lambda event: {"ok": event["body"]}, auth="AWS_IAM")
    request = tmp_path / "request.json"
    request.write_text('{"inputs": []}')
    who = principals.user(cloud, "curl", principals.EVERYTHING)
    # the first API answers for the bare address: this one is named by its Host
    done = subprocess.run(
        [
            "curl", "-sS", "--aws-sigv4", "aws:amz:eu-west-1:execute-api",
            "--user", f"{who.access_key}:{who.secret_key}",
            "-H", "Content-Type: application/json", "--data-binary", f"@{request}",
            "--resolve", f"{api.id}.localhost:{cloud.api_port}:127.0.0.1",
            f"http://{api.id}.localhost:{cloud.api_port}/v2/models/late-flights/infer?a=1&b=2",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"ok": '{"inputs": []}'}
    assert stub.events[0]["requestContext"]["authorizer"]["iam"]["userArn"] == who.arn


# --- the stage's log, and what is refused when it is made


def test_the_stage_logs_each_request_in_its_own_format(api: ApiUnderTest, cloud: Cloud) -> None:
    group, logs = made.name("/perennial/test/api"), cloud.client("logs")
    logs.create_log_group(logGroupName=group)
    names = ("requestId", "status", "routeKey", "path", "identity.userArn", "integrationErrorMessage", "unknown")
    cloud.client("apigatewayv2").update_stage(
        ApiId=api.id,
        StageName="$default",
        AccessLogSettings={
            "DestinationArn": f"arn:aws:logs:eu-west-1:123456789012:log-group:{group}",
            "Format": json.dumps({name: f"$context.{name}" for name in names}),
        },
    )
    api.route("GET /logged/{x}", lambda event: "ok", auth="AWS_IAM")
    api.route("GET /broken", lambda event: 1 / 0)
    known = api.call("GET", "/logged/1?a=1", who=cloud.admin)
    for target in ("/broken", "/unknown"):
        api.call("GET", target)
    cloud.clock.advance(2)
    lines = made.eventually(lambda: logs.filter_log_events(logGroupName=group)["events"])
    told = {line["path"]: line for line in (json.loads(each["message"]) for each in lines)}
    assert told["/logged/1"] == {
        "requestId": known.headers["Apigw-Requestid"],
        "status": "200",
        "routeKey": "GET /logged/{x}",
        "path": "/logged/1",
        "identity.userArn": cloud.admin.arn,
        "integrationErrorMessage": "-",
        "unknown": "-",
    }
    assert told["/broken"]["integrationErrorMessage"] == "the function failed"
    assert (told["/unknown"]["status"], told["/unknown"]["routeKey"]) == ("404", "-")


def test_what_is_not_imitated_is_refused(api: ApiUnderTest, cloud: Cloud) -> None:
    client = cloud.client("apigatewayv2")
    proxied = {"ApiId": api.id, "IntegrationUri": "arn:aws:lambda:eu-west-1:123456789012:function:f"}
    for call, asked in (
        (client.create_api, {"Name": "x", "ProtocolType": "WEBSOCKET"}),
        (client.create_api, {"Name": "x", "ProtocolType": "HTTP", "CorsConfiguration": {"AllowOrigins": ["*"]}}),
        (client.create_route, {"ApiId": api.id, "RouteKey": "GET /x", "AuthorizationType": "JWT"}),
        (client.create_integration, {**proxied, "IntegrationType": "HTTP_PROXY"}),
        (client.create_integration, {**proxied, "IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "1.0"}),
    ):
        with pytest.raises(ClientError, match="imitated"):
            call(**asked)


# --- many at once


def test_kept_connections_carry_hundreds_of_requests(api: ApiUnderTest, cloud: Cloud) -> None:
    api.route("POST /fast", lambda event: {"statusCode": 200, "body": "ok"}, auth="AWS_IAM")
    host = {"Host": f"{api.id}.localhost:{cloud.api_port}"}
    headers = signed("POST", "/fast", b"{}", host, cloud.admin)

    def many(count: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", cloud.api_port)
        good = 0
        for _ in range(count):
            connection.request("POST", "/fast", b"{}", headers)
            response = connection.getresponse()
            good += response.status == 200 and response.read() == b"ok"
        connection.close()
        return good

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(many, [50] * 4)) == 200


def test_header_text_is_unicode_for_the_function() -> None:
    request = HttpRequest("GET", "/", [("Host", "h"), ("X-Name", "ü".encode().decode("latin-1"))])
    routed = http_payload.Routed("1", "a", "$default", "a.b", "$default", "/", {}, {}, "r", datetime.now(UTC))
    assert http_payload.event(request, routed)["headers"]["x-name"] == "ü"
