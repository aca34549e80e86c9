"""The grid on which all versions of a dataset are counted: made by the first version of MIN_ROWS rows, and kept beside
the profiles.

Its edges and labels come from the values that were there, not from the contract's bounds, which are far wider than what
occurs (a delay of -180 to 2,880 minutes): nearly all rows would share two bins. No pyarrow here.
"""

from __future__ import annotations

import hashlib

from perennial.catalog.contract import Contract
from perennial.monitoring.grid import Grid, Kind
from perennial.storage.objects import Objects, canonical_json

# Fewer rows make no edges that later versions could be counted by.
MIN_ROWS = 500
_TIMES = ("date", "timestamp")
_KINDS: dict[str, Kind] = {"string": "category", "boolean": "boolean"}


def kinds_of(contract: Contract) -> dict[str, Kind]:
    """How each column of a contract is counted."""
    return {column.name: _KINDS.get(column.type, "number") for column in contract.columns}


def times_of(contract: Contract) -> frozenset[str]:
    """The columns that hold dates or instants."""
    return frozenset(column.name for column in contract.columns if column.type in _TIMES)


def find_grid(data: Objects, contract: Contract) -> Grid | None:
    """The grid for rows under this contract; None as long as no version has made it."""
    found = data.find_json(_first_key(contract))
    if found is None or _fits(grid := Grid.from_json(found), contract):
        return None if found is None else grid
    later = data.find_json(_later_key(contract))
    return None if later is None else Grid.from_json(later)


def keep_grid(data: Objects, contract: Contract, made: Grid) -> Grid:
    """Store the grid that a version made; the one that holds, which is another version's when that was quicker."""
    body = canonical_json(made.to_json())
    first = _first_key(contract)
    if data.create(first, body):
        return made
    if not _fits(Grid.from_json(data.get_json(first)), contract):
        data.create(_later_key(contract), body)
    held = find_grid(data, contract)
    return made if held is None else held


def _fits(grid: Grid, contract: Contract) -> bool:
    kinds, times = kinds_of(contract), times_of(contract)
    asked = [(name, kind, name in times) for name, kind in kinds.items()]
    return [(column.name, column.kind, column.temporal) for column in grid.columns] == asked


def _first_key(contract: Contract) -> str:
    return f"profiles/{contract.name}/grid.json"


def _later_key(contract: Contract) -> str:
    """Of a contract whose columns are no longer those that the first version had."""
    columns = [(column.name, column.type) for column in contract.columns]
    return f"profiles/{contract.name}/grid-{hashlib.sha256(canonical_json(columns)).hexdigest()[:12]}.json"
