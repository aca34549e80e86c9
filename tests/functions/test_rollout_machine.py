"""Rollouts in any order: begun, stepped, killed at any call, given up, taken back, overtaken by deployments.

Whatever happens, the history of what serves has no gap, the alias gives requests to nothing that was never published
for this model, and in the end, once everything is over, all requests go to what carries the champion.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.deploy.handler import lambda_handler
from perennial.errors import PublishPending, RolloutRunning
from perennial.registry import Registry
from perennial.rollout.turn import Turn
from tests.aws import fresh_account
from tests.callers import FUNCTION, Callers, with_steps
from tests.crash import When, crash_at
from tests.crash.calls import unheard
from tests.functions.conftest import World, world_in
from tests.functions.test_deploy import event, registered
from tests.lambda_api import LambdaApi
from tests.rollout_workflow import Execution
from tests.unit.serving.bundles import MODEL

VERSIONS = 3
WHENS: tuple[When, ...] = ("before-send", "after-call")


class NotItsTurn(Exception):
    """The workflow waits, and publishes again."""


def stage(message: dict[str, Any]) -> dict[str, Any]:
    """The stage with the workflow's retries, but for the long wait."""
    try:
        return lambda_handler(message, None)
    except RolloutRunning as error:
        raise NotItsTurn from error
    except PublishPending:
        return lambda_handler(message, None)


class Rollouts(RuleBasedStateMachine):
    """One model, its versions registered beforehand, and executions of the rollout workflow."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.executions: list[Execution] = []

    @initialize()
    def a_world(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.stack.callback(shutil.rmtree, folder)
        account = self.stack.enter_context(fresh_account())
        self.world: World = self.stack.enter_context(world_in(account))
        functions = LambdaApi(folder)
        self.function = functions.create(FUNCTION)
        self.stack.enter_context(functions.serving())
        with_steps(self.world, dwell=60, requests=10)
        for number in range(VERSIONS):
            registered(self.world, f"r{number}")
        self.machine = account.machine("perennial-dev-rollout")
        self.states = self.world.client("stepfunctions")
        self.callers = Callers(self.world, self.function)
        self.registry = Registry(self.world.registry)

    # ---- what happens

    @rule(version=st.sampled_from([1, 2, 3, "champion"]))
    def begin(self, version: int | str) -> None:
        name = f"e{len(self.executions)}"
        arn = self.states.start_execution(stateMachineArn=self.machine, name=name, input="{}")["executionArn"]
        execution = Execution(stage, MODEL, version, arn)
        execution.waited = lambda seconds: self.callers.call(execution, seconds)
        self.executions.append(execution)

    @precondition(lambda self: self.going)
    @rule(data=st.data(), states=st.integers(1, 8))
    def go_on(self, data: st.DataObject, states: int) -> None:
        execution = data.draw(st.sampled_from(self.going))
        for _ in range(states):
            self.step(execution)

    @precondition(lambda self: self.going)
    @rule(data=st.data(), number=st.integers(1, 25), when=st.sampled_from(WHENS))
    def die(self, data: st.DataObject, number: int, when: When) -> None:
        """A process dies within a state; the state is entered again by some later rule."""
        with crash_at(number, when):
            self.step(data.draw(st.sampled_from(self.going)))

    @precondition(lambda self: self.going)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        """Somebody stops an execution where it stands."""
        self.end(data.draw(st.sampled_from(self.going)))

    @precondition(lambda self: self.executions)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        self.asked(data.draw(self.named()))

    @precondition(lambda self: self.executions)
    @rule(data=st.data(), number=st.integers(1, 25), when=st.sampled_from(WHENS))
    def take_back_and_die(self, data: st.DataObject, number: int, when: When) -> None:
        named = data.draw(self.named())
        with crash_at(number, when) as death:
            self.asked(named)
        if death.happened:
            self.asked(named)

    def named(self) -> st.SearchStrategy[dict[str, Any]]:
        """A rollout, or a change of the champion, mostly one that was; now and then of another version."""
        holder, history = Turn(self.world.registry).holder(MODEL), self.registry.champion_history(MODEL)
        real: list[dict[str, Any]] = [{"version": one.version, "change": one.seq} for one in history]
        real += [{"version": holder.version, "rollout": holder.execution}] if holder and holder.version else []
        made = st.fixed_dictionaries({"version": st.integers(1, VERSIONS), "change": st.integers(1, 9)})
        return st.one_of(st.sampled_from(real), made) if real else made

    def asked(self, named: dict[str, Any]) -> None:
        before = self.registry.champion_entry(MODEL)
        asked = event("rollback") | {"body": json.dumps({**named, "reason": "no"})}
        reply = lambda_handler(asked, None)
        assert reply["statusCode"] in (200, 409)
        after = self.registry.champion_entry(MODEL)
        if before != after:  # nothing but what was named
            assert before is not None
            assert after is not None
            assert (after.undoes, before.version) == (before.seq, named["version"])
            assert named.get("change", before.seq) == before.seq

    @rule()
    def deploy(self) -> None:
        """The template changes the function; the rollout of the champion that this asks for comes by `begin`."""
        self.function.configuration["MemorySize"] += 64

    @rule(failing=st.sampled_from([0.0, 0.0, 0.9]), per_minute=st.sampled_from([200, 200, 0]))
    def callers_change(self, failing: float, per_minute: int) -> None:
        self.callers.failing = dict.fromkeys(self.function.weights, failing)
        self.callers.per_minute = per_minute

    # ---- what holds

    @invariant()
    def the_history_has_no_gap(self) -> None:
        history = self.registry.champion_history(MODEL)
        assert [entry.seq for entry in history] == list(range(1, len(history) + 1))
        assert [entry.former for entry in history] == [None, *(entry.version for entry in history)][: len(history)]
        current = self.registry.champion_entry(MODEL)
        assert current == (history[-1] if history else None)

    @invariant()
    def requests_go_to_what_was_published_for_the_model(self) -> None:
        assert {self.function.alias, *self.function.weights} <= set(self.function.versions)
        assert len(self.function.weights) <= 1
        assert all(0 < share < 1 for share in self.function.weights.values())

    def teardown(self) -> None:
        if not hasattr(self, "registry"):
            return
        self.callers.per_minute, self.callers.failing = 200, {}
        for _ in range(200):
            if not self.going:
                break
            for execution in self.going:
                self.step(execution)
        assert not self.going
        # what was given up is made good by the next rollout, which a deployment asks for
        self.begin("champion")
        while self.going:
            self.step(self.going[0])
        champion = self.registry.champion(MODEL)
        if champion is not None:
            assert (self.function.alias, self.function.weights) == (champion.lambda_version, {})
            facts = self.world.ledger_facts(f"model/{MODEL}")
            assert facts.count("deployed") >= 1
        assert not self.world.ledger.verify().problems
        self.stack.close()

    # ---- machinery

    @property
    def going(self) -> list[Execution]:
        return [execution for execution in self.executions if not execution.over]

    def step(self, execution: Execution) -> None:
        if execution.over:
            return
        try:
            execution.step()
        except NotItsTurn:
            return
        if execution.over:
            self.end(execution)

    def end(self, execution: Execution) -> None:
        execution.next = "end"
        with unheard():
            self.states.stop_execution(executionArn=execution.known["execution"])


@pytest.mark.parametrize(
    "examples", [4, pytest.param(300, marks=[pytest.mark.full, pytest.mark.timeout(7200)])], ids=["few", "many"]
)
def test_rollouts_converge_whatever_happens(examples: int) -> None:
    run_state_machine_as_test(Rollouts, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None))
