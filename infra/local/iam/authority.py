"""Decides every call: the caller's policies, the resource's own, and what either denies.

Each different decision is written to `decisions.jsonl` in the cloud's working directory: who, what, on what, allowed
or not. It says which grants a deployment really uses.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from infra.local.iam import principals
from infra.local.iam.need import Need
from infra.local.iam.policies import NotUnderstood, Question, document, effects
from infra.local.iam.principals import Identity
from infra.local.iam.resource_policies import ResourcePolicy, finders

if TYPE_CHECKING:
    from infra.local.context import Cloud, Principal

log = logging.getLogger(__name__)

DECISIONS = "decisions.jsonl"
MOST_KEPT = 50_000


@dataclass(frozen=True)
class Verdict:
    """Whether a need is met, and why not, in AWS's words."""

    allowed: bool
    reason: str = ""


class Authority:
    """The decisions of one cloud. They are kept until IAM or a resource's policy changes."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._policies_of: dict[str, ResourcePolicy] = finders(cloud.region, cloud.account)
        self._identities: dict[tuple[str, str], Identity | None] = {}
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._generation = 0
        self._lock = threading.Lock()
        self._path = cloud.workdir / DECISIONS
        self._record: TextIO | None = None

    def owns_policies(self, service: str, find: ResourcePolicy) -> None:
        """Resources of `service` (as ARNs name it) have policies of their own; `find` gives one's text by its ARN.

        Whoever said so before is asked about what `find` does not know.
        """
        former = self._policies_of.get(service)
        self._policies_of[service] = lambda arn: find(arn) or (former(arn) if former else None)

    def forget(self) -> None:
        """IAM has changed."""
        with self._lock:
            self._generation += 1
            self._identities.clear()
            self._verdicts.clear()

    def identity(self, arn: str) -> Identity | None:
        """The user or role behind an ARN (a session's role), if IAM knows it."""
        key = principals.split(arn)
        with self._lock:
            if key in self._identities:
                return self._identities[key]
            generation = self._generation
        found = principals.find(self._cloud.account, *key)
        with self._lock:
            if generation == self._generation:
                self._identities[key] = found
        return found

    def may(self, principal: Principal, need: Need) -> Verdict:
        """Whether a caller may do what a call needs."""
        key = (
            principal.arn, need.action, need.resource, frozenset(need.context.items()), self._policy_of(need.resource)
        )  # fmt: skip
        with self._lock:
            if known := self._verdicts.get(key):
                return known
            generation = self._generation
        verdict = self._evaluated(principal, self._question(principal, need))
        with self._lock:
            if len(self._verdicts) >= MOST_KEPT:
                self._verdicts.clear()
            if generation == self._generation:
                self._verdicts[key] = verdict
        if not principal.administrator:
            self._write(principal, need, verdict)
        return verdict

    def _question(self, principal: Principal, need: Need) -> Question:
        context = {
            "aws:securetransport": "true",  # the local endpoint stands for AWS's, which speaks TLS
            "aws:principalaccount": self._cloud.account,
            # the role's, whatever the session is called
            "aws:principalarn": identity.arn if (identity := self.identity(principal.arn)) else principal.arn,
            "aws:requestedregion": self._cloud.region,
            **need.context,
        }
        return Question(need.action, need.resource, context, self._names(principal.arn))

    def role_may(self, role: str, service: str, need: Need, source: str = "") -> bool:
        """Whether `service` may take on the role (an ARN), and the role's policies meet the need.

        `source` is the ARN of the resource for which the service acts.
        """
        return self.trusts(role, service, source) and self.may(self.session(role, service), need).allowed

    def session(self, role: str, name: str) -> Principal:
        """The principal that a service is in a role: it signs nothing."""
        from infra.local.context import Principal

        return Principal("", "", principals.session_arn(role, name.partition(".")[0]))

    def trusts(self, role: str, service: str, source: str = "") -> bool:
        """Whether the role exists and lets `service` take it on."""
        account = source.split(":")[4] if source.count(":") >= 5 else ""
        context = {"aws:sourceaccount": account or self._cloud.account, "aws:securetransport": "true"}
        return self._assumable(role, frozenset({service}), context | ({"aws:sourcearn": source} if source else {}))

    def trusts_caller(self, role: str, principal: Principal) -> bool:
        """Whether the role's trust policy lets this principal take it on."""
        names = self._names(principal.arn) | {self._cloud.account, f"arn:aws:iam::{self._cloud.account}:root"}
        return self._assumable(role, names, {"aws:principalaccount": self._cloud.account})

    def _assumable(self, role: str, names: frozenset[str], context: Mapping[str, str]) -> bool:
        identity = self.identity(role)
        if identity is None:
            return False
        question = Question("sts:AssumeRole", identity.arn, context, names)
        try:
            found = effects([{"Statement": list(identity.trust)}], question, of_resource=True)
        except NotUnderstood as error:
            log.warning("the trust policy of %s is not understood: %s", role, error)
            return False
        return found == {"Allow"}

    def resource_allows(self, resource: str, action: str, service: str, source: str) -> bool:
        """Whether the resource's own policy lets `service` do this on behalf of `source` (an ARN)."""
        account = source.split(":")[4] if source.count(":") >= 5 else ""
        context = {"aws:sourcearn": source, "aws:sourceaccount": account or self._cloud.account}
        question = Question(action, resource, context | {"aws:securetransport": "true"}, frozenset({service}))
        try:
            return self._resource_effects(question) == {"Allow"}
        except NotUnderstood as error:
            log.warning("%s on %s: its policy is not understood: %s", action, resource, error)
            return False

    def _evaluated(self, principal: Principal, question: Question) -> Verdict:
        action = question.action
        try:
            identity = {"Allow"} if principal.administrator else self._identity_effects(principal, question)
            of_resource = self._resource_effects(question)
        except NotUnderstood as error:
            log.warning("%s refused: %s is not imitated by the local cloud", action, error)
            return Verdict(False, f"because the local cloud does not understand {error}")
        if "Deny" in of_resource:
            return Verdict(False, "with an explicit deny in a resource-based policy")
        if "Deny" in identity:
            return Verdict(False, "with an explicit deny in an identity-based policy")
        if "Allow" in identity or "Allow" in of_resource:
            return Verdict(True)
        return Verdict(False, f"because no identity-based policy allows the {action} action")

    def _identity_effects(self, principal: Principal, question: Question) -> set[str]:
        identity = self.identity(principal.arn)
        if identity is None:
            return set()
        found = effects(identity.policies, question)
        if identity.boundary is not None:
            within = effects([identity.boundary], question)
            found = found | (within & {"Deny"}) if "Allow" in within else found - {"Allow"}
        return found

    def _resource_effects(self, question: Question) -> set[str]:
        text = self._policy_of(question.resource)
        return effects([document(text)], question, of_resource=True) if text else set()

    def _policy_of(self, resource: str) -> str | None:
        service = resource.split(":")[2] if resource.startswith("arn:") else ""
        find = self._policies_of.get(service)
        return find(resource) if find else None

    def _names(self, arn: str) -> frozenset[str]:
        identity = self.identity(arn)
        return frozenset({arn, identity.arn} if identity else {arn})

    def _write(self, principal: Principal, need: Need, verdict: Verdict) -> None:
        record = {
            "principal": principal.arn,
            "action": need.action,
            "resource": need.resource,
            "context": dict(need.context),
            "allowed": verdict.allowed,
        }
        with self._lock:
            if self._record is None:
                self._record = self._path.open("w", encoding="utf-8", buffering=1)
            self._record.write(json.dumps(record) + "\n")

    def stop(self) -> None:
        """Close the record of decisions."""
        with self._lock:
            if self._record is not None:
                self._record.close()
            self._record = None
