"""The words in which calls are judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.local.iam.policies import Context


@dataclass(frozen=True)
class Need:
    """One action on one resource that a call takes, with the condition keys of the request (lower case)."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where the cloud is: what ARNs are made of."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account; an ARN stays as it is."""
        if resource.startswith("arn:"):
            return resource
        region = "" if service == "iam" else self.region
        return f"arn:aws:{service}:{region}:{self.account}:{resource}"
