"""What a request comes to, however it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perennial.serving.inputs import Array
from perennial.serving.record import Columns

Outputs = Sequence[tuple[str, bool]] | None


class Request(NamedTuple):
    """A request that the model can answer.

    `columns` are the values as sent (null for missing); `feeds` the same as the graph takes them, those of a single row
    valid until the next request is read; `outputs` the wanted outputs, each with whether it is to travel in binary, or
    None for all of them as JSON. `id` is the caller's own.
    """

    id: str | None
    rows: int
    columns: Columns
    feeds: dict[str, Array]
    outputs: Outputs
