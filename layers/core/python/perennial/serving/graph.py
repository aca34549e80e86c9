"""Look into an ONNX file without the onnx package, before onnxruntime reads it: may its graph be served?

The manifest vouches for the bytes of the graph, not for what they ask of a parser. Refused is what refers to data
outside the file (a tensor may name a file or, to onnxruntime, a memory address), what is no ONNX of the versions and
operators that are served, and what would take memory out of all proportion to the file (sizes.py). Sources: onnx.proto,
protobuf's wire format, https://onnxruntime.ai/docs/reference/compatibility.html.
"""

from __future__ import annotations

from math import prod
from typing import NoReturn

from perennial.errors import BundleInvalid
from perennial.serving.sizes import MAX_ELEMENTS, Sizes
from perennial.serving.wire import NUMBERS, WireInvalid, fields, signed, varints

# What the locked onnxruntime runs; the oldest opset that its reduced operators go back to.
IR_VERSIONS = range(3, 15)
OPSETS = {b"": range(7, 29), b"ai.onnx": range(7, 29), b"ai.onnx.ml": range(1, 6)}
MAX_NODES = 100_000
MAX_DEPTH = 8
_INT64 = 7
_MAX_RANK = 16

Field = memoryview | int


def check_graph(content: bytes) -> None:
    """Raises BundleInvalid, saying what is wrong, for a graph that may not be served.

    Costs about 1 µs per field of the file; runs of numbers, most of a tree ensemble, are passed over at once.
    """
    try:
        _Walk().model(memoryview(content))
    except WireInvalid as error:
        _refuse(str(error))


class _Walk:
    """One walk from the model down to its tensors."""

    def __init__(self) -> None:
        self._nodes = 0
        self._sizes = Sizes()

    def model(self, content: memoryview) -> None:
        """ModelProto."""
        seen: set[int] = set()
        for field, value in fields(content):
            match field:
                case 1:
                    if value not in IR_VERSIONS:
                        _refuse(f"IR version {_told(value)} is none of {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}")
                case 7:
                    self._graph(_message(value), 1)
                case 8:
                    _check_opset(_message(value))
                case 20:
                    _refuse("holds a graph for training")
                case 25:
                    _refuse("defines functions of its own")
            if field in seen and field == 7:
                _refuse("has two graphs")
            seen.add(field)
        for field, what in ((1, "IR version"), (7, "graph"), (8, "opset")):
            if field not in seen:
                _refuse(f"has no {what}")
        self._sizes.check()

    def _graph(self, content: memoryview, depth: int) -> None:
        if depth > MAX_DEPTH:
            _refuse("graphs are nested too deeply")
        for field, value in fields(content):
            match field:
                case 1:
                    self._node(_message(value), depth)
                case 5:
                    self._sizes.stated(*self._tensor(_message(value)))
                case 11:
                    self._sizes.stated(_check_value(_message(value)), None)  # whatever a caller says
                case 12 | 13:
                    _check_value(_message(value))
                case 15:
                    self._sparse(_message(value))

    def _node(self, content: memoryview, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(f"has more than {MAX_NODES:,} nodes")
        inputs: list[bytes] = []
        outputs: list[bytes] = []
        operator = domain = b""
        stated: list[list[int] | None] = []
        for field, value in fields(content):
            match field:
                case 1:
                    inputs.append(bytes(_message(value)))
                case 2:
                    outputs.append(bytes(_message(value)))
                case 4:
                    operator = bytes(_message(value))
                case 5:
                    stated.append(self._attribute(_message(value), depth))
                case 7:
                    domain = bytes(_message(value))
        if domain not in OPSETS:
            _refuse(f"operator {_text(operator)} is of domain {_text(domain)}, which is not served")
        if operator != b"Constant":
            self._sizes.node(operator, inputs, outputs)
        elif outputs:
            self._sizes.stated(outputs[0], stated[0] if len(stated) == 1 else None)

    def _attribute(self, content: memoryview, depth: int) -> list[int] | None:
        """What the attribute holds, when that is a few integers."""
        seen = 0
        tensor: list[int] | None = None
        integers: list[int] = []
        for field, value in fields(content, NUMBERS):
            match field:
                case 3 if isinstance(value, int):
                    integers.append(value)
                case 5 | 10:
                    _, tensor = self._tensor(_message(value))
                case 6 | 11:
                    self._graph(_message(value), depth + 1)
                case 22 | 23:
                    self._sparse(_message(value))
                case 8 if len(integers) <= _MAX_RANK:
                    integers += varints(value) if isinstance(value, memoryview) else [value]
            seen += field in (5, 6, 22)
        if seen > 1:
            _refuse("an attribute has two values")
        return _few(integers) if tensor is None and integers else tensor

    def _sparse(self, content: memoryview) -> None:
        dims: list[int] = []
        for field, value in fields(content):
            match field:
                case 1 | 2:
                    self._tensor(_message(value))
                case 3:
                    dims += varints(value) if isinstance(value, memoryview) else [value]
        _check_shape(dims, MAX_ELEMENTS)

    def _tensor(self, content: memoryview) -> tuple[bytes, list[int] | None]:
        """The tensor's name, and its values when it is a few integers."""
        dims: list[int] = []
        integers: list[int] = []
        name, datatype = b"", 0
        for field, value in fields(content):
            match field:
                case 1:
                    dims += varints(value) if isinstance(value, memoryview) else [value]
                case 2 if isinstance(value, int):
                    datatype = value
                case 7 if len(content) < 1024:
                    integers += varints(value) if isinstance(value, memoryview) else [value]
                case 8:
                    name = bytes(_message(value))
                case 9 if len(content) < 1024:
                    raw = bytes(_message(value))
                    integers += [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
                case 13:
                    _refuse("a tensor's data lies outside the file")
                case 14 if value != 0:
                    _refuse("a tensor's data lies outside the file")
        # four bits are the smallest element
        _check_shape(dims, 2 * len(content))
        return name, _few(integers) if datatype == _INT64 and len(integers) == prod(dims) else None


def _few(integers: list[int]) -> list[int] | None:
    return [signed(value) for value in integers] if len(integers) <= _MAX_RANK else None


def _check_opset(content: memoryview) -> None:
    domain, version = b"", 0
    for field, value in fields(content):
        if field == 1:
            domain = bytes(_message(value))
        elif field == 2 and isinstance(value, int):
            version = value
    if domain not in OPSETS:
        _refuse(f"it needs operators of domain {_text(domain)}, which is not served")
    if version not in OPSETS[domain]:
        known = OPSETS[domain]
        _refuse(f"opset {version} of domain {_text(domain)} is none of {known[0]} to {known[-1]}")


def _check_value(content: memoryview) -> bytes:
    """The shape in ValueInfoProto → TypeProto → Tensor → TensorShapeProto → Dimension; the name beside it."""
    names = [bytes(_message(value)) for field, value in fields(content) if field == 1]
    places = [content]
    for way in (2, 1, 2, 1):
        places = [_message(value) for place in places for field, value in fields(place) if field == way]
    dims = [value for place in places for field, value in fields(place) if field == 1 and isinstance(value, int)]
    _check_shape(dims, MAX_ELEMENTS)
    return names[-1] if names else b""


def _check_shape(dims: list[int], elements: int) -> None:
    told = [signed(size) for size in dims[:_MAX_RANK]]
    if len(dims) > _MAX_RANK:
        _refuse(f"a shape has {len(dims)} dimensions")
    if any(size < 0 for size in told):
        _refuse(f"the shape {told} is negative")
    if max(prod(told), *told, 0) > elements:
        _refuse(f"the shape {told} is larger than what is there")


def _message(value: Field) -> memoryview:
    if isinstance(value, int):
        raise WireInvalid("is no ONNX file")
    return value


def _told(value: Field) -> str:
    return str(value) if isinstance(value, int) else "(no number)"


def _text(name: bytes) -> str:
    return repr(name[:100].decode("utf-8", "replace"))


def _refuse(reason: str) -> NoReturn:
    raise BundleInvalid(f"model.onnx: {reason}")
