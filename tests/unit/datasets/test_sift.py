"""One file into good rows, refused rows and a report: the same for every kind of file."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.catalog.contract import Column, Contract, read_contract
from perennial.catalog.rules import Condition, Threshold
from perennial.datasets import parts
from perennial.datasets.report import MAX_PROBLEMS, MAX_VALUE
from perennial.datasets.sift import sift
from scripts.flights import months
from tests.unit.datasets.support import bad_rows, contract, csv_bytes, good_rows, sifted, texts

ROOT = Path(__file__).parents[3]
FLIGHTS = read_contract(ROOT / "infra" / "catalog" / "contracts" / "flights.yaml")
ALL = contract(
    Column("i", "integer", required=True),
    Column("n", "number"),
    Column("b", "boolean"),
    Column("d", "date"),
    Column("t", "timestamp"),
    Column("s", "string"),
    missing=("NULL",),
)
_row = st.fixed_dictionaries(
    {
        "i": st.integers(-(2**63), 2**63 - 1),
        "n": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.dates(),
        "t": st.none() | st.datetimes(timezones=st.just(dt.UTC)),
        "s": st.none() | st.text(alphabet="ab,\"' é\U0001f600", max_size=5),
    }
)


def spelled(value: Any) -> str:
    if value is None:
        return "NULL"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def jsonl_bytes(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(
        json.dumps({k: v.isoformat() if isinstance(v, dt.date) else v for k, v in row.items()}).encode() + b"\n"
        for row in rows
    )


def parquet_bytes(rows: list[dict[str, Any]], **schema: pa.DataType) -> bytes:
    types = {"i": pa.int64(), "n": pa.float64(), "b": pa.bool_(), "d": pa.date32(), "t": pa.timestamp("us", "UTC")}
    fields = {"s": pa.string(), **types, **schema}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([(name, fields[name]) for name in rows[0]])), buffer)
    return buffer.getvalue()


@given(rows=st.lists(_row, min_size=1, max_size=12))
@settings(max_examples=25)
def test_valid_rows_come_through_every_kind_of_file_alike(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    rows = [{name: row[name] for name in "inbdts"} for row in rows]
    table = csv_bytes("inbdts", [[spelled(value) for value in row.values()] for row in rows])
    files = {
        "a.csv": table, "a.csv.gz": gzip.compress(table), "a.jsonl": jsonl_bytes(rows),
        "a.jsonl.gz": gzip.compress(jsonl_bytes(rows)), "a.parquet": parquet_bytes(rows),
    }  # fmt: skip

    results = [sifted(tmp_path_factory.mktemp("kinds"), name, body, ALL) for name, body in files.items()]

    assert [result.refusal for result in results] == [None] * len(files)
    assert [good_rows(result) for result in results] == [rows] * len(files)
    assert len({result.content_sha256 for result in results}) == 1


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["1", "2", "x", ""]), st.sampled_from(["a", "b", "c", ""])), min_size=1, max_size=20
    )
)
@settings(max_examples=50)
def test_rows_part_as_a_row_by_row_look_parts_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    agreed = contract(
        Column("k", "integer", required=True), Column("g", "string", allowed=("a", "b")), keys=(("k", "g"),)
    )
    good: list[int] = []
    bad: list[int] = []
    seen = set()
    for number, (k, g) in enumerate(rows, 1):
        broken = k in {"x", ""} or g == "c"
        repeated = not broken and bool(g) and (k, g) in seen
        (bad if broken or repeated else good).append(number)
        seen.add((k, g) if not broken else None)

    result = sifted(tmp_path_factory.mktemp("rows"), "a.csv", csv_bytes(("k", "g"), rows), agreed)

    assert sorted(row["__row__"] for row in bad_rows(result)) == bad
    if good:
        assert [(str(row["k"]), row["g"] or "") for row in good_rows(result)] == [rows[number - 1] for number in good]
        assert (result.rows, result.accepted, result.quarantined) == (len(rows), len(good), len(bad))
    else:
        assert result.refusal is not None
        assert result.refusal.rule == "noGoodRows"


def test_every_flight_of_the_year_keeps_the_contract(tmp_path: Path) -> None:
    accepted = 0
    for month in months(tmp_path / "months"):
        result = sift(month, month.name, FLIGHTS, tmp_path / month.stem)
        assert (result.refusal, result.quarantined) == (None, 0)
        accepted += result.accepted
    assert accepted == 336_776


def test_the_same_bytes_make_the_same_parts(tmp_path: Path) -> None:
    january = months(tmp_path / "months")[0]

    once, again = (sift(january, "a.csv", FLIGHTS, tmp_path / name) for name in ("once", "again"))

    assert [part.sha256 for part in once.parts] == [part.sha256 for part in again.parts]
    assert once.content_sha256 == again.content_sha256


def test_the_digest_is_of_rows_not_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(n, "x" * (n % 5) or None, n / 7) for n in range(1000)]
    body = csv_bytes(("a", "b", "c"), rows)
    agreed = contract(Column("a", "integer"), Column("b", "string"), Column("c", "number"))
    for name in ("whole", "cut", "other"):
        (tmp_path / name).mkdir()
    whole = sifted(tmp_path / "whole", "a.csv", body, agreed)
    monkeypatch.setattr("perennial.datasets.csv_source.BLOCK", 1000)
    monkeypatch.setattr(parts, "GROUP_ROWS", 64)
    monkeypatch.setattr(parts, "PART_ROWS", 256)
    cut = sifted(tmp_path / "cut", "a.csv", body, agreed)
    other = sifted(tmp_path / "other", "a.csv", body.replace(b"\n999,", b"\n998,"), agreed)

    assert [part.path.name for part in cut.parts][:2] == ["part-00000.parquet", "part-00001.parquet"]
    assert cut.content_sha256 == whole.content_sha256 != other.content_sha256
    assert good_rows(cut) == good_rows(whole)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b'{"a": 1}\n{"a": 2', "truncated"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"not json\n", "noGoodRows"),
        ('{"a": "é"}\n'.encode("latin-1"), "encoding"),
        (b'{"a": "' + b"x" * 10_000_000 + b'"}\n', "unreadable"),
    ],
)
def test_a_bad_json_file_is_refused(body: bytes, rule: str, tmp_path: Path) -> None:
    refusal = sifted(tmp_path, "a.jsonl", body, texts("a")).refusal

    assert refusal is not None
    assert refusal.rule == rule


def test_a_bad_json_line_costs_its_row(tmp_path: Path) -> None:
    lines = [
        '{"a": 1}', '{"a": NaN}', "[1]", '{"a": 1, "x": 2}', '{"a": 1, "a": 2}', '{"a": {}}', '{"a": 1.0}', "{}",
        '{"a": "\\ud800"}', "[" * 100_000, '{"a": 12345678901234567890}', '{"a": true}', '{"a": "5"}',
    ]  # fmt: skip

    result = sifted(tmp_path, "a.jsonl", "\n".join(lines).encode() + b"\n", contract(Column("a", "integer")))

    assert [row["a"] for row in good_rows(result)] == [1, 1, None, 5]
    assert sorted(row["__row__"] for row in bad_rows(result)) == [2, 3, 4, 5, 6, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda body: body[: len(body) // 2], "truncated"),
        (lambda body: body[:-200] + bytes(192) + body[-8:], "unreadable"),
        (lambda body: body[:4] + bytes(40) + body[44:], "unreadable"),
    ],
)
def test_a_damaged_parquet_file_is_refused(spoil: Any, rule: str, tmp_path: Path) -> None:
    body = parquet_bytes([{"i": n, "s": str(n)} for n in range(1000)])

    refusal = sifted(
        tmp_path, "a.parquet", spoil(body), contract(Column("i", "integer"), Column("s", "string"))
    ).refusal

    assert refusal is not None
    assert refusal.rule == rule, refusal.message


def test_a_parquet_column_of_another_type_is_named(tmp_path: Path) -> None:
    body = parquet_bytes([{"i": dt.date(2013, 1, 1)}], i=pa.date32())

    refusal = sifted(tmp_path, "a.parquet", body, contract(Column("i", "integer"))).refusal

    assert refusal is not None
    assert (refusal.rule, refusal.columns) == ("columns", ("i",))


def test_parquet_texts_are_read_as_those_of_csv(tmp_path: Path) -> None:
    body = parquet_bytes([{"i": "1"}, {"i": "NA"}, {"i": "x"}], i=pa.string())

    result = sifted(tmp_path, "a.parquet", body, contract(Column("i", "integer"), missing=("NA",)))

    assert [row["i"] for row in good_rows(result)] == [1, None]
    assert [(row["__row__"], row["i"]) for row in bad_rows(result)] == [(3, "x")]


def limited(**more: Any) -> Contract:
    return contract(Column("a", "string"), **more)


@pytest.mark.parametrize(
    ("agreed", "rule"),
    [
        (limited(row_counts=(Condition((("mustBeGreaterThan", 4),)),)), "rowCount"),
        (limited(thresholds=(Threshold("nullValues", "a", Condition((("mustBeLessThan", 2),))),)), "nullValues"),
        (
            limited(thresholds=(Threshold("nullValues", "a", Condition((("mustBeLessThan", 50),), "percent")),)),
            "nullValues",
        ),
        (limited(thresholds=(Threshold("invalidValues", "a", Condition((("mustBe", 1),)), ("x",)),)), None),
        (limited(row_counts=(Condition((("mustBe", 4),)),)), None),
    ],
)
def test_rules_on_the_whole_file(agreed: Contract, rule: str | None, tmp_path: Path) -> None:
    body = jsonl_bytes([{"a": None}, {"a": "x"}, {"a": "y"}, {"a": None}])

    refusal = sifted(tmp_path, "a.jsonl", body, agreed).refusal

    assert (refusal.rule if refusal else None) == rule


def test_the_report_counts_all_and_shows_the_first(tmp_path: Path) -> None:
    rows = [(n, "v" * 500) for n in range(3000)]
    agreed = contract(Column("a", "integer", maximum=99), Column("b", "string", max_length=400))

    result = sifted(tmp_path, "a.csv", csv_bytes(("a", "b"), [*rows, (1, "x")]), agreed)

    report = result.findings.report(rows=result.rows)
    assert report["counts"] == [
        {"column": "a", "rule": "maximum", "count": 2900},
        {"column": "b", "rule": "maxLength", "count": 3000},
    ]
    assert len(report["problems"]) == MAX_PROBLEMS
    assert report["truncated"] is True
    assert report["problems"][0] == {
        "row": 1, "line": 2, "column": "b", "rule": "maxLength", "value": "v" * (MAX_VALUE - 1) + "…",
    }  # fmt: skip
    assert result.quarantined == 3000
    assert {row["__reasons__"] for row in bad_rows(result)} == {"b: maxLength", "a: maximum; b: maxLength"}


def test_days_of_the_profile_leave_out_refused_and_doubled_rows(tmp_path: Path) -> None:
    agreed = contract(
        Column("d", "date", required=True), Column("k", "integer", maximum=9), event_time="d", keys=(("k",),)
    )
    rows = [("2013-01-01", 1), ("2013-01-01", 2), ("2013-01-01", 2), ("2013-01-02", 10), ("2013-01-03", 3)]

    result = sifted(tmp_path, "a.csv", csv_bytes(("d", "k"), rows), agreed)

    assert result.profile == {
        "histograms": None,
        "rows": 3,
        "days": {"2013-01-01": 2, "2013-01-03": 1},
        "columns": {
            "d": {"type": "date", "count": 3, "nulls": 0, "min": "2013-01-01", "max": "2013-01-03"},
            "k": {"type": "integer", "count": 3, "nulls": 0, "min": 1, "max": 3},
        },
    }
    assert sorted((row["__row__"], row["__reasons__"]) for row in bad_rows(result)) == [
        (3, "k: duplicateValues"), (4, "k: maximum"),
    ]  # fmt: skip


MEASURE = """
import sys, tempfile
from pathlib import Path
from perennial.catalog.contract import read_contract
from perennial.datasets.sift import sift
result = sift(Path(sys.argv[1]), "a.csv", read_contract(Path(sys.argv[2])), Path(tempfile.mkdtemp(dir=sys.argv[3])))
# not getrusage: its peak is inherited from the process that forked this one
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(result.accepted, int(peak.split()[1]) // 1024, "pandas" in sys.modules)
"""


def measured(path: Path, folder: Path) -> tuple[int, int, bool]:
    """Rows accepted, most resident memory in MiB, and whether pandas was loaded, in a process of its own."""
    arguments = [str(path), str(ROOT / "infra/catalog/contracts/flights.yaml"), str(folder)]
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core" / "python")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    rows, mebibytes, pandas = done.stdout.split()
    return int(rows), int(mebibytes), pandas == "True"


def test_a_clean_file_is_ingested_without_pandas(tmp_path: Path) -> None:
    rows, _, pandas = measured(months(tmp_path / "months")[0], tmp_path)

    assert (rows, pandas) == (27_004, False)


@pytest.mark.full
def test_a_million_rows_stay_within_400_mib(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sources = [month.read_bytes().split(b"\n", 1) for month in months(tmp_path / "months")]
    with path.open("wb") as file:
        file.write(sources[0][0] + b"\n")
        for year in (b"2013", b"2014", b"2015"):
            for _, body in sources:
                file.write(body.replace(b"\n2013,", b"\n" + year + b",").replace(b"2013,", year + b",", 1))

    rows, mebibytes, _ = measured(path, tmp_path)

    assert rows == 3 * 336_776
    assert mebibytes < 400
