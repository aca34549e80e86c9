"""Protobuf's wire format, as far as reading it takes: fields of a message, and numbers.

Source: https://protobuf.dev/programming-guides/encoding/. Groups, which ONNX has none of, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SHORT = b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(32))
# Runs of an attribute's floats and texts (fields 7 and 9 of AttributeProto, one field each), and of integers (8) beyond
# any shape: most of a tree ensemble, and nothing that has to be looked at.
NUMBERS = re.compile(
    rb"(?:\x3d.{4})++|(?:\x40[\x80-\xff]{0,9}[\x00-\x7f]){17,}+|(?:\x4a(?:" + _SHORT + rb"))++", re.DOTALL
)


class WireInvalid(ValueError):
    """The bytes are not protobuf's."""


def fields(content: memoryview, skipped: re.Pattern[bytes] | None = None) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: bytes of what has a length or a fixed size, the number of a varint.

    What `skipped` matches from the beginning of a field on is passed over. Raises WireInvalid.
    """
    position, end = 0, len(content)
    while position < end:
        if skipped is not None and (run := skipped.match(content, position)) is not None:
            position = run.end()
            continue
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
            raise WireInvalid("is no ONNX file")
        if position + size > end:
            raise WireInvalid("is cut short")
        yield field, content[position : position + size]
        position += size


def varints(content: memoryview) -> list[int]:
    """The numbers of a packed field. Raises WireInvalid."""
    found, position = [], 0
    while position < len(content):
        value, position = _varint(content, position)
        found.append(value)
    return found


def signed(value: int) -> int:
    """The int64 that a varint stands for."""
    return value - 2**64 if value >= 2**63 else value


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(content) and shift < 70:
        byte = content[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise WireInvalid("is cut short")
