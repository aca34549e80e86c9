"""What Lambda asks of a function's role: that it may take it on, and that it may do with it what is configured.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.context import Cloud
from infra.local.iam.need import Need
from infra.local.lambdas.errors import InvalidParameter

LAMBDA = "lambda.amazonaws.com"
# the kind of a destination's ARN → what sending to it takes, and how Lambda names that
_SENDING = {
    "sqs": ("sqs:SendMessage", "SendMessage on SQS"),
    "sns": ("sns:Publish", "Publish on SNS"),
    "lambda": ("lambda:InvokeFunction", "InvokeFunction on Lambda"),
    "events": ("events:PutEvents", "PutEvents on EventBridge"),
}
_TRACING = ("xray:PutTraceSegments", "PutTraceSegments on XRAY")


class Roles:
    """Checks of execution roles."""

    def __init__(self, cloud: Cloud) -> None:
        self._authority = cloud.authority

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise InvalidParameter when a function could not work with its role."""
        role = settings["Role"]
        if not self._authority.trusts(role, LAMBDA):
            raise InvalidParameter("The role defined for the function cannot be assumed by Lambda.")
        if (settings.get("TracingConfig") or {}).get("Mode") == "Active":
            self._need(role, *_TRACING, "*")
        if target := (settings.get("DeadLetterConfig") or {}).get("TargetArn"):
            self.check_target(role, target)

    def check_target(self, role: str, target: str) -> None:
        """Raise InvalidParameter when the role may not send to a dead-letter queue or a destination."""
        kind = target.split(":")[2] if target.count(":") >= 5 else ""
        if kind in _SENDING:
            self._need(role, *_SENDING[kind], target)

    def may_send(self, role: str, target: str) -> bool:
        """Whether the role may send to a dead-letter queue or a destination."""
        action = _SENDING[target.split(":")[2]][0]
        return self._authority.role_may(role, LAMBDA, Need(action, target))

    def _need(self, role: str, action: str, words: str, resource: str) -> None:
        if not self._authority.role_may(role, LAMBDA, Need(action, resource)):
            raise InvalidParameter(f"The provided execution role does not have permissions to call {words}")
