"""Reading metrics: a question matches the series with exactly its dimensions, none others.

moto also counts series that have more dimensions, so that what a function did would be counted once per alias and
version again. Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#dimension-combinations
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

from infra.local.patches import Patches

Dimensions = Sequence[dict[str, str]]


def apply(patches: Patches) -> None:
    """Make GetMetricStatistics and GetMetricData exact."""
    patches.replace(CloudWatchBackend, "get_metric_statistics", _statistics(CloudWatchBackend.get_metric_statistics))
    patches.replace(CloudWatchBackend, "get_metric_data", _data(CloudWatchBackend.get_metric_data))


def _only(backend: Any, namespace: str, name: str, dimensions: Dimensions) -> Any:
    """The backend as if it knew only the data of one series."""
    wanted = sorted((each["Name"], each["Value"]) for each in dimensions)
    found = [
        datum
        for datum in backend.get_all_metrics()
        if datum.namespace == namespace
        and datum.name == name
        and sorted((each.name, each.value) for each in datum.dimensions) == wanted
    ]
    view = copy.copy(backend)
    view.get_all_metrics = lambda: found
    return view


def _statistics(original: Callable[..., Any]) -> Any:
    def exact(self: Any, namespace: str, metric_name: str, *rest: Any, **more: Any) -> Any:
        dimensions = more["dimensions"] if "dimensions" in more else rest[4]
        return original(_only(self, namespace, metric_name, dimensions or []), namespace, metric_name, *rest, **more)

    return exact


def _data(original: Callable[..., Any]) -> Any:
    def exact(self: Any, queries: list[dict[str, Any]], *rest: Any, **more: Any) -> Any:
        if any("MetricStat" not in query for query in queries):
            # expressions combine the other queries: left to moto as a whole
            return original(self, queries, *rest, **more)
        results = []
        for query in queries:
            metric = query["MetricStat"]["Metric"]
            view = _only(self, metric["Namespace"], metric["MetricName"], metric.get("Dimensions") or [])
            results += original(view, [query], *rest, **more)
        return results

    return exact
