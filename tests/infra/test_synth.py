"""Synthesis: without a toolchain, cached by content, the same bytes every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra import synth
from infra.lock import ROOT
from infra.synth import SynthesisFailed, synthesize
from tests.infra.conftest import CATALOG, App

CONTEXT = {"env": "dev", "catalog": "anywhere", "layers": "locked", "nag": "false"}


def templates(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.template.json")}


def copied(folder: Path) -> Path:
    for kind in ("contracts", "models"):
        (folder / kind).mkdir(parents=True)
        for path in (CATALOG / kind).glob("*.yaml"):
            (folder / kind / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_second_synthesis_of_the_same_content_is_a_look_up(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synth, "_run", lambda *_: pytest.fail("synthesized again"))
    assert synthesize(env="dev", catalog=CATALOG, nag=True) == app.folder


def test_the_key_is_the_content_not_the_place(tmp_path: Path) -> None:
    elsewhere = copied(tmp_path / "catalog")
    key = synth.content_hash(CATALOG, CONTEXT)
    assert synth.content_hash(elsewhere, CONTEXT) == key
    model = elsewhere / "models" / "hours.yaml"
    model.write_text(model.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert synth.content_hash(elsewhere, CONTEXT) != key
    assert synth.content_hash(CATALOG, {**CONTEXT, "env": "prod"}) != key


def test_two_at_once_synthesize_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Path] = []

    def run(context: dict[str, str], outdir: Path) -> None:
        outdir.mkdir(parents=True)
        runs.append(outdir)

    monkeypatch.setattr(synth, "_run", run)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: synthesize(catalog=CATALOG, cache=tmp_path), range(4)))
    assert len(runs) == len(folders) == 1


def test_a_synthesis_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(context: dict[str, str], outdir: Path) -> None:
        outdir.mkdir(parents=True)
        raise SynthesisFailed("no")

    monkeypatch.setattr(synth, "_run", run)
    with pytest.raises(SynthesisFailed):
        synthesize(catalog=CATALOG, cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".lock-{synth.content_hash(CATALOG, CONTEXT)[0]}"]


def test_a_catalog_that_is_wrong_says_so(tmp_path: Path) -> None:
    catalog = copied(tmp_path / "catalog")
    (catalog / "models" / "hours.yaml").write_text("name: hours\ndataset: nowhere\n", encoding="utf-8")
    with pytest.raises(SynthesisFailed, match=r"CatalogInvalid: models/hours\.yaml"):
        synthesize(catalog=catalog, cache=tmp_path / "cache")


def test_the_cdk_cli_adds_nothing_to_the_templates() -> None:
    """By default it adds paths and versions, and what is deployed would not be what ran on the laptop."""
    settings = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))
    assert [settings[name] for name in ("pathMetadata", "assetMetadata", "versionReporting")] == [False] * 3


@pytest.mark.full
def test_the_same_sources_give_the_same_bytes_checked_or_not(app: App, tmp_path: Path) -> None:
    again = synthesize(env="dev", catalog=CATALOG, cache=tmp_path)
    assert templates(again) == templates(app.folder)


@pytest.mark.full
def test_a_built_layer_and_a_named_one_give_the_same_template(app: App, tmp_path: Path) -> None:
    """What runs on the laptop is byte for byte what `cdk deploy` sends. (Installs the layers: needs the network.)"""
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/layers/core/python", "JSII_NODE": str(synth.node())}
    variables |= {"CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": f'{{"catalog": "{CATALOG}"}}'}
    subprocess.run([sys.executable, "-m", "infra.app"], cwd=ROOT, env=variables, check=True)
    assert templates(tmp_path) == templates(app.folder)
    assert list(tmp_path.glob("asset.*/python/onnxruntime"))


@pytest.mark.full
def test_the_cdk_command_line_synthesizes_a_catalog_of_ones_own(tmp_path: Path) -> None:
    """As `cdk synth -c env=prod -c catalog=infra/examples/parcels` does: the line `app` of cdk.json, in a shell."""
    line = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["app"]
    context = {"env": "prod", "catalog": "infra/examples/parcels", "layers": "locked"}
    variables = {"PATH": os.environ["PATH"], "JSII_NODE": str(synth.node()), "CDK_OUTDIR": str(tmp_path)}
    variables["CDK_CONTEXT_JSON"] = json.dumps(context)
    ended = subprocess.run(["sh", "-c", line], cwd=ROOT, env=variables, check=False)
    assert ended.returncode == 0
    serving = json.loads((tmp_path / "perennial-prod-serving.template.json").read_text(encoding="utf-8"))
    functions = [r["Properties"] for r in serving["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    assert "perennial-prod-predict-parcels" in {properties["FunctionName"] for properties in functions}
