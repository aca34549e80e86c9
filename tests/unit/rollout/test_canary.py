"""What a rollout by steps carries, which minutes count, and what a spec may ask for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perennial.catalog.rollout import LONGEST, LOOKS, RolloutSpec
from perennial.rollout.canary import Canary, plan_of
from perennial.rollout.error_tests import Counts
from perennial.rollout.judge import first_look, next_look
from perennial.rollout.looking import begun, looked, shifted

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = RolloutSpec(steps=(0.1, 0.5), dwell=600, requests=10, limit=7200)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def canary(*starts: float, **changes: Any) -> Canary:
    return Canary(plan=SPEC, starts=tuple(after(seconds) for seconds in starts), **changes)


@given(
    gaps=st.lists(st.floats(1, 100_000), min_size=1, max_size=5), past=st.floats(0, 100_000), first=st.floats(0, 86_400)
)
def test_no_minute_counts_twice_and_none_in_which_the_weight_changed(
    gaps: list[float], past: float, first: float
) -> None:
    starts = [after(first + sum(gaps[:number])) for number in range(len(gaps))]
    found = Canary(plan=SPEC, starts=tuple(starts))
    at = starts[-1] + timedelta(seconds=past)
    windows = found.windows(at)
    edges = [edge for window in windows for edge in window]
    assert edges[:-2] == sorted(edges[:-2])
    for start, (since, until) in zip(starts, windows, strict=True):
        assert since > start
        assert since - start <= timedelta(minutes=1)
        assert (since.second, since.microsecond, until.second, until.microsecond) == (0, 0, 0, 0)
    since, until = windows[-1]
    assert until == since or at - until >= timedelta(minutes=7)


def test_what_is_carried_is_small_and_comes_back_as_it_went() -> None:
    found = canary(
        0, 900, verdict="continue", reason="on to 50%", evidence={"requests": 12, "error_ratio": [0.1, None]}
    )
    text = found.model_dump_json()
    assert len(text) < 4000
    assert Canary.model_validate(json.loads(text)) == found


def test_a_step_is_looked_at_when_its_dwell_has_settled_but_not_after_the_limit() -> None:
    assert shifted(canary(0)).wait == 600 + 9 * 60
    assert shifted(canary(0, 7000)).wait == 200
    assert (shifted(None).next, shifted(canary(0, verdict="promote")).next) == ("verify", "verify")


@pytest.mark.parametrize(
    ("counts", "past", "follows"),
    [
        (Counts(0.1, 50, 0, 450, 0), 700, "look"),  # not long enough
        (Counts(0.1, 5, 0, 45, 0), 1500, "look"),  # too few
        (Counts(0.1, 50, 0, 450, 0), 1200, "shift"),
        (Counts(0.1, 50, 50, 450, 0), 700, "restore"),
        (Counts(0.1, 5, 0, 45, 0), 7200, "restore"),
    ],
)
def test_what_follows_from_a_look(counts: Counts, past: float, follows: str) -> None:
    onward = looked(canary(0), [counts], [], after(past))
    assert onward.next == follows
    assert (onward.failure is not None) == (follows == "restore")
    assert (onward.wait > 0) == (follows == "look")


def test_what_is_inconclusive_is_promoted_where_the_spec_says_so() -> None:
    spec = SPEC.model_copy(update={"otherwise": "promote"})
    onward = looked(Canary(plan=spec, starts=(NOON,)), [Counts(0.1, 5, 0, 45, 0)], [], after(7200))
    assert onward.next == "shift"
    assert onward.canary is not None
    assert onward.canary.promoted
    assert begun(canary(0), after(900)).starts == (after(0), after(900))


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    steps = sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=5)))
    return {
        "steps": [step / 100 for step in steps],
        "dwell": draw(st.integers(60, 100_000)),
        "limit": draw(st.integers(600, LONGEST)),
    }


@given(given_=specs(), shares=st.lists(st.floats(0.05, 1), min_size=5, max_size=5))
def test_no_rollout_that_a_spec_may_ask_for_takes_more_looks_than_counted(
    given_: dict[str, Any], shares: list[float]
) -> None:
    try:
        spec = RolloutSpec.model_validate(given_)
    except ValidationError:
        return
    plan, looks, in_all = plan_of(spec), 0, 0
    for share in shares[: len(spec.steps)]:
        # a step takes its share of the time, whatever is left of it
        in_step, longest = 0, max(spec.dwell, share * spec.limit / len(spec.steps))
        wait = first_look(plan)
        while in_all < spec.limit:
            in_step, in_all, looks = in_step + wait, in_all + wait, looks + 1
            if in_step >= longest:
                break
            wait = next_look(plan, in_step, in_all)
    assert looks <= spec.looks <= LOOKS


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": [0.5, 0.25]}, "steps must grow"),
        ({"steps": []}, "at least 1 item"),
        ({"steps": [1.0]}, "less than 1"),
        ({"dwell": "30s"}, "takes one at least"),
        ({"limit": "8d"}, "are allowed"),
        ({"limit": "20m"}, "these steps take"),
        ({"dwell": "1m", "limit": "7d"}, "a longer dwell or a shorter limit"),
        ({"errors": {"alpha": 0.5}}, "less than or equal to 0.1"),
        ({"latency": {"ratio": 0.5}}, "greater than or equal to 1"),
        ({"weights": [0.5]}, "Extra inputs"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_with_the_catalog(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RolloutSpec.model_validate(wrong)
