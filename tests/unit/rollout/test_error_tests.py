"""The tests of error rates: what they promise under every hypothesis, exactly and over time, and what they find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from perennial.rollout.error_tests import Counts, more_errors, not_inferior, ratio_bounds

LOOKS = tuple(int(200 * 1.3**step) for step in range(20))  # requests of a step, up to about 29,000
shares = st.floats(0.01, 0.99)


def share_of_errors(weight: float, ratio: float) -> float:
    return weight * ratio / (weight * ratio + 1 - weight)


def step(weight: float, errors: int, champion_errors: int, requests: int = 100_000) -> Counts:
    return Counts(weight, requests, errors, requests, champion_errors)


@given(weight=shares, total=st.integers(0, 60), better=st.floats(0.05, 1))
def test_more_errors_is_worth_at_most_one_unless_there_are_more(weight: float, total: int, better: float) -> None:
    odds = share_of_errors(weight, better)
    worth = sum(
        binom.pmf(errors, total, odds) * math.exp(more_errors([step(weight, errors, total - errors)]))
        for errors in range(total + 1)
    )
    assert worth <= 1 + 1e-6
    if better == 1:
        assert worth == pytest.approx(1)


@given(weight=shares, total=st.integers(0, 60), margin=st.floats(1.05, 5), worse=st.floats(1, 4))
def test_not_inferior_is_worth_at_most_one_when_the_challenger_is(
    weight: float, total: int, margin: float, worse: float
) -> None:
    """The relative part: to one all of whose requests fail the absolute part adds nothing."""
    odds = share_of_errors(weight, margin * worse)
    worth = sum(
        binom.pmf(errors, total, odds)
        * math.exp(not_inferior([Counts(weight, errors, errors, 10**6, total - errors)], ratio=margin, rate=0.01))
        for errors in range(total + 1)
    )
    assert worth <= 1 + 1e-6


@given(requests=st.integers(0, 300), rate=st.floats(0.001, 0.5), worse=st.floats(1, 2))
def test_a_rate_over_the_margin_is_not_called_small(requests: int, rate: float, worse: float) -> None:
    """The absolute part, beside a relative part that is 1 because the champion has no error."""
    odds = min(1.0, rate * worse)
    worth = sum(
        binom.pmf(errors, requests, odds)
        * math.exp(not_inferior([Counts(0.5, requests, errors, 0, 0)], ratio=1e9, rate=rate))
        for errors in range(requests + 1)
    )
    assert worth <= 1 + 1e-6


def rollout(rng: np.random.Generator, ratio: float, base: float, weights: tuple[float, ...]) -> list[list[Counts]]:
    """What is known at each look of a rollout whose error rate moves together with the weight."""
    seen: list[list[Counts]] = []
    done: list[Counts] = []
    for number, weight in enumerate(weights):
        rates = base * (1 + number) * (1 + 0.8 * np.sin(np.arange(LOOKS[-1]) / 3000))
        mine = rng.random(LOOKS[-1]) < weight
        failed = rng.random(LOOKS[-1]) < rates * np.where(mine, ratio, 1)
        requests, errors, all_errors = np.cumsum(mine), np.cumsum(mine & failed), np.cumsum(failed)
        for look in LOOKS:
            r, e, total = int(requests[look - 1]), int(errors[look - 1]), int(all_errors[look - 1])
            seen.append([*done, Counts(weight, r, e, look - r, total - e)])
        done = seen[-1]
    return seen


@pytest.mark.parametrize("ratio", [1.0, 0.7])
def test_looking_often_blames_an_innocent_challenger_rarely(ratio: float) -> None:
    rng = np.random.default_rng(1)
    blamed = sum(
        any(more_errors(seen) > math.log(100) for seen in rollout(rng, ratio, 0.01, (0.05, 0.25, 0.5)))
        for _ in range(200)
    )
    assert blamed <= 6  # 1 % promised: 2 of 200; more than 6 has a chance of 0.4 %


def test_a_challenger_that_fails_more_often_is_found_soon() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        looks = rollout(rng, 5.0, 0.02, (0.1,))
        found.append(next((sum((s.requests + s.champion_requests) for s in seen) for seen in looks
                           if more_errors(seen) > math.log(100)), 10**9))  # fmt: skip
    assert np.median(found) <= 2000
    assert max(found) <= LOOKS[-1]


def test_an_equal_challenger_without_errors_is_shown_not_inferior() -> None:
    assert not_inferior([Counts(0.5, 2000, 0, 2000, 0)], ratio=1.5, rate=0.01) > math.log(20)
    assert not_inferior([Counts(0.5, 100, 0, 100, 0)], ratio=1.5, rate=0.01) < math.log(20)


def test_bounds_hold_the_truth_and_close_in() -> None:
    rng = np.random.default_rng(3)
    outside, widths = 0, []
    for _ in range(40):
        last = rollout(rng, 2.0, 0.02, (0.25, 0.5))
        bounds = [ratio_bounds(seen, 0.025) for seen in (last[0], last[10], last[-1])]
        outside += any(not low <= 2.0 <= high for low, high in bounds)
        widths.append([high / max(low, 1e-3) for low, high in bounds])
    assert outside <= 6  # 5 % promised: 2 of 40
    first, _, end = np.median(widths, axis=0)
    assert end < first
    assert end < 2


def test_without_errors_nothing_is_known_of_the_ratio() -> None:
    assert ratio_bounds([Counts(0.1, 100, 0, 900, 0)], 0.025) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("counts", "words"),
    [((0.0, 1, 0, 1, 0), "weight"), ((1.0, 1, 0, 1, 0), "weight"), ((0.5, 1, 2, 1, 0), "more errors")],
)
def test_senseless_counts_are_refused(counts: tuple[float, int, int, int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Counts(*counts)


def test_senseless_margins_are_refused() -> None:
    with pytest.raises(ValueError, match="margins"):
        not_inferior([step(0.5, 1, 1)], ratio=1.0, rate=0.01)
