"""Work in dependency order: after what it needs, beside what it does not."""

from __future__ import annotations

import threading
from graphlib import CycleError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.ordered import in_order


@given(st.lists(st.sets(st.integers(0, 30), max_size=4), min_size=1, max_size=30), st.integers(1, 4))
def test_everything_is_done_once_and_after_what_it_needs(drawn: list[set[int]], at_once: int) -> None:
    needs = {str(index): {str(one) for one in wanted if one < index} for index, wanted in enumerate(drawn)}
    done: list[str] = []

    def work(name: str) -> None:
        assert needs[name] <= set(done)
        done.append(name)

    in_order(needs, work, at_once=at_once)
    assert sorted(done) == sorted(needs)


def test_what_is_independent_is_done_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=20)
    met: list[int] = []
    in_order({"a": (), "b": (), "c": ()}, lambda name: met.append(meeting.wait()), at_once=3)
    assert sorted(met) == [0, 1, 2]


def test_after_a_failure_nothing_more_begins_and_what_is_under_way_ends() -> None:
    begun, failed, ended = threading.Event(), threading.Event(), []

    def work(name: str) -> None:
        if name == "bad":
            assert begun.wait(20)
            failed.set()
            raise ValueError(name)
        begun.set()
        assert failed.wait(20)
        ended.append(name)

    with pytest.raises(ValueError, match="bad"):
        in_order({"bad": (), "slow": (), "after": ("slow",), "never": ("bad",)}, work, at_once=2)
    assert ended == ["slow"]


def test_a_circle_is_refused() -> None:
    with pytest.raises(CycleError):
        in_order({"a": ("b",), "b": ("a",)}, lambda name: None, at_once=1)
