"""What the loop is measured against: the first model for ever, and a new one every month without a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from perennial.catalog.load import Catalog
from perennial.catalog.model import ModelSpec
from perennial.datasets.versions import list_versions
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.champion import verified
from perennial.evaluation.metrics import METRICS, Scored
from perennial.evaluation.scoring import Graph
from perennial.registry import ModelVersion
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.training.data import Rows, join_tables, read_version, to_rows
from perennial.training.export import export
from perennial.training.features import features_of
from perennial.training.pipeline import fit
from perennial.training.request import NamedVersion
from perennial.training.scoring import score
from scripts.cli.output import Failure

Array = np.ndarray[Any, Any]


class Baselines:
    """Both baselines on the rows of the dataset's versions, by calendar month (UTC) as `2013-04`."""

    def __init__(self, catalog: Catalog, spec: ModelSpec, items: Items, data: Objects) -> None:
        self._catalog, self._spec, self._data = catalog, spec, data
        contract = catalog.contract(spec.dataset)
        self._features = features_of(spec, contract)
        wanted = dict.fromkeys([*spec.features, spec.label.column, str(contract.event_time)])
        versions = [
            NamedVersion(version=one.version, rows=one.rows, content_sha256=one.content_sha256, files=list(one.files))
            for one in list_versions(items, spec.dataset)
        ]
        table = join_tables([read_version(data, version, list(wanted)) for version in versions])
        self._rows = to_rows(table, spec, self._features, contract.event_time)
        if self._rows.time is None:
            raise Failure(f"dataset {spec.dataset} has no event time, by which a year could be replayed")
        self._time = self._rows.time

    def frozen(self, version: ModelVersion, months: list[str]) -> dict[str, float]:
        """The metric of one version on each month's rows."""
        graph = Graph(verified(self._data, version, "model.onnx"))
        return {month: self._measure(graph, self._of(month)) for month in months}

    def always(self, months: list[str], say: Callable[[str], None]) -> Iterator[tuple[str, float]]:
        """The metric on each month's rows of a model of all rows of the window before that month."""
        window = self._spec.train.window
        for month in months:
            say(f"always retrained, {month}")
            begins = np.datetime64(month, "us")
            chosen = self._time < begins
            if window is not None:
                chosen &= self._time >= begins - np.timedelta64(window, "s")
            yield month, self._measure(self._fitted(self._rows.take(chosen)), self._of(month))

    def _fitted(self, rows: Rows) -> Graph:
        with threadpool_limits(limits=1):
            spec = self._spec
            own = self._catalog.estimators
            pipeline = fit(spec, self._features, rows.features, rows.label, spec.train.seed, own)
            return Graph(export(pipeline, self._features, spec.task))

    def _of(self, month: str) -> Rows:
        return self._rows.take(self._time.astype("datetime64[M]") == np.datetime64(month, "M"))

    def _measure(self, graph: Graph, rows: Rows) -> float:
        return point(self._spec, rows.label, score(graph, rows.features))


def metric_of(spec: ModelSpec) -> str:
    """The metric that a year is told in: the one by which versions are compared."""
    if spec.comparison is not None:
        return spec.comparison.metric
    return spec.monitor.metric or next(iter(METRICS[spec.task]))


def point(spec: ModelSpec, label: Array, answers: Array) -> float:
    """The metric of labels [n] (class indices) and answers [n, k], as one number."""
    scored = Scored(label, answers, blocks_of(None, len(label)))
    return float(METRICS[spec.task][metric_of(spec)].prepare(scored)(scored.blocks.once)[0])
