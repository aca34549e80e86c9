"""Rollouts of one model take turns: two at once would move the alias under each other's feet.

A turn is held by an execution of the workflow and needs no giving back: it is free as soon as that execution has ended,
however it ended. A person may stop it: then it moves the alias no more, and what it wanted can no longer be committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed, RolloutRunning, RolloutStopped
from perennial.registry.models import model_pk
from perennial.storage.items import ABSENT, Items
from perennial.storage.workflows import RUNNING, execution_status

TURN = "ROLLOUT"

_GOES_ON = "execution = :execution AND attribute_not_exists(stopped)"


@dataclass(frozen=True)
class Holder:
    """The execution whose turn it is or was, the version it rolls out, and what became of it so far.

    `committed` once its version serves, by the champion's change `change`; `stopped` says by whom and why.
    """

    execution: str
    version: int | None
    committed: bool
    stopped: str | None
    change: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == RUNNING

    @property
    def status(self) -> str | None:
        """What Step Functions says of the execution (storage.workflows); None when it knows it no longer."""
        return execution_status(self.execution)


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, in the registry table."""

    items: Items

    def holder(self, model: str) -> Holder | None:
        """Who had the turn last; None before the first rollout."""
        item = self.items.get(model_pk(model), TURN)
        if item is None:
            return None
        version = item.get("version")
        return Holder(
            execution=str(item["execution"]),
            version=None if version is None else int(version),
            committed=bool(item.get("committed")),
            stopped=item.get("stopped"),
            change=item.get("change"),
        )

    def take(self, model: str, execution: str, version: int | None) -> None:
        """From now on it is the turn of the execution with this ARN, for `version`.

        Raises RolloutRunning while it is another's, RolloutStopped when it was this one's until a person stopped it.
        """
        holder = self.holder(model)
        if holder is not None and holder.execution == execution:
            return self._go_on(holder)
        if holder is not None and holder.running:
            raise RolloutRunning(f"model {model} is being rolled out by {holder.execution}")
        condition, values = (ABSENT, None) if holder is None else ("execution = :holder", {":holder": holder.execution})
        item = {"pk": model_pk(model), "sk": TURN, "execution": execution, "version": version}
        try:
            self.items.put(item, condition, values)
        except ConditionFailed as error:
            raise RolloutRunning(f"model {model}: another rollout began at the same time") from error

    def check(self, model: str, execution: str | None) -> None:
        """Raises RolloutStopped unless it is still the turn of this execution."""
        holder = self.holder(model)
        if holder is None or holder.execution != execution:
            raise RolloutStopped(f"model {model}: it is no longer the turn of {execution}")
        self._go_on(holder)

    def stop(self, model: str, holder: Holder, by: str, reason: str, at: datetime) -> bool:
        """Let its execution move the alias no more; False when its version serves by now, or it is another's turn."""
        try:
            self.items.transact(self.stop_action(model, holder, by, reason, at))
        except ConditionFailed:
            found = self.holder(model)
            return found is not None and found.execution == holder.execution and found.stopped is not None
        return True

    def stop_action(self, model: str, holder: Holder, by: str, reason: str, at: datetime) -> dict[str, Any]:
        """A part of a transaction: it fails when the holder has lost its turn, was stopped, or its version serves."""
        told = {"stopped": f"stopped by {by} at {at.isoformat()}: {reason}"}
        goes_on = f"{_GOES_ON} AND attribute_not_exists(committed)"
        return self.items.update_action(model_pk(model), TURN, told, goes_on, {":execution": holder.execution})

    def commit_action(self, model: str, execution: str, change: int) -> dict[str, Any]:
        """A part of the transaction that lets a version serve: it fails when the execution was stopped."""
        made = {"committed": True, "change": change}
        return self.items.update_action(model_pk(model), TURN, made, _GOES_ON, {":execution": execution})

    @staticmethod
    def _go_on(holder: Holder) -> None:
        if holder.stopped is not None:
            raise RolloutStopped(holder.stopped)
