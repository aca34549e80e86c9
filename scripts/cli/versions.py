"""`perennial versions MODEL`: what was registered."""

from __future__ import annotations

from typing import Annotated

import typer

from perennial.registry import ModelVersion
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.models import metrics_text
from scripts.cli.output import AsJson, console, print_json, table


def versions(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """List a model's versions: state, metrics, run, digest."""
    deployment = Deployment(env)
    name = deployment.catalog.model(model).name
    champion = deployment.registry.champion(name)
    found = deployment.registry.list_versions(name)
    if as_json:
        print_json([version.model_dump(mode="json") for version in found])
        return
    rollout = deployment.rollout(name)
    shares = {rollout["version"]: f", {rollout['weight']:.0%} of the requests"} if rollout else {}
    rows = [
        (
            v.version,
            ("champion" if champion and v.version == champion.version else v.state) + shares.get(v.version, ""),
            metrics_text(v.metrics, deployment.catalog.model(name)),
            v.run,
            v.sha256[:12],
            v.at,
        )
        for v in found
    ]
    columns = ("version", "state", "metrics", "run", "sha256", "registered at")
    console.print(table(f"Versions of {name}", columns, rows))
    for version in found:
        if why := refusal(version):
            console.print(why, markup=False, highlight=False)


def refusal(version: ModelVersion) -> str | None:
    """Why a version was refused, by its gates or a person; None for another, or where nobody noted it."""
    reasons = [version.review.reason] if version.review else version.refused_for
    if version.state != "refused" or not reasons:
        return None
    return f"version {version.version} was refused: {'; '.join(reasons)}"
