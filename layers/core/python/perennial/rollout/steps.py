"""From what stage deploy is asked (DeployInput) to what it answers (DeployOutput)."""

from __future__ import annotations

from perennial.events import DeployInput, DeployOutput
from perennial.governance.failures import explain
from perennial.rollout.rollout import Rollout
from perennial.stage import InputInvalid


def step(message: DeployInput, rollout: Rollout) -> DeployOutput:
    """Take one step of a rollout. Raises InputInvalid when a step comes before `publish`."""
    known = DeployOutput(
        model=message.model, version=message.version, lambda_version=message.lambda_version, former=message.former
    )
    if message.action == "publish":
        published = rollout.publish()
        return known.model_copy(update={"lambda_version": published.lambda_version, "former": published.former})
    if message.action == "restore":
        failed = rollout.restore(message.lambda_version, message.former, explain(message.failure or {}), message.as_of)
        return known.model_copy(update={"error": failed.error, "cause": failed.cause})
    lambda_version, former = message.lambda_version, message.former
    if lambda_version is None or former is None:
        raise InputInvalid(f"stage deploy: action {message.action} needs lambda_version and former, from publish")
    if message.action == "check":
        return known.model_copy(update={"active": rollout.check(lambda_version)})
    if message.action == "smoke":
        rollout.smoke(lambda_version, message.as_of)
    elif message.action == "shift":
        rollout.shift(lambda_version, former)
    else:
        rollout.verify(lambda_version, message.as_of)
    return known.model_copy(update={"active": True})
