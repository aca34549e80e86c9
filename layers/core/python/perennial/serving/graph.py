"""Look into an ONNX file without the onnx package: does the graph refer to data outside itself?

A tensor may name a file (or, to onnxruntime, a memory address) as the place of its data. A served graph may not: the
manifest vouches for the bytes of the graph, not for what it would read. Source: onnx.proto, protobuf's wire format.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.errors import BundleInvalid

# The messages of onnx.proto on the way to a tensor: field number → message.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA = 13
_DATA_LOCATION = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100


def refuse_external_data(content: bytes) -> None:
    """Raises BundleInvalid when a tensor of the graph in `content` lies outside the file, or the file is no protobuf.

    onnxruntime takes the place of external data from an entry whose key is `location`; a file without these bytes has
    none, and is spared the walk (about 1 µs per field).
    """
    if b"location" in content:
        _walk(memoryview(content), "model", 0)


def _walk(content: memoryview, message: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BundleInvalid("model.onnx: graphs are nested too deeply")
    children = _FIELDS[message]
    for field, value in _fields(content):
        if message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            raise BundleInvalid("model.onnx: a tensor's data lies outside the file")
        if field in children:
            if isinstance(value, int):
                raise BundleInvalid("model.onnx: is no ONNX file")
            _walk(value, children[field], depth + 1)


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    position, end = 0, len(content)
    while position < end:
        tag, position = _varint(content, position)
        tag &= 0xFFFFFFFF  # as protobuf reads it: what overflows 32 bits is dropped
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(content, position)
            yield field, value
            continue
        if wire == _BYTES:
            size, position = _varint(content, position)
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
        else:
            raise BundleInvalid("model.onnx: is no ONNX file")
        if position + size > end:
            raise BundleInvalid("model.onnx: is cut short")
        yield field, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(content) and shift < 70:
        byte = content[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise BundleInvalid("model.onnx: is cut short")
