"""Grids and profiles: counts are exact, merging is exact, what is read off carries its bound."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.errors import GridsDiffer
from perennial.monitoring.grid import BINS, GREATEST, KNOWN, LABELS, Grid, make_grid
from perennial.monitoring.profile import Profile, empty, profile
from perennial.monitoring.summary import deviation, mean, present, quantile, top
from perennial.monitoring.texts import Texts, Whole
from tests.unit.monitoring.flights import flights_of_month
from tests.unit.monitoring.made import made_days, taken

NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64)
ROWS = st.lists(
    st.tuples(
        st.integers(-3, 3) | st.none(),
        NUMBERS,
        st.integers(-(2**40), 2**40),
        st.sampled_from(["", "a", "b", "c", "d", "é"]),
        st.sampled_from([0.0, 1.0, math.nan]),
    ),
    max_size=40,
)


def columns_of(rows: list[tuple[Any, ...]]) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    days = np.array(["NaT" if row[0] is None else np.datetime64(row[0], "D") for row in rows], dtype="datetime64[D]")
    dtypes = (np.float64, np.float64, object, np.float32)
    return days, {
        name: np.array([row[place + 1] for row in rows], dtype=dtype)
        for place, (name, dtype) in enumerate(zip(("x", "n", "t", "b"), dtypes, strict=True))
    }


@settings(max_examples=80)
@given(rows=ROWS, made_of=ROWS, cuts=st.lists(st.integers(0, 40), max_size=4), order=st.randoms(use_true_random=False))
def test_merged_in_any_order_and_grouping_a_profile_is_that_of_all_rows_to_the_byte(
    rows: list[tuple[Any, ...]], made_of: list[tuple[Any, ...]], cuts: list[int], order: Any
) -> None:
    grid = make_grid(columns_of(made_of)[1], kinds={"b": "boolean"})
    whole = profile(grid, *columns_of(rows))
    order.shuffle(rows)
    ends = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = [profile(grid, *columns_of(rows[a:b])) for a, b in pairwise(ends)] or [empty(grid)]
    order.shuffle(parts)
    middle = order.randint(0, len(parts))
    left, right = (empty(grid).merge(*side) for side in (parts[:middle], parts[middle:]))
    assert left.merge(right).to_bytes() == whole.to_bytes()
    assert Profile.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()


@settings(max_examples=80)
@given(rows=ROWS.filter(lambda rows: len(rows) > 0), made_of=ROWS, share=st.floats(0.01, 1.0))
def test_what_is_read_off_a_profile_keeps_its_bound(
    rows: list[tuple[Any, ...]], made_of: list[tuple[Any, ...]], share: float
) -> None:
    days, columns = columns_of(rows)
    found = profile(make_grid(columns_of(made_of)[1]), days, columns)
    for name in ("x", "n"):
        values = columns[name][np.abs(columns[name]) <= GREATEST]
        assert present(found, name) == len(values)
        about_mean, about_spread, about = mean(found, name), deviation(found, name), quantile(found, name, share)
        if not len(values):
            assert about_mean is None and about_spread is None and about is None
            continue
        assert about_mean is not None and about_spread is not None and about is not None
        exact = math.fsum(value / len(values) for value in values)
        slack = 1e-9 * float(np.abs(values).max())
        assert about_mean.low - slack <= exact <= about_mean.high + slack
        with np.errstate(over="ignore", invalid="ignore"):
            spread = float(np.std(values))
        if math.isfinite(spread) and math.isfinite(about_spread.high):
            assert about_spread.low - slack <= spread <= about_spread.high + slack
        at = np.sort(values)[max(1, math.ceil(share * len(values))) - 1]
        assert about.low <= at <= about.high


def test_a_month_of_flights_fits_64_kb_with_its_grid_and_survives_the_way_there_and_back() -> None:
    days, columns, temporal = flights_of_month(1)
    found = profile(make_grid(columns, temporal=temporal), days, columns)
    assert (len(columns), len(found.days)) == (19, 32)
    assert found.rows.sum() == 27004
    assert len(found.to_bytes()) <= 64 * 1024
    assert Profile.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()
    assert abs(mean(found, "distance").value - columns["distance"].mean()) < 1e-9  # type: ignore[union-attr]
    assert dict(top(found, "origin")) == {"EWR": 9893, "JFK": 9161, "LGA": 7950}


def test_bins_hold_about_equal_shares_and_each_of_few_values_has_its_own() -> None:
    rng = np.random.default_rng(1)
    columns = {"wide": rng.normal(size=10_000), "few": rng.integers(0, 5, 10_000).astype(np.float64)}
    grid = make_grid(columns)
    found = profile(grid, np.full(10_000, "2013-01-01", dtype="datetime64[D]"), columns)
    wide = found.columns["wide"].counts[0]
    assert len(wide) == BINS + 3 and wide[0] == wide[-1] == wide[-2] == 0
    assert abs(wide[1:-2] - 10_000 / BINS).max() <= 2
    assert found.columns["few"].counts[0][1:6].tolist() == np.bincount(columns["few"].astype(int)).tolist()


def test_the_same_number_falls_into_the_same_bin_as_float32_and_as_float64() -> None:
    values = np.round(np.random.default_rng(2).normal(size=5000), 2)
    day = np.full(5000, "2013-01-01", dtype="datetime64[D]")
    grid = make_grid({"x": values.astype(np.float32)})
    narrow, wide = profile(grid, day, {"x": values.astype(np.float32)}), profile(grid, day, {"x": values})
    assert np.array_equal(narrow.columns["x"].counts, wide.columns["x"].counts)


def test_whole_numbers_of_any_range_are_counted_as_floats_are() -> None:
    rng = np.random.default_rng(3)
    day = rng.integers(15_000, 15_010, 20_000).astype("datetime64[D]")
    valid = rng.random(20_000) < 0.9
    for reach in (3, 3000, 10**12):
        values = rng.integers(-500, reach, 20_000)
        grid = make_grid({"x": values[:1000].astype(np.float64)})
        as_floats = np.where(valid, values, np.nan)
        assert (
            profile(grid, day, {"x": Whole(values, valid)}).to_bytes()
            == profile(grid, day, {"x": as_floats}).to_bytes()
        )
        assert profile(grid, day, {"x": values}).to_bytes() == profile(grid, day, {"x": values * 1.0}).to_bytes()


def test_profiles_of_other_grids_and_rows_without_a_column_are_refused() -> None:
    days, columns = made_days(np.random.default_rng(4), "2013-01-01", 3, 50)
    one, other = make_grid(columns), make_grid(taken(columns, np.arange(80)))
    with pytest.raises(GridsDiffer, match="does not add up"):
        profile(one, days, columns).merge(profile(other, days, columns))
    with pytest.raises(GridsDiffer, match="'f3'"):
        profile(one, days, {name: columns[name] for name in ("f0", "f1", "f2")})
    with pytest.raises(GridsDiffer):
        Profile.from_json(profile(one, days, columns).to_json(), other)


def test_texts_that_name_single_things_are_counted_and_never_written_down() -> None:
    rng = np.random.default_rng(5)
    columns = {
        "email": np.array([f"person{i}@example.org" for i in range(3000)], dtype=object),
        "city": rng.choice(np.array(["Rome", "Oslo", "Lima"], dtype=object), 3000),
    }
    columns["city"][:2] = ["Atlantis", "Ys"]
    day = np.full(3000, "2013-01-01", dtype="datetime64[D]")
    body = str(make_grid(columns).to_json()) + str(profile(make_grid(columns), day, columns).to_json())
    assert "example.org" not in body
    assert "Atlantis" not in body, "fewer than five rows share it"
    assert "Rome" in body


def test_unseen_texts_are_told_from_rare_ones_and_a_few_are_shown() -> None:
    words = [f"w{i:03d}" for i in range(LABELS + 30)]
    rows = np.array([word for place, word in enumerate(words) for _ in range(200 - place)], dtype=object)
    grid = make_grid({"t": rows})
    column = grid.by_name["t"]
    assert (len(column.labels), len(column.rest)) == (LABELS, 30)
    seen = np.array(["w000", "w079", "new", "newer", "", "abc", "zzz"], dtype=object)
    found = profile(grid, np.full(7, "2013-01-01", dtype="datetime64[D]"), {"t": seen}).columns["t"]
    counts = dict(zip(column.names(), found.counts[0].tolist(), strict=True))
    assert {name: count for name, count in counts.items() if count} == {
        "w000": 1,
        "other": 1,
        "unseen": 4,
        "missing": 1,
    }
    assert found.examples == ("abc", "new", "newer")


def test_a_column_with_too_many_texts_is_an_identifier() -> None:
    many = np.array([f"{i}" for i in range(KNOWN + 1)] * 20, dtype=object)
    assert make_grid({"t": many}).by_name["t"].identifier


def test_grids_go_to_json_and_back() -> None:
    _, columns = made_days(np.random.default_rng(6), "2013-01-01", 3, 50)
    grid = make_grid({**columns, "none": np.full(len(columns["f0"]), np.nan)}, temporal=frozenset({"f1"}))
    assert Grid.from_json(grid.to_json()) == grid
    assert all(len(column.names()) == column.bins for column in grid.columns)


def test_texts_are_read_from_any_way_they_come() -> None:
    same = [Texts.of(np.array(values, dtype=object)) for values in (["a", "", "b"], ["a", None, "b"])]
    assert [one.codes.tolist() for one in same] == [[0, -1, 2]] * 2
    assert Texts.of(np.array(["a", "", "b"])).codes.tolist() == [0, -1, 2]
    assert Texts.of(same[0]) is same[0]
