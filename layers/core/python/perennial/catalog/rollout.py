"""How a new version of a model gets its requests: part `rollout` of the model spec."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.catalog.spec import Seconds, Spec

# Each look at a step comes this much later than the one before: some dozens, whether a step takes minutes or days.
GROWTH = 1.2
# Metrics and records tell minutes.
MINUTE = 60
# Seconds until a minute has settled. Lambda and the embedded format count a call in the minute in which it began (it
# takes 29 seconds at most) and CloudWatch shows that within some three minutes; a record waits up to five minutes in
# Firehose (infra/constructs/records.py) and takes seconds from the log to there and from there to S3.
SETTLED = 7 * MINUTE
# What a step takes besides its dwell: what settles, and the two minutes in which the weight changes.
BESIDES = SETTLED + 2 * MINUTE
# What a rollout may take at most: the workflows that wait for one wait that long.
LONGEST = 7 * 86_400
# Looks of one rollout at most. A look is 10 events of the execution's history (waiting 2, the call 6, the choice 2) and
# 58 at worst, when all its 16 retries are used up; so looks take 6,960 events at worst, which leaves a good part of
# 10,000 for the other states, and those are less than half of AWS's 25,000.
LOOKS = 120

# The chance that a test is wrong about a challenger that does no harm, however often it is asked.
Alpha = Annotated[float, Field(gt=0, le=0.1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Errors(Spec):
    """Requests that failed. Inferior are both `ratio` times the champion's errors and a share `rate` of the requests.

    `alpha` bounds the chance to roll back a challenger that fails no more often, and the chance to promote an inferior
    one.
    """

    alpha: Alpha = 0.01
    ratio: float = Field(default=1.5, gt=1)
    rate: Share = 0.01


class Latency(Spec):
    """Scoring time of warm calls: harm is to be `ratio` times as slow as the champion more often than not.

    With `slo_ms`, harm is besides that more than a share `over` of them takes longer than so many milliseconds.
    """

    alpha: Alpha = 0.01
    ratio: float = Field(default=2.0, ge=1)
    slo_ms: float | None = Field(default=None, gt=0)
    over: Share = 0.01


class Outputs(Spec):
    """What can be no answer: beyond all bounds, or the same whatever is asked. `rate` is the share that is let pass."""

    alpha: Alpha = 0.01
    rate: Share = 0.001


class Scores(Spec):
    """Live scores: harm is to be more than `margin` (Kolmogorov distance) away from the challenger's own on held-out
    rows, and as far from the champion's on the requests of the same time.
    """

    alpha: Alpha = 0.01
    margin: float = Field(default=0.25, gt=0, lt=0.9)


class Quality(Spec):
    """Predictions whose outcome is known in time: harm is to lose more than `margin` more per prediction than the
    champion, in units of the worst loss there is (perennial.rollout.results).
    """

    alpha: Alpha = 0.01
    margin: float = Field(default=0.01, gt=0, lt=0.9)


class Value(Spec):
    """Amounts of outcomes: harm is to earn more than `margin` less per prediction than the champion.

    Amounts are taken for no less than `low` and no more than `high`, in the model's unit: a mean can be told only of
    what has bounds.
    """

    alpha: Alpha = 0.01
    margin: float = Field(gt=0)
    low: float
    high: float

    @model_validator(mode="after")
    def _possible(self) -> Value:
        if not self.margin < 0.9 * (self.high - self.low):
            raise ValueError(f"a margin of {self.margin:g} among amounts from {self.low:g} to {self.high:g}")
        return self


class RolloutSpec(Spec):
    """The challenger gets a growing share of the requests (`steps`, then all) while the judge looks at what comes.

    A step lasts `dwell` seconds (and the nine minutes until what it saw has settled) and `requests` of the
    challenger's at least, all steps together `limit` at most: what traffic has not shown by then is inconclusive, and
    the challenger is put aside (`hold`) or promoted all the same.
    """

    steps: tuple[Share, ...] = Field(default=(0.05, 0.25, 0.5), min_length=1, max_length=5)
    dwell: Seconds = 600
    requests: int = Field(default=100, ge=1)
    limit: Seconds = 86_400
    otherwise: Literal["hold", "promote"] = "hold"
    errors: Errors = Errors()
    latency: Latency = Latency()
    outputs: Outputs = Outputs()
    scores: Scores = Scores()
    quality: Quality = Quality()
    value: Value | None = None

    @model_validator(mode="after")
    def _possible(self) -> RolloutSpec:
        if any(later <= earlier for earlier, later in pairwise(self.steps)):
            raise ValueError(f"steps must grow: {list(self.steps)}")
        if self.dwell < MINUTE:
            raise ValueError(f"dwell of {self.dwell} s: metrics tell minutes, so a step takes one at least")
        least = len(self.steps) * (self.dwell + BESIDES)
        if not least <= self.limit <= LONGEST:
            raise ValueError(f"limit of {self.limit} s: these steps take {least} at least, and {LONGEST} are allowed")
        if self.looks > LOOKS:
            raise ValueError(
                f"up to {self.looks} looks, more than {LOOKS}: a longer dwell or a shorter limit takes fewer"
            )
        return self

    @property
    def looks(self) -> int:
        """How many looks such a rollout may take: most when all steps are equally long."""
        steps = len(self.steps)
        return math.ceil(steps * (1 + math.log(self.limit / (steps * self.dwell)) / math.log(GROWTH))) + 1
