"""A rollout by steps: the judge is asked at every look, and what it says is done, recorded and told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise, product
from typing import Any

import pytest

from functions.deploy.handler import lambda_handler
from perennial.catalog.rollout import BESIDES
from perennial.errors import AliasMoved, RolloutStopped
from perennial.events import DeployInput
from perennial.governance.records import object_key
from perennial.registry import Champion, Registry
from perennial.rollout.back import way_back
from perennial.rollout.canary import Canary
from perennial.stage import InputInvalid
from tests.callers import STEPS, Callers, score, with_steps
from tests.crash import When, crash_at
from tests.crash.calls import heard_by, unheard
from tests.functions.conftest import World
from tests.functions.test_deploy import api, champion, event, function, patient, registered, roll_out
from tests.lambda_api import FunctionState
from tests.rollout_workflow import AT, Execution
from tests.unit.serving.bundles import MODEL

__all__ = ["api", "function"]


@pytest.fixture
def served(world: World, function: FunctionState) -> FunctionState:
    """Version 1 serves as Lambda version 2, since nothing was there to compare it with; later ones go by steps."""
    with_steps(world)
    assert roll_out(registered(world, "r1"))["error"] is None
    assert function.weights == {}
    return function


@pytest.fixture
def callers(world: World, served: FunctionState) -> Callers:
    return Callers(world, served)


def rolling(world: World, callers: Callers, run: str = "r2") -> Execution:
    """A rollout of a new version, under the callers' eyes."""
    execution = Execution(patient, MODEL, registered(world, run), event("publish")["execution"])
    execution.waited = lambda seconds: callers.call(execution, seconds)
    return execution


def until(execution: Execution, state: str) -> Execution:
    while execution.next != state:
        execution.step()
    return execution


def records(world: World) -> list[tuple[str, dict[str, Any]]]:
    return [(one.fact, one.evidence) for one in world.ledger.read(f"model/{MODEL}")]


def test_an_equal_challenger_is_promoted_step_by_step(world: World, served: FunctionState, callers: Callers) -> None:
    execution = rolling(world, callers)
    shares = []
    while not execution.over:
        execution.step()
        shares.append(dict(served.weights))
    assert [share for before, share in pairwise([{}, *shares]) if before != share] == [{"3": 0.1}, {"3": 0.5}, {}]
    assert (served.alias, champion(world)) == ("3", 2)
    facts = records(world)
    assert [fact for fact, _ in facts] == ["deployed", "shifted", "shifted", "deployed"]
    assert [evidence["weight"] for fact, evidence in facts if fact == "shifted"] == [0.1, 0.5]
    _, promoted = facts[-1]
    assert (promoted["verdict"], promoted["steps"], promoted["former"]) == ("promote", 2, 1)
    # every settled minute of the steps was seen once, and none besides
    assert promoted["seen"]["requests"] + promoted["seen"]["champion_requests"] == pytest.approx(
        100 * settled_minutes(execution), rel=0.02
    )
    told = world.facts("Rollout Promoted")[-1]["detail"]
    assert told["reason"].startswith("promote: not inferior")
    assert (told["verdict"], told["spoiled_share"]) == ("promote", 0.0)


def settled_minutes(execution: Execution) -> float:
    canary = Canary.model_validate(execution.known["canary"])
    return sum((until - since).total_seconds() for since, until in canary.windows(execution.at)) / 60


@pytest.mark.parametrize("faults", [True, False], ids=["answers that are none", "crashes"])
def test_a_challenger_that_fails_is_rolled_back_with_the_reason(
    world: World, served: FunctionState, callers: Callers, faults: bool
) -> None:
    callers.failing, callers.faults = {"3": 0.8}, faults
    output = rolling(world, callers).run()
    assert output["error"] == "ChallengerRefused"
    assert "times as often as the champion" in output["cause"]
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    fact, evidence = records(world)[-1]
    assert (fact, evidence["verdict"], evidence["former"]) == ("rolled back", "rollback", 1)
    seen = evidence["seen"]
    assert seen["errors"] > 0.7 * seen["requests"] > 0
    assert seen["spoiled_share"] == pytest.approx(0.08, abs=0.01)
    told = world.facts("Rollout Rolled Back")[-1]["detail"]
    assert told["reason"].startswith("ChallengerRefused: fails")
    assert told["spoiled_share"] == seen["spoiled_share"]
    # and the version can be tried again
    callers.failing = {}
    assert rolling(world, callers, "r3").run()["error"] is None


SENSELESS: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "slow": (lambda number: {"score_us": 5000}, "slower than 2 times the champion"),
    "slow for anybody": (lambda number: {"score_us": 90_000}, "took longer than 50 ms"),
    "constant": (lambda number: score(0.4), "the same answer to"),
    "beyond": (lambda number: score(1.4), "are beyond all bounds"),
    "unlike any": (lambda number: score(0.99 - number % 10 / 1000), "Kolmogorov distance"),
}


@pytest.mark.parametrize("how", SENSELESS)
def test_a_challenger_that_answers_but_not_well_is_rolled_back_with_the_reason(
    world: World, served: FunctionState, callers: Callers, how: str
) -> None:
    # the ratio of no interest where the limit for anybody is meant
    with_steps(world, latency={"slo_ms": 50, "ratio": 1000 if "anybody" in how else 2})
    answer, why = SENSELESS[how]
    callers.answers = {"2": lambda number: {}, "3": answer}
    output = rolling(world, callers).run()
    assert output["error"] == "ChallengerRefused"
    assert why in output["cause"]
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    seen = records(world)[-1][1]["seen"]
    assert seen["errors"] == 0
    # all that it answered
    everything = seen["requests"] + seen["champion_requests"]
    assert world.facts("Rollout Rolled Back")[-1]["detail"]["spoiled_share"] == seen["requests"] / everything > 0.05


def test_one_that_answers_well_is_promoted(world: World, served: FunctionState, callers: Callers) -> None:
    callers.answers = {"2": lambda number: {}, "3": lambda number: {"cold": number % 5 == 0, "score_us": 700}}
    assert rolling(world, callers).run()["error"] is None
    seen = records(world)[-1][1]["seen"]
    # ten requests a minute, every other the challenger's; those of the minutes that count, each once
    assert seen["latency"]["cold"] == {
        "champion": 0,
        "challenger": pytest.approx(seen["outputs"]["answers"] / 5, abs=2),
    }
    assert seen["scores"]["scores"] == seen["outputs"]["answers"] > 50


def surely(number: int, *, right: bool = True) -> dict[str, Any]:
    """An answer about the flight of this number, of which every third is late."""
    return score(0.9 if (number % 3 == 0) is right else 0.1)


@pytest.mark.parametrize("told", [True, False], ids=["in time", "never"])
def test_a_challenger_whose_answers_turn_out_wrong_is_rolled_back_if_that_is_known_in_time(
    world: World, served: FunctionState, callers: Callers, told: bool
) -> None:
    callers.answers = {"2": surely, "3": lambda number: surely(number, right=number % 2 == 0)}
    callers.outcomes = (lambda number, version: (number % 3 == 0, 0.0)) if told else None
    # scores of other held-out rows: this is not about those
    with_steps(world, scores={"margin": 0.8})
    output = rolling(world, callers).run()
    seen = records(world)[-1][1]["seen"]["quality"]
    if not told:
        assert (output["error"], seen["pairs"]) == (None, 0)
        return
    assert output["error"] == "ChallengerRefused"
    assert "more per prediction than the champion" in output["cause"]
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    assert seen["pairs"] > 20


def test_a_challenger_that_earns_less_is_rolled_back(world: World, served: FunctionState, callers: Callers) -> None:
    callers.answers = {"2": surely, "3": surely}
    callers.outcomes = lambda number, version: (number % 3 == 0, 10.0 if version == "2" else 4.0)
    with_steps(world, scores={"margin": 0.8}, value={"margin": 1, "low": 0, "high": 20})
    output = rolling(world, callers).run()
    assert output["error"] == "ChallengerRefused"
    assert "earns 6 less per prediction" in output["cause"]
    # whom nobody asked for amounts
    with_steps(world, scores={"margin": 0.8})
    assert rolling(world, callers, "r3").run()["error"] is None


def test_errors_of_both_are_nobodys_fault(world: World, served: FunctionState, callers: Callers) -> None:
    callers.failing = {"2": 0.2, "3": 0.2}
    assert rolling(world, callers).run()["error"] is None
    assert champion(world) == 2


@pytest.mark.parametrize(("otherwise", "serves"), [("hold", 1), ("promote", 2)])
def test_what_traffic_does_not_show_in_time_ends_as_the_spec_says(
    world: World, served: FunctionState, callers: Callers, otherwise: str, serves: int
) -> None:
    with_steps(world, otherwise=otherwise)
    callers.per_minute = 0
    output = rolling(world, callers).run()
    assert champion(world) == serves
    assert served.weights == {}
    fact, evidence = records(world)[-1]
    assert evidence["verdict"] == "inconclusive"
    if otherwise == "hold":
        assert (fact, output["error"]) == ("inconclusive", "RolloutInconclusive")
        assert world.facts("Rollout Rolled Back")[-1]["detail"]["reason"].startswith("RolloutInconclusive: 0 requests")
    else:
        assert (fact, output["error"]) == ("deployed", None)
        assert world.facts("Rollout Promoted")[-1]["detail"]["reason"].startswith("inconclusive: 0 requests")


def test_a_look_does_not_see_what_has_not_settled(world: World, served: FunctionState, callers: Callers) -> None:
    execution = until(rolling(world, callers), "look")
    assert execution.answer["wait"] == STEPS["dwell"] + BESIDES
    # all of its requests fail, but that was a minute ago
    execution.at += timedelta(seconds=480)
    callers.failing = {"3": 1.0}
    callers.call(execution, 420)
    found = lambda_handler({**execution.known, "action": "look", "as_of": execution.at.isoformat()}, None)
    assert (found["next"], found["canary"]["evidence"]["requests"]) == ("look", 0)


def test_a_step_begins_when_the_alias_has_moved_and_the_one_before_ends_when_that_is_asked_for(
    world: World, served: FunctionState, callers: Callers
) -> None:
    execution = rolling(world, callers)
    for _ in range(2):
        until(execution, "shift")
        # the state had to be repeated for eight minutes
        execution.step()
        execution.at += timedelta(seconds=480)
        execution.known["moved"] = execution.at.isoformat()
        execution.step()
    canary = Canary.model_validate(execution.known["canary"])
    took = [moved - start for start, moved in zip(canary.starts, canary.moved, strict=True)]
    assert took == [timedelta(minutes=8)] * 2
    (first, ends), (second, _) = canary.windows(execution.at)
    assert (ends, second - ends) == (canary.starts[1].replace(second=0), timedelta(minutes=9))
    assert first > canary.moved[0]
    assert execution.run()["error"] is None


def test_the_plan_is_that_of_the_beginning(world: World, served: FunctionState, callers: Callers) -> None:
    execution = until(rolling(world, callers), "look")
    with_steps(world, steps=[0.9], limit=86_400)
    execution.run()
    assert [evidence["weight"] for fact, evidence in records(world) if fact == "shifted"] == [0.1, 0.5]


def test_an_alias_that_somebody_moves_ends_the_rollout(world: World, served: FunctionState, callers: Callers) -> None:
    execution = until(rolling(world, callers), "look")
    served.weights = {}
    served.point("2")
    assert execution.run()["error"] == AliasMoved.__name__
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)


def test_shares_that_a_dead_rollout_left_are_taken_back_by_a_deployment(
    world: World, served: FunctionState, callers: Callers
) -> None:
    until(rolling(world, callers), "look")
    assert served.weights == {"3": 0.1}
    assert roll_out("champion", event("publish")["execution"] + "-next")["lambda_version"] is None
    assert (served.alias, served.weights) == ("2", {})


def test_a_dead_rollout_is_begun_again(world: World, served: FunctionState, callers: Callers) -> None:
    dead = until(rolling(world, callers), "look")
    again = Execution(patient, MODEL, dead.known["version"], event("publish")["execution"] + "-next", at=dead.at)
    again.waited = lambda seconds: callers.call(again, seconds)
    assert again.run()["error"] is None
    assert champion(world) == 2
    # what was looked at, was shifted and promoted by an execution that has lost its turn, changes nothing
    assert dead.run()["error"] == RolloutStopped.__name__
    assert (served.alias, served.weights, champion(world)) == ("3", {}, 2)


def test_the_champion_on_a_changed_function_goes_by_steps_too(
    world: World, served: FunctionState, callers: Callers
) -> None:
    served.configuration["MemorySize"] = 2048
    execution = Execution(patient, MODEL, "champion", event("publish")["execution"])
    execution.waited = lambda seconds: callers.call(execution, seconds)
    assert execution.run()["error"] is None
    assert (served.alias, champion(world)) == ("3", 1)
    assert [fact for fact, _ in records(world)] == ["deployed", "shifted", "shifted", "deployed"]


# ---- taken back by a person


def take_back(version: int, reason: str = "no", **changes: Any) -> tuple[int, dict[str, Any]]:
    asked = event("rollback") | {"body": json.dumps({"version": version, "reason": reason, **changes})}
    reply = lambda_handler(asked, None)
    return reply["statusCode"], json.loads(reply["body"])


ANALYST = "arn:aws:iam::123456789012:user/analyst"


@pytest.mark.parametrize("state", ["check", "shift", "look", "verify"])
def test_a_rollout_under_way_is_taken_back_and_converges(
    world: World, served: FunctionState, callers: Callers, running: str, state: str
) -> None:
    execution = rolling(world, callers)
    execution.known["execution"] = running
    until(execution, state)
    status, told = take_back(2, "it looks wrong", rollout=running)
    assert (status, told["serving"], told["stopped"], told["already"]) == (200, 1, running, False)
    # callers are served by the champion alone from now on
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    output = execution.run()
    assert output["error"] == RolloutStopped.__name__
    assert "it looks wrong" in output["cause"]
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    last = list(world.ledger.read(f"model/{MODEL}"))[-2:]
    assert [(one.fact, one.actor) for one in last] == [("rolled back", ANALYST), ("rolled back", "deploy")]
    assert "it looks wrong" in world.facts("Rollout Rolled Back")[0]["detail"]["reason"]


@pytest.fixture
def running(world: World) -> str:
    """An execution of the rollout workflow that goes on."""
    arn = world.account.machine("perennial-dev-rollout")
    started = world.client("stepfunctions").start_execution(stateMachineArn=arn, name="running", input="{}")
    return str(started["executionArn"])


def test_what_serves_is_taken_back_to_what_served_before(world: World, served: FunctionState, callers: Callers) -> None:
    assert rolling(world, callers).run()["error"] is None
    assert (served.alias, champion(world)) == ("3", 2)
    for already in (False, True):  # asked twice, it is done once
        status, told = take_back(2, change=2)
        assert (status, told["serving"], told["stopped"], told["already"]) == (200, 1, None, already)
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    record = list(world.ledger.read(f"model/{MODEL}"))[-1]
    assert (record.fact, record.actor, record.evidence) == (
        "rolled back",
        ANALYST,
        {"version": 2, "former": 1, "cause": "no"},
    )
    assert world.ledger_facts(f"model/{MODEL}").count("rolled back") == 1
    history = [(one.former, one.version) for one in Registry(world.registry).champion_history(MODEL)]
    assert history == [(None, 1), (1, 2), (2, 1)]
    assert take_back(1, change=3)[0] == 409  # nothing served before
    # the bad one is never gone back to, and the next one can come
    assert rolling(world, callers, "r3").run()["error"] is None


@pytest.mark.parametrize("when", ["before-send", "after-call"])
def test_a_crash_while_taking_back_is_made_good(
    world: World, served: FunctionState, callers: Callers, when: When
) -> None:
    assert rolling(world, callers).run()["error"] is None
    for number in range(1, 40):
        with crash_at(number, when) as death:
            take_back(2, change=2)
        if not death.happened:
            break
    assert take_back(2, change=2)[0] == 200
    assert (served.alias, champion(world)) == ("2", 1)
    assert world.ledger_facts(f"model/{MODEL}").count("rolled back") == 1


def test_a_ledger_with_a_hole_is_502_after_callers_are_served_and_the_rest_follows_once_it_is_whole(
    world: World, served: FunctionState, callers: Callers
) -> None:
    assert rolling(world, callers).run()["error"] is None
    hole = object_key(f"model/{MODEL}", len(records(world)))
    record = world.ledger.objects.get(hole)
    world.client("s3").delete_object(Bucket=world.ledger.objects.bucket, Key=hole)
    status, told = take_back(2, change=2)
    assert (status, told["error"].startswith("LedgerBroken: ")) == (502, True)
    assert (served.alias, champion(world)) == ("2", 1)
    world.ledger.objects.put(hole, record)
    assert take_back(2, change=2)[0] == 200
    assert world.ledger_facts(f"model/{MODEL}").count("rolled back") == 1


def test_a_repeat_after_a_redeployment_was_stopped_leaves_the_champion(
    world: World, served: FunctionState, callers: Callers, running: str
) -> None:
    # given a champion that has a way back, and is being rolled out on a changed function
    assert rolling(world, callers).run()["error"] is None
    served.configuration["MemorySize"] = 2048
    execution = Execution(patient, MODEL, "champion", running)
    execution.waited = lambda seconds: callers.call(execution, seconds)
    until(execution, "look")
    # when a person takes that back, and the same request comes again once it has ended
    assert take_back(2, rollout=running)[1]["already"] is False
    assert execution.run()["error"] == RolloutStopped.__name__
    world.client("stepfunctions").stop_execution(executionArn=running)
    for _ in range(2):
        status, told = take_back(2, rollout=running)
        assert (status, told["already"], told["serving"]) == (200, True, 2)
    # then the champion goes on, until a request is about its own change
    assert (served.alias, served.weights, champion(world)) == ("3", {}, 2)
    assert take_back(2, change=2)[1]["serving"] == 1


def test_a_repeat_long_after_takes_nothing_from_the_rollout_of_today(
    world: World, served: FunctionState, callers: Callers, running: str
) -> None:
    assert rolling(world, callers).run()["error"] is None
    assert take_back(2, change=2)[0] == 200
    execution = rolling(world, callers, "r3")
    execution.known["execution"] = running
    until(execution, "look")
    weights = dict(served.weights)
    assert weights
    status, told = take_back(2, change=2)
    assert (status, told["already"], told["stopped"], served.weights) == (200, True, None, weights)
    assert execution.run()["error"] is None
    # and when it serves, there is nothing of that left
    status, told = take_back(2, change=2)
    assert (status, told["already"], told["serving"], champion(world)) == (200, True, 3, 3)


@contextmanager
def meanwhile(number: int, when: When, act: Callable[[], object]) -> Iterator[list[str]]:
    """Somebody acts at the `number`-th call of whatever happens; the calls so far."""
    calls: list[str] = []

    def listen(happens: When, operation: str) -> None:
        if happens == when:
            calls.append(operation)
            if len(calls) == number:
                with unheard():
                    act()

    with heard_by(listen):
        yield calls


WHENS: tuple[When, ...] = ("before-send", "after-call")


MOMENTS = list(product(range(1, 20), WHENS))
FEW = [(1, WHENS[0]), (5, WHENS[1]), (6, WHENS[0]), (9, WHENS[1])]


@pytest.mark.parametrize("named", ["rollout", "change"])
@pytest.mark.parametrize("moments", [FEW, pytest.param(MOMENTS, marks=pytest.mark.full)], ids=["few", "all"])
def test_a_rollback_at_any_moment_of_a_promotion_leaves_alias_and_registry_together(
    world: World, served: FunctionState, callers: Callers, running: str, named: str, moments: list[tuple[int, When]]
) -> None:
    """What is taken back is the rollout of a version, or the version that serves while that one is promoted."""
    world.deploy_catalog()  # all requests at once
    assert rolling(world, callers).run()["error"] is None
    outcomes = set()
    for number, when in moments:
        history = Registry(world.registry).champion_history(MODEL)
        serving, execution = history[-1], rolling(world, callers, f"r{number}{when}")
        execution.known["execution"] = f"{running}{number}{when}"
        until(execution, "verify")
        version = int(execution.known["version"])
        asked = (
            {"version": version, "rollout": execution.known["execution"]}
            if named == "rollout"
            else {"version": serving.version, "change": serving.seq}
        )
        told: list[int] = []
        with meanwhile(number, when, lambda asked=asked, told=told: told.append(take_back(**asked)[0])) as calls:  # type: ignore[misc]
            execution.step()
        execution.run()
        now = Registry(world.registry).champion_entry(MODEL)
        assert now is not None
        assert (served.alias, served.weights) == (now.lambda_version, {}), (number, when)
        if told != [200]:
            assert now.version == version
        elif named == "rollout":
            assert now.version == serving.version
        else:
            assert (now.undoes, now.version) == (serving.seq, 1)
        outcomes.add((tuple(told), now.version == version))
        assert not world.ledger.verify().problems
        # so that there is something to take back, and somewhere to go
        if now.version == 1:
            assert rolling(world, callers, f"again{number}{when}").run()["error"] is None
        if len(calls) < number:
            break
    # it was in time, and too late
    assert len(outcomes) > 1


def test_a_promotion_whose_alias_a_slow_rollback_moved_moves_it_back(world: World, served: FunctionState) -> None:
    """The rollback read that no rollout was under way; then one began, and asked the alias before it is promoted."""
    world.deploy_catalog()
    assert roll_out(registered(world, "r2"))["error"] is None
    late = Execution(patient, MODEL, registered(world, "r3"), event("publish")["execution"] + "-next")
    told: list[int] = []
    slow = threading.Thread(target=lambda: told.append(take_back(2, change=2)[0]))
    read, asked = threading.Event(), threading.Event()

    def listen(when: When, operation: str) -> None:
        if threading.current_thread() is slow and (when, operation) == ("before-send", "dynamodb.TransactWriteItems"):
            read.set()
            assert asked.wait(30)
            return
        verifying = late.next == "verify" and threading.current_thread() is not slow
        if verifying and (when, operation) == ("after-call", "lambda.Invoke") and not asked.is_set():
            asked.set()
            slow.join(30)

    with heard_by(listen):
        slow.start()
        assert read.wait(30)
        late.run()
    now = Registry(world.registry).champion_entry(MODEL)
    assert now is not None
    assert (told, now.version) == ([200], 3)
    assert (served.alias, served.weights) == (now.lambda_version, {})


def test_what_is_no_longer_there_is_said_to_be_gone(
    world: World, served: FunctionState, callers: Callers, running: str
) -> None:
    callers.failing = {"3": 0.8}
    execution = rolling(world, callers)
    execution.known["execution"] = running
    assert execution.run()["error"] == "ChallengerRefused"
    world.client("stepfunctions").stop_execution(executionArn=running)
    before = records(world)
    for named, said in (
        ({"rollout": running}, "has ended by itself; version 1 serves since change 1"),
        ({"rollout": running + "-other"}, "that rollout of version 2 is over"),
        ({"change": 1}, "change 1 did not let version 2 serve"),
        ({"change": 7}, "change 7 did not let version 2 serve"),
    ):
        status, told = take_back(2, **named)
        assert (status, told["error"].startswith("nothing to take back: "), said in told["error"]) == (409, True, True)
    assert (records(world), champion(world)) == (before, 1)
    # replaced by a later change, it can be taken back no more
    callers.failing = {}
    assert rolling(world, callers, "r3").run()["error"] is None
    assert "change 2 stands, not 1" in take_back(1, change=1)[1]["error"]


def test_a_rollout_that_serves_by_now_is_taken_back_as_what_serves(
    world: World, served: FunctionState, callers: Callers, running: str
) -> None:
    execution = rolling(world, callers)
    execution.known["execution"] = running
    assert execution.run()["error"] is None
    for already in (False, True):
        status, told = take_back(2, rollout=running)
        assert (status, told["serving"], told["already"]) == (200, 1, already)
    assert (served.alias, champion(world)) == ("2", 1)


def test_what_serves_is_taken_back_together_with_what_was_to_follow_it(
    world: World, served: FunctionState, callers: Callers, running: str
) -> None:
    assert rolling(world, callers).run()["error"] is None
    execution = rolling(world, callers, "r3")
    execution.known["execution"] = running
    until(execution, "look")
    status, told = take_back(2, change=2)
    assert (status, told["serving"], told["stopped"]) == (200, 1, running)
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)
    assert execution.run()["error"] == RolloutStopped.__name__
    assert (served.alias, served.weights, champion(world)) == ("2", {}, 1)


def test_a_request_that_makes_no_sense_is_refused(world: World, served: FunctionState) -> None:
    assert take_back(7, change=1)[0] == 409
    assert take_back(1, "", change=1)[0] == 400
    assert take_back(1, change=1, by="somebody else")[0] == 400
    assert take_back(1)[0] == take_back(1, change=1, rollout="both")[0] == 400
    asked = event("rollback")
    assert lambda_handler(asked | {"rawPath": "/rollbacks/nobody"}, None)["statusCode"] == 404
    assert lambda_handler(asked | {"rawPath": "/elsewhere"}, None)["statusCode"] == 404
    unsigned = {**asked["requestContext"], "authorizer": {}}
    assert lambda_handler(asked | {"requestContext": unsigned}, None)["statusCode"] == 403
    assert champion(world) == 1


def entries(*versions: int | None) -> list[Champion]:
    return [Champion(model=MODEL, seq=number, version=one, at=AT) for number, one in enumerate(versions, 1)]


@pytest.mark.parametrize(
    ("served", "back"),
    [((), None), ((1,), None), ((1, 2), 1), ((1, 1, 2, 2), 1), ((1, 2, 3, 2), 1), ((1, 2, 1), None), ((1, 2, 1, 3), 1)],
)
def test_the_way_back_is_what_served_before_and_was_not_taken_back(served: tuple[int, ...], back: int | None) -> None:
    assert way_back(entries(*served)) == back


def test_a_look_needs_a_step(world: World, served: FunctionState, callers: Callers) -> None:
    execution = until(rolling(world, callers), "shift")
    with pytest.raises(InputInvalid, match="needs a canary"):
        lambda_handler({**execution.known, "action": "look", "as_of": AT.isoformat(), "canary": None}, None)


def test_the_sample_event_is_a_look(world: World) -> None:
    message = DeployInput.model_validate(event("look"))
    assert message.canary is not None
    assert message.canary.weight == 0.05
