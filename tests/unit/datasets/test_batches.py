"""Names of dropped objects: which dataset, which batch, which place in quarantine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.model import NAME
from perennial.datasets.batches import UNKNOWN, batch_id, not_data, parse_drop


@pytest.mark.parametrize(
    ("key", "dataset", "name"),
    [
        ("raw/flights/a.csv", "flights", "a.csv"),
        ("raw/flights/2013/01/a b.csv", "flights", "a b.csv"),
        ("raw/a.csv", UNKNOWN, "a.csv"),
        ("raw/Flights/a.csv", UNKNOWN, "a.csv"),
        ("raw//a.csv", UNKNOWN, "a.csv"),
        ("raw/_unknown/a.csv", UNKNOWN, "a.csv"),
    ],
)
def test_the_first_folder_is_the_dataset(key: str, dataset: str, name: str) -> None:
    drop = parse_drop(key, "etag", 1)

    assert (drop.dataset, drop.name) == (dataset, name)
    assert drop.original == f"quarantine/{dataset}/{drop.batch}/{name}"


@pytest.mark.parametrize("name", ["report.json", "rows.parquet"])
def test_a_file_cannot_take_the_reports_place(name: str) -> None:
    assert parse_drop(f"raw/flights/{name}", "etag", 1).original.endswith(f"/original-{name}")


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
@pytest.mark.parametrize("dataset", ["flights", "Flights"])
def test_the_longest_key_has_a_place_in_quarantine(dataset: str, letter: str) -> None:
    prefix = f"raw/{dataset}/"
    key = prefix + letter * ((1024 - len(prefix) - 4) // len(letter.encode())) + ".csv"

    drop = parse_drop(key, "etag", 1)

    assert len(drop.original.encode()) <= 1024
    assert drop.original.startswith(drop.quarantine + letter)
    assert drop.original.endswith(f"{letter}.csv")


@given(st.text(), st.text(min_size=1))
def test_any_key_has_a_dataset_and_a_batch(key: str, etag: str) -> None:
    drop = parse_drop(f"raw/{key}", etag, 1)

    assert drop.dataset == UNKNOWN or re.fullmatch(NAME, drop.dataset)
    assert re.fullmatch("[0-9a-f]{20}", drop.batch)


def test_quotes_of_an_etag_do_not_matter_and_all_else_does() -> None:
    assert parse_drop("raw/d/k", '"e"', 1).batch == batch_id("d", "raw/d/k", "e")
    assert (
        len({batch_id(*names) for names in (("d", "k", "e"), ("d", "ke", ""), ("dk", "", "e"), ("d", "k", "f"))}) == 4
    )


@pytest.mark.parametrize("key", ["raw/d/a.csv", "raw/d/x_y/a.csv", "raw/loose.csv"])
def test_data_is_data(key: str) -> None:
    assert not_data(key) is None
