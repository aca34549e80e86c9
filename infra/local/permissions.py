"""May this service do that? What the local cloud's services ask before they deliver, invoke or write for somebody."""

from __future__ import annotations

from infra.local.context import Cloud, Principal
from infra.local.iam.need import Need


class Permissions:
    """The questions of the cloud's services, in their words."""

    def __init__(self, cloud: Cloud) -> None:
        self._authority = cloud.authority

    def may_invoke(self, function: str, service: str, source: str) -> bool:
        """Whether the function's (or alias's: a qualified ARN) own policy lets `service` invoke it for `source`."""
        return self._authority.resource_allows(function, "lambda:InvokeFunction", service, source)

    def may_send(self, queue: str, service: str, source: str) -> bool:
        """Whether the policy of the queue (an ARN) lets `service` send to it on behalf of `source`."""
        return self._authority.resource_allows(queue, "sqs:SendMessage", service, source)

    def role_may(self, role: str, service: str, action: str, resource: str, source: str = "") -> bool:
        """Whether `service` may take on the role (an ARN) and the role's policies allow the action."""
        return self._authority.role_may(role, service, Need(action, resource), source)

    def caller_may(self, caller: Principal, action: str, resource: str) -> bool:
        """Whether the caller may do this."""
        return self._authority.may(caller, Need(action, resource)).allowed


def split_function(arn: str) -> tuple[str, str | None]:
    """Name and qualifier (alias or version) of a function's ARN."""
    parts = arn.split(":")
    return parts[6], (parts[7] if len(parts) > 7 else None)
