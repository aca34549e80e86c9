"""`perennial export`: a model version as a folder that needs nothing of Perennial."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from perennial.registry.fetch import fetch
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json

SCORER = Path(__file__).parents[1] / "embedded" / "score.py"


def export(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    version: Annotated[int, typer.Argument(help="One of its registered versions.", min=1)],
    directory: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", metavar="DIR")],
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Write VERSION of MODEL into DIR: graph, signature, golden rows, and a scorer on onnxruntime and numpy alone."""
    if directory.exists():
        raise Failure(f"{directory} exists already; name a folder that does not")
    deployment = Deployment(env)
    found = deployment.registry.get(model, version)
    with TemporaryDirectory(dir=_parent(directory)) as folder, errors.status("fetching and verifying the files"):
        whole = Path(folder, "whole")
        whole.mkdir()
        bundle = fetch(found, deployment.data, whole)
        libraries = json.loads((whole / "training.json").read_text("utf-8"))["libraries"]
        needed = [f"{name}=={libraries[name]}" for name in ("numpy", "onnxruntime")]
        shutil.copy(SCORER, whole / SCORER.name)
        # beside MLflow's own requirements.txt, which asks for what mlflow needs
        (whole / "score-requirements.txt").write_text("\n".join(needed) + "\n", encoding="utf-8")
        whole.rename(directory)
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    if as_json:
        print_json({"model": model, "version": version, "sha256": bundle.sha256, "files": files})
        return
    console.print(f"{model} version {version} is in {directory}: {len(files)} files, checked against their manifest")
    console.print(f"Next: pip install -r {directory}/score-requirements.txt; python {directory}/score.py --check")


def _parent(directory: Path) -> Path:
    parent = directory.absolute().parent
    if not parent.is_dir():
        raise Failure(f"{parent} is no folder")
    return parent
