"""The judge: what it may never do, whatever it is shown, and what simulated rollouts come to."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import first_look, judge, next_look
from scripts.benchmarks.rollouts import AT_TEN_PERCENT, PLAN, Ended, Traffic, runs

counted = st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.floats(0, 1), st.floats(0, 1))


@st.composite
def looks(draw: st.DrawFn) -> tuple[list[Counts], int, int]:
    steps = []
    for weight in PLAN.steps[: draw(st.integers(1, len(PLAN.steps)))]:
        requests, others, failing, others_failing = draw(counted)
        steps.append(Counts(weight, requests, int(requests * failing), others, int(others * others_failing)))
    in_step = draw(st.integers(0, 200_000))
    return steps, in_step, in_step + draw(st.integers(0, 100_000))


@given(look=looks())
def test_no_look_leaves_the_plan(look: tuple[list[Counts], int, int]) -> None:
    steps, in_step, in_all = look
    decision = judge(PLAN, steps, in_step=in_step, in_all=in_all)
    here = len(steps) - 1
    if decision.verdict == "promote":
        assert here == len(PLAN.steps) - 1
        assert in_step >= PLAN.dwell
    if decision.verdict == "continue":
        assert in_all < PLAN.limit
        assert decision.wait >= 1
        assert decision.step in (here, here + 1)
        assert decision.step < len(PLAN.steps)
    if decision.step == here + 1:
        assert in_step >= PLAN.dwell
        assert steps[-1].requests >= PLAN.requests
    assert decision.reason
    assert all(value is None or math.isfinite(value) for value in decision.evidence["error_ratio"])


def test_errors_of_the_challenger_alone_end_it_at_any_look() -> None:
    decision = judge(PLAN, [Counts(0.05, 10, 10, 190, 0)], in_step=1, in_all=1)
    assert decision.verdict == "rollback"
    assert "times as often" in decision.reason


def test_too_little_traffic_is_inconclusive_and_says_so() -> None:
    decision = judge(PLAN, [Counts(0.05, 3, 0, 60, 0)], in_step=PLAN.limit, in_all=PLAN.limit)
    assert decision.verdict == "inconclusive"
    assert "3 requests" in decision.reason


def test_looks_are_spaced_geometrically_and_none_is_past_the_limit() -> None:
    plan = replace(PLAN, dwell=60, limit=10_000)
    times = [first_look(plan)]
    while times[-1] < plan.limit:
        times.append(times[-1] + next_look(plan, times[-1], times[-1]))
    assert times[-1] == plan.limit
    assert len(times) < 32
    assert all(later / earlier <= 1.22 or later - earlier == 60 for earlier, later in itertools.pairwise(times))


def drifting(base: float) -> Traffic:
    return Traffic(10, base, swing=0.8)


def verdicts(ends: list[Ended]) -> Counter[str]:
    return Counter(end.decision.verdict for end in ends)


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])])
class TestSimulations:
    """The same promises with few rollouts, and with ten thousand in the long run."""

    def test_an_equal_challenger_is_rarely_rolled_back_and_mostly_promoted(self, count: int) -> None:
        found = verdicts(runs(PLAN, drifting(0.02), count))
        assert found["rollback"] <= 0.01 * count + 2 * math.sqrt(0.01 * count)
        assert found["promote"] >= 0.95 * count - 2 * math.sqrt(0.05 * count)

    def test_so_is_one_without_errors(self, count: int) -> None:
        assert verdicts(runs(PLAN, drifting(0.0), count)) == {"promote": count}

    def test_twice_the_errors_are_found_within_twenty_thousand_requests(self, count: int) -> None:
        ends = runs(AT_TEN_PERCENT, Traffic(10, 0.02, 2.0), count)
        found = [end for end in ends if end.decision.verdict == "rollback"]
        assert len(found) >= 0.95 * count - 2 * math.sqrt(0.05 * count)
        assert max(end.requests for end in found) < 21_000

    def test_five_times_the_errors_are_found_within_two_thousand(self, count: int) -> None:
        ends = runs(AT_TEN_PERCENT, Traffic(10, 0.02, 5.0), count)
        assert verdicts(ends) == {"rollback": count}
        assert np.median([end.requests for end in ends]) <= 2000

    def test_an_inferior_challenger_is_rarely_promoted(self, count: int) -> None:
        found = verdicts(runs(PLAN, Traffic(10, 0.02, 1.5), count))
        assert found["promote"] <= 0.01 * count + 2 * math.sqrt(0.01 * count)
