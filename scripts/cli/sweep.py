"""`perennial sweep`: ingest what was dropped and never judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from perennial.catalog.spec import parse_seconds
from perennial.datasets.sweep import Unsettled, ingest_again, unsettled
from perennial.storage.workflows import Workflow
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, errors, print_json, table


def sweep(
    older: Annotated[
        str,
        typer.Option(help="Only files dropped at least so long ago: 90s, 15m, 2h, 1d. Younger ones may be under way."),
    ] = "15m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be ingested.")] = False,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Find dropped files whose events were lost or whose ingestion died, and start their ingestion."""
    deployment = Deployment(env)
    now = datetime.now(UTC)
    found = _find(deployment, now - timedelta(seconds=_seconds(older)))
    workflow = Workflow(deployment.parameters["ingest-workflow"])
    told: list[dict[str, Any]] = []
    for one in found:
        execution = None if dry_run else ingest_again(workflow, deployment.data.bucket, one.drop, now)
        told.append(
            {"key": one.drop.key, "bytes": one.drop.size, "dropped": one.at, "state": one.state, "execution": execution}
        )
    if as_json:
        print_json(told)
        return
    title = "Dropped and never judged" + (" (nothing started)" if dry_run else "")
    columns = ("file", "bytes", "dropped", "state", "execution")
    console.print(table(title, columns, [tuple(one.values()) for one in told], empty="nothing; all is judged"))


def _seconds(text: str) -> int:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older") from error


def _find(deployment: Deployment, before: datetime) -> list[Unsettled]:
    found: list[Unsettled] = []
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=errors, transient=True) as progress:
        task = progress.add_task("looking at dropped files", total=None)
        for number, one in enumerate(unsettled(deployment.data, deployment.items, before=before), 1):
            progress.update(task, description=f"looking at dropped files: {number:,}, {len(found):,} never judged")
            if one is not None:
                found.append(one)
    return found
