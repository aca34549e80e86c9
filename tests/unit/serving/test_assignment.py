"""An entity always meets the same arm; shares come out as asked; the arm is computable from the record alone."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import BundleInvalid
from perennial.serving.assignment import (
    ARMS,
    BUCKETS,
    CHALLENGER,
    Arm,
    Design,
    bucket,
    design_bytes,
    entity_keys,
    parse_design,
)

ENTITY = ("customer", "shop")
DESIGN = Design(Arm(3, "a" * 64), Arm(4, "b" * 64), 0.3, ENTITY, "salt")
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.text(max_size=5) | st.booleans() | numbers
entities = st.lists(st.tuples(values, values), min_size=1, max_size=30)


def columns(rows: list[tuple[Any, Any]]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(ENTITY)}


@given(entities, st.randoms(), st.integers(1, 30))
def test_an_entity_meets_the_same_arm_in_any_order_and_any_batch(
    rows: list[tuple[Any, Any]], random: Any, size: int
) -> None:
    together = dict(zip(map(repr, rows), DESIGN.arms(columns(rows), len(rows)), strict=True))
    shuffled = list(rows)
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        piece = shuffled[start : start + size]
        assert DESIGN.arms(columns(piece), len(piece)) == [together[repr(row)] for row in piece]


@given(st.integers(-(2**53), 2**53))
def test_a_number_is_the_same_entity_however_it_is_written(number: int) -> None:
    written = {"customer": [number, float(number), json.loads(f"{number}.0")], "shop": ["x"] * 3}
    assert len(set(entity_keys(written, ENTITY, 3))) == 1


@given(entities, entities)
def test_different_entities_have_different_keys(one: list[tuple[Any, Any]], other: list[tuple[Any, Any]]) -> None:
    def plain(row: tuple[Any, Any]) -> list[tuple[str, Any]]:
        return [("number" if type(v) in (int, float) else type(v).__name__, v) for v in row]

    (first, *_), (second, *_) = one, other
    keys = [entity_keys(columns([row]), ENTITY, 1)[0] for row in (first, second)]
    if None not in keys:
        assert (keys[0] == keys[1]) == (plain(first) == plain(second))


@given(st.lists(values, min_size=2, max_size=2))
def test_a_row_without_its_entity_takes_no_part(row: list[Any]) -> None:
    row[0] = None
    assert DESIGN.arms(columns([(row[0], row[1])]), 1) == [None]


@given(st.integers(1, BUCKETS - 1))
def test_propensities_sum_to_one_and_are_shares_of_the_buckets(parts: int) -> None:
    design = DESIGN._replace(share=parts / BUCKETS)
    assert sum(design.propensity(arm) for arm in ARMS) == 1
    assert design.propensity(CHALLENGER) == parts / BUCKETS


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.9])
def test_the_share_converges_to_what_was_asked(share: float) -> None:
    count = 40_000
    design = DESIGN._replace(share=share, entity=("customer",))
    arms = design.arms({"customer": list(range(count))}, count)
    spread = math.sqrt(count * share * (1 - share))
    assert abs(arms.count(CHALLENGER) - count * share) < 4 * spread


def test_buckets_are_even_and_independent_between_salts() -> None:
    count, parts = 100_000, 100
    for salt in (b"one", b"two"):
        seen = [0] * parts
        for customer in range(count):
            seen[bucket(salt, f"[{customer}]") * parts // BUCKETS] += 1
        # chi-square with 99 degrees of freedom: mean 99, standard deviation 14
        assert sum((one - count / parts) ** 2 / (count / parts) for one in seen) < 99 + 5 * 14
    both = sum(bucket(b"one", f"[{c}]") < 5000 and bucket(b"two", f"[{c}]") < 5000 for c in range(count))
    assert abs(both - count / 4) < 5 * math.sqrt(count * 3 / 16)


def test_the_hash_never_changes() -> None:
    # what was assigned last year must be recomputable: these three are part of the format
    assert [bucket(b"salt", key) for key in ('["UA"]', "[7]", '["a",1.5,true]')] == [8884, 8075, 1920]


def test_a_design_survives_its_file() -> None:
    assert parse_design(design_bytes(DESIGN)) == DESIGN


@pytest.mark.parametrize(
    "change",
    [
        {"share": 0.0}, {"share": 1.0}, {"share": 1}, {"share": "0.5"}, {"share": 0.00001}, {"salt": ""},
        {"salt": "x" * 65}, {"entity": []}, {"entity": [1]}, {"entity": "customer"}, {"champion": {"version": 3}},
        {"champion": {"version": 4, "sha256": "a"}}, {"champion": 3}, {"champion": {"version": True, "sha256": "a"}},
        {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_design_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleInvalid, match=r"experiment\.json"):
        parse_design(json.dumps(json.loads(design_bytes(DESIGN)) | change).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff", b'{"share": NaN}', b"[" * 100_000])
def test_what_is_no_design_is_refused(content: bytes) -> None:
    with pytest.raises(BundleInvalid, match=r"experiment\.json"):
        parse_design(content)
