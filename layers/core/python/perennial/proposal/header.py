"""The names of a file's columns, and which of them a contract can hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from perennial.catalog.odcs import ONE_LINE
from perennial.datasets.names import column_names
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits, checked_kind
from perennial.errors import ProposalRefused

# What a contract and a model may have (catalog/odcs.py, catalog/model.py)
MAX_COLUMNS = 2000
MAX_NAME = 128


@dataclass(frozen=True)
class Header:
    """`columns` can stand in a contract; `ignored` cannot: name (or position) → reason. `kind` is the file's ending."""

    kind: str
    columns: list[str]
    ignored: dict[str, str]


def read_header(path: Path, limits: Limits) -> Header:
    """The columns of the file. Raises ProposalRefused naming file, column and rule."""
    try:
        kind = checked_kind(path, path.name, limits)
        names = column_names(path, kind, limits, MAX_COLUMNS)
    except Refusal as refusal:
        raise refused(path, refusal.rule, refusal.message) from refusal
    _check(path, names)
    ignored = {name or f"(column {place})": why for place, name in enumerate(names, 1) if (why := _unfit(name))}
    return Header(kind, [name for name in names if name not in ignored and name], ignored)


def refused(path: Path, rule: str, message: str, column: str | None = None) -> ProposalRefused:
    """The error for a file, in the words in which ingestion tells of a refused one."""
    where = f"{path.name}: " + (f"column {column!r}: " if column is not None else "")
    return ProposalRefused(f"{where}{rule}: {message}")


def _check(path: Path, names: list[str]) -> None:
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        raise refused(path, "columns", f"one column named {names[0][:100]!r}: write commas between columns")
    if len(names) > MAX_COLUMNS:
        raise refused(path, "columns", f"{len(names):,} columns; a contract holds at most {MAX_COLUMNS:,}")
    folded = Counter(name.lower() for name in names if name)
    twice = [name for name in names if name and folded[name.lower()] > 1]
    if twice:
        shown = ", ".join(repr(name) for name in dict.fromkeys(twice[:10]))
        raise refused(path, "columns", f"the header names {shown} more than once (upper and lower case count as one)")


def _unfit(name: str) -> str | None:
    if not name:
        return "it has no name"
    if len(name) > MAX_NAME:
        return f"its name is longer than {MAX_NAME} characters"
    if name.lower() == "version" or name.startswith("__"):
        return "its name is reserved: rename it to use it"
    if not ONE_LINE.fullmatch(name):
        return "its name holds control characters"
    return None
