"""A model that is watched: what it was trained on, days of traffic, and what became of it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from functions.register.handler import lambda_handler as register
from perennial.monitoring.grid import make_grid
from perennial.monitoring.names import REFERENCE
from perennial.monitoring.profile import Profile, profile
from perennial.monitoring.reference import Reference, refer
from perennial.monitoring.scores import score_columns
from perennial.outcomes import Outcome, write_outcomes
from perennial.registry import Registry
from perennial.registry.models import Carrier
from tests.functions.conftest import World
from tests.runs import leave
from tests.unit.serving.bundles import MODEL

Array = np.ndarray[Any, Any]

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: flights
    properties:
      - {name: flight, logicalType: string, required: true, unique: true}
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: distance, logicalType: number}
      - {name: hour, logicalType: integer}
      - {name: night, logicalType: boolean}
      - {name: carrier, logicalType: string}
      - {name: late, logicalType: boolean, customProperties: [{property: availableAtPrediction, value: false}]}
"""
SPEC = f"""
name: {MODEL}
dataset: flights
task: binary
label: {{column: late}}
features: [distance, hour, night, carrier]
amount_unit: EUR
train: {{when: {{drift: true, outcomes: 100, cool_down: 2d}}}}
monitor: {{window: 14d, horizon: 3d, slices: [carrier], support: 50}}
value: {{matrix: {{"true": {{"true": 5, "false": -20}}, "false": {{"true": -3}}}}}}
"""
FIRST = date(2026, 3, 1)
ROWS = 120


def day(number: int) -> date:
    """The day that lies `number` days after the first."""
    return FIRST + timedelta(days=number)


def at(number: float) -> datetime:
    """The instant so many days after the first one began."""
    return datetime.combine(FIRST, time(), UTC) + timedelta(days=number)


@dataclass(frozen=True)
class Rows:
    """Rows of a day: features, the probability that is answered, and what came of them."""

    distance: Array
    hour: Array
    night: Array
    carrier: Array
    score: Array
    late: Array

    @property
    def inputs(self) -> dict[str, list[Any]]:
        return {name: getattr(self, name).tolist() for name in ("distance", "hour", "night", "carrier")}


def draw(seed: int, rows: int = ROWS, *, moved: float = 0.0, skill: float = 1.0) -> Rows:
    """Rows of a day; `moved` is added to the distances, in standard deviations. Without `skill` scores say nothing."""
    rng = np.random.default_rng(seed)
    distance = np.round(rng.normal(900 + 250 * moved, 250, rows), 1)
    carrier = rng.choice(["AA", "UA", "é <b>&amp;</b>"], rows, p=[0.5, 0.3, 0.2])
    truth = 1 / (1 + np.exp(-(rng.normal(0, 1.5, rows) - 1)))
    noise = rng.random(rows)
    score = np.clip(skill * truth + (1 - skill) * noise, 0.01, 0.99)
    return Rows(distance, rng.integers(5, 23, rows), rng.random(rows) < 0.3, carrier, score, rng.random(rows) < truth)


def trained() -> tuple[Reference, Profile]:
    """What forty days of training and held-out rows left of themselves."""
    held_out = [draw(10_000 + number) for number in range(40)]
    days = np.repeat([np.datetime64(day(number - 60), "D") for number in range(40)], ROWS)
    label = np.concatenate([rows.late for rows in held_out]).astype(np.int64)
    score = np.concatenate([rows.score for rows in held_out])
    answers = np.stack([1 - score, score], axis=1)
    columns = {
        "distance": np.concatenate([rows.distance for rows in held_out]),
        "hour": np.concatenate([rows.hour for rows in held_out]).astype(np.float64),
        "night": np.concatenate([rows.night for rows in held_out]),
        "carrier": np.concatenate([rows.carrier for rows in held_out]).astype(object),
        **score_columns("binary", answers, (False, True)),
    }
    return refer("binary", label, answers, days), profile(make_grid(columns), days, columns)


def serve(
    world: World,
    run: str = "r1",
    *,
    when: float = -1.0,
    task: str = "binary",
    referenced: bool = True,
    held_out: Reference | None = None,
    profiled: Profile | None = None,
    refitted: float | None = None,
) -> int:
    """A run becomes the champion; with `referenced`, it has a profile of the rows of its training. With `refitted` it
    was fitted again, and its scores were found to differ by so much.
    """
    leave(world.data, run, task=task)
    if held_out is None or profiled is None:
        held_out, profiled = trained()
    evaluation = world.data.get_json(f"staging/{run}/evaluation.json")
    evaluation |= {"held_out": held_out.to_json()}
    if refitted is not None:
        digest = hashlib.sha256(world.data.get(f"staging/{run}/model.onnx")).hexdigest()
        evaluation["deployed"] = {"refitted": True, "sha256": digest, "trained_until": None}
        evaluation["refit"] = {"checks": [{"name": "scores", "value": refitted}, {"name": "auc", "value": 0.7}]}
    world.data.put(f"staging/{run}/evaluation.json", json.dumps(evaluation).encode())
    if referenced:
        world.data.put(f"staging/{run}/{REFERENCE}", profiled.to_bytes())
    version = int(register({"model": MODEL, "run": run, "as_of": at(when).isoformat()}, None)["version"])
    registry = Registry(world.registry)
    former = registry.champion(MODEL)
    carrier = Carrier(lambda_version=str(version + 6), code_sha256=f"code of {run}")
    registry.set_champion(MODEL, version, former.version if former else None, at=at(when), why="test", carrier=carrier)
    return version


def ids(number: int) -> str:
    """The name of the request of a day."""
    return f"{day(number)}-{number:032x}"


def predict(world: World, number: int, rows: Rows, *, version: int = 1, outputs: dict[str, Any] | None = None) -> None:
    """The requests of a day, as Firehose left them."""
    score = np.round(rows.score, 6)
    record = {
        "record": "prediction", "model": MODEL, "version": version, "lambda_version": str(version + 6),
        "ids": ids(number), "first": 0, "at": f"{at(number + 0.5):%Y-%m-%dT%H:%M:%S}.000Z", "rows": len(score),
        "inputs": rows.inputs,
        "outputs": outputs or {
            "prediction": (score > 0.5).tolist(),
            "probability": np.stack([1 - score, score], axis=1).tolist(),
        },
    }  # fmt: skip
    key = f"predictions/{MODEL}/date={day(number)}/{number}.jsonl.gz"
    world.data.put(key, gzip.compress(json.dumps(record).encode(), mtime=0))


def tell(world: World, number: int, rows: Rows, *, after: float = 1.0, said: list[Any] | None = None) -> None:
    """What became of a day, so many days later."""
    known = said or [bool(late) for late in rows.late]
    moment = at(number + 0.5 + after)
    write_outcomes(
        world.data,
        MODEL,
        [Outcome(outcome, moment, moment, prediction_id=f"{ids(number)}-{row}") for row, outcome in enumerate(known)],
    )


def live(world: World, days: Iterable[int], *, version: int = 1, told: bool = True, **more: Any) -> None:
    """Days of traffic and of outcomes."""
    for number in days:
        rows = draw(number, **more)
        predict(world, number, rows, version=version)
        if told:
            tell(world, number, rows)


def deploy(world: World, spec: str = SPEC) -> None:
    """Deploy the catalog with the model."""
    world.deploy_catalog(None, {"contracts/flights.yaml": CONTRACT, f"models/{MODEL}.yaml": spec})
