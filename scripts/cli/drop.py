"""`perennial drop`: give a data file to a dataset."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from perennial.datasets.batches import RAW, Drop, not_data, parse_drop
from perennial.datasets.commit import find_batch
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json
from scripts.cli.upload import upload


def drop(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet.", exists=True, dir_okay=False, readable=True)],
    dataset: Annotated[str, typer.Option(help="The dataset whose contract the file follows.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the file is accepted or refused.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 300.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Upload FILE to the data bucket; ingestion starts by itself. With --wait, a refused file ends with status 1."""
    deployment = Deployment(env)
    key = f"{RAW}{dataset}/{file.name}"
    if reason := not_data(key):
        raise Failure(f"{key}: {reason}: ingestion would pass over it; give the file another name")
    dropped = parse_drop(key, upload(deployment, file, key), file.stat().st_size)
    about = {"dataset": dropped.dataset, "batch": dropped.batch}
    result: dict[str, Any] = {"key": key, "bucket": deployment.data.bucket, **about}
    if wait:
        result |= _await(deployment, dropped, timeout)
    if as_json:
        print_json(result)
    else:
        _tell(result, wait)
    if result.get("status") == "refused":
        raise typer.Exit(1)


def _await(deployment: Deployment, dropped: Drop, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    with errors.status("waiting for ingestion"):
        while time.monotonic() < deadline:
            item = find_batch(deployment.items, dropped)
            if item is not None and item["status"] in {"accepted", "refused"}:
                return {name: value for name, value in item.items() if name not in {"pk", "sk"}}
            time.sleep(0.2)
    raise Failure(f"batch {dropped.batch} of {dropped.dataset} was neither accepted nor refused within {timeout:.0f} s")


def _tell(result: dict[str, Any], waited: bool) -> None:
    where = f"s3://{result['bucket']}/{result['key']}"
    if not waited:
        console.print(f"Dropped {escape(where)} (batch {result['batch']})", soft_wrap=True)
    elif result["status"] == "accepted":
        rows, bad = result["rows"], result.get("quarantined", 0)
        console.print(
            f"Accepted: {result['dataset']} version {result['version']}, {rows:,} rows, {bad:,} in quarantine"
        )
    else:
        console.print(f"[bold red]Refused[/] {escape(where)}: {escape(str(result.get('reason')))}", soft_wrap=True)
    if result.get("report_key"):
        console.print(f"Report: s3://{result['bucket']}/{result['report_key']}", soft_wrap=True, markup=False)
