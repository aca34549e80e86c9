"""CSV files, good and bad, from the bytes to the rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.catalog.contract import Column
from perennial.datasets import csv_source
from perennial.datasets.csv_source import BLOCK
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import MAX_STRAY_ROWS, Limits
from tests.unit.datasets.support import CORPORA, bad_rows, contract, csv_bytes, good_rows, sifted, texts

SPECTRUM = sorted((CORPORA / "csv-spectrum" / "csvs").glob("*.csv"))
_cells = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_tables = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(_cells, min_size=n, max_size=n), min_size=1, max_size=8)
)


@pytest.mark.skipif(not SPECTRUM, reason="../shared/corpora/csv-spectrum is absent")
@pytest.mark.parametrize("path", SPECTRUM, ids=lambda path: path.stem)
def test_dialects_of_csv_spectrum_read_as_expected(path: Path, tmp_path: Path) -> None:
    expected = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text("utf-8"))

    rows = expected if isinstance(expected, list) else [expected]

    result = sifted(tmp_path, path.name, path.read_bytes(), texts(*rows[0], missing=()))

    if path.stem == "location_coordinates":
        # the corpus anonymised the telephone number in one of the two files
        rows[0]["Contact Phone Number"] = "2095257564"
    assert result.refusal is None
    assert good_rows(result) == rows


@pytest.mark.skipif(not CORPORA.exists(), reason="../shared/corpora/naughty-strings is absent")
def test_naughty_strings_come_through_as_they_are(tmp_path: Path) -> None:
    naughty: list[str] = json.loads((CORPORA / "naughty-strings" / "blns.json").read_text("utf-8"))
    rows = [(str(number), text) for number, text in enumerate(naughty)]

    result = sifted(tmp_path, "a.csv", csv_bytes(("n", "text"), rows), texts("n", "text", missing=()))

    assert result.refusal is None
    assert [(row["n"], row["text"]) for row in good_rows(result)] == rows


@pytest.mark.skipif(not CORPORA.exists(), reason="../shared/corpora/naughty-strings is absent")
def test_naughty_strings_as_numbers_cost_their_rows(tmp_path: Path) -> None:
    naughty: list[str] = json.loads((CORPORA / "naughty-strings" / "blns.json").read_text("utf-8"))
    agreed = contract(Column("n", "integer"), Column("value", "number", required=True))

    result = sifted(tmp_path, "a.csv", csv_bytes(("n", "value"), enumerate([*naughty, "1.5"])), agreed)

    assert result.refusal is None
    assert good_rows(result)[-1] == {"n": len(naughty), "value": 1.5}
    assert result.accepted + result.quarantined == len(naughty) + 1
    kept = [row["value"] for row in bad_rows(result)]
    assert kept == [text or None for n, text in enumerate(naughty) if n in {int(r["n"]) for r in bad_rows(result)}]


@given(table=_tables, zipped=st.booleans(), bom=st.booleans())
@settings(max_examples=60)
def test_any_table_of_text_comes_through(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], zipped: bool, bom: bool
) -> None:
    header = [f"c{n}" for n in range(len(table[0]))]
    # a lone carriage return or an empty only cell has no unambiguous spelling in CSV
    rows = [["".join(c if c not in "\r\n" else " " for c in cell) or "x" for cell in row] for row in table]
    body = (b"\xef\xbb\xbf" if bom else b"") + csv_bytes(header, rows)

    result = sifted(
        tmp_path_factory.mktemp("csv"), "a.csv.gz" if zipped else "a.csv",
        gzip.compress(body) if zipped else body, texts(*header, missing=()),
    )  # fmt: skip

    assert result.refusal is None, result.refusal
    assert [list(row.values()) for row in good_rows(result)] == rows


@given(body=st.binary(max_size=300), name=st.sampled_from(["a.csv", "a.csv.gz", "a.parquet", "a.jsonl"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes, name: str) -> None:
    folder = tmp_path_factory.mktemp("noise")
    for made in (body, b"a,b\n" + body, b"\x1f\x8b" + body, b"PAR1" + body + b"PAR1", b'{"a": 1}\n' + body):
        result = sifted(folder, name, made, texts("a", "b"))
        assert (result.refusal is None) == bool(result.accepted)


@given(cut=st.integers(0, 200))
def test_a_file_cut_anywhere_never_passes_for_whole(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    rows = [(n, f"2013-01-{n:02d}") for n in range(1, 15)]
    whole = csv_bytes(("n", "day"), rows)
    agreed = contract(Column("n", "integer", required=True), Column("day", "date", required=True))
    cut %= len(whole)

    result = sifted(tmp_path_factory.mktemp("cut"), "a.csv", whole[:cut], agreed)

    complete_lines = whole[:cut].count(b"\n") - 1
    at_a_line = cut in {len(whole[:place]) for place in range(len(whole)) if whole[place : place + 1] == b"\n"}
    if result.refusal is None:
        assert result.accepted == complete_lines + at_a_line, "only a cut between two rows cannot be seen"


def test_rows_with_a_wrong_number_of_fields_cost_themselves(tmp_path: Path) -> None:
    body = b"a,b\n1,2\n3\n\n4,5\n6,7,8\n9,10\n"

    result = sifted(tmp_path, "a.csv", body, texts("a", "b"))

    assert [row["a"] for row in good_rows(result)] == ["1", "4", "9"]
    assert [(row["__row__"], row["__text__"], row["__reasons__"]) for row in bad_rows(result)] == [
        (2, "3", "fields"), (4, "6,7,8", "fields"),
    ]  # fmt: skip
    assert result.rows == 5


def test_row_numbers_hold_across_blocks_and_stray_rows(tmp_path: Path) -> None:
    count = 3 * BLOCK // 20
    lines = [f"{n},{'x' * 14}" if n % 50_000 else f"{n}" for n in range(1, count + 1)]
    lines[count - 5] = f"oops,{'x' * 14}"

    result = sifted(
        tmp_path, "a.csv", ("a,b\n" + "\n".join(lines) + "\n").encode(),
        contract(Column("a", "integer"), Column("b", "string")),
    )  # fmt: skip

    problems = result.findings.problems
    assert [p["row"] for p in problems if p["rule"] == "fields"] == list(range(50_000, count + 1, 50_000))
    (bad,) = [p for p in problems if p["rule"] == "type"]
    assert (bad["row"], bad["line"], bad["value"]) == (count - 4, count - 3, "oops")


def test_lines_are_told_only_where_rows_are_lines(tmp_path: Path) -> None:
    agreed = contract(Column("a", "integer"), Column("b", "string"))

    plain = sifted(tmp_path, "a.csv", b"a,b\r\n1,x\r\nz,x\r\n", agreed)
    quoted = sifted(tmp_path, "a.csv", b'a,b\n1,"x\ny"\nz,x\n', agreed)

    assert [problem["line"] for problem in plain.findings.problems] == [3]
    assert [problem["line"] for problem in quoted.findings.problems] == [None]
    assert [problem["row"] for problem in quoted.findings.problems] == [2]


def test_inch_marks_are_no_open_quote(tmp_path: Path) -> None:
    result = sifted(tmp_path, "a.csv", b'a,b\n1,5" pipe\n2,3"\n3,"4 feet, 5"" tall"\n', texts("a", "b"))

    assert [row["b"] for row in good_rows(result)] == ['5" pipe', '3"', '4 feet, 5" tall']


def test_a_long_value_beside_an_inch_mark_is_no_open_quote(tmp_path: Path) -> None:
    long = "x" * 200_000

    result = sifted(tmp_path, "a.csv", f'a,b\n1,5" pipe\n2,{long}\n'.encode(), texts("a", "b"))

    assert result.refusal is None
    assert [row["b"] for row in good_rows(result)] == ['5" pipe', long]
    assert csv.field_size_limit() == 131_072


class Slow(io.BytesIO):
    """A file whose blocks take their time, and that knows whether it is being read."""

    reading = closed_while_reading = False
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reading = True
        self.reads += 1
        time.sleep(0.02)
        block = super().read(size)
        self.reading = False
        return block

    def close(self) -> None:
        self.closed_while_reading = self.reading
        super().close()


@pytest.mark.parametrize("case", ["too many rows", "too many strays", "too many bytes", "nobody reads on"])
def test_nobody_reads_a_file_that_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow reads ahead in a thread: one that still does when the process ends, or the file is closed, ends it."""
    body = b"a,b\n" + b"1,2\n" * 100 + (b"x\n" if case == "too many strays" else b"1,2\n") * 4_000_000
    (tmp_path / "a.csv").write_bytes(body[:100])
    slow = Slow(body)
    monkeypatch.setattr(csv_source, "BLOCK", 200_000)
    monkeypatch.setattr(csv_source, "read_header", lambda _: ["a", "b"])
    monkeypatch.setattr(csv_source, "open_bytes", lambda _: slow)
    limits = Limits(rows=100 if case == "too many rows" else 10**9)
    if case == "too many bytes":
        limits = Limits(text_bytes=1_000_000)
    source = csv_source.open_csv(tmp_path / "a.csv", texts("a", "b"), limits)

    if case == "nobody reads on":
        next(source.batches)
        source.batches.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(Refusal):
            list(source.batches)

    assert (slow.closed, slow.closed_while_reading) == (True, False)
    reads = slow.reads
    time.sleep(0.1)
    assert slow.reads == reads


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "an open quote": (b'a,b\n1,"2\n3,4\n5,6\n', "unreadable", "quote"),
    "a long line": (b"a,b\n1," + b"x" * (2 * BLOCK) + b"\n", "unreadable", "longer than"),
    "a long header": (b"a" * 400_000 + b"\n1\n", "unreadable", "header"),
    "binary": (b"a\0b,\1\n\2,3\n", "kind", "binary"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "kind", "UTF-16"),
    "latin-1 in the header": ("é,b\n1,2\n".encode("latin-1"), "encoding", "UTF-8"),
    "blank lines": (b"\n\n\n", "empty", "header"),
    "ten thousand and one columns": (b"a,b" + b",c" * 9_999 + b"\n1\n", "columns", "10,001 columns; at most 10,000"),
    "another separator": (b"a;b\n1;2\n", "columns", "missing: 'a', 'b'; unexpected: 'a;b'"),
    "another case": (b"A,b\n1,2\n", "columns", "missing: 'a'; unexpected: 'A'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused_with_a_reason(case: str, tmp_path: Path) -> None:
    body, rule, said = REFUSED[case]

    refusal = sifted(tmp_path, "a.csv", body, texts("a", "b")).refusal

    assert refusal is not None
    assert (refusal.rule, said in refusal.message) == (rule, True), refusal.message


def test_too_many_stray_rows_are_no_table(tmp_path: Path) -> None:
    body = b"a,b\n1,2\n" + b"x\n" * (MAX_STRAY_ROWS + 1) + b"3,4\n"

    refusal = sifted(tmp_path, "a.csv", body, texts("a", "b")).refusal

    assert refusal is not None
    assert "shape of the table" in refusal.message


# In a process of its own, because peak memory is the process's.
SIFT_A_BOMB = """
import os, resource, sys
from pathlib import Path
from perennial.datasets.source import Limits
from tests.unit.datasets.support import sifted, texts

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

sifted(Path(sys.argv[1]), "small.csv", b"a,b\\n1,2\\n", texts("a", "b"))
before = peak()
bomb = Path(sys.argv[1], "bomb").read_bytes()
refusal = sifted(Path(sys.argv[1]), "a.csv.gz", bomb, texts("a", "b"), Limits(text_bytes=20_000_000)).refusal
print(refusal.rule, peak() - before, flush=True)
# Arrow may abort a process that ends while it still reads ahead (apache/arrow 43604); only memory is asked about here
os._exit(0)
"""


def test_a_zip_bomb_ends_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(b"a,b\n" + b"\n" * 200_000_000))

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    told = subprocess.run(
        [sys.executable, "-c", SIFT_A_BOMB, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()

    assert told[0] == "tooLarge"
    assert int(told[1]) < 100_000_000


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    refusal = sifted(tmp_path, "a.csv", b"a,b\n1,2\n", texts("a", "b"), Limits(file_bytes=5)).refusal

    assert refusal is not None
    assert refusal.rule == "tooLarge"


@pytest.mark.parametrize(
    ("order", "agreed", "expected"),
    [
        ("b,a\n1,2\n", texts("a", "b"), {"a": "2", "b": "1"}),
        ("b,x,a\n1,9,2\n", texts("a", "b", ignore_extra=True), {"a": "2", "b": "1"}),
        ("a\n\n1\n", texts("a"), {"a": None}),
        ("a,b\n-,NA\n", texts("a", "b", missing=("NA", "-")), {"a": None, "b": None}),
        ('a,b\n"",1\n', texts("a", "b"), {"a": None, "b": "1"}),
    ],
)
def test_columns_are_found_by_name_and_missing_values_by_their_spelling(
    order: str, agreed: Any, expected: dict[str, Any], tmp_path: Path
) -> None:
    assert good_rows(sifted(tmp_path, "a.csv", order.encode(), agreed))[0] == expected
