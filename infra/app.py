"""The CDK app: environments and stacks, nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import aws_cdk as cdk

from infra.environment import Environment
from infra.lock import ROOT
from infra.stacks.data import DataStack
from infra.stacks.loop import LoopStack
from infra.stacks.serving import ServingStack
from perennial.catalog.load import read_catalog


def main() -> None:
    """Synthesize the stacks of one environment.

    Context: `env` (a file of infra/environments), `catalog` (a folder), `layers` (`build` installs third-party layers,
    `locked` only names them: such an assembly cannot be deployed), `nag` (`true` checks with cdk-nag).
    """
    # cdk.json also holds when the app is run without the cdk CLI; -c and CDK_CONTEXT_JSON win over it
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(context=context, outdir=os.environ.get("CDK_OUTDIR", "cdk.out"), analytics_reporting=False)
    add_stacks(app, Environment.load(app.node.get_context("env")), ROOT / app.node.get_context("catalog"))
    if app.node.try_get_context("nag") == "true":
        from infra.nag import check

        check(app)
    app.synth()


def add_stacks(app: cdk.App, environment: Environment, folder: Path) -> None:
    """Add the stacks of an environment for the catalog in `folder`."""
    catalog = read_catalog(folder)
    cdk.Tags.of(app).add("perennial", environment.name)
    data = DataStack(app, environment=environment, catalog=catalog, catalog_folder=folder)
    memory = data.memory()
    loop = LoopStack(app, environment=environment, memory=memory, catalog=catalog)
    ServingStack(
        app,
        environment=environment,
        memory=memory,
        catalog=catalog,
        approve=loop.approve.function,
        deploy=loop.deploy.function,
        feedback=loop.feedback.function,
        retrain=loop.retrain.function,
    )


if __name__ == "__main__":
    main()
