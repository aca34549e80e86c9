"""How two versions differ on the same rows: how far, how often, which decisions change, and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from perennial.experiments.replay import Pairs
from perennial.serving.inputs import Array
from perennial.serving.signature import Signature

# Differences that are counted, in probability; for a regression, in standard deviations of what was served.
THRESHOLDS = (0.01, 0.05, 0.1, 0.25)
BINS = 10
WORST = 10
SLICES = 12


@dataclass(frozen=True)
class Worst:
    """A row that the two versions judge most differently."""

    prediction_id: str
    served: float
    replayed: float
    difference: float


@dataclass(frozen=True)
class Slice:
    """The rows with one value of a column; the last slice (value None, `rest`) is of all others."""

    value: Any
    rest: bool
    rows: int
    mean_difference: float
    served: float
    replayed: float
    flips: int | None


@dataclass(frozen=True)
class Differences:
    """The report. A row's score is the probability of the second class (of the likeliest, among more than two), or the
    predicted value; its difference that of the scores, or the largest of any class's probability; absolute.

    `beyond` are shares of rows by threshold, `unit` what a threshold of 1 is. `flips` counts rows whose class changes
    (None for a regression), `changes` names from and to. `histogram` counts scores between `edges`; what lies outside
    is in the outermost ones.
    """

    rows: int
    served: float
    replayed: float
    mean: float
    quantiles: dict[str, float]
    unit: float
    beyond: dict[str, float]
    flips: int | None
    changes: list[tuple[Any, Any, int]]
    edges: list[float]
    histogram: dict[str, list[int]]
    worst: list[Worst]
    slices: list[Slice]

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return asdict(self)


def differences(pairs: Pairs, signature: Signature) -> Differences | None:
    """The report on the rows that both versions answered; None when there is none."""
    if not pairs.ids:
        return None
    served, replayed = _scores(pairs.served, signature), _scores(pairs.replayed, signature)
    apart = np.abs(pairs.replayed - pairs.served).max(axis=1)
    unit = 1.0 if signature.classes else float(served.std())
    edges = _edges(served, probabilities=signature.classes is not None)
    before, after = pairs.served.argmax(axis=1), pairs.replayed.argmax(axis=1)
    flipped = before != after if signature.classes else None
    order = np.lexsort((np.arange(len(apart)), -apart))[:WORST]
    return Differences(
        rows=len(apart),
        served=float(served.mean()),
        replayed=float(replayed.mean()),
        mean=float(apart.mean()),
        quantiles={f"{level:g}": float(np.quantile(apart, level)) for level in (0.5, 0.95, 0.99, 1)},
        unit=unit,
        beyond={f"{threshold:g}": float((apart > threshold * unit).mean()) for threshold in THRESHOLDS},
        flips=None if flipped is None else int(flipped.sum()),
        changes=_changes(before, after, signature),
        edges=edges.tolist(),
        histogram={"served": _counts(served, edges), "replayed": _counts(replayed, edges)},
        worst=[Worst(pairs.ids[row], float(served[row]), float(replayed[row]), float(apart[row])) for row in order],
        slices=_slices(pairs.groups, served, replayed, apart, flipped),
    )


def _scores(answers: Array, signature: Signature) -> Array:
    if signature.classes is None:
        return answers[:, 0]
    column: Array = answers[:, 1] if len(signature.classes) == 2 else answers.max(axis=1)
    return column


def _edges(served: Array, *, probabilities: bool) -> Array:
    low, high = (0.0, 1.0) if probabilities else (float(served.min()), float(served.max()))
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _counts(scores: Array, edges: Array) -> list[int]:
    found: list[int] = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0].tolist()
    return found


def _changes(before: Array, after: Array, signature: Signature) -> list[tuple[Any, Any, int]]:
    """Which class became which, the most frequent change first."""
    classes = signature.classes or ()
    pairs = zip(before.tolist(), after.tolist(), strict=True) if classes else ()
    counted = Counter(pair for pair in pairs if pair[0] != pair[1])
    return [(classes[old], classes[new], count) for (old, new), count in counted.most_common(WORST)]


def _slices(groups: list[Any], served: Array, replayed: Array, apart: Array, flipped: Array | None) -> list[Slice]:
    """The most frequent values, then the rest of the rows."""
    names = [value for value, _ in Counter(groups).most_common(SLICES)]
    index = {value: number for number, value in enumerate(names)}
    of = np.array([index.get(value, len(names)) for value in groups], np.int64)
    found = []
    for number in range(len(names) + 1):
        rows = of == number
        if rows.any():
            found.append(
                Slice(
                    value=names[number] if number < len(names) else None,
                    rest=number == len(names),
                    rows=int(rows.sum()),
                    mean_difference=float(apart[rows].mean()),
                    served=float(served[rows].mean()),
                    replayed=float(replayed[rows].mean()),
                    flips=None if flipped is None else int(flipped[rows].sum()),
                )
            )
    return found
