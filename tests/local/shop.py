"""A small catalog that is not flights (will a customer return what was ordered?), its data files, its deployment."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil

from scripts.cli.local import free_port
from scripts.cli.signing import Api

ROOT = Path(__file__).parents[2]

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: perennial:dataset:orders
name: Orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order id, logicalType: string, required: true, unique: true}
      - name: ordered_at
        logicalType: timestamp
        required: true
        customProperties: [{property: eventTime, value: true}]
      - {name: price, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: größe, logicalType: string}
      - {name: first order, logicalType: boolean, required: true}
      - name: returned
        logicalType: boolean
        customProperties: [{property: availableAtPrediction, value: false}]
"""

MODEL = """
name: returns
dataset: orders
task: binary
label: {column: returned}
features: [price, größe, first order]
entity: [größe]
amount_unit: EUR
train:
  when: {min_rows: 300, settle: 1s}
  algorithm: logistic_regression
  min_rows: 50
gates:
  auc: {min: 0.6}
comparison: {metric: auc, margin: 0.2}
"""

HEADER = ["order id", "ordered_at", "price", "größe", "first order", "returned"]


def write_catalog(directory: Path) -> Path:
    """The catalog in `directory`."""
    for folder, name, text in (("contracts", "orders", CONTRACT), ("models", "returns", MODEL)):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def orders(month: int, count: int = 400, *, returned: bool | None = None) -> list[list[Any]]:
    """Orders of one month of 2024; dear and large ones come back more often. `returned` makes all labels alike."""
    rng = np.random.default_rng(month)
    rows: list[list[Any]] = []
    for index in range(count):
        price, size = round(float(rng.gamma(3, 20)), 2), str(rng.choice(["S", "M", "L", "XL"]))
        back = bool(rng.random() < 1 / (1 + np.exp(-(price / 30 - 2 + 1.5 * (size == "XL")))))
        at = datetime(2024, month, 1) + timedelta(hours=28 * 24 * index / count)
        shown = back if returned is None else returned
        first = bool(rng.random() < 0.3)
        rows.append([f"{month}-{index}", at.isoformat(sep=" "), price, size, str(first).lower(), str(shown).lower()])
    return rows


def write_orders(path: Path, rows: list[list[Any]], header: list[str] | None = None) -> Path:
    """The rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header or HEADER)
        writer.writerows(rows)
    return path


@dataclass
class Shop:
    """A running deployment of the shop's catalog, driven by the command line and by ordinary clients."""

    workdir: Path
    environment: dict[str, str]

    def run(self, *words: str, expect: int = 0) -> str:
        """Run a verb; its output, with what it said on standard error when it was to fail."""
        done = self._call([sys.executable, "-m", "scripts.cli", *words])
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def json(self, *words: str, expect: int = 0) -> Any:
        """What a verb prints for machines."""
        return json.loads(self.run(*words, "--json", expect=expect))

    def shell(self, line: str) -> str:
        """Run a line as a user types it, `perennial` on the path; what it prints."""
        done = self._call(["bash", "-euo", "pipefail", "-c", line])
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.workdir, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )

    def drop(self, name: str, rows: list[list[Any]], header: list[str] | None = None, expect: int = 0) -> Any:
        """Write the rows to a file, drop it and wait; what became of it."""
        path = write_orders(self.workdir / name, rows, header)
        found = self.run("drop", str(path), "--dataset", "orders", "--wait", "--json", expect=expect)
        return json.loads(found)

    def client(self, service: str) -> Any:
        """An SDK client with the shop's own keys; who asks again and again would start a process with each verb."""
        keys = (self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])
        session: Any = boto3.session.Session(*keys, region_name=self.environment["AWS_REGION"])
        return session.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])

    def lifecycles(self) -> list[dict[str, Any]]:
        """The trainings so far."""
        states = self.client("stepfunctions")
        machines = states.list_state_machines()["stateMachines"]
        [arn] = [one["stateMachineArn"] for one in machines if one["name"].endswith("-lifecycle")]
        found: list[dict[str, Any]] = states.list_executions(stateMachineArn=arn)["executions"]
        return found

    @property
    def api(self) -> Api:
        """The HTTP API."""
        return Api(self.environment["PERENNIAL_API_URL"])


def new_shop(workdir: Path) -> Shop:
    """A shop that is not up yet; nothing of the developer's own AWS settings reaches it."""
    commands = workdir / "bin"
    commands.mkdir()
    launcher = commands / "perennial"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scripts.cli "$@"\n')
    launcher.chmod(0o755)
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        "PATH": path,
        "HOME": str(workdir),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}",
        "PERENNIAL_WORKDIR": str(workdir / "state"),
        "COLUMNS": "200",
    }
    return Shop(workdir, environment)


@contextmanager
def running(shop: Shop, catalog: Path) -> Iterator[None]:
    """The shop is up with that catalog; in the end `perennial down` must leave no process behind."""
    pid = shop.json("up", "--detach", "--port", str(free_port()), "--catalog", str(catalog))["pid"]
    try:
        shop.environment.update(shop.json("env"))
        yield
    finally:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        assert shop.json("down") == {"stopped": True}
        assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def eventually(what: Callable[[], Any], *, seconds: float = 300) -> Any:
    """The first true answer of `what`, asked ten times a second.

    Lambda tries an event again after one minute and then two: what comes by an event may take so long.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


def tensors(**columns: list[Any]) -> dict[str, Any]:
    """An infer request of these columns (`_` for a blank)."""
    types = {"price": "FP64", "größe": "BYTES", "first order": "BOOL"}
    inputs = [
        {"name": name.replace("_", " "), "datatype": types[name.replace("_", " ")], "shape": [len(data)], "data": data}
        for name, data in columns.items()
    ]
    return {"inputs": inputs}


GOOD: dict[str, list[Any]] = {"price": [10.0, None], "größe": ["XL", "never seen"], "first_order": [True, False]}
