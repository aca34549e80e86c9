"""What a rollout records in the ledger and tells the bus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import RolloutInconclusive
from perennial.events import ROLLOUT_PROMOTED, ROLLOUT_ROLLED_BACK, RolloutEnded
from perennial.governance.failures import Failure
from perennial.governance.ledger import Ledger
from perennial.governance.records import Fact
from perennial.registry import Champion, ModelVersion
from perennial.rollout.canary import Canary
from perennial.storage.bus import Bus

ACTOR = "deploy"


@dataclass(frozen=True)
class Facts:
    """Of the rollout of one version. Repeats add no record.

    A record is made of every step's beginning and of the end, each with all that the look before it saw: what was
    decided. A look after which everything stays as it is decides nothing; it is in the execution's history and log.
    """

    version: ModelVersion
    ledger: Ledger
    bus: Bus

    def shifted(self, lambda_version: str, canary: Canary, former: int | None, at: datetime) -> None:
        """A step began."""
        evidence = {"lambda_version": lambda_version, "weight": canary.weight, **_judged(canary)}
        begun = canary.starts[0].isoformat()
        self._record("shifted", f"{lambda_version}/{begun}/{len(canary.starts)}", evidence, former, at)

    def deployed(self, champion: Champion, canary: Canary | None, at: datetime) -> None:
        """The version serves."""
        tried = f"answers the golden rows as Lambda version {champion.lambda_version}"
        reason = f"{canary.verdict}: {canary.reason}; {tried}" if canary else tried
        evidence = {**champion.carried, "sha256": self.version.sha256, "reason": reason, **_judged(canary)}
        self._record("deployed", f"{champion.seq}/{champion.lambda_version}", evidence, champion.former, at)
        self._announce(ROLLOUT_PROMOTED, champion.former, reason, canary, at)

    def ended(
        self, lambda_version: str | None, failure: Failure, serving: int | None, canary: Canary | None, at: datetime
    ) -> None:
        """The version does not serve; `serving` is what does."""
        fact: Fact = "inconclusive" if failure.error == RolloutInconclusive.__name__ else "rolled back"
        told = {"lambda_version": lambda_version, "error": failure.error, "cause": failure.cause}
        self._record(fact, at.isoformat(), {**told, **_judged(canary)}, serving, at)
        self._announce(ROLLOUT_ROLLED_BACK, serving, f"{failure.error}: {failure.cause}", canary, at)

    def _record(self, fact: Fact, key: str, evidence: dict[str, Any], former: int | None, at: datetime) -> None:
        model, version = self.version.model, self.version.version
        self.ledger.append(
            f"model/{model}",
            fact,
            key=f"{fact}/{version}/{key}",
            at=at,
            actor=ACTOR,
            evidence={"version": version, "former": former, **evidence},
        )

    def _announce(self, fact: str, former: int | None, reason: str, canary: Canary | None, at: datetime) -> None:
        ended = RolloutEnded(
            model=self.version.model,
            version=self.version.version,
            former=former,
            reason=reason,
            verdict=canary.verdict if canary else None,
            spoiled_share=canary.evidence.get("spoiled_share") if canary else None,
            as_of=at,
        )
        self.bus.put(fact, ended)


def _judged(canary: Canary | None) -> dict[str, Any]:
    """The last look's word, for the record."""
    if canary is None:
        return {}
    return {"verdict": canary.verdict, "why": canary.reason, "seen": canary.evidence, "steps": len(canary.starts)}
