"""A small dataset of trips, ingested by the real stage, and models of it."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from functions.ingest.handler import lambda_handler as ingest
from functions.train.handler import main as train
from perennial.datasets.versions import list_versions
from tests.functions.conftest import EVENTS, World

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: trips
version: 1.0.0
status: active
schema:
  - name: trips
    properties:
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: amount, logicalType: number}
      - {name: city, logicalType: string}
      - {name: sunny, logicalType: boolean}
      - {name: noise, logicalType: number}
      - {name: late, logicalType: number, customProperties: [{property: availableAtPrediction, value: false}]}
"""
MODEL = """
name: late-trips
dataset: trips
task: binary
label: {{column: late, above: 0.5}}
features: {features}
train: {{algorithm: {algorithm}, seed: 3, min_rows: {min_rows}, when: {when}}}
gates: {gates}
comparison: {{metric: auc, margin: 0.02}}
"""


def deploy(
    world: World,
    features: str = "[amount, city, sunny]",
    algorithm: str = "logistic_regression",
    gates: str = "{auc: {min: 0.55, max: 0.95}}",
    min_rows: int = 50,
    when: str = "{}",
    extra: dict[str, str] | None = None,
    train: str = "",
) -> None:
    """Deploy the contract of trips and the model late-trips, with `extra` files of the catalog; `train` is more of the
    part of that name, as "window: 20d, refit: true"."""
    model = MODEL.format(features=features, algorithm=algorithm, gates=gates, min_rows=min_rows, when=when)
    model = model.replace("seed: 3", f"seed: 3, {train}") if train else model
    world.make_table("trips")
    world.deploy_catalog(None, {"contracts/trips.yaml": CONTRACT, "models/late-trips.yaml": model} | (extra or {}))


def trips(days: range, per_day: int = 80, seed: int = 0, **columns: Any) -> pa.Table:
    """Made-up trips of some days of 2024; `columns` replaces whole columns (a value for all rows)."""
    rng = np.random.default_rng([seed, days.start])
    rows = len(days) * per_day
    amount, sunny = rng.normal(size=rows), rng.random(rows) < 0.5
    city = rng.choice(["Basel", "Cork", "Ålesund"], size=rows)
    made: dict[str, Any] = {
        "at": np.datetime64("2024-01-01T08:00:00", "s") + np.repeat(days, per_day) * np.timedelta64(1, "D"),
        "amount": pa.array(amount, mask=rng.random(rows) < 0.05),
        "city": city,
        "sunny": sunny,
        "noise": rng.normal(size=rows),
        "late": amount + (city == "Basel") - sunny * 0.5 + rng.normal(size=rows),
    }
    for name, value in columns.items():
        made[name] = pa.array([value] * rows)
    return pa.table(made)


def csv(table: pa.Table) -> bytes:
    """The table as a CSV file."""
    buffer = io.BytesIO()
    pc.write_csv(table, buffer)
    return buffer.getvalue()


def drop(world: World, table: pa.Table, name: str) -> int:
    """Ingest the table as a CSV file; the number of its version."""
    found = ingest(world.drop(f"raw/trips/{name}.csv", csv(table)), None)
    assert found["status"] == "accepted", found
    return int(found["version"])


def request(world: World, run: str, **changes: Any) -> dict[str, Any]:
    """The governor's request for a run on all versions, written to its workspace; the train task will read it."""
    given: dict[str, Any] = json.loads((EVENTS / "train.json").read_text("utf-8"))
    given |= {
        "model": "late-trips",
        "run": run,
        "dataset": "trips",
        # after all that is made up here
        "as_of": "2024-06-01T00:00:00+00:00",
        "versions": [
            {
                **{name: getattr(one, name) for name in ("version", "rows", "content_sha256")},
                **{name: getattr(one, name) for name in ("first_event_time", "last_event_time")},
                "files": list(one.files),
            }
            for one in list_versions(world.registry, changes.get("dataset", "trips"))
        ],
        "catalog": {"bucket": os.environ["CATALOG_BUCKET"], "key": os.environ["CATALOG_KEY"]},
    }
    given |= changes
    world.data.put_json(f"staging/{run}/request.json", given)
    world.setenv(RUN_REQUEST=f"staging/{run}/request.json")
    return given


def trained(world: World, run: str) -> None:
    """A run whose candidate lies in its workspace."""
    request(world, run)
    assert train() == 0, world.data.find_json(f"staging/{run}/error.json")
