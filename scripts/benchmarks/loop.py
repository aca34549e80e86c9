"""How long the loop itself takes: from the last dropped file to the first answer, less the fit."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import perennial
from infra.synth import synthesize
from scripts.benchmarks.model import DATASET, MODEL
from scripts.benchmarks.rows import Row
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure
from scripts.cli.signing import Api
from scripts.steps import Say

PATIENCE = 240.0
ROUNDS, REQUESTS = 5, 100


def drop_to_serving(files: list[Path], say: Say) -> Iterator[Row]:
    """Start a local cloud of its own, drop the files, wait until the model answers, ask it. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _cloud(Path(name), say) as pid:
        deployment = Deployment("dev")
        for file in files:
            deployment.client("s3").upload_file(str(file), deployment.data.bucket, f"raw/{DATASET}/{file.name}")
        began = time.monotonic()
        say("dropped; waiting for the model to serve")
        api = Api(deployment.parameters["api-url"])
        _await_ready(api, deployment, began + PATIENCE)
        seconds = time.monotonic() - began
        versions = {"perennial": perennial.__version__}
        loop = seconds - _fit_seconds(deployment)
        yield Row("loop on the local cloud: drop to serving, less the fit", loop, None, "s", None, None, versions)
        say("asking the model over HTTP")
        spent = median(_request_seconds(api, pid) for _ in range(ROUNDS)) * 1e6
        yield Row("HTTP on the local cloud, 1 row", spent, None, "CPU µs", None, None, versions)


def _request_seconds(api: Api, pid: int) -> float:
    """CPU seconds of all processes of the local cloud for a request of one row."""
    event = json.loads((local.ROOT / "events" / "predict.json").read_text())
    root = psutil.Process(pid)

    def cpu() -> float:
        return sum(sum(one.cpu_times()[:4]) for one in [root, *root.children(recursive=True)])

    before = cpu()
    for _ in range(REQUESTS):
        status, reply = api.request("POST", f"/v2/models/{MODEL}/infer", event["body"].encode())
        if status != 200:
            raise Failure(f"the model answered {status}: {reply[:500].decode(errors='replace')}")
    return (cpu() - before) / REQUESTS


@contextmanager
def _cloud(workdir: Path, say: Say) -> Iterator[int]:
    say("synthesizing")
    assembly = synthesize(env="dev", catalog=local.ROOT / "infra" / "catalog")
    say("starting the local cloud")
    before = dict(os.environ)
    state = local.start(assembly, port=local.free_port(), env="dev", workdir=workdir, say=lambda _: None)
    try:
        os.environ.update(local.exports(state))
        os.environ.pop("AWS_PROFILE", None)
        yield int(state["pid"])
    finally:
        os.environ.clear()
        os.environ.update(before)
        local.stop(workdir)


def _await_ready(api: Api, deployment: Deployment, deadline: float) -> None:
    while api.request("GET", f"/v2/models/{MODEL}/ready")[0] != 200:
        failed = [one for one in deployment.executions("lifecycle") if one["status"] not in {"RUNNING", "SUCCEEDED"}]
        if failed:
            raise Failure(f"lifecycle {failed[0]['name']} ended as {failed[0]['status']}")
        if time.monotonic() > deadline:
            raise Failure(f"no model served within {PATIENCE:.0f} s")
        time.sleep(0.2)


def _fit_seconds(deployment: Deployment) -> float:
    """What the training says of its own step `fit`."""
    (key,) = [key for key in deployment.data.list("staging/") if key.endswith("/training.json")]
    training: dict[str, Any] = json.loads(deployment.data.get(key))
    return float(training["seconds"]["fit"])
