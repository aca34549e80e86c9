"""Who is told when something is wrong: one topic per environment, and alarms that speak to it."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.environment import Environment

# The shortest period that costs nothing extra, and soon enough for a person.
PERIOD = Duration.minutes(5)


class Alerts(sns.Topic):
    """Topic `perennial-<env>-alerts`: TLS only, written by this account's alarms, read by whoever subscribes."""

    def __init__(self, scope: Construct, *, environment: Environment) -> None:
        super().__init__(
            scope,
            "Alerts",
            topic_name=environment.resource("alerts"),
            display_name=f"Perennial {environment.name}",
            enforce_ssl=True,
        )
        own = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions=own,
            )
        )
        for address in environment.alert_emails:
            self.add_subscription(subscriptions.EmailSubscription(address))


def alarm(
    scope: Construct,
    construct_id: str,
    *,
    environment: Environment,
    name: str,
    says: str,
    metric: cloudwatch.IMetric,
    alerts: sns.ITopic,
    over: float = 0,
    of: str | None = None,
) -> None:
    """Alarm `perennial-<env>-<name>` (`-<of>`, where each has its own): `metric` is over `over` in five minutes.

    Its article is docs/runbook/<name>.md.
    """
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_name=environment.resource(f"{name}-{of}" if of else name),
        alarm_description=f"{says} Runbook: docs/runbook/{name}.md",
        metric=metric,
        threshold=over,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    made.add_alarm_action(actions.SnsAction(alerts))
    made.add_ok_action(actions.SnsAction(alerts))
