"""Replies: API Gateway's payload format 2.0 around the Open Inference Protocol v2."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from perennial.serving.errors import RequestRefused
from perennial.serving.predictor import Scores
from perennial.serving.protocol import Request
from perennial.serving.record import Columns, dumps
from perennial.serving.signature import PREDICTION, PREDICTION_ID, PROBABILITY, Signature
from perennial.serving.tensors import encode_tensor

# What Lambda lets out, less room for the envelope around the body.
MAX_REPLY_BYTES = 6 * 1024 * 1024 - 4096
_JSON = {"content-type": "application/json"}

Reply = dict[str, Any]


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with a JSON body."""
    body = json.dumps(value, allow_nan=False)
    return {"statusCode": status, "headers": {**_JSON, **(headers or {})}, "body": body, "isBase64Encoded": False}


def error_reply(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The protocol's error body."""
    return json_reply(status, {"error": message}, headers)


class Answer(NamedTuple):
    """Predictions in JSON without their brackets: `prediction` [n], and `probability` [n × k] flat ("" without)."""

    scores: Scores
    prediction: str
    probability: str


class Answers:
    """Makes inference replies of one model version."""

    def __init__(self, model: str, version: int, signature: Signature) -> None:
        self._head = f'{{"model_name":"{model}","model_version":"{version}",'
        self._datatype = signature.prediction_datatype
        self._classes = signature.classes
        self._labels = [dumps(label) for label in signature.classes or ()]
        self._parameters = f'"classes":{dumps(signature.classes)}'

    def answer(self, scores: Scores) -> Answer:
        """Scores written out, once for the reply and the record."""
        numbers = ",".join([repr(value) for row in scores.values for value in row])
        if scores.chosen is None:
            return Answer(scores, numbers, "")
        return Answer(scores, ",".join([self._labels[index] for index in scores.chosen]), numbers)

    def columns(self, answer: Answer) -> Columns:
        """The record's outputs."""
        scores = answer.scores
        if len(scores.values) == 1:
            probability = f',"{PROBABILITY}":[[{answer.probability}]]' if answer.probability else ""
            return Columns(f'{{"{PREDICTION}":[{answer.prediction}]{probability}}}', None)
        values: dict[str, Sequence[Any]] = {PREDICTION: self._predictions(scores)}
        if scores.chosen is not None:
            values[PROBABILITY] = scores.values
        return Columns.of(values)

    def reply(self, request: Request, answer: Answer, ids: str) -> Reply:
        """The reply to `request`; the id of row i is `<ids>-<i>`. Raises RequestRefused when it would be too large."""
        parts: list[str] = []
        binaries: list[bytes] = []
        for name, binary in request.outputs:
            datatype, shape, parameters = self._form(name, request.rows)
            if binary:
                content = encode_tensor(datatype, self._values(name, answer.scores, ids))
                binaries.append(content)
                size = f'"binary_data_size":{len(content)}'
                data = f'"parameters":{{{size}{"," if parameters else ""}{parameters}}}'
            else:
                data = f'"data":[{_data(name, answer, ids)}]'
                if parameters:
                    data = f'"parameters":{{{parameters}}},{data}'
            parts.append(f'{{"name":"{name}","datatype":"{datatype}","shape":{shape},{data}}}')
        own = "" if request.id is None else f'"id":{dumps(request.id)},'
        body = f'{self._head}{own}"outputs":[{",".join(parts)}]}}'
        return _binary(body, binaries) if binaries else _plain(body)

    def _form(self, name: str, rows: int) -> tuple[str, str, str]:
        """Datatype, shape and parameters of an output."""
        if name == PROBABILITY:
            return "FP64", f"[{rows},{len(self._labels)}]", self._parameters
        return ("BYTES" if name == PREDICTION_ID else self._datatype), f"[{rows}]", ""

    def _predictions(self, scores: Scores) -> list[Any]:
        if scores.chosen is None or self._classes is None:
            return [row[0] for row in scores.values]
        return [self._classes[index] for index in scores.chosen]

    def _values(self, name: str, scores: Scores, ids: str) -> Sequence[Any]:
        if name == PREDICTION_ID:
            return [f"{ids}-{row}" for row in range(len(scores.values))]
        if name == PREDICTION:
            return self._predictions(scores)
        return [value for row in scores.values for value in row]


def _data(name: str, answer: Answer, ids: str) -> str:
    if name == PREDICTION_ID:
        return ",".join([f'"{ids}-{row}"' for row in range(len(answer.scores.values))])
    return answer.prediction if name == PREDICTION else answer.probability


def _plain(body: str) -> Reply:
    # the body travels as a string within JSON, where a quote takes two bytes
    if len(body) > MAX_REPLY_BYTES // 2 and len(body) + body.count('"') + body.count("\\") > MAX_REPLY_BYTES:
        raise _too_large()
    return {"statusCode": 200, "headers": _JSON, "body": body, "isBase64Encoded": False}


def _binary(body: str, binaries: Sequence[bytes]) -> Reply:
    header = body.encode()
    content = base64.b64encode(b"".join((header, *binaries))).decode()
    if len(content) > MAX_REPLY_BYTES:
        raise _too_large()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(header)),
    }
    return {"statusCode": 200, "headers": headers, "body": content, "isBase64Encoded": True}


def _too_large() -> RequestRefused:
    return RequestRefused("the reply would be larger than 6 MB; send fewer rows, or ask for fewer outputs", 413)
