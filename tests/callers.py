"""Callers of a model while it is rolled out: what CloudWatch and the prediction log say of them afterwards."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import yaml

from perennial.outcomes import Outcome, write_outcomes
from tests.crash.calls import unheard
from tests.functions.conftest import CATALOG, World
from tests.lambda_api import FunctionState
from tests.rollout_workflow import Execution
from tests.unit.serving.bundles import MODEL

FUNCTION = f"perennial-dev-predict-{MODEL}"
STEPS: dict[str, Any] = {"steps": [0.1, 0.5], "dwell": 600, "requests": 50, "limit": 7200}


def with_steps(world: World, **changes: Any) -> None:
    """Deploy the catalog with a rollout by steps."""
    spec = yaml.safe_load((CATALOG / "models" / f"{MODEL}.yaml").read_text())
    world.deploy_catalog(extra={f"models/{MODEL}.yaml": yaml.safe_dump(spec | {"rollout": {**STEPS, **changes}})})


@dataclass
class Callers:
    """Requests to the alias, a minute's worth in CloudWatch at a time, of which each version fails its share."""

    world: World
    function: FunctionState
    per_minute: int = 100
    failing: dict[str, float] = field(default_factory=dict)
    faults: bool = False
    # how each version answers, where the prediction log is written: from the number of a request to a record's fields
    answers: dict[str, Callable[[int], dict[str, Any]]] = field(default_factory=dict)
    # what is told of the requests in the log, a minute later: from the number of a request and its version
    outcomes: Callable[[int, str], tuple[bool, float]] | None = None
    asked: int = 0

    def call(self, execution: Execution, seconds: int) -> None:
        """Be there for so long, until now; no call of a stage's."""
        with unheard():
            self._call(execution, seconds)

    def _call(self, execution: Execution, seconds: int) -> None:
        start, rest = execution.at - timedelta(seconds=seconds), 1 - sum(self.function.weights.values())
        counted: dict[str, list[dict[str, Any]]] = {"AWS/Lambda": [], "Perennial": []}
        for minute in range(0, seconds, 60):
            at = start + timedelta(seconds=minute)
            for version, share in {self.function.alias: rest, **self.function.weights}.items():
                requests = round(self.per_minute * share)
                failed = round(requests * self.failing.get(version, 0.0))
                alias = {"FunctionName": FUNCTION, "Resource": f"{FUNCTION}:live", "ExecutedVersion": version}
                own = {"model": MODEL, "lambda_version": version}
                counted["AWS/Lambda"].append(datum("Invocations", requests, at, alias))
                if self.faults:
                    counted["Perennial"].append(datum("PredictFault", failed, at, own))
                else:
                    counted["AWS/Lambda"].append(datum("Errors", failed, at, alias))
            self._record(at)
        for namespace, data in counted.items():
            for first in range(0, len(data), 500):
                self.world.client("cloudwatch").put_metric_data(
                    Namespace=namespace, MetricData=data[first : first + 500]
                )

    def _record(self, at: datetime) -> None:
        """Ten requests in an object of their own, as Firehose delivers them after some minutes."""
        lines, known = [], []
        for _ in range(10 if self.answers else 0):
            self.asked += 1
            version = list(self.answers)[self.asked % len(self.answers)]
            made = record(at, self.asked, version) | self.answers[version](self.asked)
            lines.append(json.dumps(made))
            if self.outcomes is not None:
                late, amount = self.outcomes(self.asked, version)
                minutes, told = (20 if late else 0), at + timedelta(minutes=1)
                known.append(Outcome(minutes, told, told, prediction_id=f"{made['ids']}-0", amount=amount))
        write_outcomes(self.world.data, MODEL, known)
        if lines:
            name = f"{FUNCTION}-1-{at:%Y-%m-%d-%H-%M-%S}-{self.asked}.jsonl.gz"
            key = f"predictions/{MODEL}/date={at:%Y-%m-%d}/{name}"
            self.world.data.put(key, gzip.compress("\n".join(lines).encode()))


def record(at: datetime, number: int, version: str) -> dict[str, Any]:
    return {
        "record": "prediction", "model": MODEL, "version": 1, "lambda_version": version, "id": str(number),
        "ids": f"{at:%Y-%m-%d}-{number}", "at": at.isoformat(), "first": 0, "rows": 1,
        "inputs": {"hour": [number]}, **score(number % 10 / 10), "score_us": 500 + number % 7, "cold": False,
    }  # fmt: skip


def score(probability: float) -> dict[str, Any]:
    return {"outputs": {"prediction": [True], "probability": [[1 - probability, probability]]}}


def datum(name: str, value: float, at: datetime, dimensions: dict[str, str]) -> dict[str, Any]:
    told = [{"Name": key, "Value": word} for key, word in dimensions.items()]
    return {"MetricName": name, "Dimensions": told, "Timestamp": at, "Value": value, "Unit": "Count"}
