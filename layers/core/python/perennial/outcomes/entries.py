"""The entries of a feedback request: the same rules as for the rows of a file, but all of them or none.

{"outcomes": [{"prediction_id": "…", "outcome": true, "amount": 9.5, "at": "2024-05-01T12:00:00Z"},
              {"entity": {"customer": "…"}, "event_time": "…", "outcome": false}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perennial.catalog.contract import Contract
from perennial.catalog.model import ModelSpec
from perennial.datasets.refusal import Refusal
from perennial.datasets.sift import sift
from perennial.outcomes.limits import MAX_ENTRIES
from perennial.outcomes.record import Outcome
from perennial.outcomes.table import outcome_contract, outcomes_of
from perennial.serving.errors import RequestRefused

# Problems told in one reply
_SHOWN = 5

Rows = list[tuple[int, dict[str, Any]]]


def read_entries(body: dict[str, Any], spec: ModelSpec, dataset: Contract, received_at: datetime) -> list[Outcome]:
    """The outcomes in a request's body. Raises RequestRefused naming entry, member and rule; then none is to count."""
    entries = body.get("outcomes")
    if extra := sorted(set(body) - {"outcomes"}):
        raise RequestRefused(f'unexpected member {extra[0][:100]!r}; the body is {{"outcomes": [...]}}')
    if not isinstance(entries, list) or not entries:
        raise RequestRefused("outcomes must be a list of at least one outcome")
    if len(entries) > MAX_ENTRIES:
        raise RequestRefused(f"{len(entries):,} outcomes; send at most {MAX_ENTRIES:,}, or drop a file", 413)
    by_id: Rows = []
    by_entity: Rows = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise RequestRefused(f"outcomes[{place}]: an outcome is an object")
        if "entity" in entry:
            by_entity.append((place, _flat(place, entry, spec)))
        else:
            by_id.append((place, entry))
    kinds = ((by_id, "prediction_id"), (by_entity, "event_time"))
    return [one for rows, about in kinds if rows for one in _read(rows, spec, dataset, received_at, about)]


def _flat(place: int, entry: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """The entry as a row: the entity's columns beside the others."""
    entity = entry["entity"]
    if "prediction_id" in entry:
        raise RequestRefused(f"outcomes[{place}]: names both a prediction_id and an entity")
    if not isinstance(entity, dict) or (spec.entity and set(entity) != set(spec.entity)):
        raise RequestRefused(f"outcomes[{place}].entity: must be an object of {', '.join(spec.entity) or 'columns'}")
    others = {name: value for name, value in entry.items() if name != "entity"}
    if both := sorted(set(others) & set(entity)):
        raise RequestRefused(f"outcomes[{place}]: {both[0][:100]!r} stands both in the entity and beside it")
    # without an entity in the spec there is nothing that its members could be
    return others | entity if spec.entity else others


def _read(rows: Rows, spec: ModelSpec, dataset: Contract, received_at: datetime, about: str) -> Iterator[Outcome]:
    """The outcomes of rows that are all about the same: `prediction_id`, or `event_time` for those about an entity."""
    names = {about, *(name for _, row in rows for name in row)}
    try:
        contract = outcome_contract(spec, dataset, names, received_at)
    except Refusal as refusal:
        raise RequestRefused(f"outcomes[{rows[0][0]}]: {refusal.message}") from refusal
    with TemporaryDirectory(prefix="feedback-") as folder:
        path = Path(folder) / "entries.jsonl"
        path.write_text("".join(_line(place, row) for place, row in rows), encoding="utf-8")
        sifted = sift(path, path.name, contract, Path(folder))
        if problems := [one for one in sifted.findings.problems if one["row"] is not None]:
            raise RequestRefused(_told(rows, sorted(problems, key=lambda one: int(one["row"]))))
        if sifted.refusal is not None:
            raise RequestRefused(sifted.refusal.message)
        yield from outcomes_of([part.path for part in sifted.parts], spec, received_at)


def _line(place: int, row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, allow_nan=False) + "\n"
    except ValueError as error:  # 1e999 is JSON, and no number that a float can hold
        raise RequestRefused(f"outcomes[{place}]: holds a number that is not finite") from error


def _told(rows: Rows, problems: list[dict[str, Any]]) -> str:
    """The first problems, each by entry, member and rule."""
    shown = []
    for problem in problems[:_SHOWN]:
        where = f"outcomes[{rows[problem['row'] - 1][0]}]" + (f".{problem['column']}" if problem["column"] else "")
        value = "" if problem["value"] is None else f" ({problem['value']})"
        shown.append(f"{where}: {problem['rule']}{value}")
    return "; ".join(shown) + (f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else "")
