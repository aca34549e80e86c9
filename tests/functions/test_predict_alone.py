"""Predict needs nothing but its bundle and its layers: no network, no other program, no AWS library."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput

from infra.layers import LAYERS
from infra.local.lambdas.third_party import link, listed
from infra.lock import ROOT, Target, requirements
from tests.functions.test_predict import BOOTSTRAP, event
from tests.unit.serving.bundles import MODEL, shipped_files, write_bundle

SCRIPT = Path(__file__).with_name("forbidden.py")
NOT_THERE = {"boto3", "botocore", "pydantic", "pydantic_core", "pandas", "pyarrow", "aws_lambda_powertools"}
NOT_THERE |= {"aws_xray_sdk", "urllib3", "requests", "_socket", "ssl"}


def layers(folder: Path) -> str:
    """An import path with the function's three layers and nothing else."""
    target = Target(f"{sys.version_info.major}.{sys.version_info.minor}", "x86_64")
    link(listed(requirements(LAYERS["serving"], target)), folder / "serving")
    (folder / "predict" / "predict").mkdir(parents=True)
    (folder / "predict" / "predict" / "handler.py").write_bytes((ROOT / "functions/predict/handler.py").read_bytes())
    return os.pathsep.join(map(str, (ROOT / "layers/core/python", folder / "serving", folder / "predict")))


def run(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1"}
    # -S: without site there are no site-packages
    return subprocess.run(
        [sys.executable, "-S", str(SCRIPT), *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def called(tmp_path: Path, task_root: Path, *events: Any) -> dict[str, Any]:
    (tmp_path / "events.json").write_text(json.dumps(events))
    done = run(layers(tmp_path / "layers"), "handler", str(task_root), str(tmp_path / "events.json"))
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_body(body: str) -> dict[str, Any]:
    return {**event("predict"), "body": body}


def test_the_bans_hold_in_python_and_in_native_code() -> None:
    plain = run("", "python", "socket")
    assert plain.returncode == 1
    assert "PermissionError: forbidden: socket." in plain.stderr
    native = run("", "native", "socket")
    if "no filter" in native.stdout:
        pytest.skip("this kernel has no seccomp filter")
    assert native.returncode == -signal.SIGSYS


def test_no_answer_takes_the_network(tmp_path: Path) -> None:
    """Cold and warm, JSON and binary, every kind of refusal."""
    bundle = write_bundle(tmp_path / "task", shipped_files())
    plain, binary = event("predict"), event("predict-binary")
    elsewhere = {**plain, "rawPath": f"/v2/models/{MODEL}/versions/9/infer"}
    events = [
        plain, plain, binary, binary, event("predict-ready"),
        with_body("{"), with_body('{"inputs": [NaN]}'), with_body('{"inputs": []}'), with_body(""), elsewhere,
        {**plain, "rawPath": "/nowhere"}, {**event("predict-ready"), "rawPath": plain["rawPath"]},
        {**binary, "body": "!"}, {**binary, "body": base64.b64encode(b"short").decode()},
    ]  # fmt: skip
    found = called(tmp_path, bundle, *events)
    statuses = [reply["statusCode"] for reply in found["replies"]]
    assert statuses == [200] * 5 + [400] * 4 + [404, 404, 405, 400, 400]
    assert found["replies"][2]["isBase64Encoded"]
    assert not NOT_THERE & {name.split(".")[0] for name in found["modules"]}
    assert {"onnxruntime", "numpy"} <= set(found["modules"])


def test_rows_by_the_thousand_take_no_network(tmp_path: Path) -> None:
    signature = json.loads(shipped_files()["signature.json"])
    inputs = []
    for one in signature["inputs"]:
        text = one["datatype"] == "BYTES"
        made = InferInput(one["name"], [5000, 1], one["datatype"])
        made.set_data_from_numpy(np.full((5000, 1), "AA" if text else 5, object if text else np.int64))
        inputs.append(made)
    body, header_length = InferenceServerClient.generate_request_body(inputs)
    sent = event("predict-binary")
    sent["body"] = base64.b64encode(body).decode()
    sent["headers"]["inference-header-content-length"] = str(header_length)
    found = called(tmp_path, write_bundle(tmp_path / "task", shipped_files()), sent)
    assert found["replies"][0]["statusCode"] == 200


@pytest.mark.parametrize("state", ["no model yet", "changed bundle"])
def test_without_a_model_there_is_no_network_either(tmp_path: Path, state: str) -> None:
    task_root = BOOTSTRAP
    if state == "changed bundle":
        task_root = write_bundle(tmp_path / "task", shipped_files())
        (task_root / "model.onnx").write_bytes(b"changed")
    found = called(tmp_path, task_root, event("predict"), event("predict-ready"))
    assert [reply["statusCode"] for reply in found["replies"]] == [503, 503]
    assert not NOT_THERE & {name.split(".")[0] for name in found["modules"]}
