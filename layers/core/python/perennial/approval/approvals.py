"""What waits for approval, and what was decided: the table that only stage approve may read.

A version has one item. It goes from `waiting` to `approved`, `rejected` or `expired` by one conditional write, so
whichever comes first counts, whatever Step Functions has told whom meanwhile; only an expired one can be asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from perennial.approval.principal import Principal
from perennial.errors import ConditionFailed
from perennial.registry.models import Instant
from perennial.storage.items import Items

State = Literal["waiting", "approved", "rejected", "expired"]

_PK = "APPROVAL"
_STATE = {"#state": "state", "#token": "token"}


class Approval(BaseModel):
    """A version that an execution waits with under a task token. `by` decided, for the `reason`; `at` that instant."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    version: int
    run: str
    state: State = "waiting"
    execution: str
    token: str
    asked_at: Instant
    expires_at: Instant
    by: Principal | None = None
    reason: str | None = None
    at: Instant | None = None

    def to_item(self) -> dict[str, Any]:
        """The approval as an item of its table."""
        return {**self.model_dump(mode="json"), "pk": _PK, "sk": _sk(self.model, self.version)}


@dataclass(frozen=True)
class Approvals:
    """The items of the approvals table."""

    items: Items

    def find(self, model: str, version: int) -> Approval | None:
        """What is known of a version, or None when nobody asked for its approval."""
        item = self.items.get(_PK, _sk(model, version))
        return Approval.model_validate(item) if item else None

    def waiting(self) -> list[Approval]:
        """Everything that waits, by model and version."""
        found = (Approval.model_validate(item) for item in self.items.query(_PK))
        return [approval for approval in found if approval.state == "waiting"]

    def ask(self, asked: Approval) -> Approval:
        """`asked`, where nobody asked before, or in place of what the same execution asked or another one whose time is
        over; else what stands. An execution that waits keeps its token, so that its answer reaches it.
        """
        try:
            self.items.put(
                asked.to_item(),
                "attribute_not_exists(pk) OR (#state = :waiting AND (#execution = :execution OR expires_at <= :at)) "
                "OR (#state = :expired AND #execution <> :execution)",
                {
                    ":waiting": "waiting",
                    ":expired": "expired",
                    ":execution": asked.execution,
                    ":at": asked.to_item()["asked_at"],
                },
                {"#state": "state", "#execution": "execution"},
            )
        except ConditionFailed:
            known = self.find(asked.model, asked.version)
            if known is None:
                raise
            return known
        return asked

    def close(self, waiting: Approval, closed: Approval) -> bool:
        """Put `closed` in place of `waiting`; False when something else came first."""
        try:
            self.items.put(
                closed.to_item(),
                "#state = :waiting AND #token = :token",
                {":waiting": "waiting", ":token": waiting.token},
                _STATE,
            )
        except ConditionFailed:
            return False
        return True

    def add_author(self, model: str, run: str, author: Principal) -> None:
        """Note who caused a version, by the run that it will be registered from. Nobody is ever taken off."""
        self.items.create({**author.model_dump(), "pk": _authors(model, run), "sk": author.id})

    def authors(self, model: str, run: str) -> Sequence[Principal]:
        """Everybody who caused a version; empty for one that data or a schedule caused."""
        return [Principal.model_validate(item) for item in self.items.query(_authors(model, run))]


def _sk(model: str, version: int) -> str:
    return f"{model}#{version:08d}"


def _authors(model: str, run: str) -> str:
    return f"AUTHORS#{model}/{run}"
