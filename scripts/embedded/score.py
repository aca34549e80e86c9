#!/usr/bin/env python3
"""Score rows with the model in this folder. Needs the two packages of score-requirements.txt and nothing else.

python score.py rows.csv      one line of CSV per row: the prediction, and a probability per class
python score.py --check       the golden rows must be answered as they were in training
"""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
SIGNATURE = json.loads((HERE / "signature.json").read_text("utf-8"))
CLASSES = SIGNATURE.get("classes")
TRUTH = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0, "": math.nan}


def column(spec: dict[str, str], values: list[Any]) -> Any:
    """The values of one input as the graph takes them: text, or float32 with NaN for a missing value."""
    if spec["kind"] == "category":
        return np.array([value or "" for value in values], object).reshape(-1, 1)
    if spec["kind"] == "boolean":
        values = [TRUTH[value.lower()] if isinstance(value, str) else value for value in values]
    return np.array([math.nan if value in (None, "") else float(value) for value in values], np.float32).reshape(-1, 1)


def score(rows: list[dict[str, Any]]) -> Any:
    """Rows (dicts by input name) to the graph's answers, [rows][classes]; [rows][1] for a regression."""
    session = onnxruntime.InferenceSession(HERE / "model.onnx")
    feeds = {spec["tensor"]: column(spec, [row[spec["name"]] for row in rows]) for spec in SIGNATURE["inputs"]}
    return session.run(["probabilities" if CLASSES else "prediction"], feeds)[0].reshape(len(rows), -1).tolist()


def check() -> None:
    """Ask the golden rows; exit with status 1 when an answer is not what training saw."""
    golden = json.loads((HERE / "golden.json").read_text("utf-8"))
    largest = float(np.abs(np.array(score(golden["rows"])) - np.array(golden["outputs"])).max())
    print(f"{len(golden['rows'])} golden rows, largest difference {largest:.3g}, allowed {golden['tolerance']:.3g}")
    sys.exit(largest > golden["tolerance"])


def main() -> None:
    """Score a CSV file."""
    with Path(sys.argv[1]).open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    out = csv.writer(sys.stdout)
    out.writerow(["prediction", *(f"probability_{name}" for name in CLASSES or ())])
    for answer in score(rows) if rows else ():
        out.writerow([CLASSES[int(np.argmax(answer))], *answer] if CLASSES else answer)


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main()
