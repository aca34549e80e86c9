"""What each stage is asked to do, in a world that is ready for it; and the whole loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.approve.handler import lambda_handler as approve_handler
from functions.deploy.handler import lambda_handler as deploy_handler
from functions.evaluate.handler import lambda_handler as evaluate_handler
from functions.feedback.handler import lambda_handler as feedback_handler
from functions.ingest.handler import lambda_handler as ingest_handler
from functions.monitor.handler import lambda_handler as monitor_handler
from functions.register.handler import lambda_handler as register_handler
from functions.retrain.handler import lambda_handler as retrain_handler
from functions.score.handler import lambda_handler as score_handler
from functions.train.handler import main as train_handler
from perennial.errors import Retriable
from perennial.events import DATASET_VERSION_ACCEPTED
from perennial.storage.translate import client
from tests.aws import REGION, Account
from tests.callers import Callers, with_steps
from tests.crash.calls import unheard
from tests.crash.deliver import Deliver, Handler, new_process, plain
from tests.crash.snapshot import Snapshot, snapshot
from tests.functions import test_score as score
from tests.functions import trips, watched
from tests.functions.conftest import World, world_in
from tests.lambda_api import LambdaApi
from tests.rollout_workflow import Execution
from tests.runs import commit_version, leave
from tests.unit.serving.bundles import MODEL

EVENTS = Path(__file__).parents[2] / "events"
AT = "2026-03-01T12:00:00+00:00"
SOON = "2026-03-01T12:10:00+00:00"
LATER = "2026-03-01T13:00:00+00:00"
TRIPS = "late-trips"
ATTEMPTS = 5


@dataclass(frozen=True)
class Place:
    """A world, and the functions that serve its models."""

    world: World
    functions: LambdaApi


@dataclass(frozen=True)
class Scenario:
    """`given` makes the world ready; `when` delivers messages and returns what was answered."""

    given: Callable[[Place], None]
    when: Callable[[Place, Deliver], Any]


@dataclass(frozen=True)
class Outcome:
    """What a scenario ended in."""

    state: Snapshot
    answers: Any


def play(scenario: Scenario, deliver: Deliver, account: Account, directory: Path) -> Outcome:
    """Run a scenario in a world of its own; `directory` keeps the code of its functions."""
    account.empty()
    new_process()
    with world_in(account) as world:
        functions = LambdaApi(directory)
        for model in (MODEL, TRIPS):
            functions.create(f"perennial-dev-predict-{model}")
        with functions.serving():
            place = Place(world, functions)
            scenario.given(place)
            answers = scenario.when(place, deliver)
            return Outcome(snapshot(world, functions), answers)


# ---- the stages, as their callers call them


def _called(handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Handler:
    """A stage under a workflow, which repeats what is worth repeating."""

    def call(message: dict[str, Any]) -> dict[str, Any]:
        for _ in range(ATTEMPTS - 1):
            try:
                return handler(message, None)
            except Retriable:
                continue
        return handler(message, None)

    return call


INGEST, RETRAIN, EVALUATE, REGISTER, DEPLOY, APPROVE, FEEDBACK, SCORE, MONITOR = (
    _called(handler)
    for handler in (
        ingest_handler,
        retrain_handler,
        evaluate_handler,
        register_handler,
        deploy_handler,
        approve_handler,
        feedback_handler,
        score_handler,
        monitor_handler,
    )
)
# a person asks again where the answer was lost
TAKE_BACK = _called(deploy_handler)
# the governor, as rules and schedules reach it
HEAR = _called(retrain_handler)
HEARS = (INGEST, HEAR)


def _train(place: Place) -> Handler:
    def run(key: str) -> int:
        place.world.setenv(RUN_REQUEST=key)
        return train_handler()

    return run


def _search(place: Place) -> Handler:
    """One of two tasks that search parameters side by side."""

    def run(key: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUNE_CHUNK", "1")
            return int(_train(place)(key))

    return run


def _ask(deliver: Deliver, action: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = deliver(RETRAIN, {"action": action, "as_of": AT, **fields})
    return found


# ---- ingest

GOOD = b"at,amount,city,sunny,noise,late\n2024-01-01T08:00:00Z,1.5,Basel,true,0.1,1\n"
ONE_BAD_ROW = GOOD + b"2024-01-02T08:00:00Z,much,Cork,false,0.2,0\n"


def _ingest(*drops: tuple[str, bytes]) -> Scenario:
    def when(place: Place, deliver: Deliver) -> list[Any]:
        with unheard():
            messages = [place.world.drop(key, body) for key, body in drops]
        return [deliver(INGEST, message) for message in messages]

    return Scenario(lambda place: trips.deploy(place.world), when)


# ---- retrain


def arrival(version: int, rows: int = 60) -> dict[str, Any]:
    detail = {"dataset": "trips", "version": version, "batch": f"b{version}", "rows": rows, "quarantined": 0}
    return {"action": "arrive", "detail": detail | {"as_of": AT}, "as_of": AT}


def scheduled(at: str) -> dict[str, Any]:
    return {"action": "schedule", "model": TRIPS, "as_of": at}


def alarm(key: str = "1/harm", at: str = AT) -> dict[str, Any]:
    """The monitor found that a model became worse."""
    told: dict[str, Any] = json.loads((EVENTS / "retrain-performance.json").read_text())
    return told | {"alarm": told["alarm"] | {"model": TRIPS, "key": key}, "as_of": at}


def _person(message: dict[str, Any]) -> Any:
    """What somebody is told who asks for a training."""
    told = RETRAIN(message)
    return told["statusCode"], json.loads(told["body"])


def _asked_by_a_person(place: Place, deliver: Deliver) -> Any:
    # what API Gateway would send again, were its caller to ask again
    return deliver(
        _person, json.loads((EVENTS / "retrain-person.json").read_text()) | {"rawPath": f"/retrains/{TRIPS}"}
    )


def committed(place: Place, versions: int, min_rows: int = 100, when: str = "") -> None:
    """Dataset versions of 60 rows; a training takes `min_rows`, and what else `when` says."""
    trips.deploy(place.world, when=f"{{min_rows: {min_rows}{when}}}")
    for number in range(1, versions + 1):
        commit_version(place.world.registry, "trips", number, 60)


def _flight(place: Place) -> str:
    """The flight that two arrivals start."""
    for version in (1, 2):
        answer = RETRAIN(arrival(version))
    return str(answer["started"][0])


def _ends(failure: dict[str, Any] | None) -> Callable[[Place, Deliver], Any]:
    """A flight ends, and enough has come since for the next one."""

    def when(place: Place, deliver: Deliver) -> Any:
        with unheard():
            (execution,) = place.world.executions()
            if failure is None:
                RETRAIN({"action": "freeze", "model": TRIPS, "flight": execution["name"], "seen": 2, "as_of": AT})
            for version in (3, 4):
                commit_version(place.world.registry, "trips", version, 60)
                RETRAIN(arrival(version))
        return _ask(deliver, "finish", model=TRIPS, flight=execution["name"], run=execution["name"], failure=failure)

    return when


def _in_the_air(place: Place) -> None:
    committed(place, 2)
    _flight(place)


def _cooling(place: Place) -> None:
    """A training has ended, and one more arrival came within its cool-down."""
    committed(place, 2, when=", cool_down: 30m")
    flight = _flight(place)
    about = {"model": TRIPS, "flight": flight, "as_of": AT}
    RETRAIN({**about, "action": "freeze", "seen": 2})
    RETRAIN({**about, "action": "finish", "run": flight})
    for version in (3, 4):
        commit_version(place.world.registry, "trips", version, 60)
        RETRAIN(arrival(version))


def _freeze(place: Place, deliver: Deliver) -> Any:
    with unheard():
        (execution,) = place.world.executions()
    return _ask(deliver, "freeze", model=TRIPS, flight=execution["name"], seen=2)


def _hand_over(place: Place, deliver: Deliver) -> Any:
    with unheard():
        (execution,) = place.world.executions()
    return _ask(deliver, "hand-over", model=TRIPS, flight=execution["name"], leg=1, seen=2)


# ---- train, evaluate, register


def _with_trips(place: Place) -> None:
    """The catalog, and a clock that stands still: how long a training took is measured, not made."""
    place.world.patch.setattr("perennial.training.candidate.time", SimpleNamespace(monotonic=lambda: 0.0))
    trips.deploy(place.world)


def _with_rows(place: Place, run: str) -> None:
    _with_trips(place)
    trips.drop(place.world, trips.trips(range(10)), "first")
    trips.request(place.world, run)


def _with_candidate(place: Place) -> None:
    _with_rows(place, "r1")
    assert train_handler() == 0


def _with_tuning(place: Place) -> None:
    _with_trips(place)
    trips.deploy(place.world, train="tune: {space: {C: [0.1, 1.0, 10.0]}, candidates: 2, tasks: 2}")
    trips.drop(place.world, trips.trips(range(10)), "first")
    trips.request(place.world, "r1")


def _without_label(place: Place) -> None:
    _with_trips(place)
    trips.drop(place.world, trips.trips(range(10), late=9.0), "one class")
    trips.request(place.world, "r1")


def _run(handler: Handler, model: str) -> Callable[[Place, Deliver], Any]:
    return lambda place, deliver: deliver(handler, {"model": model, "run": "r1", "as_of": AT})


# ---- deploy


EXPERIMENT = {
    "champion": 1, "challenger": 2, "share": 0.5, "entity": ["carrier"], "salt": "s", "metric": "auc", "alpha": 0.05,
}  # fmt: skip


def roll_out(model: str, version: int | dict[str, Any], deliver: Deliver, execution: str = "one") -> dict[str, Any]:
    """The workflow `rollout`, to its end; the last answer."""
    return _execution(model, version, deliver, execution).run()


def _execution(model: str, version: int | dict[str, Any], deliver: Deliver, execution: str = "one") -> Execution:
    return Execution(lambda message: deliver(DEPLOY, message), model, version, execution_arn(execution))


def execution_arn(name: str) -> str:
    """An execution of the rollout workflow in the account at hand."""
    with unheard():
        account = client("sts").get_caller_identity()["Account"]
    return f"arn:aws:states:{REGION}:{account}:execution:perennial-dev-rollout:{name}"


def two_versions(place: Place) -> None:
    """Version 1 serves, version 2 is registered."""
    for run in ("r1", "r2"):
        leave(place.world.data, run)
        REGISTER({"model": MODEL, "run": run, "as_of": AT})
    roll_out(MODEL, 1, plain)


def _three_versions(place: Place) -> None:
    """Version 2 serves after version 1, version 3 is registered, and few Lambda versions are kept."""
    two_versions(place)
    roll_out(MODEL, 2, plain)
    leave(place.world.data, "r3")
    REGISTER({"model": MODEL, "run": "r3", "as_of": AT})
    place.world.setenv(KEPT_VERSIONS="1")


def _spoiled(at: str) -> Callable[[Place], None]:
    """The second version answers wrongly: at once, or once the alias points at it."""

    def given(place: Place) -> None:
        two_versions(place)
        state = place.functions.functions[f"perennial-dev-predict-{MODEL}"]
        place.functions.answers = lambda version, payload: (
            None if version == "3" and (at == "smoke" or state.alias == "3") else payload
        )

    return given


def _by_steps(place: Place) -> None:
    two_versions(place)
    with_steps(place.world)


def _rolled_out_by_steps(failing: float) -> Callable[[Place, Deliver], Any]:
    """Version 2 is rolled out by steps; a share of its answers fail."""

    def when(place: Place, deliver: Deliver) -> Any:
        state = place.functions.functions[f"perennial-dev-predict-{MODEL}"]
        callers = Callers(place.world, state, failing={"3": failing})
        execution = _execution(MODEL, 2, deliver)
        execution.waited = lambda seconds: callers.call(execution, seconds)
        return execution.run()

    return when


def _taken_back(place: Place, deliver: Deliver) -> Any:
    """A person takes the rollout of version 2 back while it has a share of the requests; it ends."""
    execution = _execution(MODEL, 2, deliver)
    while execution.next != "look":
        execution.step()
    # what API Gateway would send again, were its caller to ask again
    body = {"version": 2, "rollout": execution.known["execution"], "reason": "late flights are no longer found"}
    asked = json.loads((EVENTS / "deploy-rollback.json").read_text()) | {"body": json.dumps(body)}
    with unheard():
        started = place.world.client("stepfunctions").start_execution(
            stateMachineArn=place.world.account.machine("perennial-dev-rollout"), name="one", input="{}"
        )
    assert started["executionArn"] == execution.known["execution"]
    told = deliver(TAKE_BACK, asked)
    # whether it had been done already differs with what happened before
    return [json.loads(told["body"]) | {"already": None}, execution.run()]


# ---- the loop


def _loop(place: Place, deliver: Deliver) -> list[Any]:
    """Two files come one after the other, and what follows from each."""
    answers: list[Any] = []
    heard = 0
    for name, days in (("first", range(10)), ("second", range(10, 20))):
        with unheard():
            message = place.world.drop(f"raw/trips/{name}.csv", trips.csv(trips.trips(days)))
        answers.append(deliver(INGEST, message))
        with unheard():
            facts = place.world.facts(DATASET_VERSION_ACCEPTED)
        # an event that was put twice is heard twice
        for fact in facts[heard:]:
            deliver(HEAR, {"action": "arrive", "detail": fact["detail"], "as_of": AT})
        heard = len(facts)
        with unheard():
            flight = place.world.executions()[-1]
        answers.append(_lifecycle(place, deliver, flight["input"]))
    return answers


def _lifecycle(place: Place, deliver: Deliver, given: dict[str, Any]) -> dict[str, Any]:
    """The workflow `lifecycle` of a flight; the last answer."""
    about = {"model": given["model"], "flight": given["flight"]}
    look = {"ready": False, "seen": given["seen"]}
    while not look["ready"]:
        look = _ask(deliver, "freeze", **about, seen=look["seen"])
    assert deliver(_train(place), look["request_key"]) == 0
    run = {"model": given["model"], "run": look["run"], "as_of": AT}
    deliver(EVALUATE, run)
    registered = deliver(REGISTER, run)
    if registered["passed"]:
        assert roll_out(given["model"], registered["version"], deliver)["error"] is None
    answer = _ask(deliver, "finish", **about, run=look["run"])
    with unheard():
        states = place.world.client("stepfunctions")
        arn = f"{place.world.lifecycle.replace(':stateMachine:', ':execution:')}:{given['flight']}"
        states.stop_execution(executionArn=arn)
    return answer


# ---- approve


def _unapproved(place: Place) -> None:
    place.world.setenv(APPROVAL_REQUIRED="true")
    leave(place.world.data, "r1")
    register_handler({"model": MODEL, "run": "r1", "as_of": AT}, None)


def _approve(decision: str | None) -> Callable[[Place, Deliver], list[Any]]:
    """A workflow asks, a person decides (or nobody does), and the workflow asks how it stands."""

    def when(place: Place, deliver: Deliver) -> list[Any]:
        ask, decide, expire = (
            json.loads((EVENTS / f"approve{name}.json").read_text()) for name in ("", "-decide", "-expire")
        )
        decide |= {"rawPath": f"/approvals/{MODEL}/1", "body": json.dumps({"decision": decision, "reason": "seen"})}
        decisions = [decide] if decision else []
        return [deliver(APPROVE, message) for message in (ask | {"version": 1}, *decisions, expire | {"version": 1})]

    return when


# ---- feedback

PREDICTIONS = "2026-02-28-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OUTCOMES = f"prediction_id,outcome\n{PREDICTIONS}-0,0.7\n{PREDICTIONS}-1,much\n".encode()


def _dropped(model: str, body: bytes = OUTCOMES) -> Scenario:
    def when(place: Place, deliver: Deliver) -> Any:
        with unheard():
            message = place.world.drop(f"feedback/{model}/a.csv", body)
        return deliver(FEEDBACK, message)

    return Scenario(lambda place: trips.deploy(place.world), when)


def _say(message: dict[str, Any]) -> dict[str, Any]:
    """How many outcomes a request said; which of them were new is about this very delivery."""
    reply = FEEDBACK(message)
    return {"status": reply["statusCode"], "outcomes": sum(json.loads(reply["body"]).values())}


def _posted(place: Place, deliver: Deliver) -> Any:
    request = json.loads((EVENTS / "feedback.json").read_text())
    said = [{"prediction_id": f"{PREDICTIONS}-{row}", "outcome": 0.7} for row in range(3)]
    path = f"/v2/models/{TRIPS}/feedback"
    return deliver(_say, request | {"rawPath": path, "body": json.dumps({"outcomes": said})})


# ---- score

TO_SCORE = b"flight,distance,hour,night,carrier\n" + b"".join(
    f"f{row},{row}.5,{row},true,UA\n".encode() for row in range(7)
)


def _one_serves(place: Place) -> None:
    contract, spec = score.CONTRACT, score.SPEC
    place.world.deploy_catalog(None, {"contracts/flights.yaml": contract, f"models/{MODEL}.yaml": spec})
    score.serve(place.world, "r1")


def _score(body: bytes) -> Callable[[Place, Deliver], list[Any]]:
    """The workflow `score` of a file in ranges of three rows."""

    def when(place: Place, deliver: Deliver) -> list[Any]:
        with unheard():
            message = {"action": "plan", **place.world.drop(f"score/{MODEL}/in/f.csv", body)}
        planned = deliver(SCORE, message)
        if planned["status"] != "planned":
            return [planned]
        with unheard():
            ranges = place.world.data.get_json(planned["ranges"])
        about = {name: planned[name] for name in ("batch", "plan", "output")} | {"as_of": AT}
        scored = [deliver(SCORE, {"action": "rows", "range": one, **about}) for one in ranges]
        return [planned, *scored, deliver(SCORE, {"action": "commit", **about})]

    return when


# ---- monitor


def _watched(place: Place) -> None:
    """A model whose inputs move in the second week, when it also becomes worse; the window has seven days."""
    watched.deploy(place.world, watched.SPEC.replace("window: 14d, horizon: 3d", "window: 7d, horizon: 1d"))
    watched.serve(place.world)
    watched.live(place.world, range(6), rows=60)
    watched.live(place.world, range(6, 17), rows=60, moved=2.0, skill=0.0)


def _looks(place: Place, deliver: Deliver) -> list[Any]:
    """Two days' schedules, and a person in between."""
    asked = {"model": MODEL, "from": str(watched.day(3)), "to": str(watched.day(9))}
    looks = [{"model": MODEL, "as_of": watched.at(16.3).isoformat()}, asked | {"as_of": watched.at(16.9).isoformat()}]
    return [deliver(MONITOR, one) for one in [*looks, looks[0] | {"as_of": watched.at(17.3).isoformat()}]]


# ---- the ledger


def _append(place: Place, deliver: Deliver) -> list[Any]:
    def record(key: str) -> int:
        at = datetime(2026, 3, 1, tzinfo=UTC)
        return place.world.ledger.append("model/m", "trained", key=key, at=at, actor="test", evidence={"key": key})

    return [deliver(record, key) for key in ("first", "second")]


SCENARIOS: dict[str, Scenario] = {
    "ledger": Scenario(lambda place: None, _append),
    "ingest: accepted": _ingest(("raw/trips/a.csv", ONE_BAD_ROW)),
    "ingest: refused": _ingest(("raw/trips/a.csv", b"at\n2024-01-01T08:00:00Z\n")),
    "ingest: no dataset": _ingest(("raw/nobody/a.csv", GOOD)),
    "ingest: two files": _ingest(("raw/trips/a.csv", GOOD), ("raw/trips/b.csv", ONE_BAD_ROW)),
    "retrain: an arrival declined": Scenario(
        lambda place: committed(place, 1), lambda place, deliver: deliver(HEAR, arrival(1))
    ),
    "retrain: an arrival starts": Scenario(
        lambda place: committed(place, 1, min_rows=50), lambda place, deliver: deliver(HEAR, arrival(1))
    ),
    "retrain: a schedule starts": Scenario(
        lambda place: committed(place, 1), lambda place, deliver: deliver(HEAR, scheduled(AT))
    ),
    "retrain: a schedule declined": Scenario(
        lambda place: committed(place, 0), lambda place, deliver: deliver(HEAR, scheduled(AT))
    ),
    "retrain: a schedule during a flight": Scenario(
        _in_the_air,
        lambda place, deliver: deliver(HEAR, scheduled(LATER)),
    ),
    "retrain: a schedule after the cool-down": Scenario(
        _cooling, lambda place, deliver: deliver(HEAR, scheduled(LATER))
    ),
    "retrain: an alarm starts": Scenario(
        lambda place: committed(place, 1), lambda place, deliver: deliver(HEAR, alarm())
    ),
    "retrain: an alarm during a flight": Scenario(_in_the_air, lambda place, deliver: deliver(HEAR, alarm(at=LATER))),
    "retrain: an alarm in the cool-down and after it": Scenario(
        _cooling, lambda place, deliver: [deliver(HEAR, alarm(at=at)) for at in (SOON, LATER)]
    ),
    "retrain: a person": Scenario(lambda place: committed(place, 1), _asked_by_a_person),
    "retrain: a person who is declined": Scenario(_in_the_air, _asked_by_a_person),
    "retrain: freeze": Scenario(_in_the_air, _freeze),
    "retrain: hand over": Scenario(_in_the_air, _hand_over),
    "retrain: finish": Scenario(_in_the_air, _ends(None)),
    "retrain: finish failed": Scenario(_in_the_air, _ends({"Error": "States.Timeout", "Cause": "too slow"})),
    "train": Scenario(
        lambda place: _with_rows(place, "r1"),
        lambda place, deliver: deliver(_train(place), "staging/r1/request.json"),
    ),
    "train: a search": Scenario(
        _with_tuning, lambda place, deliver: deliver(_search(place), "staging/r1/request.json")
    ),
    "train: data at fault": Scenario(
        _without_label, lambda place, deliver: deliver(_train(place), "staging/r1/request.json")
    ),
    "evaluate": Scenario(_with_candidate, _run(EVALUATE, TRIPS)),
    "register: passed": Scenario(lambda place: leave(place.world.data, "r1"), _run(REGISTER, MODEL)),
    "register: refused": Scenario(lambda place: leave(place.world.data, "r1", passed=False), _run(REGISTER, MODEL)),
    "deploy: promoted": Scenario(two_versions, lambda place, deliver: roll_out(MODEL, 2, deliver)),
    "deploy: an old version goes": Scenario(_three_versions, lambda place, deliver: roll_out(MODEL, 3, deliver)),
    "deploy: an experiment": Scenario(two_versions, lambda place, deliver: roll_out(MODEL, EXPERIMENT, deliver)),
    "deploy: smoke fails": Scenario(_spoiled("smoke"), lambda place, deliver: roll_out(MODEL, 2, deliver)),
    "deploy: the alias fails": Scenario(_spoiled("alias"), lambda place, deliver: roll_out(MODEL, 2, deliver)),
    "deploy: by steps": Scenario(_by_steps, _rolled_out_by_steps(0.0)),
    "deploy: by steps, refused": Scenario(_by_steps, _rolled_out_by_steps(0.8)),
    "deploy: taken back": Scenario(_by_steps, _taken_back),
    "approve: approved": Scenario(_unapproved, _approve("approve")),
    "approve: rejected": Scenario(_unapproved, _approve("reject")),
    "approve: expired": Scenario(_unapproved, _approve(None)),
    "feedback: a file": _dropped(TRIPS),
    "feedback: a refused file": _dropped(TRIPS, b"who,what\n1,2\n"),
    "feedback: no model": _dropped("nobody"),
    "feedback: a request": Scenario(lambda place: trips.deploy(place.world), _posted),
    "score": Scenario(_one_serves, _score(TO_SCORE.replace(b"f5,5.5", b"f5,far"))),
    "monitor": Scenario(_watched, _looks),
    "score: refused": Scenario(_one_serves, _score(b"flight,distance\n1,2\n")),
    "loop": Scenario(_with_trips, _loop),
}
