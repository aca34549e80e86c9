"""CloudWatch metrics, as sums over a span of whole minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import StorageUnavailable
from perennial.storage.translate import client, translated

# GetMetricData takes so many questions at once.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
_QUESTIONS = 500


@dataclass(frozen=True)
class Total:
    """The question for the sum of a metric from minute `since` to before minute `until`."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    since: datetime
    until: datetime


def totals(asked: Sequence[Total]) -> list[float]:
    """The sums in the order of the questions; 0 where nothing was counted. Raises StorageUnavailable."""
    found = [0.0] * len(asked)
    spans = sorted({(one.since, one.until) for one in asked if one.since < one.until})
    for since, until in spans:
        numbers = [number for number, one in enumerate(asked) if (one.since, one.until) == (since, until)]
        for start in range(0, len(numbers), _QUESTIONS):
            part = numbers[start : start + _QUESTIONS]
            queries = [_query(f"m{number}", asked[number]) for number in part]
            for identifier, values in _pages(queries, since, until):
                found[int(identifier[1:])] += sum(values)
    return found


def _pages(queries: list[dict[str, Any]], since: datetime, until: datetime) -> list[tuple[str, list[float]]]:
    pages = client("cloudwatch").get_paginator("get_metric_data")
    found: list[tuple[str, list[float]]] = []
    with translated("get metric data"):
        for page in pages.paginate(MetricDataQueries=queries, StartTime=since, EndTime=until):
            for result in page["MetricDataResults"]:
                # PartialData says that the next page has more
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    raise StorageUnavailable(f"get metric data: {result['StatusCode']}: {result.get('Messages')}")
                found.append((result["Id"], result["Values"]))
    return found


def _query(identifier: str, one: Total) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in one.dimensions.items()]
    metric = {"Namespace": one.namespace, "MetricName": one.name, "Dimensions": dimensions}
    return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": True}
