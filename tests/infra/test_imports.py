"""Every function finds what it imports in its own layers, also what it imports only when it gets there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from infra.assets import TRAINING
from infra.layers import LAYERS
from infra.lock import ROOT, Layer, Target, requirements
from tests.infra.test_stages import LAYERS as LAYERS_OF

LIBRARY = ROOT / "layers" / "core" / "python"
# Lambda's Python runtimes bring them; an image does not.
RUNTIME = {"boto3", "botocore"}


def module_file(module: str) -> Path | None:
    """The library's file of a module, `perennial.a.b` → …/perennial/a/b.py or …/b/__init__.py."""
    base = LIBRARY.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports anywhere, those only for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(handler: Path) -> set[str]:
    """Top-level packages that can be reached from a handler and are neither Python's nor ours."""
    seen: set[Path] = set()
    found: set[str] = set()
    waiting = [handler]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imported(path):
            parts = module.split(".")
            if parts[0] == "perennial":
                parents = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
                waiting += [file for parent in parents if (file := module_file(parent)) is not None]
            elif parts[0] not in sys.stdlib_module_names:
                found.add(parts[0])
    return found


def provided(*layers: Layer) -> set[str]:
    text = "".join(requirements(layer, Target("3.13", "x86_64")) for layer in layers)
    names = {line.split("==")[0] for line in text.splitlines() if "==" in line}
    by_module = packages_distributions()
    return {module for module, owners in by_module.items() if names & {canonicalize_name(owner) for owner in owners}}


@pytest.mark.parametrize("stage", ["ingest", "retrain", "register", "deploy", "models"])
def test_a_light_stage_imports_only_from_its_layers(stage: str) -> None:
    needed = third_party(ROOT / "functions" / stage / "handler.py")
    assert "pydantic" in needed
    assert needed - provided(*(LAYERS[name] for name in LAYERS_OF[stage] - {"core"})) <= RUNTIME


@pytest.mark.parametrize("stage", ["train", "evaluate", "score"])
def test_a_heavy_stage_imports_only_from_the_image(stage: str) -> None:
    needed = third_party(ROOT / "functions" / stage / "handler.py")
    assert "sklearn" in needed or "onnxruntime" in needed
    assert not needed - provided(TRAINING)


def test_predict_imports_only_what_its_layers_hold_and_no_aws() -> None:
    needed = third_party(ROOT / "functions" / "predict" / "handler.py")
    assert "onnxruntime" in needed
    assert not needed - provided(LAYERS["serving"])
