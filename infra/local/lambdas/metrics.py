"""CloudWatch metrics: AWS/Lambda's own, and those that log lines carry in the embedded metric format.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.context import Cloud

log = logging.getLogger(__name__)

Dimensions = tuple[tuple[str, str], ...]
EVERY = 1.0  # seconds between two writes
MOST_DATA = 500  # of the 1,000 that PutMetricData takes
MOST_VALUES = 150


@dataclass(frozen=True)
class Series:
    """What one datum belongs to. `minute` is the timestamp, in epoch seconds."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    minute: int


class Metrics:
    """Gathers values and writes them about once a second, off the path of any request."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._gathered: dict[Series, list[float]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def add(self, namespace: str, name: str, value: float, unit: str, sets: Sequence[Dimensions]) -> None:
        """One value, in each of the dimension sets."""
        minute = int(self._cloud.clock.time() // 60 * 60)
        with self._lock:
            for dimensions in sets:
                self._gathered.setdefault(Series(namespace, name, dimensions, unit, minute), []).append(value)

    def embedded(self, line: str) -> None:
        """Take the metrics out of a log line, when it is one in the embedded metric format."""
        if not line.startswith("{") or '"_aws"' not in line:
            return
        try:
            document = json.loads(line)
        except ValueError:
            return
        for directive in _directives(document):
            self._directive(document, directive)

    def _directive(self, document: Mapping[str, Any], directive: Mapping[str, Any]) -> None:
        namespace = directive.get("Namespace")
        if not isinstance(namespace, str):
            return
        wanted = directive.get("Dimensions") or [[]]
        sets = [tuple((key, str(document[key])) for key in keys) for keys in wanted if all(k in document for k in keys)]
        for metric in directive.get("Metrics", []):
            values = document.get(metric.get("Name"))
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self.add(namespace, metric["Name"], value, metric.get("Unit", "None"), sets)

    def flush(self) -> None:
        """Write what has been gathered."""
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        by_namespace: dict[str, list[dict[str, Any]]] = {}
        for series, values in gathered.items():
            by_namespace.setdefault(series.namespace, []).extend(_data(series, values))
        for namespace, data in by_namespace.items():
            for start in range(0, len(data), MOST_DATA):
                self._put(namespace, data[start : start + MOST_DATA])

    def _put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        try:
            self._cloud.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)
        except (BotoCoreError, ClientError):
            # metrics are best effort on AWS too; a cloud that is stopping refuses connections
            log.debug("metrics of %s were not written", namespace, exc_info=True)

    def stop(self) -> None:
        """Write the rest and end the thread."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self.flush()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self.flush()


def _directives(document: Any) -> list[Mapping[str, Any]]:
    metadata = document.get("_aws") if isinstance(document, dict) else None
    found = metadata.get("CloudWatchMetrics") if isinstance(metadata, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _data(series: Series, values: list[float]) -> Iterator[dict[str, Any]]:
    datum = {
        "MetricName": series.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
        "Timestamp": datetime.fromtimestamp(series.minute, UTC),
        "Unit": series.unit,
    }
    if series.namespace == "AWS/Lambda":
        # thousands of requests become one datum per minute and series: moto walks all data at each question
        yield {
            **datum,
            "StatisticValues": {
                "SampleCount": len(values),
                "Sum": sum(values),
                "Minimum": min(values),
                "Maximum": max(values),
            },
        }
        return
    for start in range(0, len(values), MOST_VALUES):
        yield {**datum, "Values": values[start : start + MOST_VALUES]}
