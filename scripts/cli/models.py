"""`perennial models`: what serves."""

from __future__ import annotations

from typing import Any

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table


def models(env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """List the models of the catalog with their champion."""
    deployment = Deployment(env)
    found: list[dict[str, Any]] = []
    for name, spec in sorted(deployment.catalog.models.items()):
        champion = deployment.registry.champion(name)
        found.append(
            {
                "name": name,
                "dataset": spec.dataset,
                "task": spec.task,
                "champion": champion.version if champion else None,
                "sha256": champion.sha256 if champion else None,
                "metrics": champion.metrics if champion else {},
                "versions": len(deployment.registry.list_versions(name)),
            }
        )
    if as_json:
        print_json(found)
        return
    rows = [
        (m["name"], m["dataset"], m["task"], m["versions"], m["champion"], metrics_text(m["metrics"])) for m in found
    ]
    console.print(table("Models", ("model", "dataset", "task", "versions", "champion", "metrics"), rows))


def metrics_text(metrics: dict[str, float]) -> str:
    """Metrics on one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(metrics.items()))
