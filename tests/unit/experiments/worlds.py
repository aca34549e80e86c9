"""Experiments made up: entities that differ, come back, and are judged by a challenger or the champion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perennial.evaluation.blocks import Array
from perennial.experiments.analysis import ArmRows, quality, value

ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """`entities` ask some `rate` times a day each, unevenly, from the start or as they arrive over the days.

    The truth of a row depends on what the model sees and on its entity (`alike`, standard deviation on the logit scale)
    and moves from day to day. The challenger sees with `noise`, knows the rows better by `gain`, or sees as much, but
    something `other`; it may earn `more` per row. Amounts have heavy tails.
    """

    entities: int
    days: int
    rate: float
    arriving: bool = False
    alike: float = 1.0
    noise: float = 0.0
    gain: float = 0.0
    more: float = 0.0
    other: bool = False
    share: float = 0.5


def play(rng: np.random.Generator, world: World, metric: str) -> list[tuple[str, str]]:
    """The verdicts on quality and value, looked at after every day."""
    challenger = rng.random(world.entities) < world.share
    effect = rng.normal(0, world.alike, world.entities)
    rate = world.rate * rng.gamma(1, 1, world.entities)
    begins = rng.integers(0, world.days, world.entities) if world.arriving else np.zeros(world.entities)
    parts: list[tuple[Array, ...]] = []
    verdicts: list[tuple[str, str]] = []
    for day in range(world.days):
        entity = np.repeat(np.arange(world.entities), rng.poisson(rate * (begins <= day)))
        parts.append(_rows(rng, world, entity, effect[entity], challenger[entity], day))
        entity, label, score, amount = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        arms = []
        for mine in (challenger[entity], ~challenger[entity]):
            names = len(np.unique(entity[mine]))
            answers = np.stack([1 - score[mine], score[mine]], axis=1)
            arms.append(ArmRows(int(mine.sum()), names, label[mine], answers, entity[mine], amount[mine]))
        if min(len(arm.label) for arm in arms) > 0:
            paid = value(arms[1], arms[0], ALPHA)
            shown = quality("binary", metric, arms[1], arms[0], ALPHA).verdict
            verdicts.append((shown, paid.verdict if paid else "open"))
    return verdicts


def _rows(
    rng: np.random.Generator, world: World, entity: Array, effect: Array, mine: Array, day: int
) -> tuple[Array, ...]:
    seen, unseen = rng.normal(0, 1, len(entity)), rng.normal(0, 1, len(entity))
    odds = seen + unseen + effect + 0.5 * np.sin(day / 3)
    label = (rng.random(len(entity)) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    own = unseen if world.other else seen
    better = own + world.gain * unseen + world.noise * rng.normal(0, 1, len(entity))
    known = np.where(mine, better, seen)
    amount = np.where(label == 1, rng.lognormal(0, 1, len(entity)), -0.2) + world.more * mine
    return entity, label, 1 / (1 + np.exp(-known)), amount
