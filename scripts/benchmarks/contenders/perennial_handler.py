"""The predict function's handler, as its layer holds it, over a registered model directory."""

from __future__ import annotations

import functools
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scripts.benchmarks.contenders.loop import Call, columns, in_turn, serve, workload

CONTEXT = SimpleNamespace(aws_request_id="6f1b2c3d-1111-4222-8333-123456789abc")


def main(folder: str, handler: str) -> None:
    """`handler` is the module; the bundle is where LAMBDA_TASK_ROOT points."""
    module: Any = importlib.import_module(handler)
    work = workload(folder)
    envelope = json.loads(Path(folder, "event.json").read_text())
    records = work["records"]

    def case(rows: int) -> Call:
        pieces = [records[start : start + rows] for start in range(0, min(len(records), rows * 200), rows)]
        events = [{**envelope, "body": _body(piece, work["inputs"])} for piece in pieces]
        answer = functools.partial(module.lambda_handler, context=CONTEXT)
        reply = answer(events[0])
        if reply["statusCode"] != 200:
            raise RuntimeError(f"the handler answered {reply}")
        return in_turn([functools.partial(answer, event) for event in events])

    serve(lambda: {str(rows): case(rows) for rows in work["sizes"]}, ("numpy", "onnxruntime"))


def _body(records: list[dict[str, Any]], inputs: list[dict[str, Any]]) -> str:
    data = columns(records)
    tensors = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [len(records), 1], "data": data[one["name"]]}
        for one in inputs
    ]
    return json.dumps({"inputs": tensors})


if __name__ == "__main__":
    main(*sys.argv[1:])
