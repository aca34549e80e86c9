"""A person takes a version back: the rollout that is under way, the version that serves, or an experiment's challenger.

What is taken back is named: the rollout's execution, or the champion's change that let the version serve. So whoever
asks twice, or together with somebody else, takes back no more than that. One conditional write decides, against the one
that lets a rollout's version serve: of the two the later one finds that it lost, and changes nothing. The alias follows
it at once, then the ledger; a repeated request finishes what a crash left. A rollout under way is told through its
turn; it finds that at its next state, moves nothing any more, and ends as rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed, ModelUnknown, PublishPending
from perennial.events import ROLLOUT_ROLLED_BACK, RolloutEnded
from perennial.governance.ledger import Ledger
from perennial.registry import Carrier, Champion, Registry
from perennial.rollout.back import carriers, target
from perennial.rollout.live import ALIAS, follow
from perennial.rollout.requests import Rollback
from perennial.rollout.turn import Holder, Turn
from perennial.serving.errors import RequestRefused
from perennial.storage.bus import Bus
from perennial.storage.functions import Configuration, Function

# Of one request against others at the same moment; what is named is gone after the first that succeeds.
ATTEMPTS = 3


@dataclass(frozen=True)
class Undo:
    """Takes versions of one model back."""

    model: str
    function: Function
    registry: Registry
    ledger: Ledger
    bus: Bus

    def take_back(self, asked: Rollback, by: str, at: datetime) -> dict[str, Any]:
        """What serves now, and what was done, or had been (`already`). `by` is the caller's ARN.

        Raises RequestRefused (409) when what is named is not there to be taken back, nothing served before it, or what
        carried that is gone; PublishPending when what serves is changed again and again at the same moment.
        """
        for _ in range(ATTEMPTS):
            with suppress(ConditionFailed):
                if not asked.rollout:
                    return self._undo(asked, asked.change, by, at)
                holder = self._named(asked)
                if not holder.committed:
                    return self._stop(asked, holder, by, at)
                if holder.change is None:
                    raise self._nothing(f"the rollout of version {asked.version} is over")
                return self._undo(asked, holder.change, by, at)
        raise PublishPending(f"model {self.model}: what serves is changed again and again")

    def _named(self, asked: Rollback) -> Holder:
        """The rollout that is named, while it may be taken back: it goes on, was stopped, or its version serves.

        One that was cut off may have left shares behind: it is stopped for good all the same.
        """
        holder = Turn(self.registry.items).holder(self.model)
        if holder is None or (holder.execution, holder.version) != (asked.rollout, asked.version):
            raise self._nothing(f"that rollout of version {asked.version} is over")
        going = holder.committed or holder.stopped is not None or holder.running
        if not going and not self.function.alias(ALIAS).weights:
            raise self._nothing(f"the rollout of version {asked.version} has ended by itself")
        return holder

    def _stop(self, asked: Rollback, holder: Holder, by: str, at: datetime) -> dict[str, Any]:
        """Raises ConditionFailed when its version serves by now."""
        if not Turn(self.registry.items).stop(self.model, holder, by, asked.reason, at):
            raise ConditionFailed(f"{holder.execution} has ended")
        follow(self.function, self.registry, self.model, anew=True)
        champion = self.registry.champion_entry(self.model)
        self._tell(asked, champion.version if champion else None, holder.execution, by, at)
        return self._told(asked, by, stopped=holder.execution, already=holder.stopped is not None)

    def _undo(self, asked: Rollback, change: int, by: str, at: datetime) -> dict[str, Any]:
        """Registry and alias go back to what served before the change. Raises ConditionFailed."""
        history, going = self.registry.champion_history(self.model), self._going()
        if change > len(history) or asked.version != history[change - 1].newcomer:
            raise self._nothing(f"change {change} did not let version {asked.version} serve")
        already = change < len(history)
        if already and history[change].undoes != change:
            raise self._nothing(f"what serves was changed since: change {len(history)} stands, not {change}")
        undone = history[change] if already else self._back(history, going, asked, by, at)
        # asked again, it finishes what a crash left, but takes nothing from a rollout that began since then
        if not already or (undone.seq == len(history) and not (going and going.running)):
            follow(self.function, self.registry, self.model, anew=True)
        self._tell(asked, undone.version, str(undone.seq), by, undone.at)
        stopped = going.execution if going and going.running and not already else None
        return self._told(asked, by, stopped=stopped, already=already)

    def _going(self) -> Holder | None:
        """The rollout that could let its version serve still."""
        holder = Turn(self.registry.items).holder(self.model)
        return holder if holder and not holder.committed and holder.stopped is None else None

    def _back(
        self, history: Sequence[Champion], going: Holder | None, asked: Rollback, by: str, at: datetime
    ) -> Champion:
        """The registry goes back by one change, to a version as it served by itself.

        A rollout under way was to take the place of what is taken back, and was compared with it: this stops it.
        """
        entry, turn = history[-1], Turn(self.registry.items)
        version = target(history)
        if version is None:
            raise RequestRefused(f"nothing served before version {asked.version}", 409)
        found = self._alone(history, version)
        carrier = Carrier(
            lambda_version=found.version, code_sha256=found.code_sha256, layers=found.layers, runtime=found.runtime
        )
        return self.registry.set_champion(
            self.model,
            version,
            entry.version,
            at=at,
            why=f"taken back: version {asked.version} by {by}: {asked.reason}",
            carrier=carrier,
            undoes=entry.seq,
            also=[turn.stop_action(self.model, going, by, asked.reason, at)] if going else [],
        )

    def _alone(self, history: Sequence[Champion], version: int) -> Configuration:
        """The Lambda version that carries a version still, and nothing beside it."""
        for entry in carriers(history, version):
            with suppress(ModelUnknown):
                found = self.function.configuration(str(entry.lambda_version))
                if found.code_sha256 == entry.code_sha256:
                    return found
        gone = f"the Lambda version of version {version} is gone: start workflow rollout with that version instead"
        raise RequestRefused(gone, 409)

    def _nothing(self, why: str) -> RequestRefused:
        entry = self.registry.champion_entry(self.model)
        serving = f"version {entry.version} serves since change {entry.seq}" if entry else "nothing serves"
        return RequestRefused(f"nothing to take back: {why}; {serving}", 409)

    def _told(self, asked: Rollback, by: str, *, stopped: str | None, already: bool) -> dict[str, Any]:
        champion = self.registry.champion_entry(self.model)
        done = {"model": self.model, "serving": champion.version if champion else None, "taken_back": asked.version}
        return {**done, "stopped": stopped, "already": already, "by": by}

    def _tell(self, asked: Rollback, serving: int | None, key: str, by: str, at: datetime) -> None:
        version, reason = asked.version, asked.reason
        evidence = {"version": version, "former": serving, "cause": reason}
        self.ledger.append(
            f"model/{self.model}", "rolled back", key=f"taken back/{version}/{key}", at=at, actor=by, evidence=evidence
        )
        told = RolloutEnded(
            model=self.model, version=version, former=serving, reason=f"taken back by {by}: {reason}", as_of=at
        )
        self.bus.put(ROLLOUT_ROLLED_BACK, told)
