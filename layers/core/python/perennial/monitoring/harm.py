"""Has the model become worse? A test that may be asked every day for as long as the model serves.

Somebody bets each day against "on average, whatever came before, a day's loss is at most the bound": the upper end of
the 95 % interval of what it was on the held-out rows, plus the spec's margin. Inputs that move, and base rates that
move, are no loss (see losses.py). A bet multiplies what it had by 1 + λ·(loss − bound), which on average makes nobody
richer while the hypothesis holds; bets with different λ begin on each day, with shares of one unit that sum to one.
What all of it is worth together is an e-value at any time: over 1/α it refutes the hypothesis, with error probability
at most α over all days to come. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 86 (2024); the mixture over beginnings: Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2 (2024). False
alarms and delay are simulated in tests/unit/monitoring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from scipy.special import stdtrit

from perennial.evaluation.blocks import CONFIDENCE, MIN_DAYS, Array
from perennial.monitoring.losses import DayLoss, Scale, day_loss, scale_of
from perennial.rollout.bounded_tests import PARTS, mean_of

# Of a hundred models that never become worse, at most one is ever said to. Fixed.
ALPHA = 0.01
# Beginnings are likeliest within the first hundred units and never impossible: after t of them, HALF / (HALF + t) of
# the stake is still to be bet. Fixed beforehand.
HALF = 100
# Days are put together until they weigh half as much as a usual held-out day did, or this much.
LEAST_WEIGHT = 5.0
# Between floor and bound at least: held-out days that were all alike leave nothing to bet with otherwise.
ROOM = 0.001
# Days that were left out, which are named in the state.
NAMED = 31


@dataclass(frozen=True)
class Registered:
    """What the losses were on the held-out rows, days put together to `units` of `weight` at least.

    `mean` is that of the losses, none counted lower than `floor`, `high` the upper end of its 95 % interval. The floor,
    a standard deviation under the mean, is what allows bets large enough to find harm within days: of a day that is
    better than that it is not believed how much better.
    """

    task: str
    scale: Scale
    mean: float
    high: float
    floor: float
    weight: float
    units: int

    def bound(self, margin: float) -> float:
        """What the mean loss is at most while there is no harm. Of a regression `margin` is a share of the loss."""
        bound = self.high + margin * (self.mean if self.task == "regression" else 1.0)
        return max(bound, self.floor + ROOM)

    def to_json(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        return asdict(self)


def read_registered(found: Mapping[str, Any]) -> Registered:
    """What to_json wrote."""
    scale = found["scale"]
    known = Scale(scale["unit"], tuple(scale["shares"]), tuple(scale["errors"]))
    return Registered(**{**found, "scale": known})


def register(task: str, label: Array, answers: Array, days: Array | None) -> Registered | None:
    """The registered loss of held-out rows: labels [n], answers float64 [n, k], days datetime64[D] [n] or None.

    None when there are no days, or too few to say how much they differ.
    """
    if days is None:
        return None
    scale = scale_of(task, label, answers)
    losses = [day_loss(task, scale, label[days == day], answers[days == day]) for day in np.unique(days)]
    weights = [one.weight for one in losses if one.loss is not None]
    if not weights:
        return None
    weight = max(float(np.median(weights)) / 2, LEAST_WEIGHT)
    units = np.array(_units(losses, weight))
    if len(units) < MIN_DAYS:
        return None
    floor = max(float(units.mean() - units.std(ddof=1)), 0.0)
    counted = np.maximum(units, floor)
    reach = float(stdtrit(len(units) - 1, 0.5 + CONFIDENCE / 2) * counted.std(ddof=1) / math.sqrt(len(units)))
    mean = float(counted.mean())
    return Registered(task, scale, mean, mean + reach, floor, weight, len(units))


def _units(losses: list[DayLoss], weight: float) -> list[float]:
    found, pending = [], Pending()
    for one in losses:
        pending = pending.with_day("", one)
        if pending.weight >= weight:
            found.append(pending.loss)
            pending = Pending()
    return found


@dataclass(frozen=True)
class Pending:
    """Days that do not weigh enough yet."""

    first: str | None = None
    days: int = 0
    weight: float = 0.0
    weighted: float = 0.0

    @property
    def loss(self) -> float:
        """The mean loss of the days, by weight."""
        return self.weighted / self.weight

    def with_day(self, day: str, one: DayLoss) -> Pending:
        """With one day more; a day without a loss changes nothing."""
        if one.loss is None:
            return self
        first = day if self.first is None else self.first
        return Pending(first, self.days + 1, self.weight + one.weight, self.weighted + one.weight * one.loss)


@dataclass(frozen=True)
class Bet:
    """One λ. `log_worth` is the logarithm of what all its bets begun so far are worth; of the one that gained most,
    `log_gain` is what it gained, `since` the day it began, over `units` with the sum of losses `lost`.
    """

    log_worth: float = -math.inf
    log_gain: float = 0.0
    since: str | None = None
    units: int = 0
    lost: float = 0.0


@dataclass(frozen=True)
class Harm:
    """The state of the test after day `last`, for as long as one version is champion.

    `days` were told (the last one is `last`), of which `units` were made; `skipped` names the latest days that have no
    loss. An alarm stays, with the day it was raised on and what was so then.
    """

    version: int
    bound: float
    registered: Registered
    last: str | None = None
    days: int = 0
    units: int = 0
    bets: tuple[Bet, ...] = (Bet(),) * len(PARTS)
    pending: Pending = Pending()
    skipped: tuple[tuple[str, str], ...] = ()
    alarmed: str | None = None
    since: str | None = None
    mean: float | None = None
    log_e: float = field(default=0.0)

    @property
    def alarm(self) -> bool:
        """Whether harm has been shown, on any day so far."""
        return self.alarmed is not None

    def to_json(self) -> dict[str, Any]:
        """The state, to go on from; `-inf` as null."""
        found = asdict(self)
        for bet in found["bets"]:
            bet["log_worth"] = bet["log_worth"] if math.isfinite(bet["log_worth"]) else None
        return found

    def report(self) -> dict[str, Any]:
        """Part `harm` of the monitor's report."""
        return {
            "alarm": self.alarm,
            "version": self.version,
            "since": self.since,
            "alarmed": self.alarmed,
            "e_value": math.exp(min(self.log_e, 700.0)),
            "threshold": 1 / ALPHA,
            "days": self.days,
            "skipped": [{"day": day, "reason": reason} for day, reason in self.skipped],
            "words": self._words(),
        }

    def _words(self) -> str:
        name = {
            "binary": "1 − AUC within a day",
            "multiclass": "the share of wrong classes",
            "regression": "the absolute error, as a share of a large one,",
        }[self.registered.task]
        known = f"{self.registered.mean:.3f} on the held-out rows; harm is over {self.bound:.3f}"
        if self.alarm and self.mean is not None:
            return f"{name} is {self.mean:.3f} on average since {self.since}, {known}"
        return f"no harm shown in {self.days} days: {name} was {known}"


def read_harm(found: Mapping[str, Any]) -> Harm:
    """The state that to_json wrote. Raises KeyError and TypeError for what is none."""
    bets = [{**bet, "log_worth": -math.inf if bet["log_worth"] is None else bet["log_worth"]} for bet in found["bets"]]
    return Harm(
        **{
            **found,
            "registered": read_registered(found["registered"]),
            "bets": tuple(Bet(**bet) for bet in bets),
            "pending": Pending(**found["pending"]),
            "skipped": tuple((day, reason) for day, reason in found["skipped"]),
        }
    )


def start(version: int, registered: Registered, margin: float) -> Harm:
    """The state before the first day of a champion; `margin` as the spec's part `monitor` has it."""
    return Harm(version, registered.bound(margin), registered)


def follow(state: Harm | None, version: int, registered: Registered, margin: float) -> Harm:
    """The state to go on from: the one there is, or a new one when another version has become champion."""
    return state if state is not None and state.version == version else start(version, registered, margin)


def step(state: Harm, day: date, label: Array, answers: Array) -> Harm:
    """The state after one more complete day: labels [n] and answers float64 [n, k] of the champion's rows.

    A day that was told already, or lies before one that was, changes nothing. So the same days in order give the same
    state, however often each comes.
    """
    return take(state, day, day_loss(state.registered.task, state.registered.scale, label, answers))


def take(state: Harm, day: date, told: DayLoss) -> Harm:
    """The state after one more complete day, of which the loss is known."""
    name = day.isoformat()
    if state.last is not None and name <= state.last:
        return state
    state = replace(state, last=name, days=state.days + 1)
    if told.loss is None:
        return replace(state, skipped=(*state.skipped, (name, str(told.reason)))[-NAMED:])
    pending = state.pending.with_day(name, told)
    if pending.weight < state.registered.weight:
        return replace(state, pending=pending)
    return _bet(replace(state, pending=Pending()), pending)


def _bet(state: Harm, unit: Pending) -> Harm:
    """All bets take the unit; the alarm is raised where they are worth 1/α together."""
    units = state.units + 1
    begun = HALF / (HALF + units - 1) - HALF / (HALF + units)
    excess = max(unit.loss, state.registered.floor) - state.bound
    largest = 1 / (state.bound - state.registered.floor)
    bets = tuple(
        _grown(bet, math.log(begun), math.log1p(part * largest * excess), unit)
        for bet, part in zip(state.bets, PARTS, strict=True)
    )
    log_e = _sum(mean_of(bet.log_worth for bet in bets), math.log(HALF / (HALF + units)))
    state = replace(state, units=units, bets=bets, log_e=log_e)
    if state.alarm or log_e < -math.log(ALPHA):
        return state
    best = max(bets, key=lambda bet: bet.log_gain)
    return replace(state, alarmed=state.last, since=best.since, mean=best.lost / best.units)


def _grown(bet: Bet, begun: float, growth: float, unit: Pending) -> Bet:
    worth = _sum(bet.log_worth, begun) + growth
    if bet.log_gain + growth <= 0:  # who begins after this unit has gained more
        return Bet(worth)
    since = unit.first if bet.since is None else bet.since
    return Bet(worth, bet.log_gain + growth, since, bet.units + 1, bet.lost + unit.loss)


def _sum(one: float, other: float) -> float:
    """The logarithm of a sum, of the logarithms of its terms; the second is finite."""
    larger = max(one, other)
    return larger + math.log1p(math.exp(min(one, other) - larger))
