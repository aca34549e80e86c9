"""Three challengers that must not serve: made with the training's own code, judged by the deployed stages."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.datasets.parts import ContentDigest
from perennial.datasets.versions import DatasetVersion, list_versions
from perennial.storage.objects import Objects
from perennial.training.candidate import workspace
from perennial.training.request import CatalogAt, NamedVersion, TrainRequest
from perennial.training.run import train
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure
from scripts.replay.timeline import LEAKED, SHUFFLED, STALE

# Dataset versions that a bad challenger is made of: the newest ones.
RECENT = 3
SEED = 20131231
# Contract types that a leaked label is written into.
NUMBERS = {"integer", "number"}


@dataclass(frozen=True)
class Refused:
    """What became of a bad challenger. `gates` are those that it failed by a value: one without any (rows that cannot
    be compared) found nothing wrong with it.
    """

    kind: str
    version: int
    passed: bool
    gates: list[str]
    reasons: list[str]
    metrics: dict[str, float]


class BadChallengers:
    """Makes them in a deployment, and has its stages judge and register them."""

    def __init__(self, deployment: Deployment, spec: ModelSpec) -> None:
        self._deployment, self._spec = deployment, spec
        self._catalog: Catalog = deployment.catalog
        self._data: Objects = deployment.data
        versions = list_versions(deployment.items, spec.dataset)
        self._tables = {one.version: self._read(one) for one in [versions[0], *versions[-RECENT:]]}
        self._oldest, self._recent = versions[0].version, [one.version for one in versions[-RECENT:]]

    @property
    def kinds(self) -> dict[str, Callable[[], list[pa.Table]]]:
        """What is wrong with each, and the rows that make it so."""
        return {SHUFFLED: self._shuffled, STALE: self._stale, LEAKED: self._leaked}

    def inject(self, kind: str, at: datetime) -> Refused:
        """Train one on its rows, put its workspace where a training would, and let the stages decide."""
        run = f"{self._spec.name}-injected-{kind.replace(' ', '-')}"
        tables = self.kinds[kind]()
        named = [self._put(run, number, table) for number, table in enumerate(tables, start=1)]
        bucket, _, key = self._deployment.parameters["catalog"].removeprefix("s3://").partition("/")
        request = TrainRequest(
            model=self._spec.name,
            run=run,
            dataset=self._spec.dataset,
            versions=named,
            seed=self._spec.train.seed,
            as_of=at,
            catalog=CatalogAt(bucket=bucket, key=key),
            reason=f"injected: {kind}",
        )
        self._data.put_json(f"{workspace(run)}request.json", request.model_dump(mode="json"))
        train(request, self._trained_with(kind), self._data, "0" * 64, lambda line: None)
        asked = {"model": self._spec.name, "run": run, "as_of": at.isoformat()}
        self._invoke("evaluate", asked)
        registered = self._invoke("register", asked)
        evaluation = self._data.get_json(f"{workspace(run)}evaluation.json")
        failed = [gate for gate in evaluation["gates"] if not gate["passed"]]
        return Refused(
            kind,
            registered["version"],
            bool(registered["passed"]),
            [gate["name"] for gate in failed if gate["value"] is not None],
            [gate["reason"] for gate in failed],
            {name: metric["value"] for name, metric in evaluation["metrics"].items()},
        )

    def _trained_with(self, kind: str) -> Catalog:
        """The catalog; for the stale one without the window that keeps old rows out of a training."""
        if kind != STALE:
            return self._catalog
        train_on = self._spec.train.model_copy(update={"window": None})
        spec = self._spec.model_copy(update={"train": train_on})
        return replace(self._catalog, models={**self._catalog.models, spec.name: spec})

    # ---- what is wrong with them

    def _shuffled(self) -> list[pa.Table]:
        """The recent rows, each with the label of another."""
        label, random = self._spec.label.column, np.random.default_rng(SEED)
        tables = [self._tables[version] for version in self._recent]
        return [_with(table, label, table.column(label).take(random.permutation(table.num_rows))) for table in tables]

    def _stale(self) -> list[pa.Table]:
        """Trained on the oldest rows there are; only what is held out is recent."""
        old, new = self._tables[self._oldest], self._tables[self._recent[-1]]
        share = self._spec.train.split.holdout
        days = pc.floor_temporal(new.column(self._time), unit="day")
        wanted = int(old.num_rows * share / (1 - share))
        counts = sorted(pc.value_counts(days).to_pylist(), key=lambda entry: entry["values"], reverse=True)
        total, first = 0, counts[0]["values"]
        for entry in counts:
            if total >= wanted:
                break
            total, first = total + entry["counts"], entry["values"]
        recent = new.filter(pc.greater_equal(days, pa.scalar(first, type=days.type)))
        return [old, recent]

    def _leaked(self) -> list[pa.Table]:
        """A feature tells the label, as one does that is filled in afterwards."""
        contract = self._catalog.contract(self._spec.dataset)
        types = {column.name: column.type for column in contract.columns}
        feature = next(name for name in self._spec.features if types[name] in NUMBERS)
        tables = [self._tables[version] for version in self._recent]
        return [_with(table, feature, self._told(table).cast(table.schema.field(feature).type)) for table in tables]

    def _told(self, table: pa.Table) -> Any:
        label = table.column(self._spec.label.column)
        if pa.types.is_string(label.type):
            classes = pc.unique(label).sort()
            return pc.index_in(label, value_set=classes)
        return label.cast(pa.float64()).fill_null(0)

    # ---- the cloud

    @property
    def _time(self) -> str:
        return str(self._catalog.contract(self._spec.dataset).event_time)

    def _read(self, version: DatasetVersion) -> pa.Table:
        return pa.concat_tables(
            [pq.ParquetFile(pa.BufferReader(self._data.get(key))).read() for key in version.files]
        ).combine_chunks()

    def _put(self, run: str, number: int, table: pa.Table) -> NamedVersion:
        key, buffer = f"{workspace(run)}rows/part-{number:05d}.parquet", io.BytesIO()
        pq.write_table(table, buffer)
        self._data.put(key, buffer.getvalue())
        digest = ContentDigest(table.schema)
        for batch in table.to_batches():
            digest.add(batch)
        return NamedVersion(version=number, rows=table.num_rows, content_sha256=digest.hexdigest(), files=[key])

    def _invoke(self, stage: str, payload: dict[str, Any]) -> dict[str, Any]:
        name = f"perennial-{self._deployment.env}-{stage}"
        reply = self._deployment.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload))
        answer: dict[str, Any] = json.loads(reply["Payload"].read())
        if reply.get("FunctionError"):
            raise Failure(f"stage {stage} failed: {answer.get('errorType')}: {answer.get('errorMessage')}")
        return answer


def _with(table: pa.Table, column: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), table.schema.field(column), values)
