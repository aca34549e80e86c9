"""Arrow arrays seen from numpy, mostly without a copy.

Arrow's own conversions import pandas where it is installed (0.2 s and 60 MB); those here do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

_FIXED = {"double": "f8", "float": "f4", "halffloat": "f2"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def ordinals(typed: pa.Array) -> pa.Array:
    """Dates and timestamps as the integers they are kept as; other arrays as they are. No copy."""
    if pa.types.is_timestamp(typed.type):
        return typed.view(pa.int64())
    return typed.view(pa.int32()) if pa.types.is_date32(typed.type) else typed


def values_of(typed: pa.Array) -> npt.NDArray[Any]:
    """The values of an array of fixed width, null slots included as they come. No copy."""
    plain = ordinals(typed)
    if not len(plain):
        return np.zeros(0, dtype=np.dtype(_FIXED[str(plain.type)]))
    values = np.frombuffer(plain.buffers()[1], dtype=_FIXED[str(plain.type)], count=len(plain) + plain.offset)
    return values[plain.offset :]


def mask_of(booleans: pa.BooleanArray) -> Mask:
    """Booleans without nulls as a numpy mask; to_numpy would import pandas where it is installed."""
    count = booleans.offset + len(booleans)
    packed = np.frombuffer(booleans.buffers()[1] or b"", dtype=np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little")[booleans.offset :].astype(np.bool_)


def text_buffers(column: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Offsets (one more than there are texts, from 0) and bytes of an array of texts. No copy of the bytes."""
    if not len(column):
        return np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.uint8)
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32, count=column.offset + len(column) + 1)[column.offset :]
    if data is None:
        return ends, np.zeros(0, dtype=np.uint8)
    return ends - ends[0], np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]]


def to_text(array: pa.Array) -> pa.Array:
    """Any array as readable text; timestamps in UTC without asking for a time zone database, which Lambda lacks."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type) and array.type.tz:
        naive = array.view(pa.int64()).view(pa.timestamp(array.type.unit)).cast(pa.string())
        return pc.binary_join_element_wise(naive, *array_of(["Z", ""], pa.string()))
    try:
        return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # bytes that are no UTF-8, nested values
        return pa.array([None if value is None else repr(value) for value in array.to_pylist()], pa.string())


def array_of(values: Any, kind: pa.DataType) -> pa.Array:
    """A few values, or a numpy array, as Arrow; pa.array would import pandas where it is installed (0.2 s)."""
    if pa.types.is_string(kind):
        bodies = [value.encode() for value in values]
        ends = np.cumsum([0, *map(len, bodies)], dtype=np.int32)
        return pa.StringArray.from_buffers(len(bodies), pa.py_buffer(ends), pa.py_buffer(b"".join(bodies)))
    if pa.types.is_boolean(kind):
        return pa.array(values, kind)
    plain = np.ascontiguousarray(values, dtype=_FIXED[str(kind)])
    return pa.Array.from_buffers(kind, len(plain), [None, pa.py_buffer(plain)])
