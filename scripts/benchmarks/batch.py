"""Many rows at once: `perennial.scoring` beside the scikit-learn pipeline and mlflow.pyfunc, for two kinds of model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from perennial.catalog.train import Train
from scripts.benchmarks.interleave import Effort, contenders, interleaved, once, own, peer
from scripts.benchmarks.model import prepare
from scripts.benchmarks.rows import Row, compare
from scripts.steps import Say

ROWS = 100_000
# How the model is trained (None: as shipped), and the greatest ratio to scikit-learn; from the project's goals.
KINDS: dict[str, tuple[Train | None, float]] = {
    "ordinal, boosted trees": (None, 1 / 1.2),
    "one-hot, logistic regression": (Train(algorithm="logistic_regression"), 1 / 4),
}
PEERS = {"scikit-learn": "predict_proba of the pipeline", "mlflow": "mlflow.pyfunc"}


def batch(
    mlflow: Path, folder: Path, files: list[Path], say: Say, rows: int = ROWS, effort: Effort | None = None
) -> Iterator[Row]:
    """Rows of the bench. Models are trained on the first three of the monthly `files`, rows are of the others."""
    for kind, (trained, goal) in KINDS.items():
        place = folder / kind.split(",")[0]
        place.mkdir()
        prepare(place, files[:3], files[3:], (rows,), say, trained)
        python = Path(sys.executable)
        commands = {
            "perennial": own(python, "batch", "perennial", str(place)),
            "scikit-learn": peer(python, "batch", "scikit-learn", str(place)),
        }
        if trained is None:  # a linear pipeline holds a step of skl2onnx, which mlflow's environment lacks
            once(peer(mlflow, "mlflow_save", str(place)))
            commands["mlflow"] = peer(mlflow, "batch", "mlflow", str(place))
        say(f"{rows:,} rows, {kind}")
        with contenders(commands) as started:
            taken = interleaved(started, "all", effort or Effort(rounds=9, turn=0.3))
            milli = {name: [seconds * 1e3 for seconds in rounds] for name, rounds in taken.items()}
            for name in [name for name in commands if name != "perennial"]:
                yield compare(
                    f"{rows:,} rows in a batch, {kind} / {PEERS[name]}", milli["perennial"], milli[name],
                    unit="CPU ms", versions=started[name].versions, goal=goal if name == "scikit-learn" else None,
                )  # fmt: skip
