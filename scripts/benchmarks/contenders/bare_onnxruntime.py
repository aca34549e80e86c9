"""Nothing but onnxruntime: arrays built from a dict, one run of the graph."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from scripts.benchmarks.contenders.loop import Call, columns, in_turn, serve, workload


def session(folder: str) -> Any:
    """The graph, on one thread as a function of this size has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = Path(folder, "bundle", "model.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def one(run: Any, dtypes: list[tuple[str, str, Any]], record: dict[str, Any]) -> Any:
    """Scores of one row."""
    return run(None, {tensor: np.array([[record[name]]], dtype) for name, tensor, dtype in dtypes})[0].tolist()


def many(run: Any, dtypes: list[tuple[str, str, Any]], data: dict[str, list[Any]]) -> Any:
    """Scores of rows that come as lists by name."""
    feeds = {tensor: np.array(data[name], dtype).reshape(-1, 1) for name, tensor, dtype in dtypes}
    return run(None, feeds)[0].tolist()


def main(folder: str) -> None:
    """Serve the cases."""
    work = workload(folder)
    run = session(folder).run
    dtypes = [(i["name"], i["tensor"], object if i["element"] == "string" else np.float32) for i in work["inputs"]]
    records = work["records"]

    def case(rows: int) -> Call:
        if rows == 1:
            return in_turn([functools.partial(one, run, dtypes, record) for record in records[:200]])
        pieces = [records[start : start + rows] for start in range(0, min(len(records), rows * 200), rows)]
        return in_turn([functools.partial(many, run, dtypes, columns(piece)) for piece in pieces])

    serve(lambda: {str(rows): case(rows) for rows in work["sizes"]}, ("numpy", "onnxruntime"))


if __name__ == "__main__":
    main(*sys.argv[1:])
