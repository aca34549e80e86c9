"""Arrivals, repetitions, crashes, hand-overs, endings, aborts in any order: never two flights, and nothing lost."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from perennial.retraining.decisions import Arrival
from perennial.storage.workflows import Workflow
from tests.aws import fresh_account
from tests.crash import crash_at
from tests.unit.retraining.conftest import AT, Tower, spec_of, tower_in

MIN_ROWS = 50
crashes = st.none() | st.tuples(st.integers(1, 25), st.sampled_from(["before-send", "after-call"]))
_names = itertools.count()


class World(RuleBasedStateMachine):
    """The world around the governor: versions are committed, events come late and twice, processes die."""

    tower: Tower

    def __init__(self) -> None:
        super().__init__()
        # one account for all examples: a model, dataset and machine of its own is as good as an empty world, and faster
        number, account = next(_names), self.tower_of_all.account
        governor = replace(self.tower_of_all.governor, workflow=Workflow(account.machine(f"lifecycle-{number}")))
        self.tower = Tower(governor, account, "", spec_of(f"m{number}", f"d{number}", MIN_ROWS))
        self.committed: list[Arrival] = []
        self.undelivered: list[Arrival] = []
        self.seen: dict[str, int] = {}
        self.frozen: dict[str, list[int]] = {}
        self.ending: dict[str, dict[str, Any] | None] = {}
        self.leaving: set[str] = set()
        self.aborted = False
        self.schedules = 0

    tower_of_all: Tower

    # ---- what happens

    @rule(rows=st.integers(1, 60))
    def commit(self, rows: int) -> None:
        arrival = self.tower.commit(rows)
        self.committed.append(arrival)
        self.undelivered.append(arrival)

    @precondition(lambda self: self.undelivered)
    @rule(data=st.data(), crash=crashes)
    def deliver(self, data: st.DataObject, crash: tuple[int, Any] | None) -> None:
        arrival = data.draw(st.sampled_from(self.undelivered))
        if self._lives(crash, lambda: self.tower.governor.arrive(self.tower.spec, arrival, AT)):
            self.undelivered.remove(arrival)

    @precondition(lambda self: self.committed)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        arrival = data.draw(st.sampled_from(self.committed))
        self.tower.governor.arrive(self.tower.spec, arrival, AT)

    @rule(crash=crashes)
    def schedule(self, crash: tuple[int, Any] | None) -> None:
        self.schedules += 1
        at = AT + timedelta(days=self.schedules)
        self._lives(crash, lambda: self.tower.schedule(at))

    @precondition(lambda self: self.settling())
    @rule(data=st.data(), crash=crashes)
    def look(self, data: st.DataObject, crash: tuple[int, Any] | None) -> None:
        self._look(data.draw(st.sampled_from(self.settling())), crash)

    def _look(self, execution: str, crash: tuple[int, Any] | None = None) -> None:
        given, looks = self.tower.input(execution), list[Any]()
        governor, spec, flight = self.tower.governor, self.tower.spec, given["flight"]
        seen = self.seen.get(execution, given["seen"])
        if self._lives(crash, lambda: looks.append(governor.freeze(spec, flight, given["leg"], seen, AT))):
            self.seen[execution] = looks[0].seen
            if looks[0].run:
                request = governor.data.get_json(looks[0].request_key)
                self.frozen[flight] = [one["version"] for one in request["versions"]]

    @precondition(lambda self: self.settling() or self.leaving & set(self.running()))
    @rule(data=st.data(), crash=crashes)
    def hand_over(self, data: st.DataObject, crash: tuple[int, Any] | None) -> None:
        candidates = self.settling() + sorted(self.leaving & set(self.running()) - set(self.ending))
        if candidates:
            self._hand_over(data.draw(st.sampled_from(candidates)), crash)

    def _hand_over(self, execution: str, crash: tuple[int, Any] | None = None) -> None:
        given = self.tower.input(execution)
        seen = self.seen.get(execution, given["seen"])
        self.leaving.add(execution)
        governor, spec = self.tower.governor, self.tower.spec
        if self._lives(crash, lambda: governor.hand_over(spec, given["flight"], given["leg"], seen)):
            self.tower.end(execution)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), crash=crashes, error=st.sampled_from([None, "TrainingDataInvalid", "StorageUnavailable"]))
    def finish(self, data: st.DataObject, crash: tuple[int, Any] | None, error: str | None) -> None:
        execution = data.draw(st.sampled_from(self.running()))
        # only what froze can succeed; what has begun to end goes on ending as it began
        if self._flight(execution) not in self.frozen or execution in self.leaving:
            error = error or "KeyError"
        self.ending.setdefault(execution, {"Error": error, "Cause": "c"} if error else None)
        self._finish(execution, crash)

    def _finish(self, execution: str, crash: tuple[int, Any] | None = None) -> None:
        governor, failure, given = self.tower.governor, self.ending[execution], self.tower.input(execution)
        spec, flight, leg = self.tower.spec, given["flight"], given["leg"]
        if self._lives(crash, lambda: governor.finish(spec, flight, leg, failure, AT)):
            self.tower.end(execution)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        execution = data.draw(st.sampled_from(self.running()))
        self.aborted = True
        self.tower.end(execution)

    # ---- what must hold

    @invariant()
    def one_flight_at_a_time(self) -> None:
        # one whose ending has begun may have landed already, one that is leaving may have gone on already
        assert len(set(self.running()) - set(self.ending) - self.leaving) <= 1

    def teardown(self) -> None:
        """What is owed happens: events are delivered, executions go on to their end. Then nothing is open."""
        for _ in range(2 * len(self.committed) + 2 * self.schedules + 4):
            for arrival in list(self.undelivered):
                self.tower.governor.arrive(self.tower.spec, arrival, AT)
                self.undelivered.remove(arrival)
            for execution in self.running():
                self._end(execution)
            if self.aborted and self.committed:
                # an aborted flight is found by whoever looks next
                self.tower.governor.arrive(self.tower.spec, self.committed[0], AT)
        assert not self.running()
        if self.committed:
            assert self.tower.governor.triggers.flight(self.tower.spec.name) is None
        self.nothing_is_lost()

    def _end(self, execution: str) -> None:
        if execution in self.leaving and execution not in self.ending:
            self._hand_over(execution)
            return
        while execution in self.settling():
            self._look(execution)
        self.ending.setdefault(execution, None)
        self._finish(execution)

    def nothing_is_lost(self) -> None:
        arrivals = self.tower.governor.triggers.arrivals(self.tower.spec.name)
        assert {one.version for one in arrivals} == {one.version for one in self.committed}
        # what no training saw is too little, or waits for the next arrival since a passing fault ended its training
        unseen = [one for one in arrivals if one.pending]
        assert sum(one.rows for one in unseen) < MIN_ROWS or all(one.returned for one in unseen)
        # every arrival that counts as seen lies in what its flight froze, or that flight failed
        for one in arrivals:
            if one.flight is not None and one.flight in self.frozen:
                assert one.version <= max(self.frozen[one.flight])
        assert len(self.tower.executions()) <= len(self.committed) + self.schedules + len(self.leaving)
        assert self.tower.governor.ledger.verify(f"model/{self.tower.spec.name}").ok

    # ---- helpers

    def running(self) -> list[str]:
        return sorted(name for name, status in self.tower.executions().items() if status == "RUNNING")

    def settling(self) -> list[str]:
        """Executions that have not frozen, nor begun to end or to hand over."""
        busy = self.leaving | set(self.ending)
        return [one for one in self.running() if one not in busy and self._flight(one) not in self.frozen]

    def _flight(self, execution: str) -> str:
        flight: str = self.tower.input(execution)["flight"]
        return flight

    def _lives(self, crash: tuple[int, Any] | None, action: Any) -> bool:
        """Whether the action ended; one that dies is delivered again later."""
        ended = []
        with ExitStack() as stack:
            if crash:
                stack.enter_context(crash_at(crash[0], crash[1]))
            action()
            ended.append(True)
        return bool(ended)


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(8, 20, id="some"),
        pytest.param(100, 40, id="many", marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_never_two_flights_and_nothing_lost(examples: int, steps: int) -> None:
    with fresh_account() as account:
        World.tower_of_all = tower_in(account)
        run_state_machine_as_test(
            World,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
