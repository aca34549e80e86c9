"""An exported version is a folder that a stranger can run: nothing of Perennial in it, the same answers out of it."""

from __future__ import annotations

import ast
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli.export import SCORER
from tests.local.shop import Shop, orders, write_orders

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def exported(served: Shop) -> Path:
    folder = served.workdir / "taken-along"
    told = served.json("export", "returns", "1", str(folder))
    assert {"model.onnx", "signature.json", "golden.json", "score.py", "MLmodel", "manifest.json"} <= set(told["files"])
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The scorer in an interpreter that sees neither the checkout nor anybody's environment."""
    return subprocess.run(
        [sys.executable, "-I", str(folder / "score.py"), *words], capture_output=True, text=True, check=False, env={}
    )


def test_the_golden_rows_are_answered_as_in_training(exported: Path) -> None:
    done = run(exported, "--check")
    assert done.returncode == 0, done.stderr
    assert "golden rows, largest difference" in done.stdout


def test_a_changed_answer_is_told(exported: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(exported, tmp_path / "changed")
    golden = json.loads((changed / "golden.json").read_text("utf-8"))
    golden["outputs"][0][0] += 0.001
    (changed / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    assert run(changed, "--check").returncode == 1


def test_a_file_is_scored_as_the_endpoint_scores_it(served: Shop, exported: Path) -> None:
    rows = write_orders(served.workdir / "embedded.csv", orders(3, 40))
    done = run(exported, str(rows))
    assert done.returncode == 0, done.stderr
    here = [float(row["probability_True"]) for row in csv.DictReader(done.stdout.splitlines())]
    there = [row["probability_true"] for row in served.json("predict", "returns", str(rows), "--version", "1")]
    assert here == pytest.approx(there, abs=1e-6)


def test_the_scorer_needs_two_packages(exported: Path) -> None:
    tree = ast.parse(SCORER.read_text("utf-8"))
    named = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    named |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named - sys.stdlib_module_names == {"numpy", "onnxruntime"}
    needed = (exported / "score-requirements.txt").read_text("utf-8").split()
    assert [line.split("==")[0] for line in needed] == ["numpy", "onnxruntime"]
    assert len(SCORER.read_text("utf-8").splitlines()) < 70


def test_what_is_there_is_not_overwritten(served: Shop, exported: Path) -> None:
    assert "exists already" in served.run("export", "returns", "1", str(exported), expect=1)
