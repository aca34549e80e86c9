"""Rollouts of one model take turns: two at once would move the alias under each other's feet.

A turn is held by an execution of the workflow and needs no giving back: it is free as soon as that execution has ended,
however it ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from perennial.errors import ConditionFailed, RolloutRunning
from perennial.registry.models import model_pk
from perennial.storage.items import ABSENT, Items
from perennial.storage.workflows import RUNNING, execution_status

TURN = "ROLLOUT"


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, in the registry table."""

    items: Items

    def take(self, model: str, execution: str) -> None:
        """From now on it is the turn of the execution with this ARN. Raises RolloutRunning while it is another's."""
        item = self.items.get(model_pk(model), TURN)
        holder = str(item["execution"]) if item else None
        if holder == execution:
            return
        if holder is not None and execution_status(holder) == RUNNING:
            raise RolloutRunning(f"model {model} is being rolled out by {holder}")
        condition, values = (ABSENT, None) if holder is None else ("execution = :holder", {":holder": holder})
        try:
            self.items.put({"pk": model_pk(model), "sk": TURN, "execution": execution}, condition, values)
        except ConditionFailed as error:
            raise RolloutRunning(f"model {model}: another rollout began at the same time") from error
