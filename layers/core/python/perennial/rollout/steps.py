"""From what stage deploy is asked (DeployInput) to what it answers (DeployOutput)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from perennial.errors import ExperimentInvalid
from perennial.events import DeployInput, DeployOutput
from perennial.governance.failures import explain
from perennial.registry import ModelVersion, Registry
from perennial.rollout.pair import Pair, pair_of
from perennial.rollout.retention import prune
from perennial.rollout.rollout import Rollout
from perennial.rollout.turn import Turn
from perennial.stage import InputInvalid


def step(
    message: DeployInput, registry: Registry, rollout_of: Callable[[ModelVersion], Rollout], kept_versions: int
) -> DeployOutput:
    """Take one step of a rollout. Raises InputInvalid when a step comes before `publish`, which takes the turn."""
    if message.action == "publish":
        if message.execution is None:
            raise InputInvalid("stage deploy: action publish needs execution, the ARN of the rollout's own")
        Turn(registry.items).take(message.model, message.execution)
    version = _asked(message, registry)
    if version is None:
        return DeployOutput(model=message.model, version=None, **_failure(message))
    rollout = replace(rollout_of(version), pair=_pair(message, version, registry))
    known = DeployOutput(
        model=message.model,
        version=rollout.pair.experiment if rollout.pair else version.version,
        lambda_version=message.lambda_version,
        former=message.former,
        revision=message.revision,
    )
    if message.action == "publish":
        published = rollout.publish_again() if message.version == "champion" else rollout.publish()
        if published is None:
            return known
        return known.model_copy(update=asdict(published))
    if message.action == "restore":
        failure = explain(message.failure or {})
        failed = rollout.restore(message.lambda_version, message.former, message.revision, failure, message.as_of)
        return known.model_copy(update={"error": failed.error, "cause": failed.cause})
    if message.action == "prune":
        deleted = prune(message.model, rollout.function, registry, kept_versions)
        return known.model_copy(update={"deleted": deleted})
    _try(message, rollout)
    return known


def _asked(message: DeployInput, registry: Registry) -> ModelVersion | None:
    """The version that is meant; None for the champion where there is none. Raises VersionUnknown."""
    if message.version == "champion":
        return registry.champion(message.model)
    number = message.version if isinstance(message.version, int) else message.version.champion
    return registry.get(message.model, number)


def _pair(message: DeployInput, version: ModelVersion, registry: Registry) -> Pair | None:
    """The experiment that is meant: the one that is asked for, or the one that the champion is in.

    Raises VersionUnknown, and ExperimentInvalid when it is not asked of the champion.
    """
    if isinstance(message.version, int):
        return None
    experiment = version.experiment if message.version == "champion" else message.version
    if message.action == "publish" and experiment is not None and version.state != "deployed":
        raise ExperimentInvalid(f"model {message.model}: version {version.version} does not serve")
    return pair_of(message.model, experiment, registry) if experiment else None


def _failure(message: DeployInput) -> dict[str, str]:
    """What the execution fails with when it was asked to go back before it knew of any version."""
    if message.action != "restore":
        return {}
    failure = explain(message.failure or {})
    return {"error": failure.error, "cause": failure.cause}


def _try(message: DeployInput, rollout: Rollout) -> None:
    lambda_version, revision = message.lambda_version, message.revision
    if lambda_version is None or revision is None:
        raise InputInvalid(f"stage deploy: action {message.action} needs lambda_version and revision, from publish")
    if message.action == "check":
        rollout.check(lambda_version, message.as_of)
    elif message.action == "smoke":
        rollout.smoke(lambda_version, message.as_of)
    elif message.action == "shift":
        rollout.shift(lambda_version, revision)
    else:
        rollout.verify(lambda_version, message.as_of)
