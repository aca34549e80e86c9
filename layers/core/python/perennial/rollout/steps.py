"""The steps of a rollout; each may be repeated, and finishes what an earlier try began."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from perennial.errors import BundleInvalid, ConditionFailed, PublishFailed, PublishPending, VersionUnknown
from perennial.events import ROLLOUT_PROMOTED, ROLLOUT_ROLLED_BACK, DeployInput, DeployOutput, RolloutEnded
from perennial.governance.failures import explain
from perennial.governance.ledger import Ledger
from perennial.registry import ModelVersion, Registry
from perennial.rollout import smoke
from perennial.serving.bundle import MANIFEST, zip_bundle
from perennial.storage.bus import Bus
from perennial.storage.functions import Function, base64_digest
from perennial.storage.objects import Objects

ALIAS = "live"


@dataclass(frozen=True)
class Rollout:
    """One rollout of a model version to the function that serves the model."""

    message: DeployInput
    function: Function
    objects: Objects
    registry: Registry
    ledger: Ledger
    bus: Bus

    def step(self) -> DeployOutput:
        """Do the step that the message names. Raises named errors of perennial.errors."""
        steps: dict[str, Callable[[], DeployOutput]] = {
            "publish": self._publish,
            "check": self._check,
            "smoke": self._smoke,
            "shift": self._shift,
            "verify": self._verify,
            "restore": self._restore,
        }
        return steps[self.message.action]()

    def _publish(self) -> DeployOutput:
        """Put the bundle into the function and publish it. A function that has it already is published as it is."""
        version = self._deployable()
        bundle = zip_bundle(self._files(version))
        digest = base64_digest(hashlib.sha256(bundle).hexdigest())
        former = self.function.alias(ALIAS).version
        known = self.function.configuration()
        if known.update == "InProgress" or known.state == "Pending":
            raise PublishPending(f"{self.function.name} is still taking its last change")
        if known.code_sha256 == digest:
            published = self.function.publish(digest)
        else:
            key = f"staging/bundles/{version.model}-{version.version:08d}-{version.sha256[:16]}.zip"
            self.objects.put(key, bundle, "application/zip")
            try:
                published = self.function.update_code(self.objects.bucket, key, known.revision)
            except ConditionFailed as error:
                raise PublishPending(f"{self.function.name} was changed meanwhile: {error}") from error
        self.registry.published(version.model, version.version, published.version, digest)
        return self._state(lambda_version=published.version, former=former)

    def _check(self) -> DeployOutput:
        found = self.function.configuration(self._published())
        if "Failed" in {found.state, found.update}:
            raise PublishFailed(f"{self.function.name}:{found.version} could not be prepared: {found.reason}")
        return self._state(active=found.state == "Active" and found.update == "Successful")

    def _smoke(self) -> DeployOutput:
        self._ask(self._published())
        return self._state(active=True)

    def _shift(self) -> DeployOutput:
        alias, wanted = self.function.alias(ALIAS), self._published()
        if alias.version != wanted or alias.weights:
            try:
                self.function.move_alias(ALIAS, wanted, alias.revision)
            except ConditionFailed as error:
                raise PublishPending(f"alias {ALIAS} of {self.function.name} was moved meanwhile") from error
        return self._state(active=True)

    def _verify(self) -> DeployOutput:
        """Ask through the alias; then the version is champion, on record and announced."""
        self._ask(ALIAS)
        message = self.message
        champion = self.registry.champion(message.model)
        former = champion.version if champion is not None else None
        if former != message.version:
            self.registry.set_champion(
                message.model, message.version, former, at=message.as_of, why="passed its smoke test"
            )
        else:
            former = self._before()
        self._tell("deployed", ROLLOUT_PROMOTED, former, "passed its smoke test")
        return self._state(active=True)

    def _restore(self) -> DeployOutput:
        """Point the alias back at what served before; say why."""
        failure = explain(self.message.failure or {})
        alias = self.function.alias(ALIAS)
        if self.message.former is not None and alias.version == self.message.lambda_version:
            self.function.move_alias(ALIAS, self.message.former, alias.revision)
        champion = self.registry.champion(self.message.model)
        former = champion.version if champion is not None else None
        if former == self.message.version:
            former = self._before()
            self.registry.set_champion(
                self.message.model, former, self.message.version, at=self.message.as_of, why=failure.error
            )
        self._tell("rolled back", ROLLOUT_ROLLED_BACK, former, f"{failure.error}: {failure.cause}")
        return self._state(error=failure.error, cause=failure.cause)

    def _before(self) -> int | None:
        """What served before the present champion."""
        current = self.registry.champion_entry(self.message.model)
        return current.former if current is not None else None

    def _deployable(self) -> ModelVersion:
        version = self.registry.get(self.message.model, self.message.version)
        if version.state == "refused":
            raise VersionUnknown(f"model {version.model} version {version.version} failed its gates")
        return version

    def _published(self) -> str:
        found = self.message.lambda_version
        if found is None:
            raise PublishFailed(f"model {self.message.model} version {self.message.version} was never published")
        return found

    def _files(self, version: ModelVersion) -> dict[str, bytes]:
        """The model directory as its manifest lists it. Raises BundleInvalid when it is another than was registered."""
        manifest = self.objects.get(version.prefix + MANIFEST)
        if hashlib.sha256(manifest).hexdigest() != version.sha256:
            raise BundleInvalid(f"{version.prefix}{MANIFEST} is not the one that was registered")
        listed = self.objects.get_json(version.prefix + MANIFEST)["files"]
        files = {name: self.objects.get(version.prefix + name) for name in listed}
        for name, body in files.items():
            if hashlib.sha256(body).hexdigest() != listed[name]["sha256"]:
                raise BundleInvalid(f"{version.prefix}{name} does not have the digest of its manifest")
        return {**files, MANIFEST: manifest}

    def _ask(self, qualifier: str) -> None:
        version = self._deployable()
        golden = self.objects.get_json(version.prefix + "golden.json")
        signature = self.objects.get_json(version.prefix + "signature.json")
        event = smoke.request(version.model, golden, signature, self.message.as_of)
        smoke.check(self.function.invoke(qualifier, event), golden, version.version)

    def _tell(self, fact: str, event: str, former: int | None, reason: str) -> None:
        message = self.message
        ended = RolloutEnded(
            model=message.model, version=message.version, former=former, reason=reason, as_of=message.as_of
        )
        self.ledger.append(
            f"model/{message.model}",
            "deployed" if fact == "deployed" else "rolled back",
            key=f"{fact}/{message.version}/{message.lambda_version}",
            at=message.as_of,
            actor="deploy",
            evidence={**ended.model_dump(mode="json"), "lambda_version": message.lambda_version},
        )
        self.bus.put(event, ended)

    def _state(
        self,
        *,
        lambda_version: str | None = None,
        former: str | None = None,
        active: bool = False,
        error: str | None = None,
        cause: str | None = None,
    ) -> DeployOutput:
        return DeployOutput(
            model=self.message.model,
            version=self.message.version,
            lambda_version=lambda_version or self.message.lambda_version,
            former=former or self.message.former,
            active=active,
            error=error,
            cause=cause,
        )
