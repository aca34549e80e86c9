"""Models that serve for years: the harm test, and tests of fixed windows in its place, day after day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from scipy.special import stdtr

from perennial.monitoring.harm import ALPHA, Harm, register, start, step, take
from perennial.monitoring.losses import DayLoss
from tests.unit.monitoring.answered_made import EPOCH, Days, wandering

Array = np.ndarray[Any, Any]
FIRST = date(2024, 1, 1)
HELD_OUT_DAYS = 18
MARGIN = 0.02
WINDOW = 28


def told(state: Harm, losses: Array) -> Harm:
    """The state after days with these losses, or on the day of the alarm."""
    for number, loss in enumerate(losses):
        state = take(state, FIRST + timedelta(number), DayLoss(float(loss), state.registered.weight))
        if state.alarm:
            break
    return state


def champion(world: Days, rng: np.random.Generator, margin: float = MARGIN) -> Harm:
    """The state of a new champion, registered on held-out rows of the same world."""
    held_out = world.draw(HELD_OUT_DAYS, rng)
    registered = register("binary", held_out.label, held_out.answers, held_out.days)
    if registered is None:
        raise AssertionError("held-out rows without days")
    return start(1, registered, margin)


def served(world: Days, days: int, seed: int, *, live: Days | None = None, harm_from: int = 0, harm: float = 0) -> Harm:
    """The state after so many days of rows, or on the day of the alarm; `live` is the world after training."""
    rng = np.random.default_rng(seed)
    state = champion(world, rng)
    rows = (live or world).draw(days, rng, harm_from=harm_from, harm=harm)
    ends = np.searchsorted(rows.days, EPOCH + np.arange(days + 1))
    for number in range(days):
        chosen = slice(ends[number], ends[number + 1])
        state = step(state, FIRST + timedelta(number), rows.label[chosen], rows.answers[chosen])
        if state.alarm:
            break
    return state


@dataclass(frozen=True)
class Losses:
    """A source of days by their losses: `mean`, of which a day is off by `spread`, with a memory."""

    mean: float = 0.3
    spread: float = 0.04
    memory: float = 0.0

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        found: Array = np.clip(self.mean + self.spread * wandering(count, self.memory, rng), 0, 1)
        return found


def fixed_windows(bound: float, losses: Array, every: int = WINDOW) -> int | None:
    """What usually stands in the test's place: every so many days, Student's t over the last 28, one-sided at the same
    α. The day of the first alarm (0 …), or None.
    """
    for end in range(WINDOW, len(losses) + 1, every):
        window = losses[end - WINDOW : end]
        error = window.std(ddof=1) / np.sqrt(WINDOW)
        if stdtr(WINDOW - 1, -(window.mean() - bound) / error) < ALPHA:
            return end - 1
    return None


def at_the_bound(days: int, seed: int, world: Losses, below: float = 0.0) -> tuple[Harm, Array]:
    """The worst of the null: a loss that is on average just what it may be (or so much `below`), every day."""
    rng = np.random.default_rng(seed)
    state = champion(Days(), rng)
    return state, replace(world, mean=state.bound - below).draw(days, rng)


def delay(state: Harm, harm_from: int) -> float:
    """Days from the beginning of harm to the alarm; infinite without one."""
    return np.inf if state.alarmed is None else (date.fromisoformat(state.alarmed) - FIRST).days + 1 - harm_from


def share(runs: int, alarmed: Callable[[int], bool]) -> float:
    """Of so many seeded runs, the share with an alarm."""
    return float(np.mean([alarmed(seed) for seed in range(runs)]))
