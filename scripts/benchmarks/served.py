"""Models made up that serve for years: the harm test, and a test of fixed windows in its place, day after day."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TypeVar

import numpy as np
from scipy.special import stdtr

from perennial.evaluation.blocks import Array
from perennial.monitoring.answered import Answered
from perennial.monitoring.harm import ALPHA, Harm, register, start, take
from perennial.monitoring.losses import DayLoss, day_loss

EPOCH = np.datetime64("2024-01-01", "D")
FIRST = date(2024, 1, 1)
YEARS = 3 * 365
HELD_OUT = 18
MARGIN = 0.02
WINDOW = 28

T = TypeVar("T")


@dataclass(frozen=True)
class Days:
    """A source of days of a binary task. `separation` is how far apart the classes lie in the score, in its own noise,
    with `spread` from day to day, of which `memory` is left on the next day; base rates move by `base_spread` (in log
    odds, with a memory of .95, so that they wander for weeks); `rows` on average, within a factor of 2. On two days of
    seven the classes lie `weekend` closer together.
    """

    separation: float = 0.8
    spread: float = 0.1
    memory: float = 0.0
    base_spread: float = 0.6
    rows: int = 200
    weekend: float = 0.0

    def draw(self, count: int, rng: np.random.Generator, *, harm_from: int = 0, harm: float = 0.0) -> Answered:
        """`count` days; from day `harm_from` on the classes lie `harm` closer together."""
        quality = self.separation + self.spread * wandering(count, self.memory, rng)
        quality[np.arange(count) % 7 > 4] -= self.weekend
        quality[harm_from:] -= harm
        rate = 1 / (1 + np.exp(-(-1.2 + self.base_spread * wandering(count, 0.95, rng))))
        sizes = np.maximum(2, (self.rows * 2 ** rng.uniform(-1, 1, size=count)).astype(int))
        day = np.repeat(np.arange(count), sizes)
        label = (rng.random(len(day)) < rate[day]).astype(np.int64)
        score = quality[day] * label + rng.normal(size=len(day))
        likely = 1 / (1 + np.exp(-(self.separation * (score - self.separation / 2) - 1.2)))
        answers = np.stack([1 - likely, likely], axis=1)
        versions, amounts = np.ones(len(day), dtype=np.int64), np.full(len(day), np.nan)
        return Answered(label, answers, EPOCH + day, versions, amounts)


def wandering(count: int, memory: float, rng: np.random.Generator) -> Array:
    """A stationary series [count] of standard normals, of which `memory` is left after a day."""
    found, last = np.empty(count), rng.normal()
    for day, one in enumerate(rng.normal(size=count)):
        last = memory * last + math.sqrt(1 - memory**2) * one
        found[day] = last
    return found


def champion(world: Days, rng: np.random.Generator) -> Harm:
    """The state of a new champion, registered on held-out rows of the same world."""
    rows = world.draw(HELD_OUT, rng)
    registered = register("binary", rows.label, rows.answers, rows.days)
    if registered is None:
        raise ValueError("a world in which held-out days have no loss")
    return start(1, registered, MARGIN)


def served(
    world: Days, days: int, seed: int, *, live: Days | None = None, harm_from: int = 0, harm: float = 0.0
) -> tuple[Harm, list[DayLoss]]:
    """A champion and the losses of its days, from rows; `live` is the world after training."""
    rng = np.random.default_rng(seed)
    state = champion(world, rng)
    rows = (live or world).draw(days, rng, harm_from=harm_from, harm=harm)
    ends = np.searchsorted(rows.days, EPOCH + np.arange(days + 1))
    scale = state.registered.scale
    return state, [
        day_loss("binary", scale, rows.label[first:last], rows.answers[first:last]) for first, last in pairwise(ends)
    ]


def at_the_bound(
    days: int, seed: int, *, spread: float = 0.04, memory: float = 0.0, below: float = 0.0
) -> tuple[Harm, list[DayLoss]]:
    """The worst of the null: losses that are on average just what they may be (or so much `below`), every day."""
    rng = np.random.default_rng(seed)
    state = champion(Days(), rng)
    losses = np.clip(state.bound - below + spread * wandering(days, memory, rng), 0, 1)
    return state, [DayLoss(float(loss), state.registered.weight) for loss in losses]


def told(state: Harm, losses: list[DayLoss]) -> Harm:
    """The state after all these days, or on the day of the alarm."""
    for number, loss in enumerate(losses):
        state = take(state, FIRST + timedelta(number), loss)
        if state.alarm:
            break
    return state


def alarm_of(state: Harm, losses: list[DayLoss]) -> float:
    """The day (0 …) of the harm test's alarm; infinite without one."""
    alarmed = told(state, losses).alarmed
    return math.inf if alarmed is None else (date.fromisoformat(alarmed) - FIRST).days


def fixed_windows(state: Harm, losses: list[DayLoss]) -> float:
    """What usually stands in the test's place: every 28 days Student's t over the last 28, against the same bound, one-
    sided at the same α. The day of the first alarm; infinite without one.
    """
    for end in range(WINDOW, len(losses) + 1, WINDOW):
        window = np.array([one.loss for one in losses[end - WINDOW : end] if one.loss is not None])
        error = window.std(ddof=1) / math.sqrt(len(window))
        if stdtr(len(window) - 1, -(window.mean() - state.bound) / error) < ALPHA:
            return end - 1
    return math.inf


def in_processes(one: Callable[[int], T], runs: int, processes: int = 1) -> list[T]:
    """`one` of each number below `runs`: the same however many processes share them."""
    if processes == 1:
        return [one(number) for number in range(runs)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(one, range(runs), chunksize=20))
