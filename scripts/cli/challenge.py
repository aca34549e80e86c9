"""`perennial challenge MODEL VERSION`: an experiment on live traffic begins."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from perennial.catalog.model import METRIC_NAMES, ModelSpec
from perennial.errors import ExperimentInvalid, VersionRefused
from perennial.experiments.report import DEFAULT_METRIC
from perennial.registry import Experiment, ModelVersion
from perennial.registry.models import version_prefix
from perennial.serving.assignment import MAX_SALT, mismatch
from perennial.serving.signature import Signature, parse_signature
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json

Wait = Annotated[bool, typer.Option("--wait", help="Wait until what was asked serves.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait at most.")]


def challenge(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    version: Annotated[int, typer.Argument(help="The challenger, a registered version.", min=1)],
    share: Annotated[float, typer.Option(help="Its share of the entities.")] = 0.5,
    entity: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Inputs that tell entities apart; else the spec's.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What is compared; else as the spec compares.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a wrong verdict, per measure.")] = 0.05,
    salt: Annotated[
        str | None,
        typer.Option(help="Assigns entities; else another one with each start."),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 900.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Start an experiment: VERSION answers a share of MODEL's entities, the champion the others; always the same ones.

    What is compared, and how surely, is fixed with the start and recorded in the ledger. See `perennial experiment`.
    """
    deployment = Deployment(env)
    spec, champion = deployment.catalog.model(model), _champion(deployment, model)
    rival = deployment.registry.get(model, version)
    if rival.state in ("refused", "unapproved"):
        raise VersionRefused(f"model {model} version {version} is {rival.state}")
    columns = entity or spec.entity
    if not columns:
        raise Failure(f"model {model} names no entity: say with --entity which inputs tell entities apart")
    why = mismatch(signature_of(deployment, champion.version, model), signature_of(deployment, version, model), columns)
    if why is not None:
        raise ExperimentInvalid(f"model {model}: {why}")
    design = {
        "champion": champion.version,
        "challenger": version,
        "share": share,
        "entity": columns,
        "salt": salt or salt_of(model, champion.version, version, datetime.now(UTC)),
        "metric": _metric(spec, metric),
        "alpha": alpha,
    }
    asked = _checked(design).model_dump(mode="json")
    execution = roll_out(deployment, model, asked, timeout if wait else None)
    if as_json:
        print_json({"model": model, "experiment": asked, "execution": execution, "serves": wait})
        return
    told = f"{model}: version {version} against version {champion.version}, entities by {', '.join(columns)}"
    console.print(f"{told}{' (serves)' if wait else f': execution {execution}'}", soft_wrap=True)


def salt_of(model: str, champion: int, challenger: int, at: datetime) -> str:
    """The salt of an experiment that starts now: another one of the same two versions is another experiment."""
    return f"{model}/{champion}-{challenger}/{at:%Y%m%dT%H%M%SZ}"[-MAX_SALT:]


def roll_out(deployment: Deployment, model: str, asked: Any, timeout: float | None) -> str:
    """Start a rollout of a version or an experiment; wait for its end, unless `timeout` (seconds) is None.

    Its execution. Raises Failure when it ends otherwise than well.
    """
    states, machine = deployment.client("stepfunctions"), deployment.parameters["rollout-workflow"]
    message = json.dumps({"model": model, "version": asked})
    execution = str(states.start_execution(stateMachineArn=machine, input=message)["executionArn"])
    if timeout is None:
        return execution
    deadline = time.monotonic() + timeout
    with errors.status("waiting for the rollout"):
        while time.monotonic() < deadline:
            found = states.describe_execution(executionArn=execution)
            if found["status"] == "SUCCEEDED":
                return execution
            if found["status"] != "RUNNING":
                raise Failure(f"what served goes on serving: {found.get('error')}: {found.get('cause')}")
            time.sleep(0.5)
    raise Failure(f"{execution} did not end within {timeout:.0f} s")


def signature_of(deployment: Deployment, version: int, model: str) -> Signature:
    """What a registered version takes and gives."""
    return parse_signature(deployment.data.get(f"{version_prefix(model, version)}signature.json"))


def _champion(deployment: Deployment, model: str) -> ModelVersion:
    champion = deployment.registry.champion(model)
    if champion is None:
        raise Failure(f"nothing serves yet of {model}: there is no champion to challenge")
    if champion.experiment is not None:
        raise Failure(
            f"an experiment of {model} is running; end it with `perennial experiment {model} --winner VERSION`"
        )
    return champion


def _metric(spec: ModelSpec, asked: str | None) -> str:
    named = asked or (spec.comparison.metric if spec.comparison else DEFAULT_METRIC[spec.task])
    known = METRIC_NAMES[spec.task]
    if named not in known:
        raise Failure(f"no metric {named!r} for task {spec.task}; there are {', '.join(sorted(known))}")
    return named


def _checked(design: dict[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(design)
    except ValidationError as error:
        raise ExperimentInvalid(
            "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        ) from error
