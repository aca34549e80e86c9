"""What came of answers: quiet about versions that are equally good, or hardly worse; loud about one that is worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from perennial.catalog.model import ModelSpec
from perennial.catalog.rollout import Quality, RolloutSpec, Value
from perennial.outcomes import Outcome
from perennial.rollout.observed import Seen
from perennial.rollout.results import Labels, results_of, with_results
from perennial.rollout.scores import Spread
from perennial.serving.log import Prediction

Random = np.random.Generator
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = RolloutSpec(value=Value(margin=2, low=-60, high=60))
STEPS = (0.1, 0.5)
PER_STEP = 1500
LOOKS = (0.1, 0.3, 0.6, 1.0)


def model(task: str = "binary", **label: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "late",
            "dataset": "flights",
            "task": task,
            "label": {"column": "late", **label},
            "features": ["plane", "hour"],
            "entity": ["plane"],
        }
    )


LABELS = Labels(model(), (False, True), None)


@dataclass(frozen=True)
class World:
    """Two steps of requests, each with its outcome and the moment (in steps) at which it arrives, if it does.

    `answer` makes a version's probability of a late one from the true one; amounts are what the answer earns.
    """

    windows: list[list[Seen]]
    arrivals: list[tuple[float, Outcome]]

    def known(self, at: float) -> list[Outcome]:
        return [outcome for arrives, outcome in self.arrivals if arrives <= at]

    def until(self, at: float) -> list[list[Seen]]:
        """The windows as far as they have come; a step is of PER_STEP requests."""
        return [window[: max(0, round((at - step) * PER_STEP))] for step, window in enumerate(self.windows)]


def honest(rng: Random, true: float) -> float:
    return true


def noisy(rng: Random, true: float) -> float:
    """Another model, that knows as much on average."""
    return float(np.clip(true + rng.normal(0, 0.15), 0, 1))


def slightly_worse(rng: Random, true: float) -> float:
    """Loses some 0.004 more than `noisy`, under the margin of 0.01."""
    return float(np.clip(true + rng.normal(0, 0.165), 0, 1))


def inverted(rng: Random, true: float) -> float:
    return 1 - true


def worlds(rng: Random, mine: Callable[[Random, float], float], theirs: Callable[[Random, float], float]) -> World:
    """The base rate wanders through the day, outcomes of most come late, those of some never."""
    windows: list[list[Seen]] = []
    arrivals: list[tuple[float, Outcome]] = []
    for step, share in enumerate(STEPS):
        window = []
        for number in range(PER_STEP):
            at = step + number / PER_STEP
            challenger = bool(rng.random() < share)
            rate = 0.3 + 0.25 * np.sin(6 * at)
            true = float(np.clip(rng.beta(2, 2) * rate * 2, 0, 1))
            told = (mine if challenger else theirs)(rng, true)
            late = bool(rng.random() < true)
            name = f"2026-03-01-{step}-{number}"
            row = Prediction(f"{name}-0", AT, 1, "2", {"plane": number, "hour": 1}, told > 0.5, [1 - told, told])
            window.append(Seen(challenger, 1, 500, False, (1 - told, told), None, row))
            earned = float((10 if (told > 0.5) == late else -10) + rng.normal(0, 5))
            if rng.random() < 0.6:
                arrives = at + float(rng.exponential(0.2))
                arrivals.append((arrives, Outcome(late, AT, AT, prediction_id=row.id, amount=earned)))
        windows.append(window)
    return World(windows, arrivals)


def alarms(world: World) -> set[str]:
    """The guards that saw harm at any look."""
    found = set()
    for at in (step + look for step in range(len(STEPS)) for look in LOOKS):
        windows = with_results(world.until(at), world.known(at), LABELS, AT)
        found |= {guard.name for guard in results_of(SPEC, windows) if guard.harm}
    return found


HARMLESS = {"the same": (honest, honest), "as good": (noisy, noisy), "hardly worse": (slightly_worse, noisy)}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("count", [10, pytest.param(1_000, marks=[pytest.mark.full, pytest.mark.timeout(7200)])])
def test_no_harm_is_found_where_there_is_none(kind: str, count: int) -> None:
    found = [alarms(worlds(np.random.default_rng(seed), *HARMLESS[kind])) for seed in range(count)]
    # one percent for each of the two guards
    for name in ("quality", "value"):
        assert sum(name in one for one in found) <= max(0.01 * count + 2 * (0.01 * count) ** 0.5, 0)


def test_a_challenger_that_is_wrong_where_the_champion_is_right_is_found() -> None:
    found = [alarms(worlds(np.random.default_rng(seed), inverted, honest)) for seed in range(5)]
    assert found == [{"quality", "value"}] * 5


def test_without_outcomes_there_is_no_verdict() -> None:
    world = worlds(np.random.default_rng(1), inverted, honest)
    for windows in (world.windows, with_results(world.windows, [], LABELS, AT)):
        guards = results_of(SPEC, windows)
        assert [(one.name, one.log_e, one.harm) for one in guards] == [("quality", 0.0, False), ("value", 0.0, False)]
    # of one version alone neither
    mine = {one.row.id for window in world.windows for one in window if one.challenger and one.row}
    known = [outcome for _, outcome in world.arrivals if outcome.prediction_id in mine]
    assert [one.log_e for one in results_of(SPEC, with_results(world.windows, known, LABELS, AT))] == [0.0, 0.0]


def test_a_later_outcome_adds_a_pair_and_changes_none() -> None:
    world = worlds(np.random.default_rng(2), noisy, noisy)
    counted = []
    for share in (0.2, 0.5, 1.0):
        known = world.known(2 * share)
        windows = with_results(world.windows, known, LABELS, AT)
        counted.append(results_of(SPEC, windows)[0].evidence["pairs"])
    assert counted == sorted(counted)
    assert counted[0] < counted[-1]


def test_no_pair_spans_steps() -> None:
    """The champion of one step beside the challenger of the next, between which everything may have changed."""
    early, late = (
        Seen(challenger, 1, 500, False, (0.5, 0.5), None, None, loss)
        for challenger, loss in ((False, 0.0), (True, 1.0))
    )
    assert results_of(RolloutSpec(), [[early] * 300, [late] * 300])[0].evidence["pairs"] == 0
    assert results_of(RolloutSpec(), [[early, late] * 300])[0].harm


@pytest.mark.parametrize(
    ("labels", "outputs", "outcome", "loss"),
    [
        (LABELS, (0.2, 0.8), True, 0.04),
        (LABELS, (0.2, 0.8), False, 0.64),
        (Labels(model(above=15.0), (False, True), None), (0.0, 1.0), 15, 1.0),
        (Labels(model("multiclass"), ("a", "b", "c"), None), (0.0, 1.0, 0.0), "b", 0.0),
        (Labels(model("multiclass"), ("a", "b", "c"), None), (0.0, 1.0, 0.0), "never seen", 1.0),
        (Labels(model("regression"), None, 10.0), (4.0,), 6, 0.2),
        (Labels(model("regression"), None, 10.0), (4.0,), 1000, 1.0),
        (Labels(model("regression"), None, None), (4.0,), 6, None),
        (Labels(model("regression"), None, 10.0), (4.0,), "six", None),
    ],
)
def test_a_loss_lies_between_0_and_1(labels: Labels, outputs: tuple[float, ...], outcome: Any, loss: float) -> None:
    assert labels.loss(outputs, outcome) == (None if loss is None else pytest.approx(loss))


def test_a_span_is_that_of_held_out_rows() -> None:
    held = Spread(edges=(1.0,), counts=(1, 1), low=-2.0, high=6.0)
    assert (Labels.of(model("regression"), None, held).span, Labels.of(model("regression"), None, None).span) == (
        8,
        None,
    )


def test_an_outcome_by_entity_beyond_the_last_window_may_be_anothers() -> None:
    [[one, *_], _] = worlds(np.random.default_rng(3), honest, honest).windows
    seen = [[replace(one, row=one.row and one.row._replace(at=AT))]]
    outcome = Outcome(True, AT, AT, entity={"plane": 0}, event_time=AT + timedelta(minutes=5))
    for until, known in ((AT + timedelta(minutes=6), True), (AT + timedelta(minutes=5), False)):
        [[found]] = with_results(seen, [outcome], LABELS, until)
        assert (found.loss is not None) is known


def test_amounts_have_bounds() -> None:
    with pytest.raises(ValidationError, match="a margin of 5 among amounts from 0 to 5"):
        Value(margin=5, low=0, high=5)
    paid = [Seen(mine, 1, 1, False, (1.0,), None, None, None, 1e9 if mine else -1e9) for mine in (True, False)]
    [_, value] = results_of(RolloutSpec(quality=Quality(), value=Value(margin=1, low=0, high=10)), [paid * 2])
    assert value.evidence["mean"] == -1.0
