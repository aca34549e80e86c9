"""Where approval is asked for, given, refused, and where it expires.

The approvals table decides; registry, ledger and the waiting execution are told afterwards, by the same calls however
often they repeat. An execution whose token ran out in the same moment asks the table once more (`expire`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from perennial.approval.approvals import Approval, Approvals
from perennial.approval.principal import Principal
from perennial.errors import ApprovalWaits, AuthorUnknown, StorageUnavailable, VersionRefused
from perennial.events import APPROVAL_REQUESTED, ApprovalRequested
from perennial.governance.ledger import Ledger
from perennial.governance.records import Fact
from perennial.registry import Registry
from perennial.registry.models import Review, State
from perennial.serving.errors import RequestRefused
from perennial.storage.bus import Bus
from perennial.storage.topic import Topic

ACTOR = "approve"
EXPIRED = "approval timed out"
ATTEMPTS = 5

Decision = Literal["approve", "reject"]

# What the registry's state becomes, and what the ledger says.
_OUTCOMES: dict[str, tuple[State, Fact]] = {
    "approved": ("registered", "approved"),
    "rejected": ("refused", "rejected"),
    "expired": ("unapproved", "approval expired"),
}


@dataclass(frozen=True)
class Desk:
    """`resume` gives a waiting execution its answer and says whether it still waited; `days` is how long one waits."""

    environment: str
    days: int
    approvals: Approvals
    registry: Registry
    ledger: Ledger
    bus: Bus
    topic: Topic
    resume: Callable[[str, dict[str, Any]], bool]

    # ---- asked by a workflow

    def ask(self, model: str, version: int, execution: str, token: str, at: datetime) -> bool | None:
        """Whether the version is approved; None when that is now for a person to say.

        Raises VersionUnknown, VersionRefused for one that was refused, AuthorUnknown for one that was promoted by
        nobody who could be verified, ApprovalWaits when another execution waits with it.
        """
        found = self.registry.get(model, version)
        authors = self.approvals.authors(model, found.run)
        if found.state == "refused":
            raise VersionRefused(f"model {model} version {version} was refused: it is never deployed")
        promoted = found.promoted_from is not None or self._is_promotion(execution)
        if promoted and not authors:
            raise AuthorUnknown(f"model {model} version {version}: its promotion was not asked for over the API")
        if found.state != "unapproved":
            return self._answer(token, True)
        self._note_who_asked(model, found.run)
        asked = Approval(
            model=model,
            version=version,
            run=found.run,
            execution=execution,
            token=token,
            asked_at=at,
            expires_at=at + timedelta(days=self.days),
        )
        stands = self.approvals.ask(asked)
        if stands.state != "waiting":
            self._settle(stands)
            return self._answer(token, stands.state == "approved")
        if stands.execution != execution:
            raise ApprovalWaits(f"{_name(stands)} waits already, with {stands.execution}: decide about that one")
        self._tell(asked, [author.arn for author in self.approvals.authors(model, found.run)])
        return None

    def _note_who_asked(self, model: str, run: str) -> None:
        """A person who asked for the training caused the version too: the governor wrote down who signed for that."""
        requested = self.ledger.find(f"model/{model}", f"requested/{run}")
        trigger = requested.evidence.get("trigger", {}) if requested else {}
        if trigger.get("reason") == "person":
            asked = trigger["evidence"]
            self.approvals.add_author(model, run, Principal(id=asked["principal"], arn=asked["by"]))

    def _is_promotion(self, execution: str) -> bool:
        """Whether it is one of the promotion workflow's, whatever the files that it was started for say."""
        return f":execution:perennial-{self.environment}-promotion:" in execution

    def expire(self, model: str, version: int, execution: str, at: datetime) -> bool:
        """Whether the version was approved after all, now that the wait of `execution` is over."""
        for _ in range(ATTEMPTS):
            found = self.approvals.find(model, version)
            if found is None or (found.execution != execution and found.state != "approved"):
                return False
            if found.state == "waiting":
                closed = found.model_copy(update={"state": "expired", "reason": EXPIRED, "at": at})
                if not self.approvals.close(found, closed):
                    continue
                found = closed
            self._settle(found)
            return found.state == "approved"
        raise StorageUnavailable(f"model {model} version {version}: its approval keeps changing")

    def _answer(self, token: str, approved: bool) -> bool:
        self.resume(token, {"approved": approved})
        return approved

    def _tell(self, asked: Approval, authors: list[str]) -> None:
        fact = ApprovalRequested(
            model=asked.model,
            version=asked.version,
            authors=authors,
            execution=asked.execution,
            expires_at=asked.expires_at,
            as_of=asked.asked_at,
        )
        self._record(asked, "approval requested", asked.asked_at, ACTOR, fact.model_dump(mode="json"))
        self.bus.put(APPROVAL_REQUESTED, fact)
        name = f"{asked.model} {asked.version}"
        self.topic.publish(
            f"Perennial {self.environment}: {name} waits for approval"[:100],
            f"Version {asked.version} of model {asked.model} passed its gates and waits for a person until "
            f"{asked.expires_at.isoformat(timespec='minutes')}.\n"
            f"Caused by: {', '.join(authors) or 'data or a schedule'}\n\n"
            f"perennial versions {asked.model} --env {self.environment}\n"
            f'perennial approve {name} --env {self.environment} --reason "…"\n'
            f'perennial reject {name} --env {self.environment} --reason "…"\n',
        )

    # ---- decided by a person

    def waiting(self, at: datetime) -> list[dict[str, Any]]:
        """What a person may decide at that instant, without the tokens."""
        shown = {"model", "version", "run", "execution", "asked_at", "expires_at"}
        return [
            one.model_dump(mode="json", include=shown)
            | {"authors": [author.arn for author in self.approvals.authors(one.model, one.run)]}
            for one in self.approvals.waiting()
            if at < one.expires_at
        ]

    def decide(
        self, by: Principal, model: str, version: int, decision: Decision, reason: str, at: datetime
    ) -> dict[str, Any]:
        """What was decided, and whether an execution went on with it; the same decision again is the same answer.

        An author may withdraw a version, but not approve it. Raises RequestRefused: 404 when nobody asked, 403 for an
        author, 409 when the version was decided otherwise or by another, or its time is over.
        """
        wanted: Literal["approved", "rejected"] = "approved" if decision == "approve" else "rejected"
        for _ in range(ATTEMPTS):
            found = self.approvals.find(model, version)
            if found is None:
                raise RequestRefused(f"version {version} of model {model!r} does not wait for approval", 404)
            if found.state == "waiting":
                self._check(found, by, decision, at)
                closed = found.model_copy(update={"state": wanted, "by": by, "reason": reason, "at": at})
                if not self.approvals.close(found, closed):
                    continue
                found = closed
            if found.state != wanted or found.by is None or found.by.id != by.id:
                raise RequestRefused(_decided(found), 409)
            resumed = self._settle(found)
            about = found.model_dump(mode="json", include={"model", "version", "state", "reason", "at"})
            return about | {"by": found.by.arn, "resumed": resumed}
        raise StorageUnavailable(f"model {model} version {version}: its approval keeps changing")

    def _check(self, found: Approval, by: Principal, decision: Decision, at: datetime) -> None:
        if at >= found.expires_at:
            raise RequestRefused(f"{_name(found)}: {EXPIRED} at {found.expires_at.isoformat()}", 409)
        authors = self.approvals.authors(found.model, found.run)
        if decision == "approve" and by.id in {author.id for author in authors}:
            raise RequestRefused(f"{_name(found)} was caused by {by.arn}: another has to approve it", 403)

    def _settle(self, decided: Approval) -> bool:
        """Tell registry, ledger and execution what was decided; whether the execution still waited for it."""
        if decided.at is None or decided.state == "waiting":
            raise ValueError(f"{_name(decided)} is not decided")
        by = decided.by.arn if decided.by else None
        reason = decided.reason or ""
        state, fact = _OUTCOMES[decided.state]
        review = Review(verdict=decided.state, by=by, reason=reason, at=decided.at)
        self.registry.reviewed(decided.model, decided.version, state, review)
        principal = decided.by.id if decided.by else None
        authors = [author.arn for author in self.approvals.authors(decided.model, decided.run)]
        evidence = {"version": decided.version, "by": by, "principal": principal, "reason": reason, "authors": authors}
        self._record(decided, fact, decided.at, by or ACTOR, evidence)
        if decided.state == "expired":
            return False
        return self.resume(decided.token, {"approved": decided.state == "approved"})

    def _record(self, about: Approval, fact: Fact, at: datetime, actor: str, evidence: dict[str, Any]) -> None:
        key = f"{fact}/{about.version}/{about.execution}"
        self.ledger.append(f"model/{about.model}", fact, key=key, at=at, actor=actor, evidence=evidence)


def _name(approval: Approval) -> str:
    return f"version {approval.version} of model {approval.model!r}"


def _decided(approval: Approval) -> str:
    if approval.state == "expired":
        return f"{_name(approval)}: {EXPIRED}"
    by = approval.by.arn if approval.by else "nobody"
    return f"{_name(approval)} was {approval.state} by {by}: {approval.reason}"
