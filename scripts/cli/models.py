"""`perennial models`: what serves."""

from __future__ import annotations

from typing import Any

from perennial.catalog.model import ModelSpec
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
        (
            m["name"],
            m["dataset"],
            m["task"],
            m["versions"],
            m["champion"],
            metrics_text(m["metrics"], deployment.catalog.models[m["name"]]),
        )
        for m in found
    ]
    console.print(table("Models", ("model", "dataset", "task", "versions", "champion", "metrics"), rows))


def metrics_text(metrics: dict[str, float], spec: ModelSpec) -> str:
    """The metrics that decide, by the gates and the comparison of the spec; all of them when it names none."""
    named = {*spec.gates, *([spec.comparison.metric] if spec.comparison else [])}
    shown = named & metrics.keys() or metrics.keys()
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in sorted(shown))


def rollout_text(rollout: dict[str, Any] | None) -> str:
    """Which version has which share of the requests."""
    if rollout is None:
        return ""
    cut_off = "" if rollout["running"] else ", cut off"
    return f"version {rollout['version']} at {rollout['weight']:.0%}{cut_off}"
