from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from perennial.errors import ConditionFailed, VersionUnknown
from perennial.registry import Carrier, ModelVersion, Registry
from perennial.storage.items import Items
from tests.aws import fresh_account

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = "late"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with fresh_account() as account:
        yield Registry(Items(account.table("registry")))


def register(registry: Registry, run: str, state: str = "registered") -> ModelVersion:
    claimed = registry.claim(MODEL, run, AT)
    version = claimed.model_copy(update={"state": state, "sha256": "a" * 64, "metrics": {"auc": 0.7, "n": 2.0}})
    registry.complete(version)
    return version


def test_versions_are_numbered_in_the_order_of_their_claims(registry: Registry) -> None:
    assert [register(registry, run).version for run in "abc"] == [1, 2, 3]
    found = registry.list_versions(MODEL)
    assert [(version.version, version.run) for version in found] == [(1, "a"), (2, "b"), (3, "c")]
    assert found[0].metrics == {"auc": 0.7, "n": 2.0}
    assert found[0].at == AT
    assert found[0].prefix == "models/late/00000001/"


def test_a_run_has_one_version_however_often_it_registers(registry: Registry) -> None:
    first = register(registry, "a")
    promote(registry, 1, None, 0, Carrier(lambda_version="7", code_sha256="digest"))
    assert register(registry, "a").version == first.version
    # the repeat has not undone what happened since
    assert registry.get(MODEL, 1).lambda_version == "7"


def test_a_claim_is_not_shown_until_it_is_complete_and_keeps_its_number(registry: Registry) -> None:
    claimed = registry.claim(MODEL, "dead", AT)
    assert registry.list_versions(MODEL) == []
    with pytest.raises(VersionUnknown):
        registry.get(MODEL, claimed.version)
    assert register(registry, "other").version == 2
    assert register(registry, "dead").version == 1


def test_a_version_that_another_run_holds_cannot_be_completed(registry: Registry) -> None:
    registry.claim(MODEL, "a", AT)
    version = registry.claim(MODEL, "b", AT)
    with pytest.raises(VersionUnknown, match="no claim"):
        registry.complete(version.model_copy(update={"version": 1, "state": "registered"}))


@pytest.mark.parametrize("writers", [10, pytest.param(50, marks=pytest.mark.full)])
def test_concurrent_runs_get_numbers_without_gaps(registry: Registry, writers: int) -> None:
    with ThreadPoolExecutor(writers) as pool:
        versions = list(pool.map(lambda i: register(registry, f"run-{i % (writers // 2)}").version, range(writers)))
    half = writers // 2
    assert versions[:half] == versions[half:]
    assert sorted(versions[:half]) == list(range(1, half + 1))


def promote(
    registry: Registry, version: int | None, former: int | None, minutes: int, carrier: Carrier | None = None
) -> None:
    registry.set_champion(MODEL, version, former, at=AT + timedelta(minutes=minutes), why="test", carrier=carrier)


def test_nothing_serves_before_the_first_champion(registry: Registry) -> None:
    assert registry.champion(MODEL) is None
    assert registry.champion_at(MODEL, AT) is None


def test_what_served_at_any_instant_can_be_answered(registry: Registry) -> None:
    for run in "ab":
        register(registry, run)
    promote(registry, 1, None, 0)
    promote(registry, 2, 1, 10)
    promote(registry, 1, 2, 20)

    def at(minutes: float) -> int | None:
        served = registry.champion_at(MODEL, AT + timedelta(minutes=minutes))
        return served.version if served else None

    assert [at(minutes) for minutes in (-1, 0, 9.9, 10, 19.9, 20, 1000)] == [None, 1, 1, 2, 2, 1, 1]
    history = registry.champion_history(MODEL)
    assert [(e.seq, e.former, e.version) for e in history] == [(1, None, 1), (2, 1, 2), (3, 2, 1)]


def test_a_champion_is_deployed_and_its_former_is_registered_again(registry: Registry) -> None:
    for run in "ab":
        register(registry, run)
    promote(registry, 1, None, 0)
    promote(registry, 2, 1, 1)
    assert [version.state for version in registry.list_versions(MODEL)] == ["registered", "deployed"]
    promote(registry, None, 2, 2)
    assert registry.champion(MODEL) is None
    assert [version.state for version in registry.list_versions(MODEL)] == ["registered", "registered"]


def test_promoting_the_champion_again_changes_nothing(registry: Registry) -> None:
    register(registry, "a")
    promote(registry, 1, None, 0)
    promote(registry, 1, None, 5)
    assert len(registry.champion_history(MODEL)) == 1


def test_what_carried_the_champion_at_any_instant_can_be_answered(registry: Registry) -> None:
    for run in "ab":
        register(registry, run)
    carriers = [
        Carrier(lambda_version=str(number), code_sha256="digest", layers=[f"layer:{number}"], runtime="python3.13")
        for number in (2, 3, 4)
    ]
    # version 1 is rolled out again at minute 10, twice delivered; version 2 follows at minute 20
    for minutes, carrier in ((0, carriers[0]), (10, carriers[1]), (11, carriers[1])):
        promote(registry, 1, 1 if minutes else None, minutes, carrier)
    promote(registry, 2, 1, 20, carriers[2])

    def at(minutes: float) -> tuple[int, Carrier] | None:
        found = registry.champion_at(MODEL, AT + timedelta(minutes=minutes))
        return (found.version, Carrier.model_validate(found.model_dump())) if found else None

    assert [at(minutes) for minutes in (-1, 0, 9.9, 10, 19, 20)] == [
        *(None, (1, carriers[0]), (1, carriers[0])),
        *((1, carriers[1]), (1, carriers[1]), (2, carriers[2])),
    ]
    history = registry.champion_history(MODEL)
    assert [(e.seq, e.former, e.version) for e in history] == [(1, None, 1), (2, 1, 1), (3, 1, 2)]
    assert registry.former_champion(MODEL) == 1
    assert [version.state for version in registry.list_versions(MODEL)] == ["registered", "deployed"]


def test_a_champion_that_was_rolled_out_again_still_has_the_former_one(registry: Registry) -> None:
    for run in "ab":
        register(registry, run)
    assert registry.former_champion(MODEL) is None
    promote(registry, 1, None, 0, Carrier(lambda_version="2", code_sha256="digest"))
    promote(registry, 2, 1, 1, Carrier(lambda_version="3", code_sha256="digest"))
    promote(registry, 2, 2, 2, Carrier(lambda_version="4", code_sha256="digest"))
    assert registry.former_champion(MODEL) == 1


def test_a_champion_is_replaced_only_by_one_who_knows_it(registry: Registry) -> None:
    for run in "abc":
        register(registry, run)
    promote(registry, 1, None, 0)
    promote(registry, 2, 1, 1)
    with pytest.raises(ConditionFailed):
        promote(registry, 3, 1, 2)
    champion = registry.champion(MODEL)
    assert champion is not None
    assert champion.version == 2


def test_a_refused_version_never_becomes_champion(registry: Registry) -> None:
    register(registry, "a", state="refused")
    with pytest.raises(ConditionFailed):
        promote(registry, 1, None, 0)
    assert registry.champion_history(MODEL) == []


def test_the_history_never_runs_backwards(registry: Registry) -> None:
    for run in "ab":
        register(registry, run)
    promote(registry, 1, None, 10)
    promote(registry, 2, 1, 5)
    times = [entry.at for entry in registry.champion_history(MODEL)]
    assert times == sorted(times)
    served = registry.champion_at(MODEL, AT + timedelta(minutes=10))
    assert served is not None
    assert served.version == 2


@pytest.mark.parametrize("writers", [6, pytest.param(50, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_the_champions_history_has_no_gap_however_many_change_it_at_once(registry: Registry, writers: int) -> None:
    """Each lets its own version serve, in place of whatever serves at that moment, and then serves again carried anew.

    Whoever comes too late looks again, as a rollout that finds another champion does.
    """
    versions = [register(registry, f"r{number}").version for number in range(writers)]
    ready = Barrier(writers)

    def promote_until_it_serves(version: int) -> list[int]:
        ready.wait()
        return [changed(registry, version, str(number)) for number in range(2)]

    with ThreadPoolExecutor(writers) as pool:
        made = [seq for found in pool.map(promote_until_it_serves, versions) for seq in found]
    history = registry.champion_history(MODEL)
    # every change that anybody was told of is there, once, and none besides
    assert sorted(made) == [entry.seq for entry in history] == list(range(1, 2 * writers + 1))
    assert [entry.former for entry in history] == [None, *(entry.version for entry in history)][:-1]
    assert registry.champion_entry(MODEL) == history[-1]
    assert [entry.at for entry in history] == sorted(entry.at for entry in history)
    deployed = [version.version for version in registry.list_versions(MODEL) if version.state == "deployed"]
    assert deployed == [history[-1].version]


def changed(registry: Registry, version: int, carrier: str) -> int:
    """The number of the change that lets the version serve, however often another is faster."""
    carries = Carrier(lambda_version=f"{version}-{carrier}", code_sha256="digest")
    for _ in range(10_000):
        current = registry.champion_entry(MODEL)
        try:
            entry = registry.set_champion(
                MODEL, version, current.version if current else None, at=AT, why="test", carrier=carries
            )
        except ConditionFailed:
            continue
        return entry.seq
    raise AssertionError("never its turn")
