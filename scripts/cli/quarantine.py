"""`perennial quarantine`: what was refused, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table


def quarantine(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """List quarantined batches with the file, column and rule of their problems."""
    deployment = Deployment(env)
    prefix = f"quarantine/{dataset}/" if dataset else "quarantine/"
    keys = [key for key in deployment.data.list(prefix) if key.endswith("/report.json")]
    reports = [deployment.data.get_json(key) | {"report_key": key} for key in keys]
    if as_json:
        print_json(reports)
        return
    rows = []
    for report in reports:
        counts = [f"{c['column'] or 'file'}: {c['rule']} ×{c['count']}" for c in report["counts"]]
        rows.append((report["dataset"], report["file"], report["quarantined"], "\n".join(counts), report["batch"]))
    console.print(table("Quarantine", ("dataset", "file", "rows", "why", "batch"), rows, empty="nothing was refused"))
