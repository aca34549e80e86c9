"""SnapStart in the templates: only where the environment asks for it, and only on what serves models."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from infra.environment import FOLDER, Environment
from infra.lock import ROOT
from infra.synth import JAVASCRIPT, node
from tests.infra.conftest import CATALOG, MODELS, App

PROGRAM = """
import json, sys
from pathlib import Path
import aws_cdk as cdk
from infra.app import add_stacks
from infra.environment import Environment
context = json.loads(Path("cdk.json").read_text())["context"] | {"layers": "locked"}
app = cdk.App(context=context, outdir=sys.argv[3], analytics_reporting=False)
add_stacks(app, Environment.load("dev", Path(sys.argv[1])), Path(sys.argv[2]))
app.synth()
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> App:
    """Environment dev, had it asked for SnapStart."""
    settings = (FOLDER / "dev.yaml").read_text("utf-8").replace("snap_start: false", "snap_start: true")
    folder, out = tmp_path_factory.mktemp("environments"), tmp_path_factory.mktemp("cdk.out")
    (folder / "dev.yaml").write_text(settings, "utf-8")
    words = [sys.executable, "-c", PROGRAM, str(folder), str(CATALOG), str(out)]
    variables = os.environ | {"JSII_NODE": str(node()), "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(JAVASCRIPT)}
    ended = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return App.read(out)


def test_no_shipped_environment_asks_for_it(app: App) -> None:
    assert not any(Environment.load(path.stem).predict.snap_start for path in FOLDER.glob("*.yaml"))
    assert not [function.id for function in app.of("AWS::Lambda::Function") if "SnapStart" in function.props]


def test_versions_of_predict_functions_start_from_snapshots_where_it_is_asked_for(quick: App, app: App) -> None:
    snapped = {
        function.props["FunctionName"]
        for function in quick.of("AWS::Lambda::Function")
        if "SnapStart" in function.props
    }
    assert snapped == {f"perennial-dev-predict-{model}" for model in MODELS}
    for name in snapped:
        function = quick.one("AWS::Lambda::Function", FunctionName=name).props
        assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
        assert function["Runtime"] in ("python3.12", "python3.13", "python3.14")
        plain = app.one("AWS::Lambda::Function", FunctionName=name).props
        assert {key for key in function if function[key] != plain.get(key)} == {"SnapStart"}


def test_what_it_costs_is_stated() -> None:
    text = (ROOT / "docs" / "cost.md").read_text("utf-8")
    found = re.search(
        r"\*\*SnapStart\.\*\*.*?(0\.\d+) per GB-second.*?\*\*\$([\d.]+) a month\*\*, .*?\$([\d.]+), ", text, re.S
    )
    assert found is not None
    rate, one, kept = map(float, found.groups())
    month = rate * 3600 * 730
    assert one == round(month, 2)
    assert kept == round(month * Environment.load("dev").predict.kept_versions, 2)
