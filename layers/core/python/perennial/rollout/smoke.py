"""Golden rows as a request, and whether the answer is the one of training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perennial.errors import SmokeFailed
from perennial.storage.functions import Answer


def request(model: str, golden: Mapping[str, Any], signature: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The event API Gateway would send for the golden rows, marked so that its record is no prediction."""
    inputs = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [len(golden["rows"]), 1],
            "data": [row[one["name"]] for row in golden["rows"]],
        }
        for one in signature["inputs"]
    ]
    path = f"/v2/models/{model}/infer"
    return {
        "version": "2.0",
        "smoke": True,
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": path}, "timeEpoch": int(at.timestamp() * 1000)},
        "body": json.dumps({"inputs": inputs}),
        "isBase64Encoded": False,
    }


def check(answer: Answer, golden: Mapping[str, Any], version: int) -> None:
    """Raises SmokeFailed unless the answer is `version`'s and within the tolerance of the recorded outputs."""
    if answer.error is not None:
        raise SmokeFailed(f"the function failed on the golden rows: {answer.error}: {answer.payload}")
    status = answer.payload.get("statusCode") if isinstance(answer.payload, dict) else None
    if status != 200:
        raise SmokeFailed(f"the golden rows were answered with {status}: {str(answer.payload)[:500]}")
    body = json.loads(answer.payload["body"])
    if body.get("model_version") != str(version):
        raise SmokeFailed(f"version {body.get('model_version')} answered where version {version} should")
    expected = [value for row in golden["outputs"] for value in row]
    found = _scores(body)
    if len(found) != len(expected):
        raise SmokeFailed(f"{len(found)} values came back for the golden rows, not {len(expected)}")
    worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    if not worst <= golden["tolerance"]:
        raise SmokeFailed(f"golden rows differ by {worst:.3g}, more than {golden['tolerance']:.3g}")


def _scores(body: Mapping[str, Any]) -> list[float]:
    outputs = {output["name"]: output for output in body["outputs"]}
    return [float(value) for value in outputs.get("probability", outputs["prediction"])["data"]]
