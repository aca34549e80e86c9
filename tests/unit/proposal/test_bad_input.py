"""What cannot be proposed from is told by file, column and rule."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perennial.errors import ProposalRefused
from tests.unit.proposal.support import proposed, write

CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora"


def told(path: Path, label: str = "y") -> str:
    with pytest.raises(ProposalRefused) as refused:
        proposed(path, label)
    message = str(refused.value)
    assert message.startswith(f"{path.name}: ")
    return message


def table(tmp_path: Path, name: str, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


def rows(*labels: Any) -> list[list[Any]]:
    return [[index * 0.5, label] for index, label in enumerate(labels)]


CASES: list[tuple[str, list[str], list[list[Any]], list[str]]] = [
    ("a label with one value", ["x", "y"], rows(*["no"] * 30), ["column 'y'", "label", "one value only, 'no'"]),
    ("a label without values", ["x", "y"], rows(*[""] * 30), ["column 'y'", "no value in any row"]),
    ("a date as label", ["x", "y"], rows(*[f"2024-01-{d:02d}" for d in range(1, 31)]), ["column 'y'", "holds dates"]),
    ("dates of two readings", ["x", "y"], rows(*["01/02/2024", "03/04/2024"] * 9), ["column 'y'", "holds dates"]),
    ("free text as label", ["x", "y"], rows(*[f"text {n}" for n in range(30)]), ["column 'y'", "no classes"]),
    ("few labels", ["x", "y"], rows(*["a", "b"] * 3, *[""] * 30), ["column 'y'", "6 of 36 rows"]),
    ("a class of one row", ["x", "y"], rows("b", *["a"] * 39), ["column 'y'", "one class only"]),
    ("a label that is not there", ["x", "Yield"], rows(*["a", "b"] * 15), ["column 'y'", "no such column", "'x'"]),
    ("a doubled header", ["x", "y", "x"], [[1, 2, 3]] * 30, ["columns", "'x'", "more than once"]),
    ("a header doubled but for case", ["X", "y", "x"], [[1, 2, 3]] * 30, ["columns", "'X', 'x'", "more than once"]),
    ("one column", ["y"], [["a"], ["b"]] * 20, ["features", "no column is left to predict from"]),
    ("only useless columns", ["id", "y"], [[n, n % 2] for n in range(40)], ["features", "'id': an identifier"]),
    ("no rows", ["x", "y"], [], ["empty", "no rows"]),
    ("10,000 columns", [*map(str, range(9999)), "y"], [[0] * 10_000], ["columns", "10,000 columns", "2,000"]),
    ("semicolons", ["x;y"], [["1;2"]] * 30, ["columns", "'x;y'", "write commas"]),
    ("ragged rows", ["x", "y"], [[1, 2, 3], [1, 2]] * 10, ["fields", "10 of 20 rows", "row 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("header", "lines", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_csv_that_cannot_be_proposed_from(
    tmp_path: Path, header: list[str], lines: list[list[Any]], words: list[str]
) -> None:
    message = told(write(tmp_path / "file.csv", header, lines))
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("empty.csv", b"", "empty: the file is empty"),
        ("latin.csv", "x,y\n1,größe\n".encode("latin-1"), "encoding: the file is not UTF-8"),
        ("wide.csv", "x,y\n1,2\n".encode("utf-16"), "kind: 'wide.csv' holds UTF-16 text"),
        ("sheet.csv", b"PK\x03\x04....", "kind: 'sheet.csv' holds a zip archive or an Excel sheet"),
        ("table.xlsx", b"PK\x03\x04....", "kind: 'table.xlsx': the name must end in"),
        ("liar.parquet", b"x,y\n1,2\n", "kind: 'liar.parquet' does not hold Parquet"),
        ("cut.parquet", b"PAR1....PAR1", "unreadable: the Parquet footer cannot be read"),
        ("torn.csv.gz", gzip.compress(b"x,y\n" + b"1,2\n" * 999, mtime=0)[:40], "truncated: the gzip stream is broken"),
        ("open.csv", b'x,y\n1,"2\n3,4\n', "unreadable: a quote is never closed"),
        ("unnamed.csv", b",\n1,2\n", "empty: the file has no header"),
        ("list.jsonl", b"[1, 2]\n" * 20, "empty: no line is a JSON object"),
        ("deep.jsonl", b'{"x": {"a": 1}, "y": 2}\n' * 20, "json: 20 of 20 rows"),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, body: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(body)
    assert words in told(tmp_path / name)


def test_nested_and_strange_types_of_parquet(tmp_path: Path) -> None:
    labels = [0, 1] * 10
    nested = told(table(tmp_path, "nested.parquet", tags=[["a"]] * 20, y=labels))
    assert "column 'tags': type: list" in nested
    assert "is nested" in nested
    struct = told(table(tmp_path, "struct.parquet", place=[{"lat": 1.0}] * 20, y=labels))
    assert "column 'place': type: struct" in struct
    times = told(table(tmp_path, "times.parquet", at=[dt.time(8)] * 20, y=labels))
    assert "column 'at': type: a contract has no type for time64" in times


def test_a_reserved_name_cannot_be_the_label_and_is_ignored_otherwise(tmp_path: Path) -> None:
    lines = [[n * 0.5, n % 2, n % 3] for n in range(40)]
    assert "column 'version': label: a contract cannot hold it" in told(
        write(tmp_path / "a.csv", ["x", "y", "version"], lines), "version"
    )
    proposal = proposed(write(tmp_path / "b.csv", ["x", "y", "version"], lines), "y")
    assert proposal.survey.ignored == {"version": "its name is reserved: rename it to use it"}


@pytest.mark.skipif(not CORPORA.is_dir(), reason="../shared/corpora is absent")
def test_every_file_of_csv_spectrum_is_refused_by_name() -> None:
    for path in sorted((CORPORA / "csv-spectrum" / "csvs").glob("*.csv")):
        told(path, "a")


@pytest.mark.skipif(not CORPORA.is_dir(), reason="../shared/corpora is absent")
def test_every_json_of_the_test_suite_is_refused_by_name(tmp_path: Path) -> None:
    for path in sorted((CORPORA / "json-test-suite").rglob("*.json")):
        (tmp_path / "one.jsonl").write_bytes(path.read_bytes())
        told(tmp_path / "one.jsonl", "a")


@pytest.mark.skipif(not CORPORA.is_dir(), reason="../shared/corpora is absent")
def test_naughty_strings_are_names_and_values(tmp_path: Path) -> None:
    from tests.unit.proposal.support import accepted, catalog_of

    found = json.loads((CORPORA / "naughty-strings" / "blns.json").read_text("utf-8"))
    names = list({text.lower(): text for text in found if text and not text.isspace()}.values())
    lines = [[*((row * 7 + column) % 11 for column in range(len(names))), row % 2] for row in range(40)]
    path = write(tmp_path / "names.csv", [*names, "label y"], lines)
    proposal = proposed(path, "label y")
    accepted(path, catalog_of(proposal)[0])
    known = [text for text in found if text]
    values = [[known[n % len(known)], n % 7 + 0.5, n % 2] for n in range(2 * len(known))]
    path = write(tmp_path / "values.csv", ["text", "x", "y"], values)
    accepted(path, catalog_of(proposed(path, "y"))[0])
