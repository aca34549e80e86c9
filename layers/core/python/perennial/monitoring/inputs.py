"""Parts `quality` and `drift` of a window: the champion's rows beside the rows that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perennial.evaluation.blocks import Array
from perennial.monitoring.drift import detect
from perennial.monitoring.grid import Grid
from perennial.monitoring.profile import Profile, profile
from perennial.monitoring.quality import check_quality
from perennial.monitoring.rows import Chosen, Classes
from perennial.monitoring.scores import score_columns


def compare(
    reference: Profile,
    chosen: Chosen,
    task: str,
    classes: Classes,
    alpha: float,
    allowance: Mapping[str, float] | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Parts `drift` and `quality.findings` of the rows, by the grid of the reference; numbers bring their edges.

    `allowance`: see drift.detect.
    """
    window = profile(reference.grid, chosen.days, columns_of(reference.grid, chosen, task, classes))
    drift = detect(reference, window, alpha=alpha, allowance=allowance).to_json()
    for column in drift["columns"]:
        column["bins"]["edges"] = list(reference.grid.by_name[column["name"]].edges)
    return drift, [found.to_json() for found in check_quality(reference, window)]


def columns_of(grid: Grid, chosen: Chosen, task: str, classes: Classes) -> dict[str, Array]:
    """The columns of the grid as it takes them; one that the rows lack is missing in all of them."""
    found = score_columns(task, chosen.answers(len(classes or (0,))), classes)
    for column in grid.columns:
        if column.name not in found:
            textual = column.kind == "category"
            found[column.name] = chosen.texts(column.name) if textual else chosen.numbers(column.name)
    return found
