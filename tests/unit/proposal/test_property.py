"""Whatever small table comes: a proposal takes the very file it came from, and training works or fails by name."""

from __future__ import annotations

import csv
import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.errors import ProposalRefused, Refused
from tests.unit.proposal.support import accepted, catalog_of, proposed, trained

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = st.lists(TEXTS.filter(bool), min_size=2, max_size=5, unique_by=str.lower)
VALUES: list[st.SearchStrategy[Any]] = [
    st.integers(-5, 5),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-100, 100).map(lambda value: round(value, 2)),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["rot", "grün", "NA", "01"]),
    TEXTS,
]
LABELS: list[st.SearchStrategy[Any]] = [st.booleans(), st.integers(0, 2), st.floats(-9, 9), st.sampled_from("abc")]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    names, rows = draw(NAMES), draw(st.integers(0, 40))
    kinds = [draw(st.sampled_from(LABELS)), *(draw(st.sampled_from(VALUES)) for _ in names[1:])]
    gaps = [draw(st.booleans()) for _ in names]
    columns = [
        draw(st.lists(st.none() | kind if gap else kind, min_size=rows, max_size=rows))
        for kind, gap in zip(kinds, gaps, strict=True)
    ]
    return dict(zip(names, columns, strict=True))


def spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value.isoformat() if isinstance(value, dt.date) else str(value)


def write_csv(table: dict[str, list[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        # all values quoted: a lone line feed inside a plain value would end the row for one reader and not for another
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(table)
        writer.writerows([spelled(value) for value in row] for row in zip(*table.values(), strict=True))


def write_json(table: dict[str, list[Any]], path: Path) -> None:
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    path.write_text("".join(json.dumps(row, default=spelled) + "\n" for row in rows), encoding="utf-8")


def write_parquet(table: dict[str, list[Any]], path: Path) -> None:
    pq.write_table(pa.table({name: pa.array(values) for name, values in table.items()}), path)


@pytest.mark.parametrize(
    ("name", "write"), [("made.csv", write_csv), ("made.jsonl", write_json), ("made.parquet", write_parquet)]
)
def test_a_proposal_takes_its_own_file(name: str, write: Any) -> None:
    @settings(
        max_examples=20, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )  # fmt: skip
    @given(tables())
    def check(table: dict[str, list[Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(table, path)
            try:
                proposal = proposed(path, next(iter(table)))
            except ProposalRefused as refused:
                assert str(refused).startswith(f"{name}: ")
                return
            contract, spec = catalog_of(proposal)
            _, rows = accepted(path, contract)
            try:
                trained(contract, spec, rows)
            except Refused as failed:
                assert str(failed)

    check()
