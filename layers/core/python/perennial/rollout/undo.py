"""A person takes a version back: the rollout that is under way, the version that serves, or an experiment's challenger.

The version to take back is named, so whoever asks twice, or together with somebody else, takes back no more than that;
but once a stopped rollout of the champion's own version has ended, the same request is about the champion.
The alias is put right first, since callers come first: registry and ledger follow, and a repeated request finishes what
a crash left. A rollout under way is told through its turn; it finds that at its next state, moves nothing any more, and
ends as rolled back.
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
from perennial.rollout.rollout import ALIAS
from perennial.rollout.turn import Holder, Turn
from perennial.serving.errors import RequestRefused
from perennial.storage.bus import Bus
from perennial.storage.functions import Configuration, Function

# A rollout that moves the alias at the same moment does so once more at most after it was stopped.
ATTEMPTS = 5
_BACK = "taken back: version "


def way_back(history: Sequence[Champion]) -> int | None:
    """The version that served before the one that serves, oldest change first; None when nothing did.

    A version that serves again is where it was before: what was taken back is never gone back to.
    """
    served: list[int] = []
    for entry in history:
        if entry.version in served:
            del served[served.index(entry.version) :]
        if entry.version is not None:
            served.append(entry.version)
    return served[-2] if len(served) > 1 else None


@dataclass(frozen=True)
class Undo:
    """Takes versions of one model back."""

    model: str
    function: Function
    registry: Registry
    ledger: Ledger
    bus: Bus

    def take_back(self, version: int, by: str, reason: str, at: datetime) -> dict[str, Any]:
        """What serves now, and what was done. `by` is the caller's ARN.

        Raises RequestRefused (409) when the version neither serves nor is being rolled out, nothing served before it,
        or what carried that is gone; PublishPending when the alias was changed again and again at the same moment.
        """
        holder, turn = self._under_way(version), Turn(self.registry.items)
        if holder is not None and turn.stop(self.model, holder, by, reason, at):
            return self._stopped(version, holder, by, reason, at)
        entry = self.registry.champion_entry(self.model)
        if entry is not None and entry.experiment is not None and entry.experiment.challenger == version:
            entry = self._back(entry, entry.version, version, by, reason, at)
        elif entry is not None and entry.version == version:
            former = way_back(self.registry.champion_history(self.model))
            if former is None:
                raise RequestRefused(f"nothing served before version {version}", 409)
            entry = self._back(entry, former, version, by, reason, at)
        elif entry is None or not entry.why.startswith(f"{_BACK}{version} "):
            serving = entry.version if entry else None
            raise RequestRefused(f"version {version} neither serves nor is being rolled out; {serving} serves", 409)
        self._tell(version, entry.version, f"{version}/{entry.seq}", by, reason, entry.at)
        return {"model": self.model, "serving": entry.version, "taken_back": version, "stopped": None, "by": by}

    def _under_way(self, version: int) -> Holder | None:
        """The rollout of the version, unless it is over or has committed it."""
        holder = Turn(self.registry.items).holder(self.model)
        if holder is None or holder.version != version or holder.committed:
            return None
        # one that was cut off may have left shares behind: it is stopped for good all the same
        return holder if holder.running or self.function.alias(ALIAS).weights else None

    def _stopped(self, version: int, holder: Holder, by: str, reason: str, at: datetime) -> dict[str, Any]:
        champion = self.registry.champion(self.model)
        if champion is not None and champion.lambda_version is not None:
            self._point(champion.lambda_version)
        serving = champion.version if champion else None
        self._tell(version, serving, f"{version}/{holder.execution}", by, reason, at)
        return {
            "model": self.model,
            "serving": serving,
            "taken_back": version,
            "stopped": holder.execution,
            "by": by,
        }

    def _back(self, entry: Champion, target: int | None, version: int, by: str, reason: str, at: datetime) -> Champion:
        """Alias and registry go back to the version `target`, as it served by itself."""
        found = self._alone(target)
        self._point(found.version)
        carrier = Carrier(
            lambda_version=found.version, code_sha256=found.code_sha256, layers=found.layers, runtime=found.runtime
        )
        why = f"{_BACK}{version} by {by}: {reason}"
        try:
            return self.registry.set_champion(self.model, target, entry.version, at=at, why=why, carrier=carrier)
        except ConditionFailed as error:
            raise PublishPending(f"model {self.model}: what serves was changed at the same moment") from error

    def _alone(self, version: int | None) -> Configuration:
        """The Lambda version that carries a version still, and nothing beside it: an experiment is not gone back to."""
        for entry in reversed(self.registry.champion_history(self.model)):
            if entry.version == version and entry.experiment is None and entry.lambda_version is not None:
                with suppress(ModelUnknown):
                    found = self.function.configuration(entry.lambda_version)
                    if found.code_sha256 == entry.code_sha256:
                        return found
        gone = f"the Lambda version of version {version} is gone: start workflow rollout with that version instead"
        raise RequestRefused(gone, 409)

    def _point(self, lambda_version: str) -> None:
        """Point the alias there alone, even if it does: a shift that is under way then comes too late."""
        for _ in range(ATTEMPTS):
            try:
                self.function.move_alias(ALIAS, lambda_version, self.function.alias(ALIAS).revision)
            except ConditionFailed:
                continue
            return
        raise PublishPending(f"{self.function.name}:{ALIAS} is changed again and again")

    def _tell(self, version: int, serving: int | None, key: str, by: str, reason: str, at: datetime) -> None:
        evidence = {"version": version, "former": serving, "cause": reason}
        self.ledger.append(
            f"model/{self.model}", "rolled back", key=f"taken back/{key}", at=at, actor=by, evidence=evidence
        )
        told = RolloutEnded(
            model=self.model, version=version, former=serving, reason=f"taken back by {by}: {reason}", as_of=at
        )
        self.bus.put(ROLLOUT_ROLLED_BACK, told)
