"""`perennial promote`: a model version goes to another environment as it is."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from perennial.registry.models import ModelVersion
from perennial.registry.promotion import workspace_of
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json
from scripts.cli.signing import Api


def promote(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Its version in the environment it was trained in.", min=1)],
    to: Annotated[str, typer.Option(help="The environment that takes it over: dev, staging or prod.")],
    to_profile: Annotated[
        str | None, typer.Option(help="AWS profile of that environment, when it is in another account.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is deployed there.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 900.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Register and roll out VERSION of MODEL in another environment: the same bytes, no new training."""
    source, target = Deployment(env), Deployment(to, to_profile)
    found = source.registry.get(model, version)
    if (env, source.data.bucket) == (to, target.parameters["data-bucket"]):
        raise Failure(f"version {version} of {model} is of {to} already")
    run = f"{env}-{found.run}"
    _place(source, target, found, run)
    execution = _start(target, model, run)
    told: dict[str, Any] = {"model": model, "version": version, "from": env, "to": to, "execution": execution}
    if wait:
        told["promoted_as"] = _await(target, execution, timeout)
    if as_json:
        print_json(told)
    elif wait:
        console.print(f"{model} version {version} of {env} serves in {to} as version {told['promoted_as']}")
    else:
        console.print(f"Promoting {model} version {version} of {env} to {to}: execution {execution}", soft_wrap=True)


def _place(source: Deployment, target: Deployment, version: ModelVersion, run: str) -> None:
    caller = source.client("sts").get_caller_identity()["Arn"]
    files = workspace_of(version, source.data, environment=source.env, by=caller, at=datetime.now(UTC))
    bucket, s3 = target.parameters["data-bucket"], target.client("s3")
    for number, (name, body) in enumerate(sorted(files.items()), 1):
        with errors.status(f"copying {name} ({len(body):,} bytes; {number} of {len(files)})"):
            s3.put_object(Bucket=bucket, Key=f"staging/{run}/{name}", Body=body)


def _start(target: Deployment, model: str, run: str) -> str:
    """Over the API, which tells stage approve who asks: where versions need approval, that is who may not give it."""
    api = Api(target.parameters["api-url"], target.profile)
    return str(api.json("POST", "/promotions", {"model": model, "run": run})["execution"])


def _await(target: Deployment, execution: str, timeout: float) -> int:
    states, deadline = target.client("stepfunctions"), time.monotonic() + timeout
    with errors.status(f"waiting for the rollout in {target.env}"):
        while time.monotonic() < deadline:
            told = states.describe_execution(executionArn=execution)
            if told["status"] == "SUCCEEDED":
                output = json.loads(told["output"])
                if not output.get("approval", {"approved": True})["approved"]:
                    raise Failure(
                        f"{target.env} registered it as {output['registered']['version']}; it was not approved"
                    )
                return int(output["registered"]["version"])
            if told["status"] != "RUNNING":
                raise Failure(f"{target.env} did not take it over: {told.get('error')}: {told.get('cause')}")
            time.sleep(0.5)
    raise Failure(f"{execution} did not end within {timeout:.0f} s")
