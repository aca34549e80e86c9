"""How long the loop itself takes: from the last dropped file to the first answer, less the fit."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import perennial
from infra.synth import synthesize
from scripts.benchmarks.interleave import Say
from scripts.benchmarks.model import DATASET, MODEL
from scripts.benchmarks.rows import Row
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure
from scripts.cli.signing import Api

PATIENCE = 240.0


def drop_to_serving(files: list[Path], say: Say) -> Row:
    """Start a local cloud of its own, drop the files, wait until the model answers. Raises Failure when it does not."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _cloud(Path(name), say):
        deployment = Deployment("dev")
        for file in files:
            deployment.client("s3").upload_file(str(file), deployment.data.bucket, f"raw/{DATASET}/{file.name}")
        began = time.monotonic()
        say("dropped; waiting for the model to serve")
        _await_ready(Api(deployment.parameters["api-url"]), deployment, began + PATIENCE)
        seconds = time.monotonic() - began
        fit = _fit_seconds(deployment)
    versions = {"perennial": perennial.__version__}
    return Row("loop on the local cloud: drop to serving, less the fit", seconds - fit, None, "s", None, None, versions)


@contextmanager
def _cloud(workdir: Path, say: Say) -> Iterator[None]:
    say("synthesizing")
    assembly = synthesize(env="dev", catalog=local.ROOT / "infra" / "catalog")
    say("starting the local cloud")
    before = dict(os.environ)
    state = local.start(assembly, port=local.free_port(), env="dev", workdir=workdir, say=lambda _: None)
    try:
        os.environ.update(local.exports(state))
        os.environ.pop("AWS_PROFILE", None)
        yield
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
