"""`perennial retrain MODEL`: a person asks the governor for a training."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.markup import escape

from perennial.retraining.triggers import continued_as
from perennial.storage.workflows import RUNNING
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json
from scripts.cli.signing import Api


def retrain(
    model: Annotated[str, typer.Argument(help="The model.")],
    reason: Annotated[str, typer.Option(help="Why; it goes into the ledger, with who you are.")] = "asked for",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the training has ended.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 3600.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Ask for a training of MODEL, within its cool-down too. Status 1 when it is declined, or fails."""
    deployment = Deployment(env)
    name = deployment.catalog.model(model).name
    told: dict[str, Any] = Api(deployment.parameters["api-url"]).json("POST", f"/retrains/{name}", {"reason": reason})
    started = told["decided"] == "started"
    if started and wait:
        told["status"] = _await(deployment, told["flight"], timeout)
    if as_json:
        print_json(told)
    else:
        _tell(told)
    if not started or told.get("status", "SUCCEEDED") != "SUCCEEDED":
        raise typer.Exit(1)


def _await(deployment: Deployment, flight: str, timeout: float) -> str:
    """How the flight ended; one whose data does not settle goes on in further executions."""
    states, machine = deployment.client("stepfunctions"), deployment.parameters["lifecycle-workflow"]
    arn, deadline = machine.replace(":stateMachine:", ":execution:"), time.monotonic() + timeout
    execution = flight
    with errors.status(f"training {flight}"):
        while time.monotonic() < deadline:
            status: str = states.describe_execution(executionArn=f"{arn}:{execution}")["status"]
            further = continued_as(execution)
            if status == "SUCCEEDED" and _exists(states, f"{arn}:{further}"):
                execution = further
            elif status != RUNNING:
                return status
            time.sleep(0.5)
    raise Failure(f"{flight} did not end within {timeout:.0f} s")


def _exists(states: Any, arn: str) -> bool:
    try:
        states.describe_execution(executionArn=arn)
    except states.exceptions.ExecutionDoesNotExist:
        return False
    return True


def _tell(told: dict[str, Any]) -> None:
    if told["decided"] == "started":
        ended = f": {told['status']}" if "status" in told else ""
        console.print(f"Started for {told['by']}: training {told['flight']}{ended}", soft_wrap=True)
    else:
        console.print(f"[bold red]Declined[/]: {escape(told['why'])}", soft_wrap=True)
