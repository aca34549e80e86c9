"""The binary form of tensors: little-endian, row-major, no padding; BYTES elements behind their 4-byte length.

Source: the binary tensor data extension of the Open Inference Protocol v2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from perennial.serving.errors import RequestRefused

DTYPES: dict[str, str] = {
    "BOOL": "|b1",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_LENGTH = struct.Struct("<I")


def decode_tensor(name: str, datatype: str, rows: int, content: memoryview) -> list[Any]:
    """The `rows` values in `content` as Python's; NaN, which is how floats say missing in binary, as None.

    Raises RequestRefused when there are more or fewer bytes than the rows take, or text is not UTF-8.
    """
    if datatype == "BYTES":
        return _decode_text(name, rows, content)
    dtype = np.dtype(DTYPES[datatype])
    if len(content) != rows * dtype.itemsize:
        raise RequestRefused(
            f"input {name!r}: {rows} rows of {datatype} take {rows * dtype.itemsize} bytes, "
            f"binary_data_size is {len(content)}"
        )
    if datatype == "BOOL":
        return _decode_booleans(name, content)
    array = np.frombuffer(content, dtype)
    values: list[Any] = array.tolist()
    if dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(array)).tolist():
            values[row] = None
    return values


def encode_tensor(datatype: str, values: Sequence[Any]) -> bytes:
    """Values in binary; text as UTF-8."""
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    return np.array(values, DTYPES[datatype]).tobytes()


def _decode_booleans(name: str, content: memoryview) -> list[Any]:
    for row, byte in enumerate(content):
        if byte > 1:
            raise RequestRefused(f"input {name!r}, row {row}: byte {byte} is not a boolean (0 or 1)")
    return [byte == 1 for byte in content]


def _decode_text(name: str, rows: int, content: memoryview) -> list[Any]:
    values: list[Any] = []
    position, end = 0, len(content)
    while position < end:
        row = len(values)
        if row == rows:
            raise RequestRefused(f"input {name!r}: its binary data holds more than the {rows} rows of its shape")
        start = position + _LENGTH.size
        if start > end or start + (length := _LENGTH.unpack_from(content, position)[0]) > end:
            raise RequestRefused(f"input {name!r}, row {row}: its binary data is cut short")
        try:
            values.append(str(content[start : start + length], "utf-8"))
        except UnicodeDecodeError as error:
            raise RequestRefused(f"input {name!r}, row {row}: its text is not UTF-8") from error
        position = start + length
    if len(values) != rows:
        raise RequestRefused(f"input {name!r}: its binary data holds {len(values)} rows, its shape says {rows}")
    return values
