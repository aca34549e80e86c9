"""Where undelivered events go: nothing that was asked for is lost without a trace."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
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


def delivery(dead_letters: sqs.IQueue) -> dict[str, Any]:
    """What every target of a rule or a schedule is told: how often and how long to try, and where it goes then."""
    return {"dead_letter_queue": dead_letters, "retry_attempts": EVENT_RETRIES, "max_event_age": EVENT_AGE}


class DeadLetters(sqs.Queue):
    """One queue for all hops of an environment: every message names its rule, schedule or function, and the error.

    Hops are given `shared`, the same queue by its ARN: CDK would add a statement per rule to the policy of a queue that
    it has made, one per model and more, and SQS takes 20.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
    """

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
        self.shared: sqs.IQueue = sqs.Queue.from_queue_arn(scope, "SharedDeadLetters", self.queue_arn)
        self._take_from_rules(environment)
        alarm(
            scope,
            "DeadLettersAlarm",
            environment=environment,
            name="dead-letters",
            says="An event reached nobody.",
            metric=self.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            alerts=alerts,
        )

    def _take_from_rules(self, environment: Environment) -> None:
        """Let the environment's rules in, on the default bus and on its own."""
        own = [environment.resource("*"), f"{environment.bus}/{environment.resource('*')}"]
        rules = [Stack.of(self).format_arn(service="events", resource="rule", resource_name=name) for name in own]
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Rules",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue_arn],
                conditions={"ArnLike": {"aws:SourceArn": rules}},
            )
        )
