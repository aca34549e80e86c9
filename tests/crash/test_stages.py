"""Whatever dies, repeats, comes late or twice at once: the world ends as if nothing had happened.

Each scenario is run undisturbed once; every other run ends in the same state and is answered the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from tests.aws import Account, fresh_account
from tests.crash.calls import When
from tests.crash.deliver import AtOnce, Crashing, Deliver, Late, Once, Repeating, same
from tests.crash.scenarios import HEARS, SCENARIOS, Outcome, play
from tests.crash.snapshot import differences

# the account of every run, so that names and bytes are the same in all of them
ACCOUNT = "777777777777"
WHENS: tuple[When, ...] = get_args(When)
# what runs without --full
SAMPLE = {
    "ledger", "ingest: accepted", "retrain: an arrival starts", "retrain: finish failed",
    "retrain: an alarm in the cool-down and after it", "train", "evaluate",
    "register: passed", "deploy: promoted", "deploy: by steps", "loop", "feedback: a file", "score", "monitor",
}  # fmt: skip
# a sample of the calls, where all of them would take too long
MOST = {"loop": 60, "monitor": 40, "deploy: by steps": 40, "deploy: by steps, refused": 40}


@dataclass
class Stagehand:
    """Plays scenarios, and remembers how each ends undisturbed."""

    account: Account
    directory: Path
    sample: bool
    undisturbed: dict[str, tuple[Outcome, list[str]]]

    def wanted(self, name: str) -> tuple[Outcome, list[str]]:
        """The undisturbed outcome, and the AWS calls that led there."""
        if name not in self.undisturbed:
            once = Once()
            outcome = play(SCENARIOS[name], once, self.account, self.directory)
            self.undisturbed[name] = outcome, once.calls
        return self.undisturbed[name]

    def complaints(self, name: str, deliver: Deliver) -> list[str]:
        """What differs from the undisturbed run."""
        wanted, _ = self.wanted(name)
        found = play(SCENARIOS[name], deliver, self.account, self.directory)
        lines = differences(found.state, wanted.state)
        if not same(found.answers, wanted.answers):
            lines.append(f"answered {found.answers} instead of {wanted.answers}")
        return lines


@pytest.fixture(scope="module")
def stagehand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stagehand]:
    with fresh_account(ACCOUNT) as account:
        yield Stagehand(account, tmp_path_factory.mktemp("code"), not request.config.getoption("--full"), {})


def grouped(names: list[str]) -> list[object]:
    """One process plays all runs of a scenario, as they share the undisturbed one."""
    groups = {name: [pytest.mark.xdist_group(f"crash {name}")] for name in names}
    return [
        pytest.param(name, marks=[*marks, *([] if name in SAMPLE else [pytest.mark.full])], id=name)
        for name, marks in groups.items()
    ]


ALL = grouped(list(SCENARIOS))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("name", ALL)
def test_a_process_that_dies_at_any_call_is_made_good_by_the_next(stagehand: Stagehand, name: str, when: When) -> None:
    _, calls = stagehand.wanted(name)
    numbers = list(range(1, len(calls) + 1))
    most = 1 if stagehand.sample else MOST.get(name, len(numbers))
    complaints = {}
    for number in sorted(Random(f"{name} {when}").sample(numbers, min(most, len(numbers)))):
        crashing = Crashing((number, when))
        found = stagehand.complaints(name, crashing)
        assert not crashing.unhappened
        if found:
            complaints[f"{when} {number}: {calls[number - 1]}"] = found
    assert not complaints, json.dumps(complaints, indent=1)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL)
def test_a_process_that_dies_twice_is_made_good_too(stagehand: Stagehand, name: str) -> None:
    _, calls = stagehand.wanted(name)
    random = Random(name)
    complaints = {}
    for _ in range(1 if stagehand.sample else 12):
        first = (random.randint(1, len(calls)), random.choice(WHENS))
        # the second life may have fewer calls left than this
        second = (random.randint(1, len(calls)), random.choice(WHENS))
        if found := stagehand.complaints(name, Crashing(first, second)):
            complaints[f"{first} {second}"] = found
    assert not complaints, json.dumps(complaints, indent=1)


@pytest.mark.parametrize("times", [2, pytest.param(3, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", ALL)
def test_a_message_that_comes_more_than_once_has_one_effect(stagehand: Stagehand, name: str, times: int) -> None:
    assert not stagehand.complaints(name, Repeating(times))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL)
def test_two_deliveries_at_once_have_one_effect(stagehand: Stagehand, name: str) -> None:
    complaints = {}
    for seed in range(1 if stagehand.sample else 20):
        if found := stagehand.complaints(name, AtOnce(seed)):
            complaints[seed] = found
    assert not complaints, json.dumps(complaints, indent=1)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", grouped(["ingest: two files", "deploy: promoted", "deploy: the alias fails", "loop"]))
def test_a_message_that_comes_again_long_after_changes_nothing(stagehand: Stagehand, name: str) -> None:
    complaints = {}
    for seed in range(1 if stagehand.sample else 12):
        if found := stagehand.complaints(name, Late(seed, HEARS)):
            complaints[seed] = found
    assert not complaints, json.dumps(complaints, indent=1)
