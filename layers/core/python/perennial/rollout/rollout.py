"""The steps of a rollout. Each may be repeated, and finishes what a crash left.

What serves is committed by one registry write, in `verify`: before it, `restore` puts the alias back; after it, the
version serves, whatever happens to the record of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import AliasMoved, ConditionFailed, ModelUnknown, PublishFailed, PublishPending, SmokeFailed
from perennial.events import ROLLOUT_PROMOTED, ROLLOUT_ROLLED_BACK, RolloutEnded
from perennial.governance.failures import Failure
from perennial.governance.ledger import Ledger
from perennial.governance.records import Fact
from perennial.registry import Carrier, ModelVersion, Registry
from perennial.rollout.code import code_of
from perennial.rollout.golden import Golden, check_answer, request_event
from perennial.serving.signature import parse_signature
from perennial.storage.bus import Bus
from perennial.storage.functions import LATEST, Answer, Configuration, Function
from perennial.storage.objects import Objects

ALIAS = "live"
ACTOR = "deploy"


@dataclass(frozen=True)
class Published:
    """The Lambda version that carries the model version, and the one that served before."""

    lambda_version: str
    former: str


@dataclass(frozen=True)
class Rollout:
    """The rollout of one model version into the function that serves its model."""

    version: ModelVersion
    function: Function
    data: Objects
    registry: Registry
    ledger: Ledger
    bus: Bus

    def publish(self) -> Published:
        """Put the version's code into the function and publish it.

        Raises VersionRefused, BundleInvalid, ModelUnknown (no such function), PublishPending while Lambda is busy.
        """
        alias, published = self.function.alias(ALIAS), self._publish()
        return Published(published, self._former(alias.version, published))

    def publish_again(self) -> Published | None:
        """Publish the champion anew, if layers or configuration of its function changed since; else None.

        Raises AliasMoved when the alias does not point at the champion: a deployment of the template never resets what
        somebody did to it. For the rest as `publish`.
        """
        served, alias = self._served(), self.function.alias(ALIAS)
        if served is not None and served.settings == self.function.configuration(LATEST).settings:
            return None
        published = self._publish()
        if served is None:  # the function was made anew
            return Published(published, alias.version)
        if alias.version not in (served.version, published):
            raise AliasMoved(
                f"{self.function.name}:{ALIAS} is at version {alias.version}, not at the champion's, {served.version}"
            )
        return Published(published, served.version)

    def _served(self) -> Configuration | None:
        """What the registry says that carries this version; None when Lambda has no such thing."""
        if self.version.lambda_version is None:
            return None
        try:
            found = self.function.configuration(self.version.lambda_version)
        except ModelUnknown:
            return None
        return found if found.code_sha256 == self.version.code_sha256 else None

    def _publish(self) -> str:
        """The published version of this version's code under the configuration of today."""
        code = code_of(self.version, self.data)
        latest = self.function.configuration(LATEST)
        if latest.code_sha256 == code.sha256:
            published = self.function.publish(code.sha256)
        else:
            key = f"staging/code/{self.version.model}/{self.version.version:08d}.zip"
            self.data.put(key, code.zipped, "application/zip")
            try:
                published = self.function.update_code(self.data.bucket, key, latest.revision)
            except ConditionFailed as error:
                raise PublishPending(str(error)) from error
        return published.version

    def check(self, lambda_version: str) -> bool:
        """Whether the published version can be called. Raises PublishFailed when it never will."""
        found = self.function.configuration(lambda_version)
        if "Failed" in (found.state, found.update):
            raise PublishFailed(f"{self.function.name}:{lambda_version}: {found.reason or 'Lambda gives no reason'}")
        return found.state != "Pending" and found.update == "Successful"

    def smoke(self, lambda_version: str, at: datetime) -> None:
        """Ask the published version the golden rows. Raises SmokeFailed."""
        self._ask(lambda_version, at)

    def shift(self, lambda_version: str, former: str) -> None:
        """Point the alias at the published version. Raises AliasMoved when it points at neither it nor the former."""
        self._move(lambda_version, former)

    def verify(self, lambda_version: str, at: datetime) -> None:
        """Ask the golden rows through the alias; then the version is champion, and that is recorded.

        Raises SmokeFailed, and PublishPending while the alias still answers with another version.
        """
        answer = self._ask(ALIAS, at)
        if answer.executed_version != lambda_version:
            raise PublishPending(
                f"{self.function.name}:{ALIAS} answers with version {answer.executed_version}, not {lambda_version}"
            )
        found = self.function.configuration(lambda_version)
        carrier = Carrier(
            lambda_version=lambda_version, code_sha256=found.code_sha256, layers=found.layers, runtime=found.runtime
        )
        model, version = self.version.model, self.version.version
        current = self.registry.champion_entry(model)
        try:
            entry = self.registry.set_champion(
                model,
                version,
                current.version if current else None,
                at=at,
                why=f"rollout of version {version}",
                carrier=carrier,
            )
        except ConditionFailed as error:
            raise AliasMoved(str(error)) from error
        reason = f"answers the golden rows as Lambda version {lambda_version}"
        # rolled out again, the champion followed itself
        former = entry.former if entry.lambda_version == lambda_version else version
        evidence = {**carrier.model_dump(), "sha256": self.version.sha256, "reason": reason}
        self._record("deployed", f"{entry.seq}/{lambda_version}", evidence, former, at)
        self._announce(ROLLOUT_PROMOTED, former, reason, at)

    def restore(self, lambda_version: str | None, former: str | None, failure: Failure, at: datetime) -> Failure:
        """Point the alias back at the former version and record why; what the execution fails with.

        Where the version is champion with this code already, it goes on serving: only the record of it failed.
        """
        if lambda_version is not None and self._is_committed(lambda_version):
            return Failure(failure.error, f"version {self.version.version} serves; after it did: {failure.cause}")
        cause = failure.cause
        if lambda_version is not None and former is not None:
            try:
                self._move(former, lambda_version)
            except AliasMoved as error:
                cause = f"{cause} (and not restored: {error})"
        champion = self.registry.champion_entry(self.version.model)
        serving = champion.version if champion else None
        evidence = {"lambda_version": lambda_version, "error": failure.error, "cause": cause}
        self._record("rolled back", at.isoformat(), evidence, serving, at)
        self._announce(ROLLOUT_ROLLED_BACK, serving, f"{failure.error}: {cause}", at)
        return Failure(failure.error, cause)

    def _former(self, aliased: str, published: str) -> str:
        """What to go back to. An alias that a rollout left on this code goes back to the champion's."""
        if aliased != published:
            return aliased
        champion = self.registry.champion(self.version.model)
        return champion.lambda_version if champion and champion.lambda_version else aliased

    def _is_committed(self, lambda_version: str) -> bool:
        champion = self.registry.champion(self.version.model)
        return (
            champion is not None
            and champion.version == self.version.version
            and champion.lambda_version == lambda_version
        )

    def _move(self, target: str, source: str) -> None:
        """Move the alias from `source` to `target`; nothing happens when it is there, alone."""
        alias = self.function.alias(ALIAS)
        if alias.version == target and not alias.weights:
            return
        if alias.version not in (source, target):
            raise AliasMoved(f"{self.function.name}:{ALIAS} points at version {alias.version}, not at {source}")
        try:
            self.function.move_alias(ALIAS, target, alias.revision)
        except ConditionFailed as error:
            raise PublishPending(str(error)) from error

    def _ask(self, qualifier: str, at: datetime) -> Answer:
        signature = parse_signature(self.data.get(f"{self.version.prefix}signature.json"))
        golden = Golden.parse(self.data.get(f"{self.version.prefix}golden.json"))
        answer = self.function.invoke(qualifier, request_event(signature, golden, at))
        if answer.error is not None:
            raise SmokeFailed(f"{self.function.name}:{qualifier} failed ({answer.error}): {answer.payload}")
        check_answer(answer.payload, signature, golden, self.version.version)
        return answer

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

    def _announce(self, fact: str, former: int | None, reason: str, at: datetime) -> None:
        model, version = self.version.model, self.version.version
        self.bus.put(fact, RolloutEnded(model=model, version=version, former=former, reason=reason, as_of=at))
