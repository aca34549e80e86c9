"""Ordinary clients, unmodified, at work on the deployed shop: aws, curl, boto3, tritonclient, a shell."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import boto3
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from scripts.cli.predict import answers
from tests.local.shop import GOOD, ROOT, Shop, eventually, orders, tensors, write_orders
from tests.test_readme import run_by_clients

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]

LOG_GROUP = "/aws/lambda/perennial-dev-predict-returns"


def client(service: str) -> Any:
    factory: Any = boto3.client
    return factory(service)


def parameter(name: str) -> str:
    value: str = client("ssm").get_parameter(Name=f"/perennial/dev/{name}")["Parameter"]["Value"]
    return value


def aws(shop: Shop, line: str) -> str:
    """What the AWS command line says."""
    if not shutil.which("aws", path=shop.environment["PATH"]):
        pytest.skip("no AWS command line on this machine")
    return shop.shell(f"aws {line}")


# ---- the AWS command line


def test_aws_s3_cp_of_a_file_makes_a_dataset_version(served: Shop) -> None:
    known = len(served.json("datasets", "orders"))
    write_orders(served.workdir / "february.csv", orders(2, 25))
    aws(served, f"s3 cp --no-progress february.csv s3://{parameter('data-bucket')}/raw/orders/february.csv")
    grown = eventually(lambda: served.json("datasets", "orders")[known:])
    assert [version["rows"] for version in grown] == [25]


def test_aws_stepfunctions_list_executions(served: Shop) -> None:
    machine = parameter("lifecycle-workflow")
    line = f"stepfunctions list-executions --state-machine-arn {machine} --status-filter SUCCEEDED"
    [one] = json.loads(aws(served, line))["executions"]
    assert (one["stateMachineArn"], one["status"]) == (machine, "SUCCEEDED")
    assert one["startDate"] < one["stopDate"]


def test_aws_dynamodb_scan(served: Shop) -> None:
    items = json.loads(aws(served, f"dynamodb scan --table-name {parameter('registry-table')}"))["Items"]
    assert {item["pk"]["S"].split("#")[0] for item in items} >= {"DATASET", "MODEL"}


def test_aws_logs_tail(served: Shop) -> None:
    served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))
    if "aws-cli/2" not in aws(served, "--version"):
        pytest.skip("`logs tail` came with version 2 of the AWS command line")
    assert '"record":"prediction"' in aws(served, f"logs tail {LOG_GROUP} --since 1h")


def test_the_call_that_logs_tail_makes_pages_through_every_stream_in_order(served: Shop) -> None:
    before = int(time.time() * 1000)
    replies = [served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD)) for _ in range(5)]
    sent = {answers(reply)[0]["prediction_id"].rpartition("-")[0] for reply in replies}
    asked = {"logGroupName": LOG_GROUP, "interleaved": True}

    def events(start: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = asked | {"startTime": start}
        while True:
            page = client("logs").filter_log_events(**more, limit=3)
            assert len(page["events"]) <= 3
            found += page["events"]
            if "nextToken" not in page:
                return found
            more["nextToken"] = page["nextToken"]

    def recorded() -> bool:
        lines = [event["message"] for event in events(before) if event["message"].startswith('{"record":"prediction"')]
        return sent <= {json.loads(line)["ids"] for line in lines}

    eventually(recorded, seconds=20)
    found = events(before)
    assert len({event["eventId"] for event in found}) == len(found)
    times = [event["timestamp"] for event in found]
    assert times == sorted(times)
    assert times[0] >= before
    assert events(times[-1] + 3_600_000) == []


# ---- curl


def signed_curl(shop: Shop) -> str:
    """A curl command that signs for the API."""
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    if "--aws-sigv4" not in shop.shell("curl --help all"):
        pytest.skip("this curl does not know --aws-sigv4 (it came with 7.75)")
    return (
        'curl -sS -w " %{http_code}" --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" '
        '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$PERENNIAL_API_URL'
    )


def test_curl_reads_and_predicts(served: Shop) -> None:
    curl = signed_curl(served)
    listed, _, status = served.shell(f'{curl}/v2/models"').rpartition(" ")
    assert status == "200"
    assert "returns" in listed
    body = served.workdir / "ask.json"
    body.write_text(json.dumps(tensors(**GOOD)), encoding="utf-8")
    send = '-H "content-type: application/json" --data-binary @ask.json'
    answer, _, status = served.shell(f'{curl}/v2/models/returns/infer" {send}').rpartition(" ")
    assert status == "200", answer
    assert [output["shape"] for output in json.loads(answer)["outputs"] if output["name"] == "probability"] == [[2, 2]]


def test_curl_with_another_key_is_forbidden(served: Shop) -> None:
    curl = signed_curl(served).replace("$AWS_SECRET_ACCESS_KEY", "not-the-secret")
    assert served.shell(f'{curl}/v2/models"').endswith(" 403")


# ---- tritonclient, through `perennial proxy`


@contextmanager
def proxy(shop: Shop) -> Iterator[str]:
    """`perennial proxy` as a process of its own; the address it prints."""
    words = [sys.executable, "-m", "scripts.cli", "proxy", "--port", "0"]
    process = subprocess.Popen(words, cwd=shop.workdir, env=shop.environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"127\.0\.0\.1:\d+", said)
        assert found, said
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "Traceback" not in process.communicate()[1]


@pytest.fixture(scope="module")
def triton(served: Shop) -> Iterator[InferenceServerClient]:
    with proxy(served) as address:
        made = InferenceServerClient(address)
        yield made
        made.close()


def inputs(*, binary: bool, **changed: np.ndarray[Any, Any]) -> list[InferInput]:
    """Two orders as tritonclient's tensors."""
    columns = {
        "price": np.array([[10.0], [90.0]]),
        "größe": np.array([["XL"], ["never seen"]], dtype=np.object_),
        "first order": np.array([[True], [False]]),
    } | changed
    types = {"f": "FP64", "O": "BYTES", "b": "BOOL"}
    made = []
    for name, data in columns.items():
        tensor = InferInput(name, list(data.shape), types[data.dtype.kind])
        tensor.set_data_from_numpy(data, binary_data=binary)
        made.append(tensor)
    return made


def test_tritonclient_asks_for_health_and_metadata(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("returns")
    assert triton.is_model_ready("returns", "1")
    assert not triton.is_model_ready("nobody")
    assert triton.get_server_metadata()["name"]
    metadata = triton.get_model_metadata("returns")
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
        ("price", "FP64"),
        ("größe", "BYTES"),
        ("first order", "BOOL"),
    ]


def test_tritonclient_gets_the_same_in_binary_and_in_json(triton: InferenceServerClient) -> None:
    found = {}
    for binary in (True, False):
        wanted = [InferRequestedOutput(name, binary_data=binary) for name in ("probability", "prediction")]
        result = triton.infer("returns", inputs(binary=binary), outputs=wanted)
        assert [result.get_response()["model_version"]] == triton.get_model_metadata("returns")["versions"]
        carried = ["binary_data_size" in output.get("parameters", {}) for output in result.get_response()["outputs"]]
        assert carried == [binary, binary]
        found[binary] = result.as_numpy("probability")
        assert result.as_numpy("prediction").shape[0] == 2
    assert found[True].shape == (2, 2)
    np.testing.assert_allclose(found[True].sum(axis=1), 1)
    # JSON has the nine digits that name a float32
    np.testing.assert_array_equal(found[True].astype(np.float32), found[False].astype(np.float32))


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_is_told_what_is_wrong_with_its_input(triton: InferenceServerClient, binary: bool) -> None:
    wrong = inputs(binary=binary, price=np.array([["dear"], ["cheap"]], dtype=np.object_))
    with pytest.raises(InferenceServerException, match="price") as refused:
        triton.infer("returns", wrong)
    assert refused.value.status() == "400"
    with pytest.raises(InferenceServerException, match="nobody") as refused:
        triton.infer("nobody", inputs(binary=binary))
    assert refused.value.status() == "404"


# ---- the command line


def test_env_points_any_shell_at_the_cloud(served: Shop) -> None:
    line = 'eval "$(perennial env)"; echo "$AWS_ENDPOINT_URL $PERENNIAL_API_URL ${AWS_PROFILE-none}"'
    expected = [served.environment["AWS_ENDPOINT_URL"], served.environment["PERENNIAL_API_URL"], "none"]
    assert served.shell(f"export AWS_PROFILE=other; {line}").split() == expected


def test_status_for_people_and_for_machines(served: Shop) -> None:
    found = served.json("status")
    assert found["api_url"] == served.environment["PERENNIAL_API_URL"]
    assert [(one["name"], one["champion"]) for one in found["models"]] == [("returns", 1)]
    shown = served.run("status")
    assert "orders" in shown
    assert "SUCCEEDED" in shown


def test_predict_prints_csv_and_json_alike(served: Shop) -> None:
    write_orders(served.workdir / "ask.csv", orders(5, 3))
    lines = served.shell("perennial predict returns ask.csv").splitlines()
    assert lines[0] == "prediction_id,prediction,model_version,probability_false,probability_true"
    rows = served.json("predict", "returns", "ask.csv")
    assert [line.split(",")[4] for line in lines[1:]] == [str(row["probability_true"]) for row in rows]


def test_tick_moves_the_clock_and_delivers_the_prediction_log(served: Shop) -> None:
    identity = served.json("predict", "returns", str(write_orders(served.workdir / "one.csv", orders(4, 1))))[0]
    ids = identity["prediction_id"].rpartition("-")[0]
    before = served.json("tick", "1s")["time"]
    assert served.json("tick", "30m")["time"] > before
    s3, bucket = client("s3"), parameter("data-bucket")

    def logged() -> bool:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="predictions/returns/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed]
        return any(ids.encode() in body for body in map(unpacked, bodies))

    eventually(logged, seconds=30)


def unpacked(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def test_a_browser_reads_through_the_proxy(served: Shop) -> None:
    with proxy(served) as address, urlopen(f"http://{address}/v2/models", timeout=30) as reply:
        assert "returns" in reply.read().decode()


# ---- what the documents say

# they speak of flights and sales
IN_THE_SHOP = {
    "init sales-2024-03.csv": "init many.csv",
    '"Delivery status"': "returned",
    "--dataset sales": "--dataset orders",
    "sales-2024-03.csv": "march.csv",
    "flights-2013-01.csv": "march.csv",
    "flights-2013-04.csv": "ask.csv",
    "flight-delays": "returns",
    "--dataset flights": "--dataset orders",
    "<env>": "dev",
    "<model>": "returns",
}


def as_typed(shop: Shop, line: str) -> str:
    """Run a line of the documents in a fresh shell; what it prints."""
    write_orders(shop.workdir / "march.csv", orders(3, 15))
    write_orders(shop.workdir / "ask.csv", orders(4, 3))
    write_orders(shop.workdir / "many.csv", orders(5, 500))
    for theirs, ours in IN_THE_SHOP.items():
        line = line.replace(theirs, ours)
    if not shutil.which(line.split()[0], path=shop.environment["PATH"]):
        pytest.skip(f"no {line.split()[0]} on this machine")
    return shop.shell(f'eval "$(perennial env)"; {line}')


@pytest.mark.parametrize("line", run_by_clients())
def test_a_command_of_the_readme_works(served: Shop, line: str) -> None:
    assert as_typed(served, line)


def runbook_commands() -> list[str]:
    """The AWS commands of the runbook that only look, and are written out."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "runbook").glob("*.md"))]
    found = [
        line for text in texts for line in re.findall(r"`(aws \S+ (?:get|receive|list|describe)-[^`…]+ [^`…]+)`", text)
    ]
    assert found
    return found


@pytest.mark.parametrize("line", runbook_commands())
def test_a_command_of_the_runbook_works(served: Shop, line: str) -> None:
    if line.startswith("aws sqs") and "aws-cli/1." in aws(served, "--version"):
        pytest.skip("version 1 of the AWS command line asks SQS on AWS, whatever AWS_ENDPOINT_URL says")
    as_typed(served, line)
