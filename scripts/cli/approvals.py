"""`perennial approvals`, `approve` and `reject`: what waits for a person, and what that person says."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table
from scripts.cli.signing import Api

Model = Annotated[str, typer.Argument(help="The model.")]
Version = Annotated[int, typer.Argument(help="The version that waits.", min=1)]
Reason = Annotated[str, typer.Option(help="Why; it goes into the ledger, with who you are.")]


def approvals(env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """List the versions that wait for a person's approval."""
    waiting: list[dict[str, Any]] = _api(env).json("GET", "/approvals")["approvals"]
    if as_json:
        print_json(waiting)
        return
    rows = [
        (
            one["model"],
            one["version"],
            ", ".join(one["authors"]) or "data or a schedule",
            datetime.fromisoformat(one["asked_at"]),
            datetime.fromisoformat(one["expires_at"]),
        )
        for one in waiting
    ]
    columns = ("model", "version", "caused by", "asked at", "waits until")
    console.print(table(f"Waiting for approval in {env}", columns, rows, empty="nothing"))


def approve(
    model: Model, version: Version, reason: Reason, env: EnvironmentName = "dev", as_json: AsJson = False
) -> None:
    """Let a version that waits be rolled out. Whoever caused it may not."""
    _decide("approve", model, version, reason, env, as_json)


def reject(
    model: Model, version: Version, reason: Reason, env: EnvironmentName = "dev", as_json: AsJson = False
) -> None:
    """Refuse a version that waits, for good; the champion goes on serving."""
    _decide("reject", model, version, reason, env, as_json)


def _decide(decision: str, model: str, version: int, reason: str, env: str, as_json: bool) -> None:
    asked = {"decision": decision, "reason": reason}
    told: dict[str, Any] = _api(env).json("POST", f"/approvals/{model}/{version}", asked)
    if as_json:
        print_json(told)
        return
    goes_on = "" if told["resumed"] else " (no execution waits for it any more)"
    console.print(f"Version {version} of {model} is {told['state']} by {told['by']}{goes_on}", soft_wrap=True)


def _api(env: str) -> Api:
    return Api(Deployment(env).parameters["api-url"])
