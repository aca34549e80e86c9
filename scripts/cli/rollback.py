"""`perennial rollback MODEL`: a version is taken back, at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perennial.rollout.turn import Turn
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, print_json
from scripts.cli.signing import Api


def rollback(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[
        int | None, typer.Option(help="The version to take back; without it, the one that was moved to last.", min=1)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes into the ledger, with who you are.")] = "asked for",
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Stop the rollout under way; without one, end the experiment, or go back to the version that served before."""
    deployment = Deployment(env)
    name = deployment.catalog.model(model).name
    asked = {"version": version or _meant(deployment, name), "reason": reason}
    api = Api(deployment.parameters["api-url"])
    told: dict[str, Any] = api.json("POST", f"/rollbacks/{name}", asked)
    if as_json:
        print_json(told)
        return
    serves = f"version {told['serving']} serves" if told["serving"] else "nothing serves"
    console.print(f"Version {told['taken_back']} of {name} is taken back by {told['by']}: {serves}", soft_wrap=True)


def _meant(deployment: Deployment, model: str) -> int:
    """The version of the rollout under way (even one that was cut off), else the one that serves. Raises Failure."""
    holder, share = Turn(deployment.items).holder(model), deployment.rollout(model)
    if holder is not None and holder.version is not None and not holder.committed and (share or holder.running):
        return holder.version
    champion = deployment.registry.champion(model)
    if champion is None:
        raise Failure(f"no version of {model} serves or is being rolled out")
    return champion.experiment.challenger if champion.experiment else champion.version
