"""How large may a tensor be that a graph makes out of a few numbers? Asked before any of it is run.

Some operators give as many elements as one of their inputs says, not as many as they take. They pass where those
numbers stand in the file, or come from the shape of a tensor that is there: a row of a request more is an element more,
or a few. Everything else that computes a size is refused: a training writes nothing of the kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from perennial.errors import BundleInvalid

# 128 MiB of float32, the size of a bundle
MAX_ELEMENTS = 2**25
# What may stand beside one size that a request determines: twice as many as a model has features.
MAX_BESIDE = 4096
# Operators whose output has the size that some of their inputs hold: which ones.
_SIZED = {b"ConstantOfShape": (0,), b"Expand": (1,), b"Tile": (1,), b"OneHot": (1,), b"Pad": (1,), b"Range": (0, 1, 2)}
# Those where the sizes are factors of one more size, or added to it: they must stand in the file.
_ONLY_STATED = {b"Tile", b"OneHot", b"Pad"}
# Operators that pass on the numbers of their first input, all or some of them.
_CARRIES = {b"Identity", b"Cast", b"Squeeze", b"Unsqueeze", b"Reshape", b"Slice"}
# What else makes much out of little, or goes on as long as a number says; no model of tables needs it.
_REFUSED = frozenset(
    b"Resize Upsample Loop RandomNormal RandomUniform RandomNormalLike RandomUniformLike Multinomial Bernoulli "
    b"HannWindow HammingWindow BlackmanWindow MelWeightMatrix DFT STFT AffineGrid CenterCropPad Col2Im MaxUnpool "
    b"ConvTranspose ImageDecoder".split()
)
_DEEPEST = 32


class _Bound(NamedTuple):
    """A few numbers: how many of them a request determines, and the product of the others (each at least 1)."""

    open: int
    stated: int


class Sizes:
    """What a graph says of sizes, gathered in one walk in any order, and judged after it."""

    def __init__(self) -> None:
        # a name may stand in several graphs: whatever it may be counts
        self._stated: dict[bytes, list[list[int] | None]] = defaultdict(list)
        self._made: dict[bytes, list[tuple[bytes, list[bytes]]]] = defaultdict(list)
        self._asked: list[tuple[bytes, list[bytes]]] = []

    def stated(self, name: bytes, numbers: list[int] | None) -> None:
        """A tensor of this name stands in the file, with these numbers; None for others than a few integers."""
        self._stated[name].append(numbers)

    def node(self, operator: bytes, inputs: list[bytes], outputs: Sequence[bytes]) -> None:
        """A node, but for constants. Raises BundleInvalid for an operator that is not served."""
        if operator in _REFUSED:
            raise BundleInvalid(
                f"model.onnx: operator {operator.decode()} makes tensors of any size, and is not served"
            )
        for output in outputs:
            self._made[output].append((operator, inputs))
        if operator in _SIZED:
            self._asked.append((operator, inputs))

    def check(self) -> None:
        """Raises BundleInvalid for an operator whose output may be larger than what is there.

        Tensors whose size is another's times a stated number may be of each other's sizes: all such numbers are
        multiplied, as one after the other would be.
        """
        times = most = 1
        for operator, inputs in self._asked:
            places = _SIZED[operator]
            found = [self._bound(inputs[place]) if place < len(inputs) else None for place in places]
            known = [bound for bound in found if bound is not None]
            opened, stated = sum(bound.open for bound in known), prod(bound.stated for bound in known)
            if operator == b"Range":  # as far as from the one number to the other
                stated = max((bound.stated for bound in known), default=0)
            if len(known) < len(places) or opened > (0 if operator in _ONLY_STATED else 1):
                raise BundleInvalid(f"model.onnx: {operator.decode()} makes as many elements as the graph computes")
            if stated > (MAX_BESIDE if opened and operator != b"Range" else MAX_ELEMENTS):
                told = f"{stated:,} elements" + (" for each row" if opened else "")
                raise BundleInvalid(f"model.onnx: {operator.decode()} makes {told} out of nothing")
            if operator != b"Range":
                times, most = (times * stated, most) if opened else (times, max(most, stated))
        if times > 1 and times * most > MAX_ELEMENTS:
            raise BundleInvalid(f"model.onnx: sizes grow by {times * most:,} from one tensor to the next")

    def _bound(self, name: bytes, depth: int = 0) -> _Bound | None:
        """The largest that the numbers of this name may be; None when that is anything."""
        if depth > _DEEPEST:
            return None
        found = [None if one is None else _Bound(0, _product(one)) for one in self._stated.get(name, ())]
        found += [self._of_node(operator, inputs, depth + 1) for operator, inputs in self._made.get(name, ())]
        known = [one for one in found if one is not None]
        if not found or len(known) < len(found):
            return None
        return _Bound(max(one.open for one in known), max(one.stated for one in known))

    def _of_node(self, operator: bytes, inputs: list[bytes], depth: int) -> _Bound | None:
        if operator == b"Shape":
            return _Bound(1, 1)  # as large as a tensor that is there
        if operator == b"Concat":
            parts = [self._bound(name, depth) for name in inputs]
            known = [part for part in parts if part is not None]
            whole = _Bound(sum(part.open for part in known), prod(part.stated for part in known))
            return whole if len(known) == len(parts) else None
        if not inputs or (operator not in _CARRIES and operator != b"Gather"):
            return None
        if operator == b"Gather" and not (len(inputs) > 1 and self._picks_one(inputs[1])):
            return None  # one size many times
        return self._bound(inputs[0], depth)

    def _picks_one(self, name: bytes) -> bool:
        stated = self._stated.get(name, [])
        return name not in self._made and bool(stated) and all(one is not None and len(one) == 1 for one in stated)


def _product(numbers: list[int]) -> int:
    return prod(max(1, abs(number)) for number in numbers)
