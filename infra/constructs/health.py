"""The dashboard: how every model's function does, by version. Nothing on it is stored twice; it only draws metrics."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.environment import Environment

_PERIOD = Duration.minutes(5)
_WIDTH, _HEIGHT = 6, 6
# By version there are metrics only while an alias shares requests between two; they are found when they are drawn.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
_BY_VERSION = "{AWS/Lambda,FunctionName,Resource,ExecutedVersion}"


class Health(cloudwatch.Dashboard):
    """Dashboard `perennial-<env>`: a row of drawings for each model."""

    def __init__(self, scope: Construct, *, environment: Environment, models: Sequence[str]) -> None:
        super().__init__(
            scope,
            "Health",
            dashboard_name=environment.resource("health"),
            default_interval=Duration.days(7),
            widgets=[row for model in models for row in _rows(model, f"{environment.predict_prefix}{model}")],
        )


def _rows(model: str, function: str) -> list[list[cloudwatch.IWidget]]:
    title = cloudwatch.TextWidget(markdown=f"## {model}", width=24, height=1)
    answered = _graph(
        "Requests and failures",
        [_metric(function, name, "Sum") for name in ("Invocations", "Errors", "Throttles")],
    )
    duration = _graph("Duration, ms", [_metric(function, "Duration", part) for part in ("p50", "p99")])
    versions = cloudwatch.GraphWidget(
        title="Requests and errors by version",
        width=_WIDTH,
        height=_HEIGHT,
        left=[_found(function, name) for name in ("Invocations", "Errors")],
    )
    fresh = cloudwatch.Metric(
        namespace="AWS/Firehose",
        metric_name="DeliveryToS3.DataFreshness",
        dimensions_map={"DeliveryStreamName": function},
        statistic="Maximum",
        period=_PERIOD,
        label="oldest record that is not in S3, s",
    )
    return [[title], [answered, duration, versions, _graph("Prediction log", [fresh])]]


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=_WIDTH, height=_HEIGHT, left=list(metrics))


def _metric(function: str, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name=name,
        dimensions_map={"FunctionName": function, "Resource": f"{function}:live"},
        statistic=statistic,
        period=_PERIOD,
        label=f"{name} {statistic}" if statistic.startswith("p") else name,
    )


def _found(function: str, name: str) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{_BY_VERSION} FunctionName=\"{function}\" MetricName=\"{name}\"', 'Sum')",
        using_metrics={},
        label="",
        period=_PERIOD,
    )
