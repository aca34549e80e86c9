"""`perennial rollback MODEL`: a version is taken back, at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perennial.rollout.turn import Holder, Turn
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, print_json
from scripts.cli.signing import Api

Meant = dict[str, Any]


def rollback(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[
        int | None,
        typer.Option(help="The version to take back; without it, the one that was moved to last.", min=1),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes into the ledger, with who you are.")] = "asked for",
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Take back the last move: stop the rollout under way, end the experiment, or go back to what served before.

    Said twice, it is done once: once the last move is taken back, or came to nothing, --version says what else is to
    go.
    """
    deployment = Deployment(env)
    name = deployment.catalog.model(model).name
    meant = _last_move(deployment, name) if version is None else _of_version(deployment, name, version)
    api = Api(deployment.parameters["api-url"])
    told: dict[str, Any] = api.json("POST", f"/rollbacks/{name}", {**meant, "reason": reason})
    if as_json:
        print_json(told)
        return
    serves = f"version {told['serving']} serves" if told["serving"] else "nothing serves"
    done = "was taken back already" if told["already"] else f"is taken back by {told['by']}"
    console.print(f"Version {told['taken_back']} of {name} {done}: {serves}", soft_wrap=True)


def _last_move(deployment: Deployment, model: str) -> Meant:
    """What was moved to last: a rollout under way (even one that was cut off), or what serves. Raises Failure."""
    holder, champion = Turn(deployment.items).holder(model), deployment.registry.champion_entry(model)
    if holder is not None and holder.version is not None and not holder.committed:
        if holder.stopped is not None or _moves(deployment, holder, model):
            return {"version": holder.version, "rollout": holder.execution}
        if champion is not None and holder.status in ("FAILED", "ABORTED", "TIMED_OUT"):
            said = f"the rollout of version {holder.version} has ended: nothing to take back"
            raise Failure(f"{said}; `--version {champion.newcomer}` takes back what serves")
    if champion is None or champion.newcomer is None:
        raise Failure(f"no version of {model} serves or is being rolled out")
    if champion.undoes is None:
        return {"version": champion.newcomer, "change": champion.seq}
    undone = deployment.registry.champion_history(model)[champion.undoes - 1]
    return {"version": undone.newcomer, "change": undone.seq}


def _of_version(deployment: Deployment, model: str, version: int) -> Meant:
    """The newest change that let the version serve, unless it is being rolled out and does not serve yet.

    Raises Failure when there is neither.
    """
    history = deployment.registry.champion_history(model)
    holder = Turn(deployment.items).holder(model)
    serves = bool(history) and history[-1].newcomer == version
    if not serves and holder is not None and holder.version == version and not holder.committed:
        return {"version": version, "rollout": holder.execution}
    for entry in reversed(history):
        if entry.newcomer == version:
            return {"version": version, "change": entry.seq}
    raise Failure(f"version {version} of {model} neither serves nor is being rolled out: nothing to take back")


def _moves(deployment: Deployment, holder: Holder, model: str) -> bool:
    return holder.running or deployment.rollout(model) is not None
