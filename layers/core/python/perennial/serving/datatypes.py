"""What a request may hold: datatypes, ranges of their values, limits. Read where there is no numpy, too."""

from __future__ import annotations

MAX_ROWS = 50_000
MAX_ID = 256
MAX_TEXT = 10_000

_FLOAT32 = 3.4028234663852886e38  # the largest
_FLOAT16 = 65504.0
INTEGERS = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
FLOATS = frozenset({"FP16", "FP32", "FP64"})
# What a value of a datatype may be. The graph computes in float32: what does not fit is refused, not made infinite.
RANGES: dict[str, tuple[float, float]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "FP16": (-_FLOAT16, _FLOAT16),
    "FP32": (-_FLOAT32, _FLOAT32),
    "FP64": (-_FLOAT32, _FLOAT32),
}
# By the datatype in the signature: those that its tensor may arrive in.
ACCEPTED: dict[str, frozenset[str]] = {
    "FP64": FLOATS | INTEGERS,
    "INT64": FLOATS | INTEGERS,  # a whole number is one in either notation: pandas makes FP64 of integers with nulls
    "BOOL": frozenset({"BOOL"}),
    "BYTES": frozenset({"BYTES"}),
}
