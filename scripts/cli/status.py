"""`perennial status`: the environment at a glance."""

from __future__ import annotations

import os
from typing import Any

from perennial.datasets.versions import list_versions
from perennial.retraining.triggers import continued_as
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.models import metrics_text, rollout_text
from scripts.cli.output import AsJson, console, print_json, table

WORKFLOWS = ("ingest", "lifecycle", "rollout")


def status(env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """Show addresses, datasets, models and the latest executions."""
    deployment = Deployment(env)
    found = _collect(deployment)
    if as_json:
        print_json(found)
        return
    console.print(f"[bold]Perennial {env}[/] at {found['endpoint']}")
    console.print(f"Data bucket  s3://{found['data_bucket']}\nHTTP API     {found['api_url']}\n", soft_wrap=True)
    counted = [tuple(d.values()) for d in found["datasets"]]
    console.print(table("Datasets", ("dataset", "versions", "rows"), counted), "")
    specs = deployment.catalog.models
    serving = [
        (m["name"], m["champion"], metrics_text(m["metrics"], specs[m["name"]]), rollout_text(m["rollout"]))
        for m in found["models"]
    ]
    console.print(table("Models", ("model", "champion", "metrics", "rollout"), serving), "")
    latest = [
        (e["workflow"], "CONTINUED" if e["continued_as"] else e["status"], e["started"], e["name"])
        for e in found["executions"]
    ]
    console.print(table("Latest executions", ("workflow", "status", "started", "execution"), latest))


def _collect(deployment: Deployment) -> dict[str, Any]:
    counted = []
    for name in sorted(deployment.catalog.contracts):
        known = list_versions(deployment.items, name)
        counted.append({"name": name, "versions": len(known), "rows": sum(version.rows for version in known)})
    champions = {name: deployment.registry.champion(name) for name in sorted(deployment.catalog.models)}
    latest = []
    for workflow in WORKFLOWS:
        newest = deployment.executions(workflow)[:5]
        names = {execution["name"] for execution in newest}
        for execution in newest:
            further = continued_as(execution["name"])
            latest.append(
                {
                    "workflow": workflow,
                    "status": execution["status"],
                    "name": execution["name"],
                    "started": execution["startDate"],
                    # a flight whose data did not settle goes on in another execution
                    "continued_as": further if further in names else None,
                }
            )
    return {
        "env": deployment.env,
        "endpoint": os.environ.get("AWS_ENDPOINT_URL", "AWS"),
        "data_bucket": deployment.parameters["data-bucket"],
        "api_url": deployment.parameters["api-url"],
        "datasets": counted,
        "models": [
            {
                "name": name,
                "champion": c.version if c else None,
                "metrics": c.metrics if c else {},
                "rollout": deployment.rollout(name),
            }
            for name, c in champions.items()
        ],
        "executions": latest,
    }
