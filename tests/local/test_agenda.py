"""Jobs run when the clock gets to them, in the order of their times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from infra.local.agenda import Agenda
from infra.local.clock import Clock


@pytest.fixture
def agenda() -> Iterator[Agenda]:
    made = Agenda(Clock(), "test")
    yield made
    made.stop()


def test_a_driven_clock_runs_what_fell_due_once_and_in_order(agenda: Agenda) -> None:
    ran: list[int] = []
    now = agenda.clock.time()
    for hours in (3, 1, 2, 30):
        agenda.at(now + hours * 3600, lambda hours=hours: ran.append(hours))  # type: ignore[misc]
    agenda.clock.advance(5 * 3600)
    assert agenda.settle()
    assert ran == [1, 2, 3]


def test_equal_times_keep_their_order(agenda: Agenda) -> None:
    ran: list[int] = []
    when = agenda.clock.time() + 60
    for number in range(50):
        agenda.at(when, lambda number=number: ran.append(number))  # type: ignore[misc]
    agenda.clock.advance(61)
    assert agenda.settle()
    assert ran == list(range(50))


def test_a_job_that_fails_does_not_end_the_others(agenda: Agenda) -> None:
    ran: list[int] = []
    agenda.soon(lambda: ran.append(1 // 0))
    agenda.soon(lambda: ran.append(1))
    assert agenda.settle()
    assert ran == [1]


def test_settle_waits_for_what_a_job_puts_down(agenda: Agenda) -> None:
    ran: list[int] = []

    def first() -> None:
        time.sleep(0.05)
        agenda.soon(lambda: ran.append(2))

    agenda.soon(first)
    assert agenda.settle()
    assert ran == [2]


def test_nothing_runs_after_stop() -> None:
    clock, ran = Clock(), threading.Event()
    agenda = Agenda(clock, "stopped")
    agenda.at(clock.time() + 10, ran.set)
    agenda.stop()
    agenda.soon(ran.set)
    clock.advance(20)
    assert not ran.wait(0.05)


def test_real_time_counts_too(agenda: Agenda) -> None:
    ran = threading.Event()
    agenda.at(agenda.clock.time() + 0.05, ran.set)
    assert ran.wait(5)
