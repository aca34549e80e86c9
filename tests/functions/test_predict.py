"""The predict function as Lambda runs it: its code is a bundle, its handler comes from a layer."""

from __future__ import annotations

import base64
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient

from tests.unit.serving.bundles import shipped_files, write_bundle

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "functions" / "predict" / "bootstrap"
CONTEXT = SimpleNamespace(aws_request_id="6f1b2c3d-1111-4222-8333-123456789abc")
Invoke = Callable[..., dict[str, Any]]


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


def started(directory: Path, patch: pytest.MonkeyPatch) -> ModuleType:
    """The handler's module, imported as in a new process."""
    patch.setenv("LAMBDA_TASK_ROOT", str(directory))
    patch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
    patch.delitem(sys.modules, "functions.predict.handler", raising=False)
    return importlib.import_module("functions.predict.handler")


@pytest.fixture
def invoke(tmp_path: Path) -> Iterator[Invoke]:
    with pytest.MonkeyPatch.context() as patch:
        module = started(write_bundle(tmp_path, shipped_files()), patch)
        yield lambda sent: module.lambda_handler(sent, CONTEXT)


def test_the_sample_request_is_answered_and_recorded(invoke: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    reply = invoke(event("predict"))
    assert reply["statusCode"] == 200
    assert reply["headers"]["content-type"] == "application/json"
    body = json.loads(reply["body"])
    assert (body["id"], body["model_version"]) == ("first-of-april", "3")
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert (record["record"], record["lambda_version"], record["rows"]) == ("prediction", "7", 2)
    assert record["at"] == "2013-04-01T09:03:58.123Z"
    assert [identity["data"] for identity in body["outputs"] if identity["name"] == "prediction_id"] == [
        [f"{record['ids']}-0", f"{record['ids']}-1"]
    ]


def test_the_sample_of_the_triton_client_is_answered_in_kind(invoke: Invoke) -> None:
    reply = invoke(event("predict-binary"))
    assert reply["isBase64Encoded"] is True
    result = InferenceServerClient.parse_response_body(
        base64.b64decode(reply["body"]), header_length=int(reply["headers"]["inference-header-content-length"])
    )
    plain = json.loads(invoke(event("predict"))["body"])
    probability = next(output["data"] for output in plain["outputs"] if output["name"] == "probability")
    assert result.as_numpy("probability").ravel().astype(np.float32).tolist() == np.float32(probability).tolist()


def test_the_sample_question_is_answered(invoke: Invoke) -> None:
    assert json.loads(invoke(event("predict-ready"))["body"])["ready"] is True


@pytest.mark.parametrize("name", ["predict", "predict-binary", "predict-ready"])
def test_before_the_first_rollout_there_is_no_model_yet(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        reply = started(BOOTSTRAP, patch).lambda_handler(event(name), CONTEXT)
    assert reply["statusCode"] == 503
    assert "no model yet" in json.loads(reply["body"])["error"]


def test_a_bundle_that_was_changed_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(tmp_path, shipped_files())
    with (tmp_path / "model.onnx").open("r+b") as file:
        file.write(b"\x00")
    with pytest.MonkeyPatch.context() as patch:
        reply = started(tmp_path, patch).lambda_handler(event("predict"), CONTEXT)
    assert reply["statusCode"] == 503
    assert "model.onnx: its SHA-256 is not the one in the manifest" in json.loads(reply["body"])["error"]
    assert json.loads(capsys.readouterr().out)["record"] == "unavailable"


PROBE = """
import importlib, json, sys
bare = set()
if sys.argv[1] == "bare":
    import numpy, onnxruntime
else:
    module = importlib.import_module("predict.handler")
    reply = module.lambda_handler(json.load(open(sys.argv[2])), None)
    assert reply["statusCode"] == 200, reply
    sys.stdout.write("\\n")
print(json.dumps(sorted(sys.modules)))
"""


def modules(tmp_path: Path, what: str) -> set[str]:
    """The modules of a new process that did `bare` imports, or answered a request as the layer does."""
    layer = tmp_path / "layer"
    if not layer.exists():
        (layer / "predict").mkdir(parents=True)
        (layer / "predict" / "handler.py").write_bytes((ROOT / "functions" / "predict" / "handler.py").read_bytes())
        write_bundle(tmp_path / "task", shipped_files())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{layer}:{ROOT / 'layers' / 'core' / 'python'}",
        "LAMBDA_TASK_ROOT": str(tmp_path / "task"),
    }
    arguments = [sys.executable, "-c", PROBE, what, str(ROOT / "events" / "predict.json")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, cwd=tmp_path, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_first_answer_imports_little_more_than_onnxruntime_itself(tmp_path: Path) -> None:
    bare, whole = modules(tmp_path, "bare"), modules(tmp_path, "whole")
    heavy = {"boto3", "botocore", "pydantic", "aws_lambda_powertools", "pandas", "pyarrow", "sklearn", "scipy", "onnx"}
    heavy |= {"yaml", "asyncio", "jinja2", "requests", "urllib3"}
    assert not heavy & {name.split(".")[0] for name in whole}
    ours = {name for name in whole - bare if not name.startswith(("perennial", "predict"))}
    assert len(ours) < 30, sorted(ours)
    assert "socket" not in ours
    assert "perennial.serving.directory" not in whole


def copies(count: int, task: Callable[[], Any]) -> list[Any]:
    """What `task` returns in copies of this process as it is now: a snapshot that is restored several times."""
    found = []
    for _ in range(count):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.write(writer, json.dumps(task()).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            found.append(json.loads(pipe.read()))
        assert os.waitpid(child, 0)[1] == 0
    return found


def test_copies_of_one_start_never_give_the_same_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SnapStart: what is drawn while a function starts is the same everywhere; ids are drawn later."""
    module = started(write_bundle(tmp_path, shipped_files()), monkeypatch)
    sent = event("predict")

    def ids() -> list[str]:
        outputs = json.loads(module.lambda_handler(sent, None)["body"])["outputs"]
        return [identity for output in outputs if output["name"] == "prediction_id" for identity in output["data"]]

    drawn = [identity for found in copies(4, ids) for identity in found]
    assert len(set(drawn)) == len(drawn) == 8


def test_a_start_keeps_nothing_drawn_by_chance_nor_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies that get the same request id give the same answer to the byte, an hour after the start as well."""
    module = started(write_bundle(tmp_path, shipped_files()), monkeypatch)
    later = event("predict")
    later["requestContext"]["timeEpoch"] += 3_600_000
    first, second = copies(2, lambda: module.lambda_handler(later, CONTEXT)["body"])
    assert first == second
    assert "2013-04-01-" in first
