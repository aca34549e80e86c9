"""Messages in any order, at once, or overtaken while their process is dead: what must hold holds.

Which number a file gets depends on who comes first, so the whole state is not compared here, but what everybody relies
on: no number is missing, nothing is there twice, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest

from perennial.datasets.versions import list_versions
from perennial.events import DATASET_BATCH_REFUSED, DATASET_VERSION_ACCEPTED
from perennial.registry import Registry
from tests.aws import fresh_account
from tests.crash import crash_at
from tests.crash.calls import When, unheard
from tests.crash.deliver import at_once, new_process, plain
from tests.crash.scenarios import (
    AT,
    GOOD,
    HEAR,
    INGEST,
    ONE_BAD_ROW,
    RETRAIN,
    TRIPS,
    Place,
    arrival,
    committed,
    execution_arn,
    roll_out,
    scheduled,
    two_versions,
)
from tests.functions import trips
from tests.functions.conftest import world_in
from tests.lambda_api import LambdaApi
from tests.unit.serving.bundles import MODEL

DROPS = {
    "raw/trips/a.csv": GOOD,
    "raw/trips/b.csv": ONE_BAD_ROW,
    "raw/trips/c.csv": b"at\n2024-01-01T08:00:00Z\n",
    "raw/nobody/d.csv": GOOD,
}


@contextmanager
def place(directory: Path) -> Iterator[Place]:
    """A world of its own, in which nothing has happened."""
    with fresh_account() as account, world_in(account) as world:
        functions = LambdaApi(directory)
        functions.create(f"perennial-dev-predict-{MODEL}")
        new_process()
        with functions.serving():
            yield Place(world, functions)


def orders(request: pytest.FixtureRequest, count: int, few: int) -> list[tuple[int, ...]]:
    """Every order of `count` messages, or a few."""
    found = list(permutations(range(count)))
    return found if request.config.getoption("--full") else Random(count).sample(found, few)


def seeds(request: pytest.FixtureRequest, many: int) -> range:
    return range(many if request.config.getoption("--full") else 1)


# ---- files


def dropped(here: Place) -> list[dict[str, Any]]:
    trips.deploy(here.world)
    return [here.world.drop(key, body) for key, body in DROPS.items()]


def check_files(here: Place) -> None:
    """Of the four files two are versions 1 and 2, and two are in quarantine, each once and with everything it needs."""
    world = here.world
    versions = list_versions(world.registry, "trips")
    assert [version.version for version in versions] == [1, 2]
    assert sorted((version.key, version.rows, version.quarantined) for version in versions) == [
        ("raw/trips/a.csv", 1, 0),
        ("raw/trips/b.csv", 1, 1),
    ]
    there = set(world.data.list(""))
    assert {key for key in there if key.startswith("curated/")} == {
        *(key for version in versions for key in version.files)
    }
    assert {key for key in there if key.startswith("profiles/")} == {version.profile_key for version in versions}
    assert not [key for key in there if key.startswith("staging/")]
    assert sorted(key.rsplit("/", 1)[-1] for key in there if key.startswith("quarantine/")) == [
        "c.csv", "d.csv", "report.json", "report.json", "report.json", "rows.parquet",
    ]  # fmt: skip
    assert sorted(world.ledger_facts("dataset/trips")) == ["accepted", "accepted", "refused"]
    assert world.ledger_facts("dataset/nobody") == ["refused"]
    assert not world.ledger.verify().problems
    told = {(fact["detail"]["batch"], fact["detail"]["version"]) for fact in world.facts(DATASET_VERSION_ACCEPTED)}
    assert told == {(version.batch, version.version) for version in versions}
    assert {fact["detail"]["key"] for fact in world.facts(DATASET_BATCH_REFUSED)} == {
        "raw/trips/c.csv",
        "raw/nobody/d.csv",
    }
    glue = world.client("glue").get_partitions(DatabaseName="perennial_dev", TableName="trips")["Partitions"]
    assert sorted(partition["Values"] for partition in glue) == [["00000001"], ["00000002"]]


@pytest.mark.timeout(1800)
def test_files_may_arrive_in_any_order(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for order in orders(request, len(DROPS), 1):
        with place(tmp_path) as here:
            messages = dropped(here)
            for number in order:
                INGEST(messages[number])
            check_files(here)


@pytest.mark.timeout(1800)
def test_files_may_arrive_at_once_and_twice(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for seed in seeds(request, 30):
        with place(tmp_path) as here:
            messages = dropped(here)
            at_once([partial(INGEST, message) for message in messages * 2], Random(seed))
            check_files(here)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", get_args(When))
def test_a_file_whose_process_dies_may_be_overtaken(request: pytest.FixtureRequest, tmp_path: Path, when: When) -> None:
    for number in range(1, 40) if request.config.getoption("--full") else Random(when).sample(range(10, 28), 1):
        with place(tmp_path) as here:
            first, *others = dropped(here)
            with crash_at(number, when) as death:
                INGEST(first)
            for message in [*others, first]:
                INGEST(message)
            check_files(here)
        if not death.happened:
            break
    else:
        assert not request.config.getoption("--full"), "it should have outlived its last call"


# ---- arrivals and schedules


def check_trained(here: Place, versions: Sequence[int]) -> None:
    """Whatever flights there were, each after the other: every version was trained on, and nothing is open."""
    world = here.world
    seen: list[int] = []
    for flight in range(1, 10):
        running = [one for one in world.executions() if one["status"] == "RUNNING"]
        if not running:
            break
        (execution,) = running
        given = execution["input"]
        about = {"model": TRIPS, "flight": given["flight"], "as_of": AT}
        look = RETRAIN({**about, "action": "freeze", "seen": len(versions)})
        seen += [one["version"] for one in world.data.get_json(look["request_key"])["versions"]]
        RETRAIN({**about, "action": "finish", "run": look["run"]})
        world.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
        assert world.ledger_facts(f"model/{TRIPS}").count("requested") >= flight
    assert seen == list(versions)
    arrivals = list(world.triggers.query(f"MODEL#{TRIPS}", "ARRIVAL#"))
    assert [(one["version"], "flight" in one) for one in arrivals] == [(version, True) for version in versions]
    assert world.triggers.get(f"MODEL#{TRIPS}", "FLIGHT") is None
    assert not world.ledger.verify().problems


def heard() -> list[dict[str, Any]]:
    return [*(arrival(version) for version in (1, 2, 3)), scheduled(AT)]


@pytest.mark.timeout(1800)
def test_arrivals_and_schedules_may_come_in_any_order(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for order in orders(request, 4, 1):
        with place(tmp_path) as here:
            committed(here, 3)
            for number in order:
                HEAR(heard()[number])
            check_trained(here, [1, 2, 3])


@pytest.mark.timeout(1800)
def test_arrivals_and_schedules_may_come_at_once_and_twice(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for seed in seeds(request, 30):
        with place(tmp_path) as here:
            committed(here, 3)
            at_once([partial(HEAR, message) for message in heard() * 2], Random(seed))
            check_trained(here, [1, 2, 3])


# ---- rollouts


@pytest.mark.timeout(1800)
def test_of_two_rollouts_at_once_what_the_alias_serves_is_the_champion(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for seed in seeds(request, 30):
        with place(tmp_path) as here:
            two_versions(here)
            machine, states = here.world.account.machine("perennial-dev-rollout"), here.world.client("stepfunctions")

            def execution(name: str, version: int, machine: str = machine, states: Any = states) -> None:
                with unheard():
                    states.start_execution(stateMachineArn=machine, name=name)
                roll_out(MODEL, version, plain, name)
                with unheard():
                    states.stop_execution(executionArn=execution_arn(name))

            at_once([partial(execution, "a", 1), partial(execution, "b", 2)], Random(seed))
            champion = Registry(here.world.registry).champion(MODEL)
            live = here.functions.functions[f"perennial-dev-predict-{MODEL}"]
            assert champion is not None
            assert (live.alias, live.weights) == (champion.lambda_version, {}), seed
            assert not here.world.ledger.verify().problems
