"""The guards: quiet about what does no harm, however often they are asked, and loud about what does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from perennial.catalog.rollout import Latency, RolloutSpec
from perennial.rollout.error_tests import Counts
from perennial.rollout.guards import guards_of, unanswered
from perennial.rollout.judge import Guard
from perennial.rollout.observed import Seen
from perennial.rollout.scores import Spread, score_of, spread_of

Random = np.random.Generator
SPEC = RolloutSpec(latency=Latency(slo_ms=50))
LOOKS = (50, 150, 400, 1000)


def requests(
    rng: Random,
    *,
    scores: Callable[[Random], float] = lambda rng: float(rng.beta(2, 5)),
    theirs: Callable[[Random], float] = lambda rng: float(rng.beta(2, 5)),
    slower: float = 1.0,
    share: float = 0.25,
    environments: int = 1,
    host: float = 0.0,
) -> list[Seen]:
    """Requests of both versions. Scoring takes 2 ms or so, for the challenger `slower` times that; a share is cold.

    Each version has so many `environments`, and their hosts differ in speed (`host`: standard deviation of its log).
    """
    found = []
    hosts = np.exp(rng.normal(0, host, (2, environments)))
    for number in range(LOOKS[-1]):
        mine = bool(rng.random() < share)
        rows = int(rng.choice([1, 1, 1, 20]))
        where = int(rng.integers(environments))
        took = 2000 * math.exp(rng.normal(0, 0.4)) * (1 + rows / 20) * (slower if mine else 1) * hosts[int(mine), where]
        cold = bool(rng.random() < (0.1 if mine else 0.01))
        score = (scores if mine else theirs)(rng)
        took_us = int(took * (30 if cold else 1))
        found.append(
            Seen(
                mine, rows, took_us, cold, (1 - score, score), f'{{"number": {number}}}', environment=f"{mine}-{where}"
            )
        )
    return found


def offline(rng: Random, scores: Callable[[Random], float] = lambda rng: float(rng.beta(2, 5))) -> Spread:
    drawn = [scores(rng) for _ in range(400)]
    return spread_of([(1 - score, score) for score in drawn], probabilities=True)


def loud(seen: list[Seen], held: Spread | None, spec: RolloutSpec = SPEC) -> dict[str, int]:
    """The guards that ever saw harm, with the number of requests after which they did."""
    found: dict[str, int] = {}
    for look in LOOKS:
        for guard in guards_of(spec, seen[:look], held):
            if guard.harm:
                found.setdefault(guard.name, look)
    return found


def shifted(rng: Random) -> float:
    return float(rng.beta(6, 3))


def coarse(rng: Random) -> float:
    return float(rng.choice([0.1, 0.1, 0.1, 0.1, 0.4, 0.7]))


# what does no harm: champion's and challenger's scores, the challenger's of held-out rows, how much slower
HARMLESS: dict[str, tuple[dict[str, object], Callable[[Random], float]]] = {
    "the same model": ({}, lambda rng: float(rng.beta(2, 5))),
    "a retrained model that scores otherwise": ({"scores": shifted}, shifted),
    "requests unlike held-out rows": ({"scores": shifted, "theirs": shifted}, lambda rng: float(rng.beta(2, 5))),
    "a coarse model": ({"scores": coarse, "theirs": coarse}, coarse),
    "half as slow again": ({"slower": 1.5}, lambda rng: float(rng.beta(2, 5))),
    "hosts of different speed": ({"environments": 5, "host": 0.5}, lambda rng: float(rng.beta(2, 5))),
}
HARM: dict[str, tuple[dict[str, object], str]] = {
    "five times as slow": ({"slower": 5.0}, "latency"),
    "five times as slow in five environments": ({"slower": 5.0, "environments": 5, "host": 0.3}, "latency"),
    "a constant": ({"scores": lambda rng: 0.25}, "outputs"),
    "no probability": ({"scores": lambda rng: 1.5}, "outputs"),
    "scores unlike any": ({"scores": lambda rng: float(rng.beta(12, 1))}, "scores"),
    "too slow for everybody": ({"slower": 30.0}, "slo"),
}


@pytest.mark.parametrize("count", [12, pytest.param(2000, marks=pytest.mark.full)])
@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_no_harm_is_left_alone(case: str, count: int) -> None:
    given, held = HARMLESS[case]
    rng = np.random.default_rng(7)
    ended = sum(bool(loud(requests(rng, **given), offline(rng, held))) for _ in range(count))  # type: ignore[arg-type]
    # four guards of 1 % each
    assert ended <= 0.04 * count + 2 * math.sqrt(0.04 * count)


@pytest.mark.parametrize("count", [4, pytest.param(300, marks=pytest.mark.full)])
@pytest.mark.parametrize("case", HARM)
def test_what_does_harm_is_found(case: str, count: int) -> None:
    given, name = HARM[case]
    rng = np.random.default_rng(8)
    found = [loud(requests(rng, **given), offline(rng)) for _ in range(count)]  # type: ignore[arg-type]
    # most within a thousand requests: hosts of different speed may hide it a little longer
    assert sum(name in one for one in found) >= 0.95 * count, found


def guard(name: str, seen: list[Seen], held: Spread | None = None, spec: RolloutSpec = SPEC) -> Guard:
    return next(one for one in guards_of(spec, seen, held) if one.name == name)


def test_cold_calls_are_counted_apart() -> None:
    seen = requests(np.random.default_rng(1))
    found = guard("latency", seen).evidence
    assert found["cold"]["challenger"] > 3 * found["cold"]["champion"] / 3 > 0
    assert found["pairs"] <= sum(one.challenger and not one.cold for one in seen)
    warm = [replace(one, cold=False) for one in seen]
    assert guard("slo", warm).evidence["warm"] > guard("slo", seen).evidence["warm"]


@pytest.mark.parametrize(("slow", "harm"), [(2, False), (5, True)])
def test_environments_on_slow_hosts_are_no_fault_of_a_version_while_others_answer_as_much(
    slow: int, harm: bool
) -> None:
    slowed = {f"True-{number}" for number in range(slow)}
    seen = [
        replace(one, score_us=one.score_us * (20 if one.environment in slowed else 1))
        for one in requests(np.random.default_rng(3), environments=5)
    ]
    found = guard("latency", seen)
    assert (found.evidence["environments"], found.harm) == (5, harm)


@pytest.mark.parametrize("environments", [1, 3, 20, 60, 150, 400])
@pytest.mark.parametrize("busy", [False, True])
def test_a_slow_version_is_found_whichever_environments_it_has(environments: int, busy: bool) -> None:
    """`busy`: one of them answers nearly everything, as the environment does that was free last."""
    rng = np.random.default_rng(4)
    seen = [one for _ in range(4) for one in requests(rng, slower=4.0, environments=environments)]
    if busy:
        seen = [replace(one, environment="busy") if one.challenger and rng.random() < 0.9 else one for one in seen]
    assert guard("latency", seen).harm


def test_environments_of_a_few_requests_are_judged_together() -> None:
    seen = requests(np.random.default_rng(4), slower=5.0, environments=400)
    found = guard("latency", seen)
    assert (found.evidence["environments"], found.harm) == (1, True)


def test_without_a_limit_nobody_is_measured_against_one() -> None:
    names = [one.name for one in guards_of(RolloutSpec(), [], None)]
    assert names == ["latency", "outputs"]


def test_nothing_seen_says_nothing() -> None:
    held = offline(np.random.default_rng(2))
    assert [one.log_e for one in guards_of(SPEC, [], held)] == pytest.approx([0.0] * 4)


def test_the_same_question_may_get_the_same_answer() -> None:
    seen = [Seen(True, 1, 100, False, (0.5, 0.5), "{}") for _ in range(500)]
    assert not guard("outputs", seen).harm
    differing = [replace(one, inputs=f"{number}") for number, one in enumerate(seen)]
    assert guard("outputs", differing).harm
    assert "the same answer" in guard("outputs", differing).reason


def test_a_model_that_was_constant_on_held_out_rows_may_be_constant() -> None:
    held = spread_of([(0.5, 0.5)] * 300, probabilities=True)
    seen = [Seen(True, 1, 100, False, (0.5, 0.5), f"{number}") for number in range(500)]
    assert not guard("outputs", seen, held).harm


def test_a_regression_far_beyond_its_held_out_predictions_is_no_answer() -> None:
    held = spread_of([(float(value),) for value in range(100)], probabilities=False)
    seen = [Seen(True, 1, 100, False, (value,), f"{value}") for value in (250.0, -200.0, 400.0)]
    assert guard("outputs", seen, held).evidence["strange"] == 3
    assert guard("outputs", seen, held).harm
    within = [replace(one, outputs=(150.0,)) for one in seen]
    assert guard("outputs", within, held).evidence["strange"] == 0


def test_a_score_is_one_number() -> None:
    assert (score_of((7.5,)), score_of((0.3, 0.7)), score_of((0.2, 0.5, 0.3))) == (7.5, 0.7, 0.5)


def test_a_spread_counts_every_score_once() -> None:
    held = spread_of([(0.0,), (1.0,), (1.0,), (4.0,)], probabilities=False)
    assert (sum(held.counts), held.low, held.high) == (4, 0.0, 4.0)
    assert held.shares_up_to()[-1] == 0.75
    alike = spread_of([(2.0,)] * 3, probabilities=False)
    assert alike.shares_up_to() == [1.0] * 19


@pytest.mark.parametrize("simulations", [5, pytest.param(1000, marks=pytest.mark.full)])
def test_what_comes_over_both_versions_while_the_share_grows_is_no_harm(simulations: int) -> None:
    """A day in which scoring takes longer and scores move, for champion and challenger alike."""

    alarms = 0
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        seen = requests(rng, share=0.05)
        for share in (0.25, 0.5):
            later = requests(rng, share=share, scores=shifted, theirs=shifted)
            seen += [replace(one, score_us=one.score_us * 3) for one in later]
        alarms += any(guard.harm for guard in guards_of(SPEC, seen, offline(rng)))
    # two guards of one percent each
    assert alarms <= max(0.03 * simulations, 1)


@pytest.mark.parametrize(("refused", "harm"), [((0.0, 0.0), False), ((0.3, 0.3), False), ((1.0, 0.02), True)])
def test_a_version_that_answers_fewer_of_its_calls_is_found(refused: tuple[float, float], harm: bool) -> None:
    rng = np.random.default_rng(7)
    steps, windows = [], []
    for share in (0.05, 0.25):
        seen = requests(rng, share=share)
        calls = {word: sum(one.challenger is word for one in seen) for word in (True, False)}
        steps.append(Counts(share, calls[True], 0, calls[False], 0))
        windows.append([one for one in seen if rng.random() >= refused[0 if one.challenger else 1]])
    found = unanswered(SPEC.errors, steps, windows)
    assert (found.name, found.harm) == ("answers", harm)
    assert found.evidence["unanswered"] == sum(step.requests for step in steps) - sum(
        one.challenger for window in windows for one in window
    )
