"""AWS::CloudWatch::*.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_CloudWatch.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, document, gone_is_fine, pick


class Alarm(Handler):
    """An alarm on a metric or on an expression."""

    type = "AWS::CloudWatch::Alarm"
    properties = frozenset(
        {
            "ActionsEnabled",
            "AlarmActions",
            "AlarmDescription",
            "AlarmName",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "Dimensions",
            "EvaluateLowSampleCountPercentile",
            "EvaluationPeriods",
            "ExtendedStatistic",
            "InsufficientDataActions",
            "MetricName",
            "Metrics",
            "Namespace",
            "OKActions",
            "Period",
            "Statistic",
            "Tags",
            "Threshold",
            "ThresholdMetricId",
            "TreatMissingData",
            "Unit",
        }
    )
    replaces = frozenset({"AlarmName"})
    named_by = "AlarmName"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the alarm."""
        name = props.get("AlarmName") or place.name(255)
        place.call("cloudwatch", "put_metric_alarm", **(props | {"AlarmName": name}))
        return Made(name, {"Arn": place.arn("cloudwatch", f"alarm:{name}")})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put it anew."""
        wanted = {name: item for name, item in props.items() if name != "Tags"} | {"AlarmName": made.ref}
        place.call("cloudwatch", "put_metric_alarm", **wanted)
        place.retag("cloudwatch", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "cloudwatch", "delete_alarms", AlarmNames=[made.ref])


class Dashboard(Handler):
    """A dashboard: kept, not drawn; moto forgets its tags."""

    type = "AWS::CloudWatch::Dashboard"
    properties = frozenset({"DashboardName", "DashboardBody", "Tags"})
    replaces = frozenset({"DashboardName"})
    named_by = "DashboardName"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the dashboard."""
        name = props.get("DashboardName") or place.name(255)
        body = document(props["DashboardBody"])
        place.call("cloudwatch", "put_dashboard", DashboardName=name, DashboardBody=body, **pick(props, "Tags"))
        return Made(name)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put it anew."""
        return self.create(place, props | {"DashboardName": made.ref})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "cloudwatch", "delete_dashboards", DashboardNames=[made.ref])
