"""Where undelivered events go: nothing that was asked for is lost without a trace."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.acknowledge import acknowledge
from infra.constructs.alerts import PERIOD, alarm
from infra.environment import Environment

# How long a message waits for a person: SQS's longest.
_KEPT = Duration.days(14)

# Every asynchronous hop (rule → target, schedule → target, Lambda's own queue) tries for two hours at most: longer than
# a deployment or a throttled quarter of an hour, short enough that what arrives is still worth doing.
EVENT_RETRIES = 20
EVENT_AGE = Duration.hours(2)
# Lambda allows no more than two retries of an asynchronous call (after one and two minutes).
LAMBDA_RETRIES = 2


class DeadLetters(sqs.Queue):
    """One queue for all hops of an environment: every message names its rule, schedule or function, and the error."""

    def __init__(self, scope: Construct, *, environment: Environment, alerts: sns.ITopic) -> None:
        super().__init__(
            scope,
            "DeadLetters",
            queue_name=environment.resource("dead-letters"),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=_KEPT,
        )
        acknowledge(self, "This is the dead-letter queue.", "AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy")
        alarm(
            scope,
            "DeadLettersAlarm",
            environment=environment,
            name="dead-letters",
            says="An event reached nobody.",
            metric=self.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            alerts=alerts,
        )
