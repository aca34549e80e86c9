"""Contracts: what is understood, and that nothing is silently ignored."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.contract import Contract, parse_contract, read_contract
from perennial.catalog.document import MAX_CHARACTERS, parse_document
from perennial.catalog.rules import check_pattern, date_format
from perennial.errors import CatalogInvalid

FLIGHTS = Path(__file__).parents[2] / "infra" / "catalog" / "contracts" / "flights.yaml"


def text(*columns: dict[str, Any], schema: dict[str, Any] | None = None, **top: Any) -> str:
    body = {"name": "tiny", "properties": list(columns) or [{"name": "id", "logicalType": "integer"}], **(schema or {})}
    head = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "tiny", "version": "1", "status": "active"}
    return yaml.safe_dump(head | {"schema": [body]} | top, sort_keys=False)


def parsed(*columns: dict[str, Any], **more: Any) -> Contract:
    return parse_contract(text(*columns, **more), "contracts/tiny.yaml")


def column(kind: str, name: str = "c", **more: Any) -> dict[str, Any]:
    return {"name": name, "logicalType": kind, **more}


def test_the_shipped_contract_marks_what_is_known_only_after_the_flight() -> None:
    contract = read_contract(FLIGHTS)

    leaks = {column.name for column in contract.columns if not column.available_at_prediction}

    assert leaks == {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert (contract.name, contract.event_time, len(contract.columns)) == ("flights", "time_hour", 19)
    assert contract.keys == (("year", "month", "day", "carrier", "flight", "origin"),)
    assert contract.missing == ("", "NA")


def test_options_become_bounds_of_the_columns_own_type() -> None:
    contract = parsed(
        column("integer", "i", logicalTypeOptions={"minimum": 1, "exclusiveMaximum": 10, "multipleOf": 3}),
        column("integer", "small", logicalTypeOptions={"format": "u8", "maximum": 300}),
        column("number", "n", logicalTypeOptions={"exclusiveMinimum": 0, "maximum": 1}),
        column("string", "s", logicalTypeOptions={"minLength": 1, "maxLength": 5, "pattern": "^a"}),
        column("date", "d", logicalTypeOptions={"minimum": "2013-01-01", "format": "dd.MM.yyyy"}),
        column("timestamp", "t", logicalTypeOptions={"maximum": "2013-01-01T00:00:00+01:00", "timezone": True}),
    )

    i, small, n, s, d, t = contract.columns
    assert (i.minimum, i.exclusive_maximum, i.multiple_of) == (1, 10, 3)
    assert (small.minimum, small.maximum) == (0, 255)
    assert (n.exclusive_minimum, n.maximum) == (0.0, 1.0)
    assert isinstance(n.maximum, float)
    assert (s.min_length, s.max_length, s.patterns) == (1, 5, ("^a",))
    assert (d.minimum, d.format) == (dt.date(2013, 1, 1), "%d.%m.%Y")
    assert (t.maximum, t.zoned) == (dt.datetime(2012, 12, 31, 23, tzinfo=dt.UTC), True)


def test_rules_that_tolerate_no_row_become_checks_of_rows() -> None:
    quality = [
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "invalidValues", "mustBeLessThan": 1, "arguments": {"validValues": ["a", "b"]}},
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^[ab]$"}},
        {"metric": "missingValues", "mustBeLessOrEqualTo": 0, "arguments": {"missingValues": ["", "N/A", None]}},
        {"type": "library", "rule": "duplicateValues", "mustBe": 0, "unit": "percent"},
        {"type": "text", "description": "looks nice"},
    ]
    contract = parsed(column("string", quality=quality))

    (c,) = contract.columns
    assert (c.required, c.allowed, c.patterns, c.forbidden) == (True, ("a", "b"), ("^[ab]$",), ("", "N/A"))
    assert contract.keys == (("c",),)
    assert contract.thresholds == ()


def test_rules_that_tolerate_some_rows_hold_for_the_file() -> None:
    quality = [{"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}]
    contract = parsed(
        column("string", quality=quality), schema={"quality": [{"metric": "rowCount", "mustBeBetween": [1, 9]}]}
    )

    (threshold,) = contract.thresholds
    assert threshold.accept.holds(4, 100)
    assert not threshold.accept.holds(5, 100)
    (count,) = contract.row_counts
    assert [count.holds(n, n) for n in (1, 2, 8, 9)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("operator", "accepted"),
    [
        ({"mustBe": 3}, [3]), ({"mustNotBe": 3}, [2, 4]), ({"mustBeGreaterThan": 2}, [3, 4]),
        ({"mustBeGreaterOrEqualTo": 3}, [3, 4]), ({"mustBeLessThan": 3}, [2]), ({"mustBeLessOrEqualTo": 3}, [2, 3]),
        ({"mustBeBetween": [2, 4]}, [3]), ({"mustNotBeBetween": [2, 4]}, [2, 4]),
        ({"mustBeGreaterThan": 2, "mustBeLessThan": 4}, [3]),
    ],
)  # fmt: skip
def test_every_operator_of_the_standard(operator: dict[str, Any], accepted: list[int]) -> None:
    contract = parsed(schema={"quality": [{"metric": "rowCount", **operator}]})

    assert [n for n in (2, 3, 4) if contract.row_counts[0].holds(n, n)] == accepted


def test_a_primary_key_is_required_and_unique_in_its_order() -> None:
    contract = parsed(
        column("integer", "a", primaryKey=True, primaryKeyPosition=2),
        column("integer", "b", primaryKey=True, primaryKeyPosition=1),
        column("integer", "c", unique=True),
    )

    assert contract.keys == (("c",), ("b", "a"))
    assert [c.required for c in contract.columns] == [True, True, False]


REFUSED: dict[str, tuple[str, str]] = {
    "unknown type": (text(column("time")), "schema[0].properties[0].logicalType"),
    "unknown word": (text(column("string", requird=True)), "properties[0].requird: is unknown"),
    "unknown top word": (text(surprise=1), "surprise: is unknown"),
    "partitioning": (text(column("string", partitioned=True)), "partitioned: is unknown or not enforced"),
    "sql rule": (text(column("string", quality=[{"type": "sql", "query": "SELECT 1", "mustBe": 0}])), "quality[0]"),
    "custom rule": (text(column("string", quality=[{"type": "custom", "engine": "soda"}])), "quality[0].type"),
    "unknown metric": (text(column("string", quality=[{"metric": "freshness", "mustBe": 0}])), "quality[0].metric"),
    "no metric": (
        text(column("string", quality=[{"mustBe": 0}])),
        "column c: quality: a library rule names one metric",
    ),
    "no condition": (text(column("string", quality=[{"metric": "nullValues"}])), "no condition"),
    "only a warning": (
        text(column("string", quality=[{"metric": "nullValues", "mustBe": 0, "severity": "warning"}])),
        "severity",
    ),
    "pattern on a number": (
        text(column("number", logicalTypeOptions={"pattern": "x"})),
        "pattern does not fit type number",
    ),
    "bound of another type": (text(column("integer", logicalTypeOptions={"minimum": "low"})), "'low' is no integer"),
    "bound that is no date": (text(column("date", logicalTypeOptions={"minimum": "2013-02-30"})), "2013-02-30"),
    "unread format": (text(column("string", logicalTypeOptions={"format": "email"})), "'email' is not enforced"),
    "lookahead": (text(column("string", logicalTypeOptions={"pattern": "a(?=b)"})), "lookaround"),
    "broken pattern": (text(column("string", logicalTypeOptions={"pattern": "("})), "no regular expression"),
    "yaml's no": (
        text(
            column("string", quality=[{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [False]}}])
        ),
        "quote a text",
    ),
    "misspelt own property": (
        text(column("string", customProperties=[{"property": "availableAtPredicton", "value": False}])),
        "'availableAtPredicton' is unknown",
    ),
    "own property of another type": (
        text(column("string", customProperties=[{"property": "availableAtPrediction", "value": "no"}])),
        "true or false",
    ),
    "event time that may be null": (
        text(column("date", customProperties=[{"property": "eventTime", "value": True}])),
        "eventTime needs a required",
    ),
    "two event times": (
        text(
            *(
                column("date", n, required=True, customProperties=[{"property": "eventTime", "value": True}])
                for n in "ab"
            )
        ),
        "several columns: a, b",
    ),
    "a column twice": (text(column("string", "a"), column("string", "A")), "written twice"),
    "the partition's column": (text(column("string", "version")), "reserved names: version"),
    "a key of no column": (
        text(schema={"quality": [{"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["x"]}}]}),
        "no column x",
    ),
    "a dataset's name": (text(schema={"name": "Not a name"}), "schema[0].name"),
    "two schemas": (text(schema={}).replace("schema:\n", "schema:\n- name: a\n  properties: []\n"), "schema"),
    "a version of the standard": (text(apiVersion="v2.2.0"), "apiVersion"),
    "a word written twice": (text() + "status: draft\n", "'status' is written twice"),
    "an alias": ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
    "depth": ("a: " + "[" * 50 + "]" * 50, "nested deeper"),
    "size": ("# " + "x" * MAX_CHARACTERS, "longer than"),
    "no mapping": ("- a\n", "mapping"),
    "no yaml": ("a: [", "contracts/x.yaml"),
    "an impossible date": ("a: 2013-02-31\n", "contracts/x.yaml"),
    "a tag": ("a: !!python/object/apply:os.system [ls]\n", "contracts/x.yaml"),
    "a list as key": ("? [a]\n: b\n", "plain word"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_enforced_is_refused_by_file_and_field(case: str) -> None:
    document, named = REFUSED[case]

    with pytest.raises(CatalogInvalid, match=re.escape(named)) as caught:
        parse_contract(document, "contracts/x.yaml")

    assert str(caught.value).startswith("contracts/x.yaml: ")


def test_words_that_only_describe_are_accepted() -> None:
    contract = parsed(
        column("string", description="d", tags=["x"], classification="public", examples=["a"], businessName="C",
               customProperties=[{"property": "acme.owner", "value": "them"}]),
        name="Tiny", domain="travel", description={"purpose": "p"}, team={"name": "us"},
        customProperties=[{"property": "acme.tier", "value": 1}],
    )  # fmt: skip

    assert contract.columns[0].description == "d"


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(noise: str) -> None:
    try:
        parse_document(noise, "x")
    except CatalogInvalid as error:
        assert str(error).startswith("x: ")


@pytest.mark.parametrize("pattern", ["^a+$", r"\d{2}", "(?i)abc", "(?:a|b)*", r"\\1", "[+]+"])
def test_patterns_of_both_syntaxes_are_taken(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?<!x)a", "a++", "(?P<n>a)(?P=n)", "(?>a)", "x" * 1001])
def test_patterns_that_re2_has_not_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        check_pattern(pattern)


def test_date_formats_of_whole_fields() -> None:
    assert date_format("yyyy-MM-dd HH:mm:ss") == "%Y-%m-%d %H:%M:%S"
    assert date_format("dd.MM.yyyy'T'HH") == "%d.%m.%YT%H"
    for wrong in ("yy-MM-dd", "yyyy-MM", "yyyy-MMM-dd", ""):
        with pytest.raises(ValueError, match="format"):
            date_format(wrong)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\rb", "\x00", "a\x1fb", "\ufffe", "x\uffff"])
def test_a_column_whose_name_no_table_takes_is_refused(name: str) -> None:
    """Glue refuses it when the stack is deployed."""
    with pytest.raises(CatalogInvalid, match=r"^contracts/tiny\.yaml: schema\[0\]\.properties: names with control"):
        parsed(column("string", name))


@pytest.mark.parametrize("name", ["größe (cm)", "\U0001f600", "a\u00a0b", "a\x7fb"])
def test_other_names_of_columns_are_taken(name: str) -> None:
    assert parsed(column("string", name)).columns[0].name == name
