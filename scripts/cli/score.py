"""`perennial score MODEL FILE`: score a file of rows as a batch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import track

from perennial.scoring.batch import SUCCESS, Batch, not_scored, parse_batch
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json
from scripts.cli.upload import upload


def score(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    file: Annotated[
        Path, typer.Argument(help="CSV, JSON lines or Parquet with the model's inputs.", exists=True, dir_okay=False)
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the file is scored or refused.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="Download the answers into this folder (waits).", file_okay=False)
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 900.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Upload FILE to be scored by MODEL's champion, each row once. A refused file ends with status 1 when waited for.

    The answers are Parquet files: row, keys and event time, prediction, probability, model, version, prediction_id.
    """
    deployment = Deployment(env)
    deployment.catalog.model(model)
    key = f"score/{model}/in/{file.name}"
    if reason := not_scored(parse_batch(key, "", 0)):
        raise Failure(f"{key}: {reason}: it would be passed over; give the file another name")
    batch = parse_batch(key, upload(deployment, file, key), file.stat().st_size)
    if batch is None:
        raise Failure(f"{key} is no file to score")
    result: dict[str, Any] = {"bucket": deployment.data.bucket, "key": key, "batch": batch.name}
    result["output"] = batch.output
    if wait or output is not None:
        result |= _await(deployment, batch, timeout)
    if output is not None and result["status"] == "scored":
        result["files"] = _download(deployment, batch, output)
    if as_json:
        print_json(result)
    else:
        _tell(result)
    if result.get("status") == "refused":
        raise typer.Exit(1)


def _await(deployment: Deployment, batch: Batch, timeout: float) -> dict[str, Any]:
    """Until there are answers, a report that refuses the file, or an execution that failed over it."""
    deadline = time.monotonic() + timeout
    with errors.status(f"waiting for batch {batch.name}"):
        while time.monotonic() < deadline:
            if (manifest := deployment.data.find_json(batch.output + SUCCESS)) is not None:
                shown = ("version", "rows", "scored", "quarantined", "report_key", "sha256")
                return {"status": "scored", **{name: manifest[name] for name in shown}}
            report = deployment.data.find_json(f"{batch.drop.quarantine}report.json")
            if report is not None and report["reason"] is not None:
                key = f"{batch.drop.quarantine}report.json"
                return {"status": "refused", "reason": report["reason"], "report_key": key}
            _check(deployment, batch)
            time.sleep(0.5)
    raise Failure(f"{batch.drop.key} (batch {batch.name}) was neither scored nor refused within {timeout:.0f} s")


def _check(deployment: Deployment, batch: Batch) -> None:
    """Raises Failure when the newest execution over this file has failed."""
    states = deployment.client("stepfunctions")
    for one in deployment.executions("score")[:20]:
        found = states.describe_execution(executionArn=one["executionArn"])
        thing = json.loads(found["input"]).get("detail", {}).get("object", {})
        if (thing.get("key"), str(thing.get("etag")).strip('"')) != (batch.drop.key, batch.drop.etag):
            continue
        if one["status"] not in {"RUNNING", "SUCCEEDED"}:
            raise Failure(f"{batch.drop.key}: {found.get('error', one['status'])}: {found.get('cause', '')}")
        return


def _download(deployment: Deployment, batch: Batch, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    keys = list(deployment.data.list(batch.output))
    for key in track(keys, "downloading", console=errors, transient=True, disable=len(keys) < 2):
        deployment.data.download(key, folder / key.rpartition("/")[2])
    return [str(folder / key.rpartition("/")[2]) for key in keys]


def _tell(result: dict[str, Any]) -> None:
    where = f"s3://{result['bucket']}/{result['output']}"
    if "status" not in result:
        console.print(f"Uploaded (batch {result['batch']}); answers will lie at {escape(where)}", soft_wrap=True)
    elif result["status"] == "scored":
        counted = f"{result['scored']:,} rows by version {result['version']}, {result['quarantined']:,} in quarantine"
        console.print(f"Scored {counted}: {escape(where)}", soft_wrap=True)
        for path in result.get("files", []):
            console.print(escape(path), soft_wrap=True)
    else:
        console.print(f"[bold red]Refused[/] {escape(result['key'])}: {escape(result['reason'])}", soft_wrap=True)
    if result.get("report_key"):
        console.print(f"Report: s3://{result['bucket']}/{result['report_key']}", soft_wrap=True, markup=False)
