"""Inference replies of the Open Inference Protocol v2, as JSON or JSON followed by binary tensors."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from perennial.serving.envelope import JSON_TYPE, Reply
from perennial.serving.errors import RequestRefused
from perennial.serving.predictor import Scores
from perennial.serving.record import Row, dumps
from perennial.serving.request import Request
from perennial.serving.signature import PREDICTION, PREDICTION_ID, PROBABILITY, Signature
from perennial.serving.tensors import encode_tensor

# What Lambda lets out, less room for the envelope around the body.
MAX_REPLY_BYTES = 6 * 1024 * 1024 - 4096

# What prediction ids begin with, the id of row i being `<ids>-<i>`; or the id of each row.
Ids = str | Sequence[str]


class Answer(NamedTuple):
    """Scores, and the same in JSON, a text a row: its prediction, its probabilities without brackets ([] without)."""

    scores: Scores
    predictions: list[str]
    probabilities: list[str]

    def json(self, start: int, stop: int) -> str:
        """The record's outputs (see record.Columns)."""
        predictions = f'{{"{PREDICTION}":[{",".join(self.predictions[start:stop])}]'
        if not self.probabilities:
            return predictions + "}"
        return f'{predictions},"{PROBABILITY}":[[{"],[".join(self.probabilities[start:stop])}]]}}'

    def take(self, rows: Sequence[int]) -> Answer:
        """Some of the rows, in this order; without their scores, which no record has."""
        probabilities = [self.probabilities[row] for row in rows] if self.probabilities else []
        return Answer(Scores([], None), [self.predictions[row] for row in rows], probabilities)


class Answers:
    """Makes inference replies of one model version."""

    def __init__(self, model: str, version: int, signature: Signature) -> None:
        self._head = f'{{"model_name":"{model}","model_version":"{version}",'
        self._classes = signature.classes
        self._labels = [dumps(label) for label in signature.classes or ()]
        # nine digits tell any float32 from its neighbours
        # (a regression's may have nine before the point, after which %#.9g would write no more: no JSON)
        self._numbers = "%.8e" if self._classes is None else ",".join(["%#.9g"] * len(self._classes))
        self._datatypes = {one["name"]: one["datatype"] for one in signature.metadata_outputs()}
        # with gaps for the number of rows and the data
        self._texts = {name: self._form(name, "%d", "%s") for name in self._datatypes}
        self._all = ",".join(self._texts.values())
        # the whole reply to one row, and its outputs in the record
        outputs = [self._form(name, "1", '"%s-0"' if name == PREDICTION_ID else "%s") for name in self._datatypes]
        self._single = f'{self._head}"outputs":[{",".join(outputs)}]}}'
        probability = "" if self._classes is None else f',"{PROBABILITY}":[[%s]]'
        self._recorded = f'{{"{PREDICTION}":[%s]{probability}}}'

    def _form(self, name: str, rows: str, data: str) -> str:
        shape = f"[{rows},{len(self._labels)}]" if name == PROBABILITY else f"[{rows}]"
        classes = dumps(self._classes).replace("%", "%%")
        parameters = f'"parameters":{{"classes":{classes}}},' if name == PROBABILITY else ""
        datatype = self._datatypes[name]
        return f'{{"name":"{name}","datatype":"{datatype}","shape":{shape},{parameters}"data":[{data}]}}'

    def one(self, scores: Scores, ids: str) -> tuple[Reply, Row]:
        """What `reply` and `answer` make of a single row, all outputs wanted as JSON and no id given: most requests."""
        numbers = self._numbers % tuple(scores.values[0])
        written = (numbers,) if scores.chosen is None else (self._labels[scores.chosen[0]], numbers)
        return _plain(self._single % (*written, ids)), Row(self._recorded % written)

    def answer(self, scores: Scores) -> Answer:
        """Scores written out, once for the reply and the record."""
        form = self._numbers
        numbers = [form % tuple(row) for row in scores.values]
        if scores.chosen is None:
            return Answer(scores, numbers, [])
        labels = self._labels
        return Answer(scores, [labels[index] for index in scores.chosen], numbers)

    def reply(self, request: Request, answer: Answer, ids: Ids, parameters: str = "") -> Reply:
        """The reply to `request`; `parameters` is the JSON object of the reply's own, if it has any.

        Raises RequestRefused when it would be too large.
        """
        head = self._head if request.id is None else f'{self._head}"id":{dumps(request.id)},'
        if parameters:
            head = f'{head}"parameters":{parameters},'
        if request.outputs is not None:
            return self._chosen(head, request.outputs, answer, ids)
        rows = request.rows
        identities = _identities(rows, ids)
        predictions = ",".join(answer.predictions)
        if self._classes is None:
            outputs = self._all % (rows, predictions, rows, identities)
        else:
            outputs = self._all % (rows, predictions, rows, ",".join(answer.probabilities), rows, identities)
        return _plain(f'{head}"outputs":[{outputs}]}}')

    def _chosen(self, head: str, outputs: Sequence[tuple[str, bool]], answer: Answer, ids: Ids) -> Reply:
        rows = len(answer.scores.values)
        parts: list[str] = []
        binaries: list[bytes] = []
        texts = {PREDICTION: answer.predictions, PROBABILITY: answer.probabilities}
        for name, binary in outputs:
            if not binary:
                data = _identities(rows, ids) if name == PREDICTION_ID else ",".join(texts[name])
                parts.append(self._texts[name] % (rows, data))
                continue
            content = encode_tensor(self._datatypes[name], self._values(name, answer.scores, ids))
            binaries.append(content)
            shape = [rows, len(self._labels)] if name == PROBABILITY else [rows]
            parameters: dict[str, Any] = {"binary_data_size": len(content)}
            if name == PROBABILITY:
                parameters["classes"] = self._classes
            output = {"name": name, "datatype": self._datatypes[name], "shape": shape, "parameters": parameters}
            parts.append(dumps(output))
        body = f'{head}"outputs":[{",".join(parts)}]}}'
        return _binary(body, binaries) if binaries else _plain(body)

    def _predictions(self, scores: Scores) -> list[Any]:
        if scores.chosen is None or self._classes is None:
            return [row[0] for row in scores.values]
        return [self._classes[index] for index in scores.chosen]

    def _values(self, name: str, scores: Scores, ids: Ids) -> Sequence[Any]:
        if name == PREDICTION_ID:
            return [f"{ids}-{row}" for row in range(len(scores.values))] if isinstance(ids, str) else ids
        if name == PREDICTION:
            return self._predictions(scores)
        return [value for row in scores.values for value in row]


def _identities(rows: int, ids: Ids) -> str:
    if not isinstance(ids, str):
        return ",".join([f'"{identity}"' for identity in ids])
    return ",".join([f'"{ids}-{row}"' for row in range(rows)])


def _plain(body: str) -> Reply:
    # the body travels as a string within JSON, where a quote takes two bytes
    if len(body) > MAX_REPLY_BYTES // 2 and len(body) + body.count('"') + body.count("\\") > MAX_REPLY_BYTES:
        raise _too_large()
    return {"statusCode": 200, "headers": JSON_TYPE, "body": body, "isBase64Encoded": False}


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
