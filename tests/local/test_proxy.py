"""The signing proxy: clients that cannot sign reach an IAM-authorised API through it."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from botocore.credentials import Credentials
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from infra.local.cloud import LocalCloud
from scripts.cli.signing_proxy import SigningProxy
from tests.local.stub_functions import StubFunctions, stubbed
from tests.local.test_gateway import ApiUnderTest


@pytest.fixture
def functions(local_cloud: LocalCloud) -> Iterator[StubFunctions]:
    with stubbed(local_cloud) as stubs:
        yield stubs


@pytest.fixture
def api(local_cloud: LocalCloud, functions: StubFunctions) -> Iterator[ApiUnderTest]:
    made_api = ApiUnderTest(local_cloud.cloud, functions)
    yield made_api
    made_api.close()


@pytest.fixture
def proxy(local_cloud: LocalCloud, api: ApiUnderTest) -> Iterator[SigningProxy]:
    admin = local_cloud.cloud.admin
    keys = Credentials(admin.access_key, admin.secret_key)
    server = SigningProxy(f"http://127.0.0.1:{local_cloud.cloud.api_port}", 0, keys, "eu-west-1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def call(proxy: SigningProxy, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=30)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


def test_an_unsigned_request_passes_signed(api: ApiUnderTest, proxy: SigningProxy) -> None:
    stub = api.route("POST /v2/{x+}", auth="AWS_IAM")
    target = "/v2/a%20b//c?b=2&a=1&q=x:y,z&flag&p=a+b"
    status, _, body = call(proxy, "POST", target, b'{"n": 1}', Content_Type="application/json")
    assert (status, json.loads(body)["body"]) == (200, '{"n": 1}')
    event = stub.events[0]
    assert event["requestContext"]["authorizer"]["iam"]["userArn"].endswith(":user/local")
    assert event["rawPath"] == "/v2/a b//c"
    assert event["queryStringParameters"] == {"b": "2", "a": "1", "q": "x:y,z", "flag": "", "p": "a b"}


def test_binary_bodies_and_their_headers_pass_unchanged_both_ways(api: ApiUnderTest, proxy: SigningProxy) -> None:
    def mirror(event: Any) -> Any:
        kept = {name: event["headers"][name] for name in ("content-type", "inference-header-content-length")}
        return {"statusCode": 200, "headers": kept, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"]}

    api.route("POST /mirror", mirror, auth="AWS_IAM")
    content = bytes(range(256)) * 20
    headers = {"Content_Type": "application/octet-stream", "Inference_Header_Content_Length": "256"}
    status, got, body = call(proxy, "POST", "/mirror", content, **headers)
    assert (status, body) == (200, content)
    assert got["Inference-Header-Content-Length"] == "256"
    assert got["Content-Type"] == "application/octet-stream"


def test_a_chunked_body_is_joined(api: ApiUnderTest, proxy: SigningProxy) -> None:
    stub = api.route("POST /chunks", auth="AWS_IAM")
    status, _, _ = call(proxy, "POST", "/chunks", iter([b"abc", b"defg"]), Content_Type="text/plain")
    assert (status, stub.events[0]["body"]) == (200, "abcdefg")


def test_the_apis_own_refusals_pass(api: ApiUnderTest, proxy: SigningProxy) -> None:
    api.route("GET /known", auth="AWS_IAM")
    assert call(proxy, "GET", "/unknown")[::2] == (404, b'{"message":"Not Found"}')
    assert call(proxy, "HEAD", "/unknown")[::2] == (404, b"")


def test_an_api_that_is_not_there_is_a_bad_gateway() -> None:
    server = SigningProxy("http://127.0.0.1:9", 0, Credentials("a", "b"), "eu-west-1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    assert call(server, "GET", "/")[0] == 502
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_sites_are_refused(api: ApiUnderTest, proxy: SigningProxy, headers: dict[str, str]) -> None:
    stub = api.route("POST /write", auth="AWS_IAM")
    assert call(proxy, "POST", "/write", b"x", **headers)[0] == 403
    assert stub.events == []
    own = f"http://127.0.0.1:{proxy.server_port}"
    assert call(proxy, "POST", "/write", b"x", Origin=own)[0] == 200


def doubled(event: Any) -> Any:
    """Answers an infer request of one FP64 tensor `x` with it doubled, in binary as it came."""
    raw = base64.b64decode(event["body"])
    head = int(event["headers"]["inference-header-content-length"])
    asked = json.loads(raw[:head])
    values = struct.unpack(f"<{len(raw[head:]) // 8}d", raw[head:])
    data = struct.pack(f"<{len(values)}d", *(2 * value for value in values))
    answer = {
        "model_name": "m",
        "model_version": "1",
        "outputs": [
            {
                "name": "y",
                "datatype": "FP64",
                "shape": asked["inputs"][0]["shape"],
                "parameters": {"binary_data_size": len(data)},
            }
        ],
    }
    text = json.dumps(answer).encode()
    return {
        "statusCode": 200,
        "headers": {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(text)),
        },
        "body": base64.b64encode(text + data).decode(),
        "isBase64Encoded": True,
    }


def test_an_unmodified_tritonclient_works(api: ApiUnderTest, proxy: SigningProxy) -> None:
    api.route("POST /v2/models/m/infer", doubled, auth="AWS_IAM")
    api.route("GET /v2/health/live", lambda event: {"statusCode": 200}, auth="AWS_IAM")
    client = InferenceServerClient(f"127.0.0.1:{proxy.server_port}")
    try:
        assert client.is_server_live()
        values = np.array([[1.0], [2.5]])
        tensor = InferInput("x", list(values.shape), "FP64")
        tensor.set_data_from_numpy(values, binary_data=True)
        result = client.infer("m", [tensor], outputs=[InferRequestedOutput("y", binary_data=True)])
        assert result.as_numpy("y").tolist() == [[2.0], [5.0]]
    finally:
        client.close()
