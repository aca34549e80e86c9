"""Bets against a bound: worth no more than their stake while it holds, and soon much when it does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.rollout.bounded_tests import mean_of, over


@given(total=st.integers(0, 60), bound=st.floats(0.001, 0.99), better=st.floats(0, 1))
def test_a_bound_that_holds_makes_nobody_richer(total: int, bound: float, better: float) -> None:
    likely = bound * better
    worth = sum(
        math.comb(total, ones)
        * likely**ones
        * (1 - likely) ** (total - ones)
        * math.exp(over({1.0: ones, 0.0: total - ones}, bound))
        for ones in range(total + 1)
    )
    assert worth <= 1 + 1e-6
    if better == 1:
        assert worth == pytest.approx(1)


@given(bound=st.floats(0.01, 0.9), high=st.floats(0, 1), lowest=st.floats(-1, 0))
def test_one_bet_is_fair_whatever_the_values(bound: float, high: float, lowest: float) -> None:
    """Two values with the mean at the bound: the expected worth of one unit is one unit."""
    high = max(high, bound)
    likely = (bound - lowest) / (high - lowest)
    worth = likely * math.exp(over({high: 1}, bound, lowest)) + (1 - likely) * math.exp(
        over({lowest: 1}, bound, lowest)
    )
    assert worth == pytest.approx(1)


def test_what_is_gross_is_found_after_few_observations_and_what_is_slight_after_many() -> None:
    assert over({1.0: 12}, 0.5) > math.log(100)
    assert over({1.0: 2}, 0.001) > math.log(100)
    assert over({1.0: 220, 0.0: 180}, 0.5) < math.log(100)
    assert over({1.0: 2200, 0.0: 1800}, 0.5) > math.log(100)


def test_nothing_seen_is_worth_the_stake() -> None:
    assert over({}, 0.5) == 0.0


def test_a_bound_that_nothing_can_be_below_is_refused() -> None:
    with pytest.raises(ValueError, match="least"):
        over({1.0: 1}, 0.5, lowest=0.5)


@given(values=st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_the_mean_is_that_of_exponentials(values: list[float]) -> None:
    assert mean_of(values) == pytest.approx(math.log(math.fsum(map(math.exp, values)) / len(values)))
