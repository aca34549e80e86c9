"""Shadow: recorded predictions through another version of the model, beside what was served.

A replay runs where it is asked for, on what the prediction log holds, so it can neither slow nor fail a caller's
request; nor can it see what the log does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perennial.serving.errors import ModelFault, RequestRefused
from perennial.serving.inputs import Array, Input
from perennial.serving.log import SHORTENED
from perennial.serving.predictor import Predictor
from perennial.serving.signature import PREDICTION, PROBABILITY, Signature

Record = Mapping[str, Any]

OTHER_ANSWERS = "served with another task or other classes"
FAULT = "the version's graph fails"


@dataclass(frozen=True)
class Pairs:
    """The n rows that both versions answered: float64 [n, k] each (probabilities by class, or the one value).

    `ids` are prediction ids, `groups` the values of the column that the report is sliced by (empty without one).
    """

    served: Array
    replayed: Array
    ids: list[str]
    groups: list[Any]


@dataclass
class Replay:
    """Takes records of the prediction log one by one; `signature_of` knows the signature of any version that served."""

    predictor: Predictor
    signature_of: Callable[[int], Signature]
    by: str | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    served_by: Counter[int] = field(default_factory=Counter)
    _parts: list[Pairs] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Replay the rows of one record; those that cannot be are counted by reason."""
        rows, inputs = int(record["rows"]), record["inputs"]
        served, own = self.signature_of(int(record["version"])), self.predictor.signature
        self.served_by[int(record["version"])] += rows
        if inputs is None:
            self.skipped[SHORTENED] += rows
            return
        if (served.task, served.metadata_outputs()) != (own.task, own.metadata_outputs()):
            self.skipped[OTHER_ANSWERS] += rows
            return
        absent = next((one.name for one in self.predictor.inputs if one.name not in inputs), None)
        if absent is not None:
            self.skipped[f"the record has no input {absent!r}"] += rows
            return
        kept, feeds = self._feeds(inputs, rows)
        if not kept:
            return
        try:
            scores = self.predictor.score(feeds, len(kept))
        except ModelFault:
            self.skipped[FAULT] += len(kept)
            return
        groups = inputs.get(self.by) or [None] * rows if self.by is not None else []
        self._parts.append(
            Pairs(
                served=_answers(record["outputs"])[kept],
                replayed=np.array(scores.values, np.float64),
                ids=[f"{record['ids']}-{int(record['first']) + row}" for row in kept],
                groups=[groups[row] for row in kept] if groups else [],
            )
        )

    def pairs(self) -> Pairs:
        """All rows so far that both answered."""
        width = len(self.predictor.signature.classes or (0,))
        empty = np.empty((0, width))
        return Pairs(
            served=np.concatenate([empty, *(part.served for part in self._parts)]),
            replayed=np.concatenate([empty, *(part.replayed for part in self._parts)]),
            ids=[one for part in self._parts for one in part.ids],
            groups=[one for part in self._parts for one in part.groups],
        )

    def _feeds(self, inputs: Mapping[str, Sequence[Any]], rows: int) -> tuple[list[int], dict[str, Array]]:
        """The rows whose values the version takes, and their columns as its graph takes them."""
        kept = list(range(rows))
        try:
            return kept, {one.tensor: one.many(inputs[one.name], one.datatype) for one in self.predictor.inputs}
        except RequestRefused:
            kept = [row for row in kept if self._takes(inputs, row)]
        columns = {one: [inputs[one.name][row] for row in kept] for one in self.predictor.inputs}
        return kept, {one.tensor: one.many(values, one.datatype) for one, values in columns.items()} if kept else {}

    def _takes(self, inputs: Mapping[str, Sequence[Any]], row: int) -> bool:
        for one in self.predictor.inputs:
            if not _accepted(one, inputs[one.name][row]):
                self.skipped[f"the version refuses the value of input {one.name!r}"] += 1
                return False
        return True


def _accepted(one: Input, value: Any) -> bool:
    try:
        one.many([value], one.datatype)
    except RequestRefused:
        return False
    return True


def _answers(outputs: Mapping[str, Any]) -> Array:
    """What was served, float64 [n, k]."""
    if PROBABILITY in outputs:
        return np.array(outputs[PROBABILITY], np.float64)
    return np.array(outputs[PREDICTION], np.float64).reshape(-1, 1)
