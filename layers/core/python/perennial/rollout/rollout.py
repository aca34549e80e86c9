"""The steps of a rollout. Each may be repeated, and finishes what a crash left.

What serves is committed by one registry write, in `verify`: before it, `restore` puts the alias back to what carries
the champion, whatever shares it gives to whom; after it, the version serves, and `restore` finishes the record of it.

Between `publish` and `restore` only `shift` moves the alias, and only from the revision that the rollout saw last.
`restore` always makes another revision, so a `shift` that was given up but still runs comes too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import (
    AliasMoved,
    ConditionFailed,
    ModelUnknown,
    PublishFailed,
    PublishPending,
    SmokeFailed,
)
from perennial.governance.failures import Failure
from perennial.registry import Carrier, Champion, ModelVersion, Registry
from perennial.rollout.canary import Canary
from perennial.rollout.code import STAGING, code_of
from perennial.rollout.facts import Facts
from perennial.rollout.live import ALIAS, follow
from perennial.rollout.pair import Pair
from perennial.rollout.questions import Question, question
from perennial.rollout.scores import Spread
from perennial.rollout.turn import Turn
from perennial.serving.signature import parse_signature
from perennial.storage.functions import LATEST, Alias, Configuration, Function
from perennial.storage.objects import Objects


@dataclass(frozen=True)
class Published:
    """The Lambda version that carries the model version, the way back, and the alias's revision before any change."""

    lambda_version: str
    former: str
    revision: str


@dataclass(frozen=True)
class Rollout:
    """The rollout of one model version, or of a `pair` beside it, into the function that serves its model."""

    version: ModelVersion
    function: Function
    data: Objects
    registry: Registry
    facts: Facts
    pair: Pair | None = None

    def publish(self) -> Published:
        """Put the version's code into the function and publish it.

        Raises VersionRefused, BundleInvalid, ModelUnknown (no such function), PublishPending while Lambda is busy.
        """
        alias, published = self.function.alias(ALIAS), self._publish()
        return Published(published, self.carrying_champion() or alias.version, alias.revision)

    def publish_again(self) -> Published | None:
        """Publish the champion anew, if layers or configuration of its function changed since; else None.

        Raises AliasMoved when the alias does not point at the champion: a deployment of the template never resets what
        somebody did to it. Shares that a rollout left behind which was cut off are taken back. For the rest as
        `publish`.
        """
        served, alias = self.carrier_of(self.version), self.function.alias(ALIAS)
        if served is not None and served.settings == self.function.configuration(LATEST).settings:
            if alias.weights and alias.version == served.version:
                self._point(served.version, alias.revision)
            return None
        published = self._publish()
        if served is None:  # the function was made anew
            return Published(published, alias.version, alias.revision)
        if alias.version not in (served.version, published):
            raise AliasMoved(
                f"{self.function.name}:{ALIAS} is at version {alias.version}, not at the champion's, {served.version}"
            )
        return Published(published, served.version, alias.revision)

    def carrier_of(self, version: ModelVersion) -> Configuration | None:
        """What the registry says that carries a version; None when Lambda has no such thing."""
        if version.lambda_version is None:
            return None
        try:
            found = self.function.configuration(version.lambda_version)
        except ModelUnknown:
            return None
        return found if found.code_sha256 == version.code_sha256 else None

    def carrying_champion(self) -> str | None:
        """The Lambda version that carries the champion, wherever a rollout left the alias; None without a champion."""
        champion = self.registry.champion(self.version.model)
        found = self.carrier_of(champion) if champion else None
        return found.version if found else None

    def _publish(self) -> str:
        """The published version of this version's code under the configuration of today."""
        code = self.pair.code(self.data) if self.pair else code_of(self.version, self.data)
        latest = self.function.configuration(LATEST)
        if latest.code_sha256 == code.sha256:
            published = self.function.publish(code.sha256)
        else:
            key = f"{STAGING}{self.version.model}/{self.version.version:08d}.zip"
            self.data.put(key, code.zipped, "application/zip")
            try:
                published = self.function.update_code(self.data.bucket, key, latest.revision)
            except ConditionFailed as error:
                raise PublishPending(str(error)) from error
        return published.version

    def check(self, lambda_version: str, at: datetime) -> None:
        """Make sure that the published version can be called. Raises PublishPending while it cannot yet, PublishFailed
        when it never will.
        """
        found = self.function.configuration(lambda_version)
        name = f"{self.function.name}:{lambda_version}"
        if "Failed" in (found.state, found.update):
            raise PublishFailed(f"{name}: {found.reason or 'Lambda gives no reason'}")
        if found.state == "Inactive":  # only a call wakes it; what it answers, smoke asks again
            self.function.invoke(lambda_version, self._questions(at)[0].event)
        if found.state != "Active" or found.update != "Successful":
            raise PublishPending(f"{name} is {found.state}, its last update {found.update}")

    def smoke(self, lambda_version: str, at: datetime) -> None:
        """Ask the published version the golden rows. Raises SmokeFailed."""
        self._ask(lambda_version, at)

    def shift(self, lambda_version: str, former: str, revision: str, share: float | None) -> str:
        """Give the published version its `share` of the requests, the rest to the former one; None: all of them.

        The alias's revision from then on. Raises AliasMoved when it was changed since `revision`.
        """
        wanted = (lambda_version, {}) if share is None else (former, {lambda_version: share})
        alias = self.function.alias(ALIAS)
        if (alias.version, alias.weights) == wanted:
            return alias.revision
        if alias.revision != revision:
            raise self._moved(alias)
        return self._point(wanted[0], revision, wanted[1])

    def watch(self, lambda_version: str, former: str, share: float) -> None:
        """Make sure that the alias is as `shift` left it. Raises AliasMoved."""
        alias = self.function.alias(ALIAS)
        if (alias.version, alias.weights) != (former, {lambda_version: share}):
            raise self._moved(alias)

    def verify(self, lambda_version: str, execution: str, canary: Canary | None, at: datetime) -> None:
        """Ask the golden rows through the alias; then the version is champion, and that is recorded.

        Somebody may have moved the alias between the answer and the registry's write, which decides: it is put back.

        Raises SmokeFailed, RolloutStopped, AliasMoved when something else became champion, and PublishPending while the
        alias still answers with another version.
        """
        self._ask(ALIAS, at, lambda_version)
        found = self.function.configuration(lambda_version)
        carrier = Carrier(
            lambda_version=lambda_version,
            code_sha256=found.code_sha256,
            layers=found.layers,
            runtime=found.runtime,
            experiment=self.pair.experiment if self.pair else None,
        )
        model, version = self.version.model, self.version.version
        current, turn = self.registry.champion_entry(model), Turn(self.registry.items)
        try:
            champion = self.registry.set_champion(
                model,
                version,
                current.version if current else None,
                at=at,
                why=f"rollout of version {version}",
                carrier=carrier,
                also=[turn.commit_action(model, execution, (current.seq if current else 0) + 1)],
            )
        except ConditionFailed as error:
            turn.check(model, execution)
            found_now = self.registry.champion_entry(model)
            if found_now is None or not self._is_committed(found_now, lambda_version):
                raise AliasMoved(str(error)) from error
            champion = found_now  # this very call was made twice at once, and the other one was faster
        follow(self.function, self.registry, model)
        self.facts.deployed(champion, canary, at)

    def restore(
        self,
        lambda_version: str | None,
        former: str | None,
        revision: str | None,
        canary: Canary | None,
        failure: Failure,
        at: datetime,
    ) -> Failure:
        """Point the alias back at what carries the champion and record why; what the execution fails with.

        Where the version is champion with this code already, it goes on serving: only the record of it failed, and is
        made now. Raises PublishPending when the alias was changed at the same moment.
        """
        champion = self.registry.champion_entry(self.version.model)
        if champion is not None and lambda_version is not None and self._is_committed(champion, lambda_version):
            follow(self.function, self.registry, self.version.model)
            self.facts.deployed(champion, canary, at)
            return Failure(failure.error, f"version {self.version.version} serves; after it did: {failure.cause}")
        cause = failure.cause
        if lambda_version is not None and former is not None:
            try:
                self._go_back(lambda_version, self.carrying_champion() or former, revision)
            except AliasMoved as error:
                cause = f"{cause} (and not restored: {error})"
        serving = champion.version if champion else None
        self.facts.ended(lambda_version, Failure(failure.error, cause), serving, canary, at)
        return Failure(failure.error, cause)

    def offline(self) -> Spread | None:
        """The version's scores of held-out rows; None where its evaluation told none, or a pair answers."""
        if self.pair is not None:
            return None
        found = self.data.get_json(f"{self.version.prefix}evaluation.json").get("scores")
        return Spread.model_validate(found) if found else None

    def classes(self) -> tuple[Any, ...] | None:
        """The classes that the version answers; None for a regression."""
        return parse_signature(self.data.get(f"{self.version.prefix}signature.json")).classes

    def _is_committed(self, champion: Champion, lambda_version: str) -> bool:
        return (champion.version, champion.lambda_version) == (self.version.version, lambda_version)

    def _go_back(self, lambda_version: str, former: str, revision: str | None) -> None:
        """Point the alias at `former`, even if it does. Raises AliasMoved when it is where no rollout left it."""
        alias = self.function.alias(ALIAS)
        if alias.version not in (lambda_version, former) and alias.revision != revision:
            raise self._moved(alias)
        self._point(former, alias.revision)

    def _moved(self, alias: Alias) -> AliasMoved:
        shares = f", with {alias.weights} to others" if alias.weights else ""
        return AliasMoved(f"{self.function.name}:{ALIAS} was changed, and points at version {alias.version}{shares}")

    def _point(self, target: str, revision: str, weights: Mapping[str, float] | None = None) -> str:
        try:
            return self.function.move_alias(ALIAS, target, revision, weights)
        except ConditionFailed as error:
            raise PublishPending(str(error)) from error

    def _ask(self, qualifier: str, at: datetime, lambda_version: str | None = None) -> None:
        """Ask the golden rows.

        Raises SmokeFailed when the answer is not what training saw, PublishPending when it is of another Lambda version
        than `lambda_version`.
        """
        for one in self._questions(at):
            answer = self.function.invoke(qualifier, one.event)
            name = f"{self.function.name}:{qualifier}"
            if lambda_version not in (None, answer.executed_version):
                raise PublishPending(f"{name} answers with version {answer.executed_version}, not {lambda_version}")
            if answer.error is not None:
                raise SmokeFailed(f"{name} failed ({answer.error}): {answer.payload}")
            one.check(answer.payload)

    def _questions(self, at: datetime) -> list[Question]:
        return self.pair.questions(self.data, at) if self.pair else [question(self.version, self.data, at)]
