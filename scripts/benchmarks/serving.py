"""Bench `serving`: the predict function beside onnxruntime, scikit-learn, mlflow and servers over HTTP; batches."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks import over_http
from scripts.benchmarks.batch import batch
from scripts.benchmarks.interleave import CONTENDERS, Command, Effort, cold, contenders, interleaved, once, own, peer
from scripts.benchmarks.model import prepare
from scripts.benchmarks.over_http import Field
from scripts.benchmarks.peers import python_of, versions
from scripts.benchmarks.rows import Row, compare
from scripts.cli.local import ROOT, WORKDIR
from scripts.flights import months
from scripts.steps import Say

SIZES = (1, 100, 10_000)
COLD_ROUNDS = 7
# Greatest ratio to the peer, by peer and rows; from the project's goals.
WARM_GOALS = {("onnxruntime", 1): 1.5, ("mlflow", 1): 1 / 150}
COLD_GOALS = {"onnxruntime": 1.3}
PEERS = {
    "onnxruntime": "a bare onnxruntime call",
    "mlflow": "mlflow.pyfunc (scikit-learn flavor)",
    "mlflow-onnx": "mlflow.pyfunc (this model directory)",
    "scikit-learn": "joblib + scikit-learn",
}
PACKAGES = {
    "onnxruntime": ("onnxruntime",),
    "scikit-learn": ("scikit-learn", "joblib"),
    "mlflow": ("mlflow",),
}


def run(say: Say) -> Iterator[Row]:
    """All rows. Raises Failure when a contender does not run or answers otherwise."""
    mlflow = python_of("mlflow", say)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, files = Path(name), months(WORKDIR / "flights")
        prepare(folder, files[:3], files[3:4], SIZES, say)
        say(f"mlflow loads the registered directory: {once(peer(mlflow, 'mlflow_check', str(folder / 'bundle')))}")
        once(peer(mlflow, "mlflow_save", str(folder)))
        yield from _warm(mlflow, folder, Effort(), say)
        yield from _cold(mlflow, folder, say)
        field = Field(folder, SIZES, say)
        yield from over_http.warm(field, handler(folder))
        yield from over_http.cold(field, cold_command(folder))
        yield from batch(mlflow, folder, files, say)


def handler(folder: Path) -> Command:
    """The handler over the bundle in `folder`."""
    return own(
        Path(sys.executable), "perennial_handler", str(folder), "predict.handler",
        LAMBDA_TASK_ROOT=str(folder / "bundle"), AWS_LAMBDA_FUNCTION_VERSION="1",
    )  # fmt: skip


def bare(folder: Path) -> Command:
    """onnxruntime over the graph in `folder`."""
    return own(Path(sys.executable), "bare_onnxruntime", str(folder))


def _warm(mlflow: Path, folder: Path, effort: Effort, say: Say) -> Iterator[Row]:
    commands = {
        "perennial": handler(folder),
        "onnxruntime": bare(folder),
        "mlflow": peer(mlflow, "mlflow_pyfunc", str(folder), "mlflow-sklearn"),
        "mlflow-onnx": peer(mlflow, "mlflow_pyfunc", str(folder), "bundle"),
    }
    with contenders(commands) as started:
        for size in SIZES:
            label = f"predict handler, {size:,} row{'s' * (size > 1)}"
            say(label)
            taken = interleaved(started, str(size), effort)
            micro = {name: [seconds * 1e6 for seconds in rounds] for name, rounds in taken.items()}
            for name in [name for name in commands if name != "perennial"]:
                yield compare(
                    f"{label} / {PEERS[name]}", micro["perennial"], micro[name],
                    unit="CPU µs", versions=started[name].versions, goal=WARM_GOALS.get((name, size)),
                )  # fmt: skip


def _cold(mlflow: Path, folder: Path, say: Say) -> list[Row]:
    say("cold starts")
    commands = {
        "perennial": cold_command(folder),
        "onnxruntime": cold_peer(Path(sys.executable), "onnxruntime", folder),
        "scikit-learn": cold_peer(Path(sys.executable), "scikit-learn", folder),
        "mlflow": cold_peer(mlflow, "mlflow", folder),
    }
    taken = cold(commands, COLD_ROUNDS)
    milli = {name: [seconds * 1e3 for seconds in rounds] for name, rounds in taken.items()}
    return [
        compare(
            f"cold predict function to first answer / {PEERS[name]}",
            milli["perennial"], milli[name], unit="CPU ms", versions=versions(commands[name].python, PACKAGES[name]),
            goal=COLD_GOALS.get(name),
        )
        for name in commands
        if name != "perennial"
    ]  # fmt: skip


def cold_command(folder: Path) -> Command:
    """The whole predict function, as Lambda starts it."""
    path = f"{ROOT / 'functions'}:{ROOT / 'layers/core/python'}"
    variables = {"LAMBDA_TASK_ROOT": str(folder / "bundle"), "AWS_LAMBDA_FUNCTION_VERSION": "1", "PYTHONPATH": path}
    return Command(Path(sys.executable), [_script(), "perennial", str(folder)], variables)


def cold_peer(python: Path, name: str, folder: Path) -> Command:
    """One of cold.py's other ways of serving."""
    return Command(python, [_script(), name, str(folder)], {})


def _script() -> str:
    return str(ROOT.joinpath(*CONTENDERS.split("."), "cold.py"))
