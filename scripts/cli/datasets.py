"""`perennial datasets`: what was accepted."""

from __future__ import annotations

from typing import Annotated

import typer

from perennial.datasets.versions import list_versions
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table


def datasets(
    name: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """List dataset versions: rows, event times, content digest, where they lie."""
    deployment = Deployment(env)
    names = [deployment.catalog.contract(name).name] if name else sorted(deployment.catalog.contracts)
    found = [version for dataset in names for version in list_versions(deployment.items, dataset)]
    if as_json:
        print_json([version.model_dump(mode="json") for version in found])
        return
    rows = [
        (
            v.dataset,
            v.version,
            v.rows,
            v.quarantined,
            (v.first_event_time or "")[:10] or None,
            (v.last_event_time or "")[:10] or None,
            v.at,
        )
        for v in found
    ]
    columns = ("dataset", "version", "rows", "quarantined", "first event", "last event", "accepted at")
    console.print(table("Dataset versions", columns, rows))
