"""An outcome as a label: what metrics compare answers with."""

from __future__ import annotations

from typing import Any

from perennial.catalog.model import ModelSpec


def label_of(outcome: Any, spec: ModelSpec, classes: tuple[Any, ...] | None) -> float | None:
    """The outcome as evaluation.metrics has labels: a class's place (−1: training never saw it), or the value.

    `classes` are those of the version that answered, None for a regression. None for what is no label of the model.
    """
    number = isinstance(outcome, int | float) and not isinstance(outcome, bool)
    if spec.label.above is not None or classes is None:
        if not number:
            return None
        return float(outcome) if spec.label.above is None else float(outcome > spec.label.above)
    return float(classes.index(outcome)) if outcome in classes else -1.0
