"""Callers of the model: a day's requests over HTTPS, and a week's outcomes as a file."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from perennial.catalog.model import ModelSpec
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure
from scripts.cli.predict import answers
from scripts.cli.rows import tensors
from scripts.cli.signing import Api
from scripts.replay.baselines import point
from scripts.replay.example import Example, Row

CLIENTS = 2


@dataclass
class Served:
    """What was answered in a calendar month, and what came of it."""

    label: list[int] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    by_version: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Traffic:
    """Asks for predictions and tells outcomes as clients of a deployment do."""

    deployment: Deployment
    example: Example
    spec: ModelSpec
    months: dict[str, Served] = field(default_factory=lambda: defaultdict(Served))
    requests: int = 0
    faults: list[str] = field(default_factory=list)
    _untold: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._api = Api(self.deployment.parameters["api-url"])
        self._inputs = self._api.json("GET", f"/v2/models/{self.spec.name}")["inputs"]
        self._missing = set(self.deployment.catalog.contract(self.spec.dataset).missing)

    def ask(self, day: date, rows: list[Row], *, singly: bool = False) -> None:
        """Send a day's requests; the labels of those rows that have one come to be known later.

        `singly`: each row by itself, so that a rollout has enough to judge by.
        """
        requests = ([row] for row in rows) if singly else self.example.requests(rows)
        with ThreadPoolExecutor(CLIENTS) as pool:
            for asked, given in pool.map(self._ask, requests):
                self.requests += 1
                for row, answer in zip(asked, given, strict=False):
                    self._keep(f"{day:%Y-%m}", row, answer)

    def _ask(self, rows: list[Row]) -> tuple[list[Row], list[dict[str, Any]]]:
        columns = {one["name"]: [row[one["name"]] for row in rows] for one in self._inputs}
        body = {"inputs": tensors(columns, self._inputs)}
        try:
            return rows, answers(self._api.json("POST", f"/v2/models/{self.spec.name}/infer", body))
        except Failure as failure:
            self.faults.append(str(failure))
            return rows, []

    def _keep(self, month: str, row: Row, answer: dict[str, Any]) -> None:
        outcome = row[self.spec.label.column]
        served = self.months[month]
        served.by_version[answer["model_version"]] += 1
        if outcome is None:
            return
        classes = [name.removeprefix("probability_") for name in answer if name.startswith("probability_")]
        served.label.append(self._class(outcome, classes))
        served.scores.append([answer[f"probability_{name}"] for name in classes])
        self._untold.append((answer["prediction_id"], outcome))

    def _class(self, outcome: str, classes: list[str]) -> int:
        above = self.spec.label.above
        return classes.index(outcome) if above is None else int(float(outcome) > above)

    def outcomes(self) -> str | None:
        """What became of the predictions so far and was not told yet, as CSV; None when there is nothing to tell."""
        if not self._untold:
            return None
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["prediction_id", "outcome"])
        writer.writerows(self._untold)
        self._untold = []
        return buffer.getvalue()

    def metric(self, month: str) -> float | None:
        """The metric of all that was served in a month."""
        served = self.months[month]
        if len(set(served.label)) < 2:
            return None
        return point(self.spec, np.array(served.label), np.array(served.scores, dtype=np.float64))
