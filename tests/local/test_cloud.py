"""The cloud as a process: `python -m infra.local.cloud`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from scripts.cli.local import free_port

ROOT = Path(__file__).parents[2]


def write_assembly(directory: Path, resources: dict[str, Any]) -> Path:
    directory.mkdir(exist_ok=True)
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "s.json"}}
    (directory / "manifest.json").write_text(json.dumps({"artifacts": {"tiny": stack}}))
    (directory / "s.json").write_text(json.dumps({"Resources": resources}))
    return directory


def parameter(value: str) -> dict[str, Any]:
    return {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/p", "Type": "String", "Value": value}}}


@contextmanager
def serving(assembly: Path, workdir: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "infra.local.cloud", "--assembly", str(assembly), "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}"}
    with subprocess.Popen(
        [*command, "--workdir", str(workdir)], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process, port
        finally:
            process.kill()


def control(port: int, name: str, body: Any = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_perennial/{name}", data, timeout=30) as reply:
            answer: dict[str, Any] = json.loads(reply.read())
    except urllib.error.HTTPError as error:
        answer = json.loads(error.read())
    return answer


def settled(process: subprocess.Popen[bytes], port: int) -> dict[str, Any]:
    """Its health once it is ready or has failed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        try:
            health = control(port, "health")
        except OSError:
            health = {}
        if health.get("state") in {"ready", "failed"}:
            return health
        time.sleep(0.1)
    raise AssertionError("the cloud did not settle")


@pytest.mark.parametrize("how", ["sigterm", "sigint", "shutdown"])
def test_a_cloud_serves_updates_and_leaves_nothing(tmp_path: Path, how: str) -> None:
    assembly = write_assembly(tmp_path / "cdk.out", parameter("1"))
    with serving(assembly, tmp_path / "work") as (process, port):
        # given a cloud that is ready, and its state file
        assert settled(process, port)["state"] == "ready"
        state = json.loads((tmp_path / "work" / "local.json").read_text())
        assert (state["pid"], state["port"], state["api_port"]) == (process.pid, port, port + 1)
        session = boto3.session.Session(state["access_key"], state["secret_key"], region_name=state["region"])
        ssm = session.client("ssm", endpoint_url=f"http://127.0.0.1:{port}")
        assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "1"
        # when its template changes, and when the next one is wrong
        write_assembly(assembly, parameter("2"))
        assert control(port, "provision", {"assembly": str(assembly)}) == {"stacks": {"tiny": {"P": "updated"}}}
        write_assembly(assembly, {"X": {"Type": "Custom::X"}})
        assert "tiny/X: type Custom::X" in control(port, "provision", {"assembly": str(assembly)})["error"]
        # then it has the former, and still serves
        assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "2"
        assert control(port, "health")["state"] == "ready"
        # and when it is told to stop, nothing is left of it
        family = psutil.Process(process.pid).children(recursive=True)
        if how == "shutdown":
            control(port, "shutdown", {})
        else:
            process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert not (tmp_path / "work" / "local.json").exists()
        assert not psutil.wait_procs(family, timeout=10)[1]


def test_a_cloud_that_cannot_be_provisioned_says_why_and_ends(tmp_path: Path) -> None:
    assembly = write_assembly(tmp_path / "cdk.out", {"X": {"Type": "Custom::X"}})
    with serving(assembly, tmp_path / "work") as (process, port):
        health = settled(process, port)
        assert health["state"] == "failed"
        assert "tiny/X: type Custom::X is not understood" in health["error"]
        _, words = process.communicate(timeout=30)
        assert process.returncode == 1
        assert words.decode().splitlines()[-1] == health["error"]
        assert not (tmp_path / "work" / "local.json").exists()
