"""The main job from outside: the command line, S3 and signed HTTP against the deployed template on the local cloud."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.cli.signing import Api
from tests.local.shop import HEADER, orders, write_catalog, write_orders

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]


@dataclass
class Shop:
    """A running deployment of the shop's catalog, driven by the command line."""

    workdir: Path
    environment: dict[str, str]

    def run(self, *words: str, expect: int = 0) -> str:
        done = subprocess.run(
            [str(ROOT / ".venv/bin/python"), "-m", "scripts.cli", *words],
            cwd=self.workdir, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", expect=expect))

    def drop(self, name: str, rows: list[list[Any]], header: list[str] | None = None, expect: int = 0) -> Any:
        path = write_orders(self.workdir / name, rows, header)
        found = self.run("drop", str(path), "--dataset", "orders", "--wait", "--json", expect=expect)
        return json.loads(found)

    def lifecycles(self) -> list[dict[str, Any]]:
        return [one for one in self.json("status")["executions"] if one["workflow"] == "lifecycle"]

    @property
    def api(self) -> Api:
        return Api(self.environment["PERENNIAL_API_URL"])


def eventually(what: Callable[[], Any], *, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
    return found


def free_port() -> int:
    """A port that is free together with the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    workdir = tmp_path_factory.mktemp("shop")
    catalog = write_catalog(workdir / "catalog")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(workdir),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}",
        "PERENNIAL_WORKDIR": str(workdir / "state"),
        "COLUMNS": "200",
    }
    shop = Shop(workdir, environment)
    port = free_port()
    shop.json("up", "--detach", "--port", str(port), "--catalog", str(catalog))
    try:
        variables = shop.json("env")
        environment.update(variables)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            yield shop
    finally:
        shop.run("down")


@pytest.fixture(scope="module")
def served(shop: Shop) -> Shop:
    """The shop once its first model serves."""
    shop.drop("january.csv", orders(1))
    eventually(lambda: [one for one in shop.lifecycles() if one["status"] != "RUNNING"])
    assert [one["status"] for one in shop.lifecycles()] == ["SUCCEEDED"]
    return shop


def tensors(**columns: list[Any]) -> dict[str, Any]:
    types = {"price": "FP64", "größe": "BYTES", "first order": "BOOL"}
    inputs = [
        {"name": name.replace("_", " "), "datatype": types[name.replace("_", " ")], "shape": [len(data)], "data": data}
        for name, data in columns.items()
    ]
    return {"inputs": inputs}


GOOD: dict[str, list[Any]] = {"price": [10.0, None], "größe": ["XL", "never seen"], "first_order": [True, False]}


def test_a_dropped_file_becomes_a_served_model(served: Shop) -> None:
    assert [(d["dataset"], d["version"], d["rows"]) for d in served.json("datasets")] == [("orders", 1, 400)]
    [model] = served.json("models")
    assert (model["name"], model["champion"]) == ("returns", 1)
    assert model["metrics"]["auc"] > 0.6
    [version] = served.json("versions", "returns")
    assert version["state"] == "deployed"
    answer = served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert answer["model_version"] == "1"
    assert outputs["probability"]["shape"] == [2, 2]
    assert all(0 <= value <= 1 for value in outputs["probability"]["data"])


def test_the_ledger_tells_the_story_and_holds(served: Shop) -> None:
    facts = [record["fact"] for record in served.json("ledger", "show", "model/returns")]
    assert [fact for fact in facts if fact != "requested"] == ["trained", "gated", "registered", "deployed"]
    assert served.json("ledger", "verify")["ok"] is True


def test_predict_scores_a_file(served: Shop) -> None:
    path = write_orders(served.workdir / "ask.csv", orders(5, 30))
    found = served.json("predict", "returns", str(path))
    assert len({row["prediction_id"] for row in found}) == 30


def test_metadata_lists_and_health_answer(served: Shop) -> None:
    api = served.api
    assert api.json("GET", "/v2/health/live") == {"live": True}
    assert api.json("GET", "/v2/health/ready") == {"ready": True}
    assert [one["name"] for one in api.json("GET", "/v2/models/returns")["inputs"]] == ["price", "größe", "first order"]
    by_version = api.json("POST", "/v2/models/returns/versions/1/infer", tensors(**GOOD))
    assert by_version["model_version"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{not json", 400, "JSON"),
        (json.dumps(tensors(price=[1.0], größe=["S"])).encode(), 400, "first order"),
        (json.dumps(tensors(**GOOD) | {"inputs": [*tensors(**GOOD)["inputs"], {
            "name": "extra", "datatype": "FP64", "shape": [2], "data": [1, 2]}]}).encode(), 400, "extra"),
        (json.dumps(tensors(**(GOOD | {"price": ["dear", 1]}))).encode(), 400, "price"),
        (json.dumps(tensors(**GOOD)).replace("10.0", "NaN").encode(), 400, "NaN"),
        (b'{"inputs": "' + b"x" * 11_000_000 + b'"}', 413, ""),
    ],
)  # fmt: skip
def test_a_bad_request_gets_a_clear_4xx(served: Shop, body: bytes, status: int, words: str) -> None:
    found, reply = served.api.request("POST", "/v2/models/returns/infer", body, {"content-type": "application/json"})
    assert found == status, reply
    assert words in reply.decode()


def test_an_unknown_model_or_version_is_a_404(served: Shop) -> None:
    for path in ("/v2/models/nobody/infer", "/v2/models/returns/versions/99/infer"):
        status, reply = served.api.request("POST", path, json.dumps(tensors(**GOOD)).encode())
        assert status == 404
        assert "error" in json.loads(reply)


def test_an_unsigned_request_is_forbidden(served: Shop) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(served.environment["PERENNIAL_API_URL"] + "/v2", timeout=30)
    assert refused.value.code == 403


def test_bad_rows_go_to_quarantine_and_the_good_ones_on(served: Shop) -> None:
    rows = orders(6, 50)
    rows[7][2] = "-5"
    rows[9][4] = "perhaps"
    found = served.drop("june.csv", rows)
    assert (found["status"], found["rows"], found["quarantined"]) == ("accepted", 48, 2)
    [report] = [one for one in served.json("quarantine", "orders") if one["batch"] == found["batch"]]
    named = {(problem["row"], problem["column"]) for problem in report["problems"]}
    assert named == {(8, "price"), (10, "first order")}


def test_the_same_file_twice_is_one_version(served: Shop) -> None:
    before = len(served.json("datasets"))
    first = served.drop("july.csv", orders(7, 20))
    again = served.drop("july.csv", orders(7, 20))
    assert first["version"] == again["version"]
    assert len(served.json("datasets")) == before + 1


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty.csv", b""),
        ("liar.parquet", b"this,is,no\nparquet,file,!\n"),
        ("torn.csv.gz", b"\x1f\x8b\x08\x00torn"),
        ("columns.csv", b"who,what\n1,2\n"),
    ],
)
def test_a_bad_file_is_quarantined_with_a_report(served: Shop, name: str, body: bytes) -> None:
    path = served.workdir / name
    path.write_bytes(body)
    found = json.loads(served.run("drop", str(path), "--dataset", "orders", "--wait", "--json", expect=1))
    assert found["status"] == "refused"
    reports = [one for one in served.json("quarantine", "orders") if one["batch"] == found["batch"]]
    assert reports
    assert reports[0]["problems"]


def test_a_dataset_without_a_contract_is_quarantined(served: Shop) -> None:
    path = write_orders(served.workdir / "stray.csv", orders(8, 5), HEADER)
    found = json.loads(served.run("drop", str(path), "--dataset", "nobody-knows", "--wait", "--json", expect=1))
    assert "nobody-knows" in found["reason"]


def test_a_training_that_cannot_work_fails_by_name_and_the_champion_keeps_serving(served: Shop) -> None:
    known = len(served.lifecycles())
    # a file after everything else in time, so that all held-out rows have one class
    served.drop("december.csv", orders(12, 2000, returned=False))
    ended = eventually(lambda: [one for one in served.lifecycles() if one["status"] == "FAILED"])
    assert len(served.lifecycles()) == known + 1
    import boto3

    client: Any = boto3.client("stepfunctions")
    machine = client.list_state_machines()["stateMachines"]
    arn = next(one["stateMachineArn"] for one in machine if one["name"].endswith("-lifecycle"))
    failed = client.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"][0]
    told = client.describe_execution(executionArn=failed["executionArn"])
    assert ended
    assert told["error"] == "TrainingDataInvalid"
    assert "one class" in told["cause"]
    assert served.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))["model_version"] == "1"


def test_down_leaves_no_process_behind(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}",
        "PERENNIAL_WORKDIR": str(tmp_path / "state"),
    }
    shop = Shop(tmp_path, environment)
    catalog = write_catalog(tmp_path / "catalog")
    pid = shop.json("up", "--detach", "--port", str(free_port()), "--catalog", str(catalog))["pid"]
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert shop.json("down") == {"stopped": True}
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
