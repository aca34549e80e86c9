"""The golden rows of a model version: asked of whatever is to serve it, and compared with what training saw."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import SmokeFailed
from perennial.serving.signature import PREDICTION, PROBABILITY, Signature

_SHOWN = 500


@dataclass(frozen=True)
class Golden:
    """`rows` of feature values, the graph's `outputs` for each, and how far an answer may be off (absolute)."""

    rows: list[dict[str, Any]]
    outputs: list[list[float]]
    tolerance: float

    @classmethod
    def parse(cls, content: bytes) -> Golden:
        """The golden rows in the bytes of golden.json."""
        value = json.loads(content)
        return cls(value["rows"], value["outputs"], float(value["tolerance"]))


def request_event(signature: Signature, golden: Golden, at: datetime, version: int | None = None) -> dict[str, Any]:
    """An inference request with the golden rows, as API Gateway's payload 2.0 would carry it; to the model, or to one
    `version` of it.

    `smoke` is a field that API Gateway never sends: the request is recorded as no prediction.
    """
    path = f"/v2/models/{signature.model}{'' if version is None else f'/versions/{version}'}/infer"
    inputs = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [len(golden.rows)],
            "data": [row[one["name"]] for row in golden.rows],
        }
        for one in signature.inputs
    ]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1"},
            "timeEpoch": int(at.timestamp() * 1000),
        },
        "body": json.dumps({"id": "golden", "inputs": inputs}, allow_nan=False),
        "isBase64Encoded": False,
        "smoke": True,
    }


def check_answer(payload: Any, signature: Signature, golden: Golden, version: int) -> None:
    """Raises SmokeFailed unless `payload` is the answer that training saw, of the version that was asked."""
    body = _body(payload)
    served = (body.get("model_name"), body.get("model_version"))
    if served != (signature.model, str(version)):
        raise SmokeFailed(f"the answer is of model {served[0]!r} version {served[1]!r}, not of version {version}")
    name = PREDICTION if signature.classes is None else PROBABILITY
    listed = body.get("outputs")
    outputs = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    found = next((one.get("data") for one in outputs if one.get("name") == name), None)
    expected = [value for row in golden.outputs for value in row]
    if not isinstance(found, list) or len(found) != len(expected):
        raise SmokeFailed(f"output {name!r} is not {len(expected)} numbers: {str(found)[:_SHOWN]}")
    width = len(golden.outputs[0])
    for index, (value, wanted) in enumerate(zip(found, expected, strict=True)):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or abs(value - wanted) > golden.tolerance:
            raise SmokeFailed(
                f"golden row {index // width}: {name} is {value!r}, training saw {wanted!r} ± {golden.tolerance:g}"
            )


def check_versions(payload: Any, versions: list[int]) -> None:
    """Raises SmokeFailed unless these versions answered the rows of a request that an experiment splits."""
    found = _body(payload).get("parameters")
    if found != {"versions": versions}:
        raise SmokeFailed(f"golden rows: {str(found)[:_SHOWN]} answered, by their entities it is for {versions}")


def _body(payload: Any) -> Mapping[str, Any]:
    """The JSON body of a reply. Raises SmokeFailed unless it is a 200 with one."""
    if not isinstance(payload, Mapping) or payload.get("statusCode") != 200:
        raise SmokeFailed(f"the golden rows were not answered: {str(payload)[:_SHOWN]}")
    text = payload.get("body")
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        raise SmokeFailed(f"the answer to the golden rows is not JSON: {str(payload)[:_SHOWN]}")
    return body
