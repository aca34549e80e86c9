"""Requests that differ from an earlier one in nothing but their values.

A client sends one-row requests from one template: the same bytes around other values. The first such request is read
with all care; what surrounds its values is kept, and later ones with the same surroundings need only their values
parsed and checked, which takes a third of the time: for one row, reading the request otherwise costs as much as the
model does.

It changes no answer: surroundings are compared byte for byte, and a place for a value counts only after two probes have
shown that what stands there is what the tensor's data becomes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.scanner import make_scanner
from typing import Any, NamedTuple

from perennial.serving.inputs import Array, Filler, Input
from perennial.serving.record import Row, dumps
from perennial.serving.request import Outputs, Request

MAX_TEMPLATES = 16
MAX_CHARACTERS = 256 * 1024
# One plain value as the only element of a tensor's data: no escapes, nothing but printable ASCII, so that the token can
# be copied into the record as it is.
_SLOT = re.compile(r'"data": ?\[(-?[0-9][0-9.eE+-]*|"[ !#-\[\]-~]*"|null|true|false)\]')
_decoder = json.JSONDecoder()
_scan = make_scanner(_decoder)  # type: ignore[arg-type]  # it takes a decoder, whatever its stub says


class _Template(NamedTuple):
    fillers: list[Filler]
    columns: str
    feeds: dict[str, Array]
    outputs: Outputs


class PreparedRequests:
    """The templates of one model, learnt from its requests; `inputs` by name."""

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._inputs = inputs
        self._templates: dict[tuple[str, ...], _Template] = {}

    def find(self, text: str) -> Request | None:
        """A one-row request whose template is known, else None.

        Raises RequestRefused for a value that its input does not take.
        """
        if len(text) > MAX_CHARACTERS:
            return None
        parts = _SLOT.split(text)
        template = self._templates.get(tuple(parts[::2]))
        if template is None:
            return None
        tokens = parts[1::2]
        try:
            values = _scan(f"[{','.join(tokens)}]", 0)[0]  # its end is ours: no token holds a bracket bare
        except (ValueError, StopIteration):
            return None  # the careful reader says what is wrong, and where
        for fill, value in zip(template.fillers, values, strict=True):
            fill(value)
        return Request(None, 1, Row(template.columns % tuple(tokens)), template.feeds, template.outputs)

    def learn(self, text: str, outputs: Outputs) -> None:
        """Keep the surroundings of a one-row request that has been read with care and found right."""
        if len(self._templates) >= MAX_TEMPLATES or len(text) > MAX_CHARACTERS:
            return
        parts = _SLOT.split(text)
        surroundings = tuple(parts[::2])
        if len(surroundings) != len(self._inputs) + 1:
            return
        tensors: list[dict[str, Any]] = []
        for probe in (10**6, 2 * 10**6):
            expected = [[probe + index] for index in range(len(self._inputs))]
            filled = "".join(
                part for piece, data in zip(surroundings, expected, strict=False) for part in (piece, f'"data":{data}')
            )
            try:
                tensors = _decoder.decode(filled + surroundings[-1])["inputs"]
            except ValueError:
                return
            if [tensor["data"] for tensor in tensors] != expected:
                return
        specs = [self._inputs[tensor["name"]] for tensor in tensors]
        fillers = [spec.filler(tensor["datatype"]) for spec, tensor in zip(specs, tensors, strict=True)]
        columns = ",".join(dumps(spec.name).replace("%", "%%") + ":[%s]" for spec in specs)
        feeds = {spec.tensor: spec.cell for spec in specs}
        self._templates[surroundings] = _Template(fillers, f"{{{columns}}}", feeds, outputs)
