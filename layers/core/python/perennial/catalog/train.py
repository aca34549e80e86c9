"""When and how a model is trained: part `train` of the model spec."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from perennial.catalog.monitor import Days
from perennial.catalog.schedule import check_schedule
from perennial.catalog.spec import Seconds, Spec

ALGORITHMS = ("hist_gradient_boosting", "logistic_regression", "ridge", "random_forest")
# A class in a module of the catalog's folder `estimators`, `my_package.my_module:MyEstimator`
OWN_ALGORITHM = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"


class When(Spec):
    """When a training starts: by data, once there are `min_rows` unseen rows and no arrival came for `settle` seconds.

    `schedule` (EventBridge Scheduler: `rate(30 days)`, `cron(…)`) asks besides; the governor declines when nothing
    is new. `drift` and `performance` say whether the monitor's alarms ask, who need `outcomes` new outcomes since the
    last training. Between two trainings lie `cool_down` seconds at least, and in 30 days there are `monthly` at most;
    a person may ask within the cool-down, but not beyond the budget.
    """

    min_rows: int = Field(default=1, ge=1)
    settle: Seconds = 60
    schedule: Annotated[str, AfterValidator(check_schedule)] | None = None
    drift: bool = False
    performance: bool = True
    outcomes: int = Field(default=0, ge=0)
    cool_down: Seconds = 0
    monthly: int | None = Field(default=None, ge=1)


class Split(Spec):
    """Which rows are held out: the last `holdout` share by event time (whole days), else a seeded stratified hash."""

    holdout: float = Field(default=0.2, gt=0, lt=1)


class Tune(Spec):
    """Parameters that are searched: `candidates` of the combinations of `space`, drawn by the seed, by successive
    halving: each round keeps the better third on three times the rows, the last one is fitted on all of them.

    With `tasks`, so many tasks search at the same time, each among candidates of its own; the best of theirs is taken.
    """

    space: dict[str, Annotated[list[int | float | str | bool | None], Field(min_length=1)]] = Field(
        min_length=1, max_length=16
    )
    candidates: int = Field(default=9, ge=2, le=81)
    tasks: int = Field(default=1, ge=1, le=40)


class Train(Spec):
    """How the model is trained.

    On the rows of the last `window` before the newest one (None: all), but for those younger than `maturity`, whose
    labels may still change. With `refit`, the deployed model is fitted again on all of these rows once the one fitted
    without the held-out rows has passed.
    """

    when: When = When()
    window: Days | None = None
    maturity: Seconds = 0
    tune: Tune | None = None
    refit: bool = False
    algorithm: str = "hist_gradient_boosting"
    params: dict[str, int | float | str | bool | None] = Field(default={})
    split: Split = Split()
    seed: int = Field(default=0, ge=0, lt=2**31)
    min_rows: int = Field(default=20, ge=10)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, algorithm: str) -> str:
        if algorithm not in ALGORITHMS and not re.fullmatch(OWN_ALGORITHM, algorithm):
            raise ValueError(f"{algorithm!r} is none of {', '.join(ALGORITHMS)}, nor an own my_module:MyEstimator")
        return algorithm

    @property
    def own_module(self) -> str | None:
        """The module of an own estimator (`my_package.my_module`); None for an algorithm of Perennial's."""
        return None if self.algorithm in ALGORITHMS else self.algorithm.partition(":")[0]
