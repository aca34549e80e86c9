from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from infra.local import process
from infra.local.cloud import LocalCloud, free_port, write_state
from infra.local.context import Cloud
from infra.local.front import service_of
from infra.local.server import PortTaken, Server
from tests.local import principals


def call(cloud: Cloud, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{cloud.endpoint}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_health_tells_state_and_time(cloud: Cloud) -> None:
    status, health = call(cloud, "/_perennial/health")
    assert status == 200
    assert set(health) == {"state", "error", "time"}


def test_tick_drives_the_clock(cloud: Cloud) -> None:
    before = cloud.clock.now()
    status, reply = call(cloud, "/_perennial/tick", {"seconds": 0.5})
    assert status == 200
    assert reply["time"] > before.isoformat()


@pytest.mark.parametrize("body", [{}, {"seconds": -1}, {"seconds": "1"}, {"seconds": True}, {"seconds": 1e300}, [1]])
def test_a_senseless_tick_is_refused(cloud: Cloud, body: Any) -> None:
    assert call(cloud, "/_perennial/tick", body)[0] == 400


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/_perennial/tick", {"Origin": "https://example.com"}, 403),
        ("/_perennial/tick", {"Host": "example.com"}, 403),
        ("/moto-api/reset", {}, 403),
        ("/_perennial/nothing", {}, 404),
        ("/_perennial/provision", {}, 400),
    ],
)
def test_control_is_for_programs_of_this_machine(cloud: Cloud, path: str, headers: dict[str, str], status: int) -> None:
    assert call(cloud, path, {}, **headers)[0] == status


def test_an_assembly_that_is_none_is_refused_and_told(cloud: Cloud, tmp_path: Path) -> None:
    status, reply = call(cloud, "/_perennial/provision", {"assembly": str(tmp_path)})
    assert status == 422
    assert "synthesize it first" in reply["error"]


def test_one_connection_carries_many_requests(cloud: Cloud) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/_perennial/health")
        reply = connection.getresponse()
        assert reply.read()
        assert not reply.will_close
    sock = connection.sock
    connection.request("GET", "/_perennial/health")
    assert connection.sock is sock
    connection.close()


def test_objects_survive_the_way_whatever_their_name_and_size(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="front", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    for key, body in (("a b/ü%2F+", b"x"), ("big", bytes(12_000_000)), ("empty", b"")):
        s3.put_object(Bucket="front", Key=key, Body=body, Metadata={"under_score": "kept"})
        found = s3.get_object(Bucket="front", Key=key)
        assert found["Body"].read() == body
        assert found["Metadata"] == {"under_score": "kept"}
        assert s3.head_object(Bucket="front", Key=key)["ContentLength"] == len(body)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "front", "Key": "a b/ü%2F+"})
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert reply.read() == b"x"


def test_of_many_concurrent_conditional_writes_one_wins(cloud: Cloud) -> None:
    dynamodb, s3 = cloud.client("dynamodb"), cloud.client("s3")
    s3.create_bucket(Bucket="race", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    key = [{"AttributeName": "pk", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "pk", "AttributeType": "S"}]
    dynamodb.create_table(
        TableName="race", KeySchema=key, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST"
    )
    wins: list[str] = []

    def put_item(turn: int) -> None:
        dynamodb.put_item(
            TableName="race", Item={"pk": {"S": str(turn)}}, ConditionExpression="attribute_not_exists(pk)"
        )

    def put_object(turn: int) -> None:
        s3.put_object(Bucket="race", Key=str(turn), Body=b"x", IfNoneMatch="*")

    def compete(barrier: threading.Barrier, turn: int) -> None:
        barrier.wait()
        for name, write in (("item", put_item), ("object", put_object)):
            try:
                write(turn)
                wins.append(f"{name}{turn}")
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 409, 412}

    # threads that change places at nearly every instruction meet between the check and the write
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for turn in range(20):
            barrier = threading.Barrier(8)
            threads = [threading.Thread(target=compete, args=(barrier, turn)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert sorted(wins) == sorted([f"{name}{turn}" for name in ("item", "object") for turn in range(20)])


def test_a_caller_is_told_who_it_is(cloud: Cloud) -> None:
    someone = principals.user(cloud, "someone")
    session = boto3.session.Session(someone.access_key, someone.secret_key, region_name=cloud.region)
    identity = session.client("sts", endpoint_url=cloud.endpoint).get_caller_identity()
    assert (identity["Arn"], identity["Account"]) == (someone.arn, cloud.account)


@pytest.mark.parametrize(
    ("url", "header", "service"),
    [
        (
            "/",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host",
            "dynamodb",
        ),
        ("/b/k?X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Flogs%2Faws4_request", "", "logs"),
        ("/b/k", "", "s3"),
    ],
)
def test_the_service_is_the_one_that_the_request_is_signed_for(url: str, header: str, service: str) -> None:
    assert service_of(Request(EnvironBuilder(url, headers=[("Authorization", header)]).get_environ())) == service


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} .*the AWS APIs.*taken.*--port"):
            Server(port, None)
        with pytest.raises(PortTaken, match="the HTTP API"):
            free_port(port, "the HTTP API")


def test_only_the_loopback_interface_listens(cloud: Cloud) -> None:
    mine = [c for c in psutil.Process().net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in mine} == {"127.0.0.1"}
    assert {cloud.port, cloud.api_port} <= {c.laddr.port for c in mine}


def test_the_state_file_is_its_owners_alone(local_cloud: LocalCloud) -> None:
    path = write_state(local_cloud, "dev")
    state = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(state) == {"pid", "port", "api_port", "region", "account", "access_key", "secret_key", "env", "strict"}
    developer = local_cloud.cloud.credentials.find(state["access_key"])
    assert developer is not None
    assert developer.arn == "arn:aws:iam::123456789012:user/developer"
    path.unlink()


PARENT = """
import os, sys, time
from infra.local.process import spawn
script = "import subprocess,time; subprocess.Popen(['sleep','600']); time.sleep(600)"
child = spawn([sys.executable, "-c", script], env=dict(os.environ))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_children_die_with_a_cloud_that_is_killed() -> None:
    # given a cloud whose child has a child of its own
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        while not child.children():
            threading.Event().wait(0.02)
        family = [child, *child.children(recursive=True)]
        # when it is killed without a chance to clean up
        parent.kill()
        # then nothing of it is left
        _, alive = psutil.wait_procs(family, timeout=20)
        for left in alive:
            left.kill()
        assert not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE]


def test_an_ended_child_takes_its_group_along() -> None:
    script = "import subprocess,sys; subprocess.Popen(['sleep','600']); print('up', flush=True); sys.stdin.read()"
    child = process.spawn([sys.executable, "-c", script], env=dict(os.environ), stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    leader = psutil.Process(child.pid) if child.poll() is None else None
    sleeping = leader.children() if leader else []
    process.end(child, grace=1.0)
    child.stdout.close()
    _, alive = psutil.wait_procs(sleeping, timeout=10)
    assert not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE]
